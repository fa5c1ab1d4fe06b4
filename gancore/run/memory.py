"""How much memory a training takes."""

from __future__ import annotations

import ctypes
import os
import sys

import torch
from torch import Tensor

from gancore.loop import Training
from gancore.plan import ROLES

MIB = 2**20
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # what glibc's mallopt sets, by its numbers
KEPT, LARGEST = 2**30, 2**25  # bytes that a training lets it keep, and of the largest piece: glibc takes no more


def keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next step, rather than give it back and take new pages each time.

    For a process of our own only. Nothing is changed where the system has another library, or the user settled it.
    """
    given = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if sys.platform == "linux" and not given and (set_option := getattr(ctypes.CDLL(None), "mallopt", None)):
        set_option(TRIM_THRESHOLD, KEPT)
        set_option(MMAP_THRESHOLD, LARGEST)


def memory_of(training: Training, before: float) -> dict[str, float]:
    """Count MiB: weights, optimisers' state, what graphs keep at most, the process's peak and its growth by steps."""
    gan = training.game.gan
    players = [gan.player(role) for role in ROLES]
    weights = sum(weight.nbytes for player in players for weight in player.parameters)
    state = sum(
        value.nbytes for player in players for each in player.optimizer.state.values()
        for value in each.values() if isinstance(value, Tensor)
    )  # fmt: skip
    found = {"weights": weights / MIB, "gradients": weights / MIB, "optimizer state": state / MIB}
    found["kept for backward passes, at most"] = most_kept(training) / MIB
    if gan.device.type == "cuda":
        found["peak on the device"] = torch.cuda.max_memory_allocated(gan.device) / MIB
    peak = peak_memory()
    return {**found, "peak of the process": peak, "by steps": peak - before}


def most_kept(training: Training) -> int:
    """Make one step; return the most bytes that its graphs kept at once for their backward passes.

    Weights count as they are kept too; a function of a component's own that keeps tensors in other ways does not.
    """
    held: dict[int, int] = {}
    now = most = 0

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal now, most
            storage = tensor.untyped_storage()
            self.tensor, self.place, self.size = tensor, storage.data_ptr(), storage.nbytes()
            held[self.place] = held.get(self.place, 0) + 1
            now += self.size if held[self.place] == 1 else 0
            most = max(most, now)

        def __del__(self) -> None:
            nonlocal now
            held[self.place] -= 1
            now -= self.size if held[self.place] == 0 else 0

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        training.advance()
    return most


def peak_memory() -> float:
    """Return the most MiB that this process ever held at once; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # no such module on Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
