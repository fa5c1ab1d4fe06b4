"""`gan checkpoint`: which checkpoints a run has, whether they are sound, and which may go."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gancore.cli.console import clean, note, say, show_table
from gancore.errors import CheckpointError, GanError, UsageError
from gancore.plugins.loading import split_file
from gancore.recipe.toml import read_recipe
from gancore.run import directory
from gancore.run.checkpoint import verified
from gancore.run.checkpoint import writer as checkpoints


@click.group()
def checkpoint() -> None:
    """List, verify or remove the checkpoints of a run."""


@checkpoint.command("list")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print objects: name step bytes for_good versions plugins problem.",
)
def show(run: Path, as_json: bool) -> None:
    """List the checkpoints of RUN, by their manifests; `verify` reads the rest too."""
    found = of_run(run)
    kept = checkpoints.kept_for_good(found, kept_every(run))
    rows = [about(path, path in kept) for path in found]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    header = ("checkpoint", "size", "kept", "gancore", "torch", "python", "problem")
    show_table(
        header,
        [
            (
                row["name"],
                f"{row['bytes'] / 1e6:,.1f} MB",
                "for good" if row["for_good"] else "",
                *(row["versions"].get(name, "") for name in header[3:6]),
                row["problem"],
            )
            for row in rows
        ],
    )


def about(folder: Path, for_good: bool) -> dict[str, Any]:
    """Return what a checkpoint says of itself, and what is wrong with its sums or manifest."""
    manifest: dict[str, Any] = {}
    problem, size = "", 0
    try:
        manifest = dict(verified.unseal(folder).manifest)
    except CheckpointError as error:
        problem = error.what
    with contextlib.suppress(OSError):  # a run that is training may prune it meanwhile
        size = sum(path.lstat().st_size for path in folder.iterdir())
    return {
        "name": folder.name,
        "step": verified.step_of(folder),
        "bytes": size,
        "for_good": for_good,
        "versions": manifest.get("versions", {}),
        "plugins": manifest.get("plugins", {}),
        "problem": problem,
    }


@checkpoint.command()
@click.argument("path", metavar="RUN|FOLDER", type=click.Path(path_type=Path))
@click.option("--plugin", "files", multiple=True, help="A component file of the run that may be executed, ./file.py.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects: name sound faults notes.")
def verify(path: Path, files: tuple[str, ...], as_json: bool) -> None:
    """Read every file of every checkpoint of a run, or of the one in FOLDER; exit 1 if any is damaged.

    Those of a RUN are also compared with the networks, optimisers and components that its recipe makes.
    """
    named = {split_file(name)[0] for name in files}
    alone = verified.step_of(path.absolute()) >= 0 or os.path.exists(path / verified.SUMS)
    found = [path.absolute()] if alone else of_run(path)
    rows: list[dict[str, Any]] = [
        {"name": each.name, "faults": verified.faults(each), "notes": notes_of(each)} for each in found
    ]
    if not alone:
        sound = [each for each, row in zip(found, rows, strict=True) if not row["faults"]]
        told, remark = compared(path, sound, lambda name: split_file(name)[0] in named)
        for row in rows:
            row["faults"] += [told[row["name"]]] if row["name"] in told else []
        if remark:
            note(remark)
    if as_json:
        click.echo(json.dumps([{**row, "sound": not row["faults"]} for row in rows], indent=1))
    else:
        for row in rows:
            for line in [*(row["faults"] or [f"{row['name']} is sound"]), *row["notes"]]:
                click.echo(clean(line))
    if damaged := [row["name"] for row in rows if row["faults"]]:
        raise CheckpointError(
            f"{len(damaged)} of {len(rows)} checkpoints cannot be used: {', '.join(map(str, damaged))}",
            where=str(path),
            fix="`gan run --resume` and `gan sample` take the newest that is sound",
        )


def compared(run: Path, sound: list[Path], files: Callable[[str], bool]) -> tuple[dict[str, str], str]:
    """Compare sound checkpoints with what the run's recipe makes: what does not fit by name, and why it could not be.

    That needs torch, the run's plugins, and leave to run its component files.
    """
    if not sound:
        return {}, ""
    try:
        from gancore.hardware.startup import prepare_process
        from gancore.tools.verify_checkpoints import misfits

        prepare_process()
        return misfits(run, sound, files), ""
    except ImportError as error:
        why = str(error)
    except GanError as error:
        why = "; ".join(filter(None, (error.what, error.fix)))
    return {}, f"the checkpoints were read, but not compared with the run's networks: {why}"


def notes_of(folder: Path) -> list[str]:
    """Name what lies in a checkpoint and is no part of it."""
    try:
        return verified.unseal(folder).notes()
    except CheckpointError:
        return []


@checkpoint.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--keep", metavar="K", type=click.IntRange(1), required=True, help="How many of the newest to keep.")
def prune(run: Path, keep: int) -> None:
    """Remove all but the newest K checkpoints of RUN.

    What `keep-every` of the run keeps for good stays, and so does the newest that is sound.
    """
    of_run(run)
    with directory.locked(run):
        removed = checkpoints.prune(run / directory.CHECKPOINTS, keep, kept_every(run))
    for path in removed:
        click.echo(path.name)
    say(f"{len(removed)} removed, {len(of_run(run))} left")


def of_run(run: Path) -> list[Path]:
    """List a run's checkpoints, oldest first. Raises UsageError for what is no run, or a run without any."""
    directory.expect(run)
    found = checkpoints.steps(run / directory.CHECKPOINTS)
    if not found:
        raise UsageError(f"{run} has no checkpoint yet", where=str(run), fix=f"gan run --resume {run}")
    return found


def kept_every(run: Path) -> int:
    """Return the steps between checkpoints that a run keeps for good; 0 where it keeps none."""
    given = read_recipe(run / directory.RECIPE).layer.options.get("run", {}).get("keep-every")
    return given.value if given is not None and type(given.value) is int and given.value > 0 else 0
