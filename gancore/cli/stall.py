"""A run in which nothing moves any more: end it, and tell what every thread was doing."""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gancore.cli.console import complain
from gancore.errors import GanError

if TYPE_CHECKING:
    from gancore.run.loop import Run

STACKS = "stalled.txt"


@contextmanager
def stall_watch(run: Run, seconds: int) -> Iterator[Callable[[], object]]:
    """End the process, with exit code 1, where no step of a run ends for so many seconds; 0 waits for ever.

    Gives the function to call after every step.
    """
    moved, over = threading.Event(), threading.Event()

    def wait() -> None:
        while moved.wait(seconds):
            if over.is_set():
                return
            moved.clear()
        with (run.folder / STACKS).open("w") as file:
            faulthandler.dump_traceback(file)
        complain(
            GanError(
                f"no step has ended for {seconds} seconds; the last was step {run.training.step}",
                where=f"{run.folder / STACKS} tells what every thread was doing",
                fix=f"gan run --resume {run.folder}, with a longer --stall-timeout where steps are that slow",
            )
        )
        os._exit(1)  # a thread that hangs would never let the interpreter end

    if not seconds:
        yield moved.set
        return
    threading.Thread(target=wait, name="stall watch", daemon=True).start()
    try:
        yield moved.set
    finally:
        over.set()
        moved.set()
