"""Upsampling by a convolution and a pixel shuffle."""

import torch
from torch import nn

from gan_plugin_upsamplers.blur import BLUR, blurred
from gancore import CompositionError, component, hookimpl, option


class QuadrupleConv2d(nn.Conv2d):
    """A convolution whose output is shuffled: each four of its channels become 2×2 pixels."""

    @torch.no_grad()
    def equalise(self) -> None:
        """Give the four kernels of each output channel the weights of the first."""
        self.weight.copy_(self.weight[::4].repeat_interleave(4, 0))


@component(
    source=(
        "Shi et al., CVPR 2016, arXiv:1609.05158; "
        "icnr: Aitken et al. 2017, arXiv:1707.02937, section 3"
    )
)
class PixelShuffle:
    """Upsample by a convolution to four times the channels, without bias, and a pixel shuffle.

    `[N, C, h, w] → [N, 4C', h, w] → [N, C', 2h, 2w]`: each four channels are rearranged as 2×2
    pixels, which have separate kernels, so a constant map may give a 2×2 pattern unless training
    removes it. With `icnr` the four kernels start equal, whichever `--init` drew them: before
    training the module then repeats each pixel of a convolution 2×2 times. Raises CompositionError
    for signals and volumes.
    """

    kernel: int = option(
        3, choices=(1, 3, 5), help="side of the kernel in pixels, before the map is doubled"
    )
    icnr: bool = option(False, help="true starts with equal kernels for each 2×2 pixels")
    blur: bool = option(False, help=BLUR)

    @hookimpl
    def make_upsample(self, channels_in, channels_out, plan):
        if not plan.images:
            raise CompositionError(
                f"pixel-shuffle doubles images, but a sample has shape {plan.shape}",
                where="--upsample pixel-shuffle",
                fix="--upsample nearest-conv, bilinear-conv or transposed",
            )
        padding = self.kernel // 2
        convolution = QuadrupleConv2d(
            channels_in, 4 * channels_out, self.kernel, padding=padding, bias=False
        )
        return blurred(nn.Sequential(convolution, nn.PixelShuffle(2)), self.blur)

    # initial weights are drawn before, and wrappers come after
    @hookimpl(tryfirst=True)
    def adapt_generator(self, net):
        for module in net.modules():
            if self.icnr and isinstance(module, QuadrupleConv2d):
                module.equalise()
