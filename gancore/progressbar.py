"""Shows on stderr the progress of work before training, such as decoding images."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
MANY = 500  # more items than this get a plain line before the first is done
FIRST_LINE = 2.0  # seconds until the first plain line of fewer items
INTERVALS = (5.0, 15.0, 30.0)  # seconds from one plain line to the next; the last one repeats
UNITS = (("days", 86400, 1), ("h", 3600, 1), ("min", 60, 0))  # name, seconds, decimal places


def duration(seconds: float) -> str:
    """Format a duration in the unit that fits: `50 s`, `12 min`, `3.5 h`, `2.0 days`.

    >>> duration(90), duration(4000)
    ('90 s', '1.1 h')
    """
    for unit, size, digits in UNITS:
        # from 2 of a unit on, so that little is lost to rounding; hours have a decimal place
        if seconds >= 2 * size or (seconds >= size and unit == "h"):
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"


def pace(seconds: float) -> str:
    """Format how long a step takes, with two digits: `0.19 s a step`.

    >>> pace(0.1874), pace(12.34), pace(250), pace(0.00312)
    ('0.19 s a step', '12 s a step', '250 s a step', '3.1 ms a step')
    """
    if seconds < 0.01:
        return f"{1000 * seconds:.2g} ms a step"
    decimals = max(0, 1 - math.floor(math.log10(seconds)))
    return f"{seconds:.{decimals}f} s a step"


def progress_bar(items: Iterable[Item], total: int, doing: str, each: int = 1) -> Iterable[Item]:
    """Iterate over items and show on stderr how many of `total` are done, and the time left.

    On a terminal this is a bar that disappears at the end. Elsewhere it prints plain lines: the
    first one at once for more than 500 items, otherwise after 2 seconds, and then at intervals that
    grow to 30 seconds. Only rank 0 of a run of several processes prints. `doing` is a phrase such
    as `decoding images`. An item counts as `each`, for items that are blocks of images.
    """
    if "MASTER_ADDR" in os.environ and os.environ.get("RANK", "0") != "0":
        return items
    if sys.stderr is not None and sys.stderr.isatty():
        return _with_bar(items, total, doing, each)
    return _with_lines(items, total, doing, each, _write_line, time.monotonic)


def _with_bar(items: Iterable[Item], total: int, doing: str, each: int) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(show_speed=False),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total, rate="")
        for count, item in enumerate(items, 1):
            yield item
            done = min(total, count * each)
            bar.update(task, completed=done, rate=_rate(done, time.monotonic() - began))


def _with_lines(
    items: Iterable[Item],
    total: int,
    doing: str,
    each: int,
    write: Callable[[str], None],
    clock: Callable[[], float],
) -> Iterator[Item]:
    """Iterate and write plain lines; `clock` returns seconds."""
    began = clock()
    intervals = iter(INTERVALS)
    wait = FIRST_LINE
    due = began + wait
    if total > MANY * each:
        write(f"{doing}: {total:,}")
        wait = next(intervals)
        due = began + wait
    for count, item in enumerate(items, 1):
        yield item
        now = clock()
        done = min(total, count * each)
        if now >= due and done < total:
            rate = _rate(done, now - began)
            left = duration((now - began) / done * (total - done))
            write(f"{doing}: {done:,} of {total:,}, {rate}, {left} left")
            wait = next(intervals, wait)
            due = now + wait


def _write_line(text: str) -> None:
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # stderr is closed, broken or missing
        pass


def _rate(done: int, seconds: float) -> str:
    if done > seconds:
        return f"{done / max(seconds, 1e-9):,.0f} a second"
    return f"{seconds / done:.1f} s each"
