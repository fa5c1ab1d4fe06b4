"""Ends a run that has stalled, and writes the stack of every thread to a file."""

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

STALL_REPORT = "stalled.txt"


@contextmanager
def stall_watch(run: Run, seconds: int) -> Iterator[Callable[[], object]]:
    """End the process with exit code 1 if a step takes longer than `seconds`; 0 waits forever.

    Yields the function to call after every step.
    """
    stepped = threading.Event()
    finished = threading.Event()

    def watch() -> None:
        while stepped.wait(seconds):
            if finished.is_set():
                return
            stepped.clear()
        report = run.folder / STALL_REPORT
        with report.open("w") as file:
            faulthandler.dump_traceback(file)
        complain(
            GanError(
                f"no step has ended for {seconds} seconds; the last was step {run.training.step}",
                where=f"{report} has the stack of every thread",
                fix=f"gan run --resume {run.folder}, with a longer --stall-timeout for slow steps",
            )
        )
        os._exit(1)  # sys.exit would wait for the thread that hangs

    if not seconds:
        yield stepped.set
        return
    threading.Thread(target=watch, name="stall watch", daemon=True).start()
    try:
        yield stepped.set
    finally:
        # in this order: the watch looks at `finished` when `stepped` wakes it
        finished.set()
        stepped.set()
