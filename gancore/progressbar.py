"""Progress of work that comes before training, such as decoding images: rate and time left, on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
MANY = 500  # items above which a plain line is printed before the first one is done
FIRST = 2.0  # seconds until the first plain line of fewer items
LATER = (5.0, 15.0, 30.0)  # seconds from one plain line to the next; the last holds from then on


def progress_bar(items: Iterable[Item], total: int, doing: str, each: int = 1) -> Iterable[Item]:
    """Iterate over items while stderr shows how many of `total` are done, the rate, and the time left.

    On a terminal this is a bar that disappears at the end; elsewhere it is plain lines: one at once for more than
    500 items, then after 2 or 5 seconds and at growing intervals up to 30 seconds. Of several processes that share a
    run only the first prints. `doing` is a phrase such as `decoding images`; an item that is a block of images counts
    as `each` of them.
    """
    if "MASTER_ADDR" in os.environ and os.environ.get("RANK", "0") != "0":
        return items
    if sys.stderr is not None and sys.stderr.isatty():
        return _drawn(items, total, doing, each)
    return _told(items, total, doing, each, _write, time.monotonic)


def _drawn(items: Iterable[Item], total: int, doing: str, each: int) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

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


def _told(
    items: Iterable[Item],
    total: int,
    doing: str,
    each: int,
    write: Callable[[str], None],
    clock: Callable[[], float],
) -> Iterator[Item]:
    """Iterate while plain lines are written, by the time that `clock` returns in seconds."""
    began, waits = clock(), iter(LATER)
    due = began + FIRST
    wait = FIRST
    if total > MANY * each:
        write(f"{doing}: {total:,}")
        wait = next(waits)
        due = began + wait
    for count, item in enumerate(items, 1):
        yield item
        now = clock()
        done = min(total, count * each)
        if now >= due and done < total:
            write(f"{doing}: {done:,} of {total:,}, {_rate(done, now - began)}, {_left(done, total, now - began)}")
            wait = next(waits, wait)
            due = now + wait


def _write(text: str) -> None:
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # a stderr that is closed or broken is no reason to stop
        pass


def _rate(done: int, seconds: float) -> str:
    return f"{done / max(seconds, 1e-9):,.0f} a second" if done > seconds else f"{seconds / done:.1f} s each"


def _left(done: int, total: int, seconds: float) -> str:
    left = round(seconds / done * (total - done))
    return f"{left // 60:02d}:{left % 60:02d} left"
