"""Announces what a run will cost, once its first step has shown how long a step takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gancore.cli.console import say
from gancore.progressbar import duration

if TYPE_CHECKING:
    from gancore.run.loop import Run

SLOW_STEP = 1.0  # seconds of the first step from which the cost is announced


def announce_cost(run: Run, clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Return the function to call after every step, which describes the cost after a slow first
    one.

    `clock` returns seconds; the first step begins now.
    """
    began = clock()
    share = run.share
    announced = False

    def after_step() -> None:
        nonlocal announced
        if announced:
            return
        announced = True
        seconds = clock() - began
        if seconds >= SLOW_STEP:
            say(cost_message(seconds, run.share - share, 1 - run.share))

    return after_step


def cost_message(seconds: float, done: float, left: float) -> str:
    """Describe the cost of the first step and of the rest, by the shares `done` and `left`."""
    first = f"the first step took {seconds:.1f} s"
    if done <= 0 or left <= 0:
        return first
    rest = duration(seconds * left / done)
    return (
        f"{first}, so the rest of the run takes about {rest}; "
        "a smaller --size, --batch or network makes steps shorter"
    )
