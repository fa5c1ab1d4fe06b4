"""Sweeps on a Dask cluster: `gan sweep … --executor dask:ADDRESS`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from typing import Any

from distributed import Client, LocalCluster
from distributed.cfexecutor import ClientExecutor
from distributed.comm import resolve_address

from gancore import GanError, UsageError

LOCAL = "local"
PATIENCE = 10  # seconds for a scheduler to answer


class Workers(ClientExecutor):
    """The workers of a cluster, as long as its scheduler is there."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        """Give a worker something to do. Raises GanError where the scheduler is gone: one would wait without end."""
        if self._client.status != "running":
            raise GanError("the Dask scheduler is gone")
        return super().submit(work, *args, **more)


@contextmanager
def open_executor(address: str, jobs: int) -> Iterator[Executor]:
    """Train on the workers of the Dask scheduler at an address; `local` makes a cluster of `jobs` processes here.

    A run whose worker is lost is begun again on another, where its newest checkpoint left it, as often as the scheduler
    allows. Raises UsageError where no scheduler answers.
    """
    with ExitStack() as stack:
        if address == LOCAL:
            cluster = LocalCluster(n_workers=jobs, threads_per_worker=1, memory_limit=0, dashboard_address=None)
            client = Client(stack.enter_context(cluster), set_as_default=False)
        else:
            client = _connected(address)
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # each run says itself that it was lost
        yield Workers(stack.enter_context(client), pure=False)


def _connected(address: str) -> Client:
    try:
        resolve_address(address)  # before there is a client, which would wait for long to be closed
        return Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers: {error}",
            where=f"--executor dask:{address}",
            fix=f"dask:tcp://HOST:8786, where `dask scheduler` runs, or dask:{LOCAL}",
        ) from error
