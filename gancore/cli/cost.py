"""Announces what a run will cost, once its first step has shown how long a step takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gancore.cli.console import say
from gancore.progressbar import duration

if TYPE_CHECKING:
    from gancore.run.session import Run

SLOW_STEP = 1.0  # seconds of the first step from which the cost is announced


@contextmanager
def announce_cost(run: Run, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Print after a slow first step how long it took, and how long the whole run will take.

    This wraps `run.heartbeat`, which is called after every step. `clock` returns seconds.
    """
    heartbeat = run.heartbeat
    began = clock()
    share = run.share

    def after_first_step() -> None:
        run.heartbeat = heartbeat
        heartbeat()
        seconds = clock() - began
        if seconds >= SLOW_STEP:
            say(cost_message(seconds, run.share - share, 1 - run.share))

    run.heartbeat = after_first_step
    yield


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
