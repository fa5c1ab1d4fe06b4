"""`gan sample`: pictures from a run's newest checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gancore.cli.console import note, say
from gancore.errors import UsageError, did_you_mean
from gancore.run import directory

if TYPE_CHECKING:
    from torch import Tensor

    from gancore.plan import LabelSet


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
def sample(
    run: Path, count: int, labels: str | None, seed: int, device: str, files: tuple[str, ...], out: Path
) -> None:
    """Draw samples from RUN into a grid (`-o grid.png`) or a folder of single images (`-o folder`)."""
    directory.expect(run)
    from gancore.discovery import split_file
    from gancore.run.run import Run

    named = {split_file(name)[0] for name in files}
    opened = Run.load(run, device=device, files=lambda name: split_file(name)[0] in named)
    for text in opened.notes:
        note(text)
    if labels and "cond" not in opened.composition.slots:
        note("nothing in this run conditions the generator on labels, so --labels changes nothing")
    chosen = read_labels(labels, opened.training.game.plan.label_sets, count) if labels else None
    images, _ = opened.sample(count, chosen, seed)
    try:
        write(images, out)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror}", where="-o", mend="name another file or folder"
        ) from None
    say(f"{len(images)} samples of step {opened.training.step} in {out}")


def read_labels(text: str, label_sets: tuple[LabelSet, ...], count: int) -> Tensor:
    """Read `type=fire,water body=bird` into labels `[n, L]`; sets that are not named run through their classes.

    Raises UsageError for a set or class that the run does not know.
    """
    import torch

    from gancore.run.samples import class_labels

    if not label_sets:
        raise UsageError("the run has no labels", where=f"--labels {text}", mend="leave --labels out")
    found = class_labels([len(each) for each in label_sets], count)
    names = [each.name for each in label_sets]
    for part in re.split(r"\s+(?=[^\s=]+=)", text.strip()):
        name, equals, classes = part.partition("=")
        name, classes = (name, classes) if equals else (names[0], part)
        if name not in names:
            raise UsageError(
                f"no label set is called {name!r}",
                where=f"--labels {text}",
                mend=did_you_mean(name, names) or ", ".join(names),
            )
        labels = label_sets[names.index(name)]
        wanted = torch.tensor([class_number(word, labels, text) for word in classes.split(",")])
        found[:, names.index(name)] = wanted[torch.arange(count) % len(wanted)]
    return found


def class_number(word: str, labels: LabelSet, text: str) -> int:
    """Return the number of a class, given by name or number. Raises UsageError."""
    if word in labels.classes:
        return labels.classes.index(word)
    if word.isdecimal() and int(word) < len(labels):
        return int(word)
    mend = did_you_mean(word, labels.classes) or f"one of {', '.join(labels.classes)}"
    raise UsageError(f"{labels.name} has no class {word!r}", where=f"--labels {text}", mend=mend)


def write(images: Tensor, out: Path) -> None:
    """Write a grid into a `.png`, or each image into a folder; points become a scatter, or a CSV in a folder."""
    from gancore.run.samples import grid, save_picture, scatter, to_picture, to_pixels

    if out.suffix and out.suffix.lower() != ".png":
        raise UsageError(f"{out} is neither a .png nor a folder", where="-o", mend=f"-o {out.with_suffix('.png')}")
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
