"""Upsampling by a convolution whose channels are laid out as pixels."""

from torch import nn

from gancore import component, hookimpl, option


@component(source="Shi et al., CVPR 2016, arXiv:1609.05158")
class PixelShuffle:
    """Convolve to four times the channels, without bias, then lay each four channels out as 2×2 pixels.

    `[N, C, h, w] → [N, 4C', h, w] → [N, C', 2h, 2w]`. The layout moves numbers and changes none. The four pixels have
    kernels of their own, so a constant map may give a 2×2 pattern until training makes them agree.
    """

    kernel: int = option(3, choices=(1, 3, 5), help="side of the kernel in pixels, before the map is doubled")

    @hookimpl
    def make_upsample(self, channels_in, channels_out):
        convolution = nn.Conv2d(channels_in, 4 * channels_out, self.kernel, padding=self.kernel // 2, bias=False)
        return nn.Sequential(convolution, nn.PixelShuffle(2))
