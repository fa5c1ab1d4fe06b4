"""How a run shows itself while it trains: a live line on a terminal, plain lines otherwise, and its notes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gancore.errors import clean
from gancore.guard.standard_streams import write_line
from gancore.progressbar import duration
from gancore.run.directory import Row

if TYPE_CHECKING:
    from gancore.run.session import Run

PLAIN_LINES = 20  # in a whole run, by its share
PAUSE = 30.0  # seconds between two plain lines at most, at first
RARER = 10  # later, a line after this part of the time since the start


def summary(row: Row) -> str:
    """Write a row as one line: losses, mean scores, speed."""
    figures = {
        "critic": row.get("critic/total"),
        "generator": row.get("generator/total"),
        "score real": row.get("critic/score_real"),
        "score fake": row.get("critic/score_fake"),
    }
    shown = "  ".join(f"{name} {value:.3f}" for name, value in figures.items() if value is not None)
    return f"step {row['step']}  {shown}  {speed(row['images_per_second'])}"


def speed(images: float) -> str:
    """Write a speed in images per second, with a decimal place where it is slow."""
    return f"{images:.0f} images/s" if images >= 10 else f"{images:.1f} images/s"


def left(run: Run, seconds: float, share: float) -> str:
    """Estimate the time left, from the part done beyond `share` in so many seconds."""
    done = run.share - share
    return f"{duration(seconds * (1 - run.share) / done if done > 0 else 0)} left"


def shown(run: Run) -> Iterator[Row | None]:
    """Make the steps of a run and yield as `run.steps()` does, while it is shown on stderr.

    Of several processes only the one that leads shows anything.
    """
    if not run.group.is_main:
        return run.steps()
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return live_steps(run) if terminal else plain_steps(run, write_line)


def with_notes(run: Run, steps: Iterator[Row | None]) -> Iterator[Row | None]:
    """Yield the steps of a run, and write each of its notes as soon as it is there."""
    told = 0

    def tell() -> None:
        nonlocal told
        for text in run.notes[told:] if run.group.is_main else ():
            write_line(f"note: {clean(text)}")
        told = len(run.notes)

    tell()
    try:
        for made in steps:
            tell()
            yield made
    finally:
        tell()


def plain_steps(
    run: Run, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic
) -> Iterator[Row | None]:
    """Yield the steps, writing about twenty plain lines in a run, and more where that would be a long silence.

    None is longer than half a minute in the first five minutes, and than a tenth of the time since the start later.
    """
    began = written = clock()
    share, first, told = run.share, run.training.batches, -1
    for made in run.steps():
        now = clock()
        part = int(run.share * PLAIN_LINES)
        if made is not None and part > told:
            line = summary(made)
        elif now - written >= max(PAUSE, (now - began) / RARER):
            images = (run.training.batches - first) * run.composition.settings.batch
            line = summary(made) if made is not None else f"step {run.training.step}  {speed(images / (now - began))}"
        else:
            line = ""
        if line:
            write(f"{line}  {left(run, now - began, share)}")
            written = now
            told = part
        yield made


def live_steps(run: Run) -> Iterator[Row | None]:
    """Yield the steps under a progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        for made in run.steps():
            if made is None:
                bar.update(task, completed=run.share)
            else:
                bar.update(task, completed=run.share, description=summary(made))
            yield made
