"""What a run will cost: said once, as soon as the first step has shown how long a step takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gancore.cli.console import say

if TYPE_CHECKING:
    from gancore.run.loop import Run

SLOW = 1.0  # seconds of a first step above which the cost is said


def cost_said(run: Run, clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Return the function to call after every step: after the first it says what the run takes, where that is slow.

    `clock` returns seconds; the first step begins now.
    """
    began, share = clock(), run.share
    said = False

    def after_step() -> None:
        nonlocal said
        if said:
            return
        said = True
        if (seconds := clock() - began) >= SLOW:
            say(cost_of(seconds, run.share - share, 1 - run.share))

    return after_step


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
