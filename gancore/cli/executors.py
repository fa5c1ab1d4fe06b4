"""What trains the runs of a sweep: processes of this machine, or an engine that a distribution publishes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing import active_children, get_context
from typing import Any

from gancore.cli.published import executors
from gancore.errors import PluginError, UsageError, did_you_mean
from gancore.plugins import discovery, loading

PROCESS = "process"
Opener = Callable[[int], AbstractContextManager[Executor]]


def find_executor(given: str) -> Opener:
    """Return what opens the engine of a word `NAME:ADDRESS`, given how many runs are trained at once.

    An engine is published as a function `open_executor(address, jobs)` that returns a context manager, which yields a
    `concurrent.futures.Executor`. Raises UsageError for a name that nobody publishes, PluginError for a broken one.
    """
    name, colon, address = given.partition(":")
    where = f"--executor {given}"
    if name == PROCESS:
        if colon:
            raise UsageError(f"{PROCESS} is this machine and has no address", where=where, fix=f"--executor {PROCESS}")
        return open_processes
    if name not in executors():
        known = [PROCESS, *executors()]
        fix = did_you_mean(name, known) or "a plugin may publish it"
        raise UsageError(
            f"no executor is called {name!r}", where=where, fix=f"{fix}    (installed: {', '.join(known)})"
        )
    row = executors()[name]
    return partial(_open_published, row, loading.load_object(row), address)


def share_cores(processes: int) -> None:
    """Give each of so many processes that we are to start its share of the cores, unless the user said how many."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))


@contextmanager
def open_processes(jobs: int) -> Iterator[Executor]:
    """Open a pool of processes that share the cores of this machine and end when this process does."""
    from gancore.tools.sweep import end_with_parent

    share_cores(jobs)
    context, own = get_context("spawn"), os.getpid()
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=end_with_parent, initargs=(own,)) as pool:
        try:
            yield pool
        except BaseException:
            # the pool would wait until they have trained their runs; what they saved stays
            for process in active_children():
                process.terminate()
            raise


@contextmanager
def _open_published(row: discovery.Row, open_executor: Any, address: str, jobs: int) -> Iterator[Executor]:
    with open_executor(address, jobs) as pool:
        if not isinstance(pool, Executor):
            what = f"{row.name} opens {pool!r}, no concurrent.futures.Executor"
            raise PluginError(what, where=row.origin, fix="yield an Executor")
        yield pool
