"""Upsampling by a convolution and a pixel shuffle."""

from torch import nn

from gancore import CompositionError, component, hookimpl, option


@component(source="Shi et al., CVPR 2016, arXiv:1609.05158")
class PixelShuffle:
    """Upsample by a convolution to four times the channels, without bias, and a pixel shuffle.

    `[N, C, h, w] → [N, 4C', h, w] → [N, C', 2h, 2w]`: each four channels are rearranged as 2×2
    pixels, which have separate kernels, so a constant map may give a 2×2 pattern unless training
    removes it. Raises CompositionError for signals and volumes.
    """

    kernel: int = option(
        3, choices=(1, 3, 5), help="side of the kernel in pixels, before the map is doubled"
    )

    @hookimpl
    def make_upsample(self, channels_in, channels_out, plan):
        if not plan.images:
            raise CompositionError(
                f"pixel-shuffle doubles images, but a sample has shape {plan.shape}",
                where="--upsample pixel-shuffle",
                fix="--upsample nearest-conv, bilinear-conv or transposed",
            )
        padding = self.kernel // 2
        convolution = nn.Conv2d(
            channels_in, 4 * channels_out, self.kernel, padding=padding, bias=False
        )
        return nn.Sequential(convolution, nn.PixelShuffle(2))
