"""Data that costs nothing: made once, already float, in memory, served in order.

A component file for composed runs.
"""

# ruff: noqa: D102 - hooks are documented in gancore/hookspecs.py

from hashlib import blake2b

import torch
from attrs import define

from gancore import DataSpec, component, hookimpl, option

COUNT = 512  # a multiple of every batch that is timed


def samples(shape: tuple[int, ...], count: int = COUNT) -> torch.Tensor:
    """Draw images `[count, C, H, W]` uniform in [-1, 1], or points `[count, 2]` of eight modes."""
    rng = torch.Generator().manual_seed(0)
    if len(shape) == 3:
        return torch.rand(count, *shape, generator=rng) * 2 - 1
    angles = torch.randint(8, (count,), generator=rng) * (torch.pi / 4)
    return torch.stack([angles.cos(), angles.sin()], 1) + 0.01 * torch.randn(
        count, 2, generator=rng
    )


@define(eq=False)
class InOrder:
    """Samples `[M, …]`; each call takes the next ones, whatever its indices.

    A batch must divide M.
    """

    samples: torch.Tensor
    place: int = 0
    label_sets: tuple = ()

    @property
    def shape(self):
        """The shape of one sample."""
        return tuple(self.samples.shape[1:])

    def __len__(self):
        return len(self.samples)

    def take(self, indices, rng):
        """Return the next `len(indices)` samples, without copying them, and labels `[n, 0]`."""
        begin = self.place % len(self)
        n = len(indices)
        self.place += n
        return self.samples[begin : begin + n], torch.empty(n, 0, dtype=torch.int64)

    def draw_labels(self, n, rng):
        """Return labels `[n, 0]`."""
        return torch.empty(n, 0, dtype=torch.int64)

    def fingerprint(self):
        """Digest the samples."""
        return blake2b(self.samples.numpy().tobytes(), digest_size=16).hexdigest()


@component(source="made up for benchmarks")
class Served:
    """Serve random images, or points on a circle, in order."""

    shape: tuple[int, ...] = option(
        (3, 64, 64), ge=1, help="shape of one sample: C, H, W of an image, or 2 of a point"
    )

    @hookimpl
    def make_data(self, spec: DataSpec):
        return InOrder(samples(self.shape))
