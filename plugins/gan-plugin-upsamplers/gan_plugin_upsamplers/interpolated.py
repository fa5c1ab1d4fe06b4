"""Upsampling by [1, 2, 1] alone, without a convolution of 3×3 pixels."""

import torch
from torch import Tensor, nn

from gancore import component, hookimpl


class Between(nn.Module):
    """Put the mean of each two neighbours between them: `[N, C, h, w] → [N, C, 2h, 2w]`.

    This convolves each axis, with zeros between its pixels, with [1, 2, 1]/2; the last pixel is its
    own neighbour.
    """

    def forward(self, maps: Tensor) -> Tensor:
        for axis in range(2, maps.dim()):
            n = maps.shape[axis]
            after = torch.cat([maps.narrow(axis, 1, n - 1), maps.narrow(axis, n - 1, 1)], axis)
            pairs = [maps, torch.lerp(maps, after, 0.5)]
            maps = torch.stack(pairs, axis + 1).flatten(axis, axis + 1)
        return maps


@component(
    source="Huang et al., NeurIPS 2024, arXiv:2501.05441 (R3GAN), section 4; Zhang, ICML 2019",
    known_as={"bilinear-121": ""},
)
class Interpolated:
    """Upsample by bilinear interpolation, with a 1×1 convolution where channels change.

    `[N, C, h, w] → [N, C', 2h, 2w]`: every second pixel is one of the map, the others are the means
    of their neighbours, [1, 2, 1]/2 along each axis. A 1×1 convolution without bias comes before,
    where C' differs from C; both commute. Where C' = C there is no weight at all. A constant map
    gives a constant, border included; the source has zeros beyond the border. Signals and volumes
    are doubled along their one or three axes.
    """

    @hookimpl
    def make_upsample(self, channels_in, channels_out, plan):
        if channels_in == channels_out:
            return Between()
        make_convolution = getattr(nn, f"Conv{plan.axes}d")
        return nn.Sequential(make_convolution(channels_in, channels_out, 1, bias=False), Between())
