"""`gan sample`: draw samples from a trained run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gancore.cli.console import note, say
from gancore.cli.labels import chosen_classes
from gancore.errors import CheckpointError, UsageError
from gancore.plugins.loading import split_file
from gancore.run import directory
from gancore.run.checkpoint import verified, writer
from gancore.train.plan import LabelSet

if TYPE_CHECKING:
    from torch import Tensor


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-n", "count", type=click.IntRange(1, 100_000), default=64, help="How many samples. [64]")
@click.option("--labels", help="Classes of the fakes, e.g. `type=fire,water` or `fire`; the list is repeated.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Which latents. [0]")
@click.option("--device", default="auto", help="auto, cpu or cuda. [auto]")
@click.option("--plugin", "files", multiple=True, help="A component file of the run that may be executed, ./file.py.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("samples.png"), help="A .png for a grid, or a folder."
)
@click.option("--overwrite", is_flag=True, help="Where the folder holds something, move it aside to OUT.old-1 first.")
def sample(
    run: Path,
    count: int,
    labels: str | None,
    seed: int,
    device: str,
    files: tuple[str, ...],
    out: Path,
    overwrite: bool,
) -> None:
    """Draw samples from RUN into a grid (`-o grid.png`) or a folder of single images (`-o folder`)."""
    # everything that can be refused is refused here, before torch is imported
    directory.expect(run)
    expect_place(out, overwrite=overwrite)
    named = {split_file(name)[0] for name in files}
    wanted: dict[int, list[int]] = {}
    known = stored_labels(run)
    if labels and known is not None:
        wanted = chosen_classes(labels, known)

    from gancore.run.loop import Run

    opened = Run.load(run, device=device, files=lambda name: split_file(name)[0] in named)
    for text in opened.notes:
        note(text)
    if labels and "cond" not in opened.composition.slots:
        note("nothing in this run conditions the generator on labels, so --labels changes nothing")
    chosen = labels_of(wanted, opened.training.context.plan.label_sets, count) if labels else None
    images, _ = opened.sample(count, chosen, seed)
    if overwrite and not out.suffix and holds_something(out):
        directory.set_aside(out)
    try:
        write(images, out)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror}", where="-o", fix="name another file or folder"
        ) from None
    say(f"{len(images)} samples of step {opened.training.step} in {out}")


def expect_place(out: Path, *, overwrite: bool) -> None:
    """Raise UsageError unless samples can be written there: into a `.png`, or into a folder that holds nothing yet."""
    if out.suffix and out.suffix.lower() != ".png":
        raise UsageError(f"{out} is neither a .png nor a folder", where="-o", fix=f"-o {out.with_suffix('.png')}")
    if out.suffix and os.path.isdir(out):
        raise UsageError(f"{out} is a folder", where="-o", fix="name a file, or a folder without .png")
    if not out.suffix and os.path.lexists(out) and not os.path.isdir(out):
        raise UsageError(f"{out} is a file", where="-o", fix=f"-o {out}.png, or name a folder")
    if not out.suffix and holds_something(out) and not overwrite:
        what = f"{out} is not empty, and two sets of samples would be mixed"
        raise UsageError(what, where="-o", fix="name a folder that is new or empty, or --overwrite")
    try:
        directory.probe(out.parent if out.suffix else out)
    except UsageError as error:
        raise UsageError(error.what, where="-o", fix="name another file or folder") from None


def holds_something(folder: Path) -> bool:
    """Whether there is a folder with anything in it."""
    return os.path.isdir(folder) and bool(os.listdir(folder))


def stored_labels(run: Path) -> tuple[LabelSet, ...] | None:
    """Read the label sets of a run from its newest checkpoint, without torch; None where none can be read."""
    for folder in reversed(writer.steps(run / directory.CHECKPOINTS)):
        try:
            found = verified.open_folder(folder).state()["label_sets"]
        except (CheckpointError, KeyError):  # damaged, or of an older format: `Run.load` says so
            continue
        return tuple(LabelSet(each["name"], tuple(each["classes"])) for each in found)
    return None


def labels_of(wanted: dict[int, list[int]], label_sets: tuple[LabelSet, ...], count: int) -> Tensor:
    """Return labels `[n, L]` that repeat the wanted classes; sets without any run through all their classes."""
    import torch

    from gancore.train.sampling import class_labels

    found = class_labels([len(each) for each in label_sets], count)
    for number, classes in wanted.items():
        found[:, number] = torch.tensor(classes)[torch.arange(count) % len(classes)]
    return found


def write(images: Tensor, out: Path) -> None:
    """Write a grid into a `.png`, or each image into a folder; points become a scatter, or a CSV in a folder."""
    from gancore.run.pictures import grid, save_picture, scatter, to_picture, to_pixels

    if out.suffix:
        save_picture(grid(images) if images.dim() == 4 else scatter(images, None), out)
        return
    out.mkdir(parents=True, exist_ok=True)
    if images.dim() == 2:
        lines = [",".join(f"{value:.7g}" for value in row) for row in images.tolist()]
        (out / "points.csv").write_text("\n".join(lines) + "\n")
        return
    for number, pixels in enumerate(to_pixels(images)):
        save_picture(to_picture(pixels), out / f"{number:05d}.png")
