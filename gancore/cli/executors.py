"""Finds the executor that trains the runs of a sweep: local processes, or one from a plugin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing import active_children, get_context
from typing import Any

import click

from gancore.cli.choices import once
from gancore.cli.flags import Command
from gancore.cli.published import executors
from gancore.errors import PluginError, UsageError, did_you_mean
from gancore.plugins import discovery, loading

PROCESS = "process"
Opener = Callable[[int], AbstractContextManager[Executor]]


def executor_flags(command: Command) -> Command:
    """Decorate a command that trains several runs with --jobs and --executor."""
    jobs = click.option(
        "--jobs",
        metavar="N",
        type=click.IntRange(1),
        default=1,
        help="How many runs to train at the same time. [1]",
    )
    executor = click.option(
        "--executor",
        metavar="NAME[:ADDRESS]",
        multiple=True,
        callback=once,
        help=(
            f"Where to train the runs: {PROCESS} for processes on this machine, "
            f"or the executor of a plugin. [{PROCESS}]"
        ),
    )
    return jobs(executor(command))  # click lists the decorator that is applied last first


def find_executor(given: str) -> Opener:
    """Return the function that opens the executor `NAME[:ADDRESS]` for a number of jobs.

    A plugin publishes an executor as a function `open_executor(address, jobs)`, which returns a
    context manager that yields a `concurrent.futures.Executor`. Raises UsageError for a name that
    no plugin publishes, and PluginError for a plugin that is broken.
    """
    name, colon, address = given.partition(":")
    where = f"--executor {given}"
    if name == PROCESS:
        if colon:
            what = f"the executor {PROCESS!r} has no address"
            raise UsageError(what, where=where, fix=f"--executor {PROCESS}")
        return open_processes
    if name not in executors():
        known = [PROCESS, *executors()]
        fix = did_you_mean(name, known) or "install a plugin that publishes it"
        raise UsageError(
            f"no executor is called {name!r}",
            where=where,
            fix=f"{fix}    (installed: {', '.join(known)})",
        )
    row = executors()[name]
    return partial(_open_published, row, loading.load_object(row), address)


def share_cores(processes: int) -> None:
    """Divide the cores among the processes we will start, unless the user set OMP_NUM_THREADS."""
    cores = os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // processes)))


@contextmanager
def open_processes(jobs: int) -> Iterator[Executor]:
    """Open a pool of processes that share the cores of this machine and end with this process."""
    from gancore.tools.sweep.worker import start_worker

    share_cores(jobs)
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=start_worker, initargs=(os.getpid(),)
    )
    with pool:
        try:
            yield pool
        except BaseException:
            # the pool would wait for the runs to end; what they have saved stays
            for process in active_children():
                process.terminate()
            raise


@contextmanager
def _open_published(
    row: discovery.Row, open_executor: Any, address: str, jobs: int
) -> Iterator[Executor]:
    with open_executor(address, jobs) as pool:
        if not isinstance(pool, Executor):
            what = f"{row.name} yields {pool!r} instead of a concurrent.futures.Executor"
            raise PluginError(what, where=row.origin, fix="yield an Executor")
        yield pool
