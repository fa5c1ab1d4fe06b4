"""The random numbers of a hand-written loop, and the order in which it meets the images."""

import torch
from torch import Tensor


class Draws:
    """Numbers from one long stream, as one writes it.

    A test gives a loop those of a composed run instead.
    """

    def __init__(self, task):
        self.task, self.rng = task, torch.Generator().manual_seed(0)

    def stream(self, *key) -> torch.Generator:
        """Return the generator for one purpose at one moment: here always the same."""
        return self.rng

    def latents(self, step, role, index) -> Tensor:
        """Draw latents `[N, Z]`."""
        rng = self.stream("latent/normal", step, role, index)
        return torch.randn(self.task.batch, self.task.latent, generator=rng)

    def shares(self, step, index) -> Tensor:
        """Draw one share a sample, `[N, 1, 1, 1]`, uniform in [0, 1]."""
        rng = self.stream("component/gradient-penalty", step, "critic", index, "terms")
        return torch.rand(self.task.batch, 1, 1, 1, generator=rng)

    def noise(self, step, role, index, side) -> Tensor:
        """Draw normal noise for a batch of images `[N, C, H, W]`."""
        rng = self.stream("component/instance-noise", step, role, index, side)
        return torch.randn(self.task.batch, *self.task.shape, generator=rng)


def in_order(samples: Tensor, batch: int):
    """Yield batches `[batch, …]` of samples `[M, …]` for ever, in order."""
    while True:
        yield from samples.split(batch)
