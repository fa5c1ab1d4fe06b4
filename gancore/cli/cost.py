"""What a run will cost: said once, as soon as the first step has shown how long a step takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gancore.cli.console import say

if TYPE_CHECKING:
    from gancore.run.session import Run

SLOW = 1.0  # seconds of a first step above which the cost is said


@contextmanager
def cost_said(run: Run, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Say after the first step how long it took and what the whole run will take, where a step is slow.

    Wraps `run.heartbeat`, which is called after every step; `clock` returns seconds.
    """
    before, began, share = run.heartbeat, clock(), run.share

    def after_step() -> None:
        run.heartbeat = before
        before()
        if (seconds := clock() - began) >= SLOW:
            say(cost_of(seconds, run.share - share, 1 - run.share))

    run.heartbeat = after_step
    yield


def cost_of(seconds: float, done: float, left: float) -> str:
    """Write what a step takes and the rest of the run; `done` and `left` are shares of the run."""
    first = f"the first step took {seconds:.1f} s"
    if done <= 0 or left <= 0:
        return first
    remedy = "a smaller --size, --batch or network makes steps shorter"
    return f"{first}, so that the rest of the run takes about {in_words(seconds * left / done)}; {remedy}"


def in_words(seconds: float) -> str:
    """Write a duration in the unit that fits: `50 s`, `12 min`, `3.5 h`, `2.0 days`."""
    for unit, size, digits in (("days", 86400, 1), ("h", 3600, 1), ("min", 60, 0)):
        if seconds >= 2 * size or (seconds >= size and unit == "h"):
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
