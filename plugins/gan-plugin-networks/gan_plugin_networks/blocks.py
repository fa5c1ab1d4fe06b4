"""Parts that several networks share: residual blocks, resampling, and the sizes of their maps."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import pad

from gancore import CompositionError, Layers, pyramid

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def channels_of(sizes: Sequence[tuple[int, ...]], width: int, limit: int) -> list[int]:
    """List the channels of maps, the largest map last: … 4·width, 2·width, width, none over limit.

    A limit under the width counts as the width, so all maps then have `width` channels.
    """
    most = max(width, limit)
    return [min(most, width * 2**k) for k in reversed(range(len(sizes)))]


def require_maps(owner: str, plan, instead: str) -> None:
    """Raise CompositionError where samples are points, which have no sides to halve or double."""
    if not plan.axes:
        raise CompositionError(
            f"{owner} has convolutions, but the data are points of shape {plan.shape}",
            where=owner,
            fix=instead,
        )


def halvings(size: tuple[int, ...], smallest: int) -> list[tuple[int, ...]]:
    """List the sizes of maps, smallest first, down to sides of `smallest` to 2·`smallest` - 1."""
    return pyramid(*size, smallest=smallest)


def in_float32(values: Tensor) -> Tensor:
    """Convert values of half precision to float32, and leave others as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


class Bias(nn.Module):
    """Add a bias a channel, initially 0, to maps `[N, C, …]`."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        axes = maps.dim() - 2
        return maps + self.bias.to(maps.dtype).reshape(-1, *[1] * axes)


def has_weights(module: nn.Module) -> bool:
    """Return whether a module, such as a norm, has weights."""
    return any(True for _ in module.parameters())


def make_biased_norm(plan, channels: int, role: str, style: int = 0) -> nn.Module:
    """Return the norm that follows a layer without bias, and a bias where the norm has none.

    With neither, a network of rectifiers is homogeneous: a critic gives t·x the score of x times t,
    and its generator learns to draw fainter images instead of better ones.
    """
    norm = plan.norm(channels, role, style)
    return norm if has_weights(norm) else Layers(norm, Bias(channels))


class Residual(Layers):
    """Add a branch and a shortcut: `[N, C, …] → [N, C', …]`; labels and style go to the branch."""

    def __init__(self, branch: Layers, shortcut: nn.Module):
        super().__init__(branch, shortcut)

    def forward(
        self, maps: Tensor, labels: Tensor | None = None, style: Tensor | None = None
    ) -> Tensor:
        branch, shortcut = self
        return branch(maps, labels, style) + shortcut(maps)


class Repeat(nn.Module):
    """Repeat each pixel, `[N, C, h, w] → [N, C, 2h, 2w]`, and so maps of any number of axes."""

    def forward(self, maps: Tensor) -> Tensor:
        for axis in range(2, maps.dim()):
            maps = maps.repeat_interleave(2, axis)
        return maps


class Average(nn.Module):
    """Average 2×2 pixels, `[N, C, h, w] → [N, C, ⌈h/2⌉, ⌈w/2⌉]`; a last odd row counts alone."""

    def forward(self, maps: Tensor) -> Tensor:
        axes = maps.dim() - 2
        return getattr(functional, f"avg_pool{axes}d")(maps, 2, ceil_mode=True)


def spread(weight: Tensor) -> Tensor:
    """Sum the four shifts of kernels by 0 and 1 pixels: `[C', C, k, k] → [C', C, k + 1, k + 1]`."""
    rows = pad(weight, (0, 0, 0, 1)) + pad(weight, (0, 0, 1, 0))
    return pad(rows, (0, 1)) + pad(rows, (1, 0))


def convolve_and_average(maps: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve with odd kernels, then average 2×2 pixels: `[N, C, h, w] → [N, C', ⌈h/2⌉, ⌈w/2⌉]`.

    Where both sides are even this is one convolution of stride 2, whose kernel is the mean of the
    four shifts of the plain one: for k = 3, 4 multiplications a pixel and channel instead of 9.
    """
    margin = weight.shape[-1] // 2
    if any(side % 2 for side in maps.shape[2:]):
        convolved = functional.conv2d(maps, weight, bias, padding=margin)
        return functional.avg_pool2d(convolved, 2, ceil_mode=True)
    return functional.conv2d(maps, spread(weight) / 4, bias, stride=2, padding=margin)


def repeat_and_convolve(maps: Tensor, weight: Tensor) -> Tensor:
    """Repeat pixels, then convolve with odd kernels: `[N, C, h, w] → [N, C', 2h, 2w]`.

    It is one transposed convolution of stride 2, with as many multiplications as above.
    """
    kernel = spread(weight.flip(2, 3)).transpose(0, 1)
    return functional.conv_transpose2d(maps, kernel, stride=2, padding=weight.shape[-1] // 2)


class AveragedConv2d(nn.Conv2d):
    """Convolve, then average 2×2 pixels: `[N, C, h, w] → [N, C', ⌈h/2⌉, ⌈w/2⌉]`."""

    def forward(self, maps: Tensor) -> Tensor:
        return convolve_and_average(maps, self.weight, self.bias)


def averaged_convolution(axes: int, before: int, after: int) -> nn.Module:
    """Return a convolution of kernel 3 followed by an average over 2 pixels of each axis."""
    if axes == 2:
        return AveragedConv2d(before, after, 3, padding=1)
    return nn.Sequential(CONVOLUTIONS[axes](before, after, 3, padding=1), Average())


class Noise(nn.Module):
    """Add noise of one learned strength, initially 0, to maps `[N, C, *size]`: one map a sample.

    In training it is drawn in each pass; in evaluation it is a map of its own, so that a sample
    depends on the latent alone.
    """

    def __init__(self, size: tuple[int, ...]):
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("fixed", torch.randn(1, 1, *size))

    def forward(self, maps: Tensor) -> Tensor:
        noise = self.fixed
        if self.training:
            noise = torch.randn(len(maps), 1, *maps.shape[2:], device=maps.device)
        return maps + self.strength * noise.to(maps.dtype)
