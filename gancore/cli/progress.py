"""How a run shows itself while it trains."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gancore.cli.console import say
from gancore.run.directory import Row

if TYPE_CHECKING:
    from gancore.run.run import Run

PLAIN_LINES = 20  # in a whole run


def summary(run: Run, row: Row) -> str:
    """Write a row as one line: losses, mean scores, speed."""
    figures = {
        "critic": row.get("critic/total"),
        "generator": row.get("generator/total"),
        "score real": row.get("critic/score_real"),
        "score fake": row.get("critic/score_fake"),
    }
    shown = "  ".join(f"{name} {value:.3f}" for name, value in figures.items() if value is not None)
    return f"step {row['step']}  {shown}  {row['images_per_second']:.0f} images/s"


def left(run: Run, began: float, share: float) -> str:
    """Estimate the time left, from the share done since `began`."""
    done = run.share - share
    seconds = int((time.monotonic() - began) * (1 - run.share) / done) if done > 0 else 0
    return f"{seconds // 60:02d}:{seconds % 60:02d} left"


def plain_rows(run: Run) -> Iterator[Row]:
    """Yield the rows, writing about twenty plain lines in a run."""
    began, share, told = time.monotonic(), run.share, -1
    for row in run.rows():
        if int(run.share * PLAIN_LINES) > told:
            told = int(run.share * PLAIN_LINES)
            say(f"{summary(run, row)}  {left(run, began, share)}")
        yield row


def live_rows(run: Run) -> Iterator[Row]:
    """Yield the rows under a progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        for row in run.rows():
            bar.update(task, completed=run.share, description=summary(run, row))
            yield row
