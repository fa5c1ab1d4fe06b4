"""Upsampling by repeating every pixel twice each way, then a convolution."""

from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad

from gancore import component, hookimpl, option


def double(maps: Tensor, weight: Tensor) -> Tensor:
    """Repeat pixels, then convolve: `[N, C, h, w] → [N, C', 2h, 2w]` for weight `[C', C, k, k]`.

    Each new pixel meets an old one through one or two rows of the kernel, so both operations are a single transposed
    convolution of stride 2, whose kernel is the mirrored one plus itself moved by one, each way. For k = 3 that is 16
    products a pixel and channel instead of 36; the sums are the same, at the border too.
    """
    k = weight.shape[-1]
    kernel = weight.flip(2, 3).transpose(0, 1)
    kernel = pad(kernel, (0, 0, 0, 1)) + pad(kernel, (0, 0, 1, 0))
    kernel = pad(kernel, (0, 1)) + pad(kernel, (1, 0))  # [C, C', k + 1, k + 1]
    return conv_transpose2d(maps, kernel, stride=2, padding=k // 2, output_padding=1 - k % 2)


class RepeatConv(nn.Conv2d):
    """A convolution `[N, C, h, w] → [N, C', 2h, 2w]` of the doubled map."""

    def forward(self, maps: Tensor) -> Tensor:
        return double(maps, self.weight)


@component(
    source="Odena, Dumoulin and Olah, Distill 2016, doi:10.23915/distill.00003 (resize-convolution)",
    known_as={"nearest": ""},
)
class NearestConv:
    """Double height and width by repeating pixels, then convolve, without bias.

    `[N, C, h, w] → [N, C', 2h, 2w]`, the convolution padded with zeros to keep its size (an even kernel gets the extra
    row and column at the bottom and right). Every pixel away from the border is made by the whole kernel, so a constant
    map gives a constant, and no checkerboard comes from the kernel's overlap.
    """

    kernel: int = option(3, choices=(3, 4, 5), help="side of the kernel in pixels")

    @hookimpl
    def make_upsample(self, channels_in, channels_out):
        return RepeatConv(channels_in, channels_out, self.kernel, bias=False)
