"""A fixed blur after an upsampler, against checkerboard artifacts."""

import torch
from torch import Tensor, nn

BLUR = "true convolves the result with [1, 2, 1]/4 along each axis, which removes a 2×2 pattern"


class Blur(nn.Module):
    """Convolve maps `[N, C, …]` with [1, 2, 1]/4 along each axis; a border pixel is repeated."""

    def forward(self, maps: Tensor) -> Tensor:
        for axis in range(2, maps.dim()):
            n = maps.shape[axis]
            ends = (maps.narrow(axis, 0, 1), maps.narrow(axis, n - 1, 1))
            wide = torch.cat([ends[0], maps, ends[1]], axis)
            around = torch.lerp(wide.narrow(axis, 0, n), wide.narrow(axis, 2, n), 0.5)
            maps = torch.lerp(maps, around, 0.5)
        return maps


def blurred(upsampler: nn.Module, blur: bool) -> nn.Module:
    """Return the upsampler, followed by a blur where one is asked for."""
    return nn.Sequential(upsampler, Blur()) if blur else upsampler
