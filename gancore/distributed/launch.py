"""The processes that share a run, as `torchrun` starts them: who they are, and whether they still agree."""

from __future__ import annotations

import atexit
import os
import socket
from datetime import timedelta
from functools import cache

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from gancore.distributed.group import SINGLE_PROCESS, ProcessGroup
from gancore.distributed.shared_memory import share_memory
from gancore.errors import UsageError

STARTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun tells each process
PATIENCE = timedelta(minutes=30)  # for a process that draws, measures or saves while the others wait


@cache
def join(device: str) -> ProcessGroup:
    """Meet the other processes that torchrun started, to compute on a kind of device; alone where it started none."""
    if not all(name in os.environ for name in STARTED) or os.environ["WORLD_SIZE"] == "1":
        return SINGLE_PROCESS
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store, rank, size = next(rendezvous("env://"))
        # each start has addresses of its own: those of a start before, which the store still holds, lead nowhere
        store = PrefixStore(f"start-{restarts()}", store)
        dist.init_process_group(backend, timeout=PATIENCE, store=store, rank=rank, world_size=size)
        atexit.register(dist.destroy_process_group)
    group = ProcessGroup(dist.get_rank(), dist.get_world_size())
    neighbours = os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"] and hasattr(socket, "AF_UNIX")
    return share_memory(group, PATIENCE.total_seconds()) if neighbours and device == "cpu" else group


def local_rank() -> int:
    """Number this process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def restarts() -> int:
    """Count how often torchrun started these processes again, after one was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def expect_shares(batch: int, group: ProcessGroup) -> None:
    """Raise UsageError for a batch that cannot be shared out evenly."""
    if rest := batch % group.size:
        what = f"a batch of {batch} cannot be shared out among {group.size} processes"
        raise UsageError(what, where="--batch", fix=f"--batch {batch + group.size - rest}")
