"""Joins the processes of a run that torchrun started, and reads the variables that it sets."""

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

TORCHRUN_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
GROUP_TIMEOUT = timedelta(minutes=30)  # rank 0 draws, measures and saves while the others wait


@cache
def join(device: str) -> ProcessGroup:
    """Join the processes that torchrun started and return their group.

    `device` is the type of device that they compute on, such as `cpu`. Returns a group of size 1 if
    torchrun did not start this process.
    """
    started_by_torchrun = all(name in os.environ for name in TORCHRUN_VARIABLES)
    if not started_by_torchrun or os.environ["WORLD_SIZE"] == "1":
        return SINGLE_PROCESS
    if not dist.is_initialized():
        # gloo on a GPU too: the processes exchange texts and numbers as tensors of the CPU
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store, rank, size = next(rendezvous("env://"))
        # after a restart the store still holds the addresses of the processes before it
        store = PrefixStore(f"start-{restarts()}", store)
        dist.init_process_group(
            backend, timeout=GROUP_TIMEOUT, store=store, rank=rank, world_size=size
        )
        atexit.register(dist.destroy_process_group)
    group = ProcessGroup(dist.get_rank(), dist.get_world_size())
    one_machine = os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]
    if device != "cpu" or not one_machine or not hasattr(socket, "AF_UNIX"):
        return group
    return share_memory(group, GROUP_TIMEOUT.total_seconds())


def local_rank() -> int:
    """Return the number of this process among those of its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def restarts() -> int:
    """Return how often torchrun has restarted these processes after losing one."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def expect_shares(batch: int, group: ProcessGroup) -> None:
    """Raise UsageError unless a batch divides evenly among the processes."""
    if rest := batch % group.size:
        raise UsageError(
            f"a batch of {batch} cannot be shared out among {group.size} processes",
            where="--batch",
            fix=f"--batch {batch + group.size - rest}",
        )
