"""Small volumes for a 3-D GAN: `gan run --data ./examples/volumes.py`."""

import torch
from torch import Tensor

from gancore import LabelSet, StoredData, component, hookimpl, option


def blobs(count: int, side: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Make volumes `[count, 1, side, side, side]` in [-1, 1] and their classes `[count, 1]`.

    Class 0 is a ball, class 1 a shell, with soft borders, at random places and of random radius.
    """
    classes = torch.randint(2, (count, 1), generator=rng)
    centres = 0.3 * (2 * torch.rand(count, 3, 1, 1, 1, generator=rng) - 1)
    radius = 0.35 + 0.3 * torch.rand(count, 1, 1, 1, generator=rng)
    line = torch.linspace(-1, 1, side)
    places = torch.stack(torch.meshgrid(line, line, line, indexing="ij"))  # [3, D, H, W]
    distance = (places - centres).square().sum(1).sqrt()  # [count, D, H, W]
    ball = radius - distance
    shell = 0.15 - ball.abs()
    inside = torch.where(classes[:, :, None, None] == 0, ball, shell)  # positive inside
    return torch.tanh(8 * inside)[:, None], classes


@component(
    source="Wu et al., 3D-GAN, NeurIPS 2016, arXiv:1610.07584 (GANs of volumes)",
    defaults={
        "gen": "dcgan",
        "critic": "dcgan-critic",
        "upsample": "nearest-conv",
        "dcgan": {"width": 8, "limit": 64},
        "dcgan-critic": {"width": 8, "limit": 64},
    },
)
class Volumes:
    """Draw balls and shells as volumes `[N, 1, D, D, D]` in [-1, 1], 1 inside and -1 outside.

    Their places and radii are random, the same in every run. The label set `form` tells the two
    apart. Sample grids show the slice in the middle.
    """

    side: int = option(16, ge=8, le=64, help="side D of a volume in voxels")
    count: int = option(256, ge=1, help="number of volumes")

    @hookimpl
    def make_data(self):
        volumes, classes = blobs(self.count, self.side, torch.Generator().manual_seed(0))
        return StoredData(volumes, classes, (LabelSet("form", ("ball", "shell")),))
