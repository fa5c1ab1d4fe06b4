"""`gan checkpoint`: list, verify and remove the checkpoints of a run."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from gancore.cli.console import clean, note, say, show_table
from gancore.cli.flags import plugin_files_flag
from gancore.errors import CheckpointError, GanError, UsageError
from gancore.plugins.loading import split_file
from gancore.recipe.toml import read_recipe
from gancore.run import directory
from gancore.run.checkpoint import verified
from gancore.run.checkpoint import writer as checkpoints

HEADER = ("checkpoint", "size", "kept", "gancore", "torch", "python", "problem")


@click.group(short_help="List, verify or remove the checkpoints of a run.")
def checkpoint() -> None:
    """List, verify or remove the checkpoints of a run."""


@checkpoint.command("list", short_help="List the checkpoints of a run.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON objects with: name step bytes for_good versions plugins problem.",
)
def list_checkpoints(run: Path, as_json: bool) -> None:
    """List the checkpoints of RUN.

    This reads only their manifests; `gan checkpoint verify` reads every file.
    """
    found = of_run(run)
    kept = checkpoints.kept_for_good(found, kept_every(run))
    rows = [about(path, path in kept) for path in found]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        show_table(HEADER, [cells_of(row) for row in rows])


def cells_of(row: dict[str, Any]) -> Sequence[str]:
    """Return the cells of a checkpoint's row in the table."""
    return (
        row["name"],
        f"{row['bytes'] / 1e6:,.1f} MB",
        "for good" if row["for_good"] else "",
        row["versions"].get("gancore", ""),
        row["versions"].get("torch", ""),
        row["versions"].get("python", ""),
        row["problem"],
    )


def about(folder: Path, for_good: bool) -> dict[str, Any]:
    """Return the facts in a checkpoint's manifest, and what is wrong with the manifest or sums."""
    manifest: dict[str, Any] = {}
    problem = ""
    size = 0
    try:
        manifest = dict(verified.open_folder(folder).manifest)
    except CheckpointError as error:
        problem = error.what
    with contextlib.suppress(OSError):  # a run that is training may remove it meanwhile
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


@checkpoint.command("verify", short_help="Read every file and report damage.")
@click.argument("path", metavar="RUN|FOLDER", type=click.Path(path_type=Path))
@plugin_files_flag
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON objects with: name sound faults notes.",
)
def verify_checkpoints(path: Path, files: tuple[str, ...], as_json: bool) -> None:
    """Read every file of every checkpoint of RUN, or of the checkpoint in FOLDER.

    The exit code is 1 if one is damaged. Checkpoints of a RUN are also compared with the networks,
    optimizers and components that its recipe describes.
    """
    allowed = {split_file(name)[0] for name in files}
    # a checkpoint that was copied elsewhere may have another name, so its sums tell it too
    alone = verified.step_of(path.absolute()) >= 0 or os.path.exists(path / verified.SUMS)
    found = [path.absolute()] if alone else of_run(path)
    rows = list(map(verdict_on, found))
    if not alone:  # the recipe lies beside the checkpoints of a run, not in them
        sound = [each for each, row in zip(found, rows, strict=True) if not row["faults"]]
        misfits, remark = compared(path, sound, lambda name: split_file(name)[0] in allowed)
        for row in rows:
            if row["name"] in misfits:
                row["faults"].append(misfits[row["name"]])
        if remark:
            note(remark)
    if as_json:
        click.echo(json.dumps([{**row, "sound": not row["faults"]} for row in rows], indent=1))
    else:
        for row in rows:
            verdict = row["faults"] or [f"{row['name']} is sound"]
            for line in [*verdict, *row["notes"]]:
                click.echo(clean(line))
    damaged = [row["name"] for row in rows if row["faults"]]
    if damaged:
        names = ", ".join(damaged)
        raise CheckpointError(
            f"{len(damaged)} of {len(rows)} checkpoints cannot be used: {names}",
            where=str(path),
            fix="`gan run --resume` and `gan sample` use the newest that is sound",
        )


def verdict_on(folder: Path) -> dict[str, Any]:
    """Return the name, faults and notes of a checkpoint."""
    faults = list(verified.faults(folder))
    return {"name": folder.name, "faults": faults, "notes": notes_of(folder)}


def compared(
    run: Path, sound: list[Path], files: Callable[[str], bool]
) -> tuple[dict[str, str], str]:
    """Compare sound checkpoints with the networks that the run's recipe describes.

    Returns what does not fit, by checkpoint, and a remark if they could not be compared: that needs
    torch, the run's plugins, and permission to execute its component files.
    """
    if not sound:
        return {}, ""
    try:
        from gancore.hardware.startup import prepare_process
        from gancore.tools.verify_checkpoints import unusable_checkpoints

        prepare_process()
        return unusable_checkpoints(run, sound, files), ""
    except ImportError as error:
        why = str(error)
    except GanError as error:
        why = "; ".join(filter(None, (error.what, error.fix)))
    return {}, f"the checkpoints were read, but not compared with the run's networks: {why}"


def notes_of(folder: Path) -> list[str]:
    """Name the files in a checkpoint's folder that do not belong to it."""
    try:
        return verified.open_folder(folder).notes()
    except CheckpointError:
        return []


@checkpoint.command("prune", short_help="Remove old checkpoints.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--keep",
    metavar="K",
    type=click.IntRange(1),
    required=True,
    help="How many of the newest to keep.",
)
def prune_checkpoints(run: Path, keep: int) -> None:
    """Remove all checkpoints of RUN except the newest K.

    Checkpoints that the run's `keep-every` keeps for good also stay, and so does the newest that is
    sound.
    """
    of_run(run)
    with directory.locked(run):
        removed = checkpoints.prune(run / directory.CHECKPOINTS, keep, kept_every(run))
    for path in removed:
        click.echo(path.name)
    say(f"{len(removed)} removed, {len(of_run(run))} left")


def of_run(run: Path) -> list[Path]:
    """Return a run's checkpoints, oldest first. Raises UsageError if there are none."""
    directory.expect(run)
    found = checkpoints.steps(run / directory.CHECKPOINTS)
    if not found:
        what = f"{run} has no checkpoint yet"
        raise UsageError(what, where=str(run), fix=f"gan run --resume {run}")
    return found


def kept_every(run: Path) -> int:
    """Return the run's `keep-every`: steps between checkpoints that are kept for good, or 0."""
    settings = read_recipe(run / directory.RECIPE).layer.options.get("run", {})
    given = settings.get("keep-every")
    # `type` rather than isinstance: TOML has `true`, and a bool is an int
    if given is not None and type(given.value) is int and given.value > 0:
        return given.value
    return 0
