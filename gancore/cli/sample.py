"""`gan sample`: draw samples from a trained run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gancore.cli.console import note, say
from gancore.cli.flags import plugin_files_flag
from gancore.cli.labels import chosen_classes
from gancore.errors import CheckpointError, UsageError
from gancore.plugins.loading import split_file
from gancore.run import directory
from gancore.run.checkpoint import verified, writer
from gancore.train.plan import LabelSet

if TYPE_CHECKING:
    from torch import Tensor


@click.command(short_help="Draw samples from a run.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-n",
    "count",
    metavar="N",
    type=click.IntRange(1, 100_000),
    default=64,
    help="Number of samples. [64]",
)
@click.option(
    "--labels",
    metavar="CLASSES",
    help="Classes to draw, e.g. `type=fire,water` or `fire`. Samples cycle through them.",
)
@click.option(
    "--seed", metavar="N", type=click.IntRange(0), default=0, help="Seed of the latents. [0]"
)
@click.option("--device", metavar="NAME", default="auto", help="auto, cpu or cuda. [auto]")
@plugin_files_flag
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    type=click.Path(path_type=Path),
    default=Path("samples.png"),
    help="A .png file for a grid, or a folder for single samples. [samples.png]",
)
@click.option(
    "--overwrite", is_flag=True, help="If the folder is not empty, first rename it to OUT.old-1."
)
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
    """Draw samples from RUN, as a grid (`-o grid.png`) or each alone (`-o folder`)."""
    # everything that can be refused is refused here, before torch is imported
    directory.expect(run)
    expect_place(out, overwrite=overwrite)
    allowed = {split_file(name)[0] for name in files}
    wanted: dict[int, list[int]] = {}
    known = stored_labels(run)
    if labels and known is not None:
        wanted = chosen_classes(labels, known)

    from gancore.run.loop import Run
    from gancore.train.layers import is_conditional

    opened = Run.load(run, device=device, files=lambda name: split_file(name)[0] in allowed)
    for text in opened.notes:
        note(text)
    generator = opened.training.context.gan.generator.network
    if labels and "cond" not in opened.composition.slots and not is_conditional(generator):
        note("no component of this run conditions on labels, so --labels has no effect")
    label_sets = opened.training.context.plan.label_sets
    chosen = labels_of(wanted, label_sets, count) if labels else None
    images, _ = opened.sample(count, chosen, seed)
    if overwrite and not out.suffix and holds_something(out):
        directory.set_aside(out)
    try:
        save_samples(images, out)
    except OSError as error:
        what = f"{out} cannot be written: {error.strerror}"
        raise UsageError(what, where="-o", fix="name another file or folder") from None
    drawn_by = opened.composition.sampled_by()
    by = f", drawn by {' and '.join(drawn_by)}" if drawn_by else ""
    say(f"{len(images)} samples of step {opened.training.step} in {out}{by}")


def expect_place(out: Path, *, overwrite: bool) -> None:
    """Raise UsageError unless samples can be written to `out`: a `.png`, or an empty folder."""
    if out.suffix and out.suffix.lower() != ".png":
        fix = f"-o {out.with_suffix('.png')}"
        raise UsageError(f"{out} is neither a .png nor a folder", where="-o", fix=fix)
    if out.suffix and os.path.isdir(out):
        fix = "name a file, or a folder without .png"
        raise UsageError(f"{out} is a folder", where="-o", fix=fix)
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
    """Return whether this is a folder with something in it."""
    return os.path.isdir(folder) and bool(os.listdir(folder))


def stored_labels(run: Path) -> tuple[LabelSet, ...] | None:
    """Read the label sets from a run's newest readable checkpoint, without torch; None if none."""
    for folder in reversed(writer.steps(run / directory.CHECKPOINTS)):
        try:
            found = verified.open_folder(folder).state()["label_sets"]
        except (CheckpointError, KeyError):  # `Run.load` reports damage and older formats
            continue
        return tuple(LabelSet(each["name"], tuple(each["classes"])) for each in found)
    return None


def labels_of(wanted: dict[int, list[int]], label_sets: tuple[LabelSet, ...], count: int) -> Tensor:
    """Return labels `[n, L]` that cycle through the wanted classes of each label set.

    Label sets without wanted classes cycle through all of theirs.
    """
    import torch

    from gancore.train.sampling import class_labels

    labels = class_labels([len(each) for each in label_sets], count)
    for number, classes in wanted.items():
        labels[:, number] = torch.tensor(classes)[torch.arange(count) % len(classes)]
    return labels


def save_samples(images: Tensor, out: Path) -> None:
    """Save one picture of all samples as a `.png`, or in a folder each sample of its own.

    There, images are pictures, points the rows of one CSV, and each signal or volume is a file
    `.npy` of its numbers.
    """
    from gancore.run.pictures import picture_of, save_picture, to_picture, to_pixels

    if out.suffix:
        save_picture(picture_of(images), out)
        return
    out.mkdir(parents=True, exist_ok=True)
    if images.dim() in (3, 5):
        save_arrays(images, out)
        return
    if images.dim() == 2:
        with (out / "points.csv").open("w") as file:
            for row in images.tolist():
                file.write(",".join(f"{value:.7g}" for value in row) + "\n")
        return
    for number, pixels in enumerate(to_pixels(images)):
        save_picture(to_picture(pixels), out / f"{number:05d}.png")


def save_arrays(samples: Tensor, folder: Path) -> None:
    """Write each sample as a file of NumPy, float32 `[*shape]`."""
    import numpy

    for number, sample in enumerate(samples):
        numpy.save(folder / f"{number:05d}.npy", sample.float().cpu().numpy())
