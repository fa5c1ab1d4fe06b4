"""Announces what a run will cost, once its steps have shown how long they take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gancore.cli.console import say
from gancore.progressbar import duration, pace

if TYPE_CHECKING:
    from gancore.run.loop import Run

SLOW_STEP = 15.0  # seconds of the first step from which the cost is announced at once
KNOWN = 3.0  # seconds of further steps after which the speed counts as known
LEAST = 2  # further steps that are timed
LONG = 3600.0  # seconds of a run for which shorter steps are suggested
SHORTER = "a smaller --size, --batch or network makes steps shorter"
SHORT = 15.0  # seconds; a run that takes no longer ends before its cost is of interest


def announce_cost(run: Run, clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Return the function to call after every step, which describes the cost of the run once.

    After a slow first step that is at once, else when the speed is known. `clock` returns seconds;
    the first step begins now.
    """
    before = clock()
    began = run.share
    taken: list[float] = []  # seconds of each step
    announced = False

    def after_step() -> None:
        nonlocal announced, before
        if announced:
            return
        now = clock()
        taken.append(now - before)
        before = now
        done = run.share - began
        further = taken[1:]  # the first step takes longer: it allocates and chooses kernels
        if taken[0] >= SLOW_STEP:
            announced = True
            say(cost_message(taken[0], done, 1 - run.share))
        elif len(further) >= LEAST and sum(further) >= KNOWN:
            announced = True
            seconds = statistics.median(further)
            left = seconds * (1 - run.share) * len(taken) / done if done > 0 else 0.0
            if left >= SHORT:
                passes = run.training.epoch / run.share
                hint = f"; {SHORTER}" if left >= LONG else ""
                say(
                    f"{pace(seconds)}: about {duration(left)} left, "
                    f"{passes_text(passes)} in all{hint}"
                )

    return after_step


def cost_message(seconds: float, done: float, left: float) -> str:
    """Describe the cost of the first step and of the rest, by the shares `done` and `left`."""
    first = f"the first step took {seconds:.1f} s"
    if done <= 0 or left <= 0:
        return first
    rest = duration(seconds * left / done)
    return f"{first}, so the rest of the run takes about {rest}; {SHORTER}"


def passes_text(passes: float) -> str:
    """Describe how often the data are shown: `0.4 passes`, `1,067 passes`."""
    return f"{passes:,.0f} passes" if passes >= 10 else f"{passes:.1f} passes"
