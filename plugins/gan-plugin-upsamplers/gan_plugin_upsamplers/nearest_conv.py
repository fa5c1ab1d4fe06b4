"""Upsampling by nearest-neighbour interpolation and a convolution."""

from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad

from gancore import component, hookimpl, option


def double(maps: Tensor, weight: Tensor) -> Tensor:
    """Repeat pixels, then convolve: `[N, C, h, w] → [N, C', 2h, 2w]` for weight `[C', C, k, k]`.

    Each output pixel depends on an input pixel through one or two rows of the kernel, so both
    operations are a single transposed convolution of stride 2, whose kernel is the mirrored one
    plus itself shifted by one, each way. For k = 3 that is 16 multiplications a pixel and channel
    instead of 36; the result is the same, at the border too.
    """
    k = weight.shape[-1]
    kernel = weight.flip(2, 3).transpose(0, 1)
    kernel = pad(kernel, (0, 0, 0, 1)) + pad(kernel, (0, 0, 1, 0))
    kernel = pad(kernel, (0, 1)) + pad(kernel, (1, 0))  # [C, C', k + 1, k + 1]
    return conv_transpose2d(maps, kernel, stride=2, padding=k // 2, output_padding=1 - k % 2)


class RepeatConv(nn.Conv2d):
    """Convolve the map with repeated pixels, `[N, C, h, w] → [N, C', 2h, 2w]`."""

    def forward(self, maps: Tensor) -> Tensor:
        return double(maps, self.weight)


@component(
    source="Odena, Dumoulin and Olah, Distill 2016, doi:10.23915/distill.00003",
    known_as={"nearest": ""},
)
class NearestConv:
    """Upsample by nearest-neighbour interpolation and a convolution without bias.

    `[N, C, h, w] → [N, C', 2h, 2w]`. The convolution has zero padding that keeps the size (for an
    even kernel the extra row and column are at the bottom and right). Each pixel away from the
    border depends on the whole kernel, so a constant map gives a constant, without checkerboard
    artifacts.
    """

    kernel: int = option(3, choices=(3, 4, 5), help="side of the kernel in pixels")

    @hookimpl
    def make_upsample(self, channels_in, channels_out):
        return RepeatConv(channels_in, channels_out, self.kernel, bias=False)
