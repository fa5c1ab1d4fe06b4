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
CONNECT_TIMEOUT = 10  # seconds


class Workers(ClientExecutor):
    """An executor on the workers of a Dask cluster."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
        """Submit a call. Raises GanError if the scheduler is gone.

        Dask itself would let the future wait forever.
        """
        if self._client.status != "running":
            raise GanError("the Dask scheduler is gone")
        return super().submit(work, *args, **more)


@contextmanager
def open_executor(address: str, jobs: int) -> Iterator[Executor]:
    """Open an executor on the Dask scheduler at an address.

    `local` starts a cluster of `jobs` processes on this machine. A run whose worker is lost is
    restarted on another one from its newest checkpoint, as often as the scheduler allows. Raises
    UsageError if no scheduler answers.
    """
    with ExitStack() as stack:
        if address == LOCAL:
            cluster = LocalCluster(
                n_workers=jobs, threads_per_worker=1, memory_limit=0, dashboard_address=None
            )
            client = Client(stack.enter_context(cluster), set_as_default=False)
        else:
            client = _connected(address)
            # every lost run raises an error of its own; Dask's log would repeat it
            logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        yield Workers(stack.enter_context(client), pure=False)


def _connected(address: str) -> Client:
    try:
        # Checked before a client exists: one without a scheduler takes long to close.
        resolve_address(address)
        return Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers: {error}",
            where=f"--executor dask:{address}",
            fix=f"dask:tcp://HOST:8786, where `dask scheduler` runs, or dask:{LOCAL}",
        ) from error
