"""Sweeps on a Dask cluster: `gan sweep … --executor dask:ADDRESS`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager

from distributed import Client, LocalCluster

from gancore import UsageError

LOCAL = "local"
PATIENCE = 10  # seconds for a scheduler to answer


@contextmanager
def open_executor(address: str, jobs: int) -> Iterator[Executor]:
    """Train on the workers of the Dask scheduler at an address; `local` makes a cluster of `jobs` processes here.

    A scheduler elsewhere has the workers it has, whatever `jobs` says. A run whose worker is lost is begun again on
    another, where its newest checkpoint left it, as often as the scheduler allows. Raises UsageError where no scheduler
    answers.
    """
    with ExitStack() as stack:
        scheduler: str | LocalCluster = address
        if address == LOCAL:
            cluster = LocalCluster(n_workers=jobs, threads_per_worker=1, memory_limit=0, dashboard_address=None)
            scheduler = stack.enter_context(cluster)
        yield stack.enter_context(_connected(scheduler, address)).get_executor(pure=False)


def _connected(scheduler: str | LocalCluster, address: str) -> Client:
    try:
        if not scheduler:
            raise ValueError("no address is given")
        return Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers: {error}",
            where=f"--executor dask:{address}",
            mend=f"dask:tcp://HOST:8786, where `dask scheduler` runs, or dask:{LOCAL}",
        ) from error
