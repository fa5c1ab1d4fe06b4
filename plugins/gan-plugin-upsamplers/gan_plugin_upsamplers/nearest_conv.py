"""Upsampling by nearest-neighbour interpolation and a convolution."""

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import pad

from gan_plugin_upsamplers.blur import BLUR, blurred
from gancore import component, hookimpl, option


def double(maps: Tensor, weight: Tensor) -> Tensor:
    """Repeat pixels, then convolve: `[N, C, h, w] → [N, C', 2h, 2w]` for weight `[C', C, k, k]`.

    Maps have any number of axes, and the weight as many.

    Each output pixel depends on an input pixel through one or two rows of the kernel, so both
    operations are a single transposed convolution of stride 2, whose kernel is the mirrored one
    plus itself shifted by one, on each axis. For k = 3 that is 16 multiplications a pixel and
    channel instead of 36; the result is the same, at the border too.
    """
    k = weight.shape[-1]
    axes = weight.dim() - 2
    kernel = weight.flip(*range(2, axes + 2)).transpose(0, 1)
    for axis in reversed(range(axes)):
        unpadded = (0, 0) * axis  # `pad` counts axes from the last
        kernel = pad(kernel, (*unpadded, 0, 1)) + pad(kernel, (*unpadded, 1, 0))
    # the kernel is [C, C', k + 1, k + 1]
    convolve = getattr(functional, f"conv_transpose{axes}d")
    return convolve(maps, kernel, stride=2, padding=k // 2, output_padding=1 - k % 2)


class RepeatConv1d(nn.Conv1d):
    """Convolve the signal with repeated elements, `[N, C, t] → [N, C', 2t]`."""

    def forward(self, maps: Tensor) -> Tensor:
        return double(maps, self.weight)


class RepeatConv2d(nn.Conv2d):
    """Convolve the map with repeated pixels, `[N, C, h, w] → [N, C', 2h, 2w]`."""

    def forward(self, maps: Tensor) -> Tensor:
        return double(maps, self.weight)


class RepeatConv3d(nn.Conv3d):
    """Convolve the volume with repeated elements, `[N, C, d, h, w] → [N, C', 2d, 2h, 2w]`."""

    def forward(self, maps: Tensor) -> Tensor:
        return double(maps, self.weight)


BY_AXES = {1: RepeatConv1d, 2: RepeatConv2d, 3: RepeatConv3d}


@component(
    source="Odena, Dumoulin and Olah, Distill 2016, doi:10.23915/distill.00003",
    known_as={"nearest": ""},
)
class NearestConv:
    """Upsample by nearest-neighbour interpolation and a convolution without bias.

    `[N, C, h, w] → [N, C', 2h, 2w]`. The convolution has zero padding that keeps the size (for an
    even kernel the extra row and column are at the bottom and right). Each pixel away from the
    border depends on the whole kernel, so a constant map gives a constant, without checkerboard
    artifacts. Signals and volumes are doubled along their one or three axes.
    """

    kernel: int = option(3, choices=(3, 4, 5), help="side of the kernel in pixels")
    blur: bool = option(False, help=BLUR)

    @hookimpl
    def make_upsample(self, channels_in, channels_out, plan):
        convolution = BY_AXES[plan.axes](channels_in, channels_out, self.kernel, bias=False)
        return blurred(convolution, self.blur)
