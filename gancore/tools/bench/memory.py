"""Measures how much memory a training takes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gancore.hardware.memory import MIB, peak_memory
from gancore.plugins.slots import ROLES
from gancore.train.loop import Training


def memory_of(training: Training, before: float) -> dict[str, float]:
    """Return the MiB of weights, optimiser states and saved activations, and the process's peak.

    `before` is the peak of the process, in MiB, before the first step.
    """
    gan = training.context.gan
    weights = 0
    for role in ROLES:
        weights += sum(weight.nbytes for weight in gan.player(role).parameters)
    found = {
        "weights": weights / MIB,
        "gradients": weights / MIB,  # one number for each weight, of the same type
        "optimizer state": sum(tensor.nbytes for tensor in state_tensors(training)) / MIB,
        "kept for backward passes, at most": most_kept(training) / MIB,
    }
    if gan.device.type == "cuda":
        found["peak on the device"] = torch.cuda.max_memory_allocated(gan.device) / MIB
    peak = peak_memory()
    return {**found, "peak of the process": peak, "by steps": peak - before}


def state_tensors(training: Training) -> Iterator[Tensor]:
    """Yield the tensors of both optimisers' states."""
    for role in ROLES:
        for state in training.context.gan.player(role).optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    yield value


def most_kept(training: Training) -> int:
    """Make one step; return the largest number of bytes saved for backward passes at one time.

    Saved weights count. Tensors that a custom autograd function keeps without
    `save_for_backward` do not.
    """
    held: dict[int, int] = {}  # how many saved tensors share the storage at an address
    now = most = 0

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal now, most
            storage = tensor.untyped_storage()
            self.tensor = tensor
            self.address = storage.data_ptr()
            self.size = storage.nbytes()
            held[self.address] = held.get(self.address, 0) + 1
            # several saved tensors may be views of one storage, which takes its memory once
            now += self.size if held[self.address] == 1 else 0
            most = max(most, now)

        # autograd drops what it holds when the backward pass has used it
        def __del__(self) -> None:
            nonlocal now
            held[self.address] -= 1
            now -= self.size if held[self.address] == 0 else 0

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        training.train_step()
    return most
