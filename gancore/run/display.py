"""Show a run on stderr while it trains: a live line on a terminal, plain lines otherwise, and its
notes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Self

from gancore.errors import clean
from gancore.process.standard_streams import write_line
from gancore.progressbar import duration
from gancore.run.directory import MetricsRow
from gancore.run.rows import Step

PLAIN_LINES = 20  # in a whole run, by its share
PAUSE = 30.0  # seconds between two plain lines at most, at first
RARER = 10  # later, a line after this part of the time since the start


def summary(row: MetricsRow) -> str:
    """Write a row as one line: losses, mean scores, speed."""
    figures = {
        "critic": row.get("critic/total"),
        "generator": row.get("generator/total"),
        "score real": row.get("critic/score_real"),
        "score fake": row.get("critic/score_fake"),
    }
    shown = []
    for name, value in figures.items():
        if value is not None:
            shown.append(f"{name} {value:.3f}")
    return f"step {row['step']}  {'  '.join(shown)}  {speed(row['images_per_second'])}"


def speed(images: float) -> str:
    """Write a speed in images per second, with a decimal place where it is slow."""
    return f"{images:.0f} images/s" if images >= 10 else f"{images:.1f} images/s"


class Display:
    """Show nothing.

    As a context manager it lasts as long as a run trains; `fit` calls it after rows and steps.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def on_row(self, row: MetricsRow) -> None:
        """Take a metrics row."""

    def on_step(self, step: Step) -> None:
        """Take what a step has left; its row, where it has one, came before."""


class PlainLines(Display):
    """Write about twenty plain lines in a run, more where that would be a long silence, and each
    note at once.

    No silence is longer than half a minute in the first five minutes, and than a tenth of the time
    since the start later. `share` says how much of the run was done before.
    """

    def __init__(
        self,
        notes: Sequence[str],
        share: float,
        write: Callable[[str], object] = write_line,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notes = notes
        self._share = share
        self._write = write
        self._clock = clock
        self._began = self._written = clock()
        self._part = -1  # of PLAIN_LINES
        self._row: MetricsRow = {}
        self._noted = 0

    def __enter__(self) -> Self:
        self._write_notes()
        return self

    def __exit__(self, *error: object) -> None:
        self._write_notes()

    def on_row(self, row: MetricsRow) -> None:
        """Keep a row to write it with its step."""
        self._row = row

    def on_step(self, step: Step) -> None:
        """Write a line where one is due, then what was noted."""
        now = self._clock()
        row = self._row if self._row.get("step") == step.number else None
        part = int(step.share * PLAIN_LINES)
        silent = now - self._written >= max(PAUSE, (now - self._began) / RARER)
        if silent or (row is not None and part > self._part):
            seconds = now - self._began
            line = summary(row) if row else f"step {step.number}  {speed(step.images / seconds)}"
            self._write(f"{line}  {self._left(seconds, step.share)}")
            self._written = now
            self._part = part
        self._write_notes()

    def _left(self, seconds: float, share: float) -> str:
        """Estimate the time left, from the part done in so many seconds."""
        # of this process alone: what was done before took time that is not in `seconds`
        done = share - self._share
        left = seconds * (1 - share) / done if done > 0 else 0
        return f"{duration(left)} left"

    def _write_notes(self) -> None:
        while self._noted < len(self._notes):
            write_line(f"note: {clean(self._notes[self._noted])}")
            self._noted += 1


class LiveBar(PlainLines):
    """Show a progress bar that disappears at the end, and write each note above it."""

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            BarColumn(bar_width=24),
            TextColumn("{task.description}", markup=False),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._write_notes()
        self._bar.start()
        self._task = self._bar.add_task("", total=1.0)
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        self._write_notes()

    def on_row(self, row: MetricsRow) -> None:
        """Describe the bar by the newest row."""
        self._bar.update(self._task, description=summary(row))

    def on_step(self, step: Step) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=step.share)
        self._write_notes()


def display_of(notes: Sequence[str], share: float, wanted: bool) -> Display:
    """Return how a run is shown: by a bar where stderr is a terminal, by plain lines elsewhere, or
    not at all.
    """
    if not wanted:
        return Display()
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return LiveBar(notes, share) if terminal else PlainLines(notes, share)
