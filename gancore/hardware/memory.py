"""How much memory a training takes."""

from __future__ import annotations

import sys

import torch
from torch import Tensor

from gancore.plugins.slots import ROLES
from gancore.train.loop import Training

MIB = 2**20


def memory_of(training: Training, before: float) -> dict[str, float]:
    """Count MiB: weights, optimisers' state, what graphs keep at most, the process's peak and its growth by steps."""
    gan = training.context.gan
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
        training.train_step()
    return most


def peak_memory() -> float:
    """Return the most MiB that this process ever held at once; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # no such module on Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
