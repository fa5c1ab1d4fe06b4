"""Upsampling by bilinear interpolation and a convolution."""

import torch
from torch import Tensor, nn

from gan_plugin_upsamplers.blur import BLUR, blurred
from gancore import component, hookimpl, option


def interpolate(maps: Tensor, dim: int) -> Tensor:
    """Double one side by linear interpolation, at a quarter pixel before and after each pixel.

    Equal to torch's bilinear interpolation with align_corners=False, whose gradient on a GPU is not
    deterministic.
    """
    n = maps.shape[dim]
    before = torch.cat([maps.narrow(dim, 0, 1), maps.narrow(dim, 0, n - 1)], dim)
    after = torch.cat([maps.narrow(dim, 1, n - 1), maps.narrow(dim, n - 1, 1)], dim)
    pairs = [torch.lerp(maps, before, 0.25), torch.lerp(maps, after, 0.25)]
    return torch.stack(pairs, dim + 1).flatten(dim, dim + 1)


class Bilinear(nn.Module):
    """Interpolate `[N, C, h, w] → [N, C, 2h, 2w]`, and so maps of any number of axes."""

    def forward(self, maps: Tensor) -> Tensor:
        for axis in range(2, maps.dim()):
            maps = interpolate(maps, axis)
        return maps


@component(source="Odena, Dumoulin and Olah, Distill 2016, doi:10.23915/distill.00003")
class BilinearConv:
    """Upsample by bilinear interpolation and a convolution without bias.

    `[N, C, h, w] → [N, C', 2h, 2w]`, corners not aligned. The convolution has zero padding that
    keeps the size (for an even kernel the extra row and column are at the bottom and right). Away
    from the border a constant map gives a constant. Signals `[N, C, t]` are interpolated linearly,
    volumes trilinearly.
    """

    kernel: int = option(3, choices=(3, 4, 5), help="side of the kernel in pixels")
    blur: bool = option(False, help=BLUR)

    @hookimpl
    def make_upsample(self, channels_in, channels_out, plan):
        before = (self.kernel - 1) // 2
        after = self.kernel // 2
        make_padding = getattr(nn, f"ZeroPad{plan.axes}d")
        make_convolution = getattr(nn, f"Conv{plan.axes}d")
        padding = make_padding((before, after) * plan.axes)
        convolution = make_convolution(channels_in, channels_out, self.kernel, bias=False)
        return blurred(nn.Sequential(Bilinear(), padding, convolution), self.blur)
