"""Residual networks as in SNGAN: blocks of two convolutions beside a shortcut."""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from gan_plugin_networks.blocks import (
    CONVOLUTIONS,
    Average,
    Repeat,
    Residual,
    averaged_convolution,
    channels_of,
    halvings,
    require_maps,
)
from gancore import Crop, Layers, component, hookimpl, option

SOURCE = "Miyato et al., ICLR 2018, arXiv:1802.05957, appendix B.4, tables 4 and 5 (32 pixels)"


def up_block(before: int, after: int, size: tuple[int, ...], plan, style: int) -> Residual:
    """Return norm, ReLU, upsampler, norm, ReLU, convolution, beside a shortcut that upsamples."""
    convolution = CONVOLUTIONS[plan.axes]
    branch = Layers(
        plan.norm(before, "generator", style),
        nn.ReLU(),
        plan.upsample(before, after),
        Crop(size),
        plan.norm(after, "generator", style),
        nn.ReLU(),
        convolution(after, after, 3, padding=1),
    )
    # a kernel of one pixel before the repetition: the result is the same, at a quarter of the cost
    shortcut = nn.Sequential(convolution(before, after, 1), Repeat(), Crop(size))
    return Residual(branch, shortcut)


def down_block(before: int, after: int, plan, *, first: bool = False, halve: bool = True):
    """Return a residual block of the critic: two convolutions, the second one averaged.

    The first block has no activation before its first convolution, since its input is the image,
    and averages before the kernel of its shortcut.
    """
    convolution = CONVOLUTIONS[plan.axes]
    start = [] if first else [plan.norm(before, "critic"), nn.ReLU()]
    second = averaged_convolution(plan.axes, after, after)
    if not halve:
        second = convolution(after, after, 3, padding=1)
    branch = Layers(
        *start,
        convolution(before, after, 3, padding=1),
        plan.norm(after, "critic"),
        nn.ReLU(),
        second,
    )
    # averages and kernels of one pixel commute, so averaging first saves three quarters
    shortcut = [Average()] if halve else []
    if halve or before != after:
        shortcut.append(convolution(before, after, 1))
    return Residual(branch, nn.Sequential(*shortcut))


class Generator(nn.Module):
    """Generate images `[N, Z] → [N, C, H, W]` in (-1, 1): a seed, residual blocks, and a last norm,
    ReLU and convolution.
    """

    def __init__(self, plan, width: int, limit: int):
        super().__init__()
        sizes = halvings(plan.shape[1:], 4)
        channels = channels_of(sizes, width, limit)
        self.seed = (channels[0], *sizes[0])
        self.project = nn.Linear(plan.inputs, prod(self.seed))
        blocks: list[nn.Module] = []
        for (before, after), size in zip(pairwise(channels), sizes[1:], strict=True):
            blocks.append(up_block(before, after, size, plan, plan.inputs))
        norm = plan.norm(channels[-1], "generator", plan.inputs)
        last = CONVOLUTIONS[plan.axes](channels[-1], plan.shape[0], 3, padding=1)
        self.blocks = Layers(*blocks, norm, nn.ReLU(), last, nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.blocks(self.project(z).unflatten(1, self.seed), labels, style=z)


class Critic(nn.Module):
    """Compute features `[N, C, H, W] → [N, F]`: residual blocks, ReLU, and the sum over pixels."""

    def __init__(self, plan, width: int, limit: int, plain: int):
        super().__init__()
        sizes = halvings(plan.critic_shape[1:], 8)
        channels = channels_of(sizes[1:], width, limit)[::-1] or [max(width, limit)]
        blocks: list[nn.Module] = []
        before = plan.critic_shape[0]
        for after in channels[: len(sizes) - 1]:
            blocks.append(down_block(before, after, plan, first=not blocks))
            before = after
        for _ in range(plain):
            blocks.append(down_block(before, channels[-1], plan, first=not blocks, halve=False))
            before = channels[-1]
        self.blocks = Layers(*blocks, plan.norm(before, "critic"), nn.ReLU())

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.blocks(images, labels).flatten(2).sum(2)


@component(
    source=SOURCE,
    defaults={
        "critic": "resnet-critic",
        "upsample": "nearest-conv",
        "critic-norm": "none",
        "init": "glorot",
    },
    known_as={
        "sngan": "`--recipe sngan` adds its loss, spectral norm and rates.",
        "sngan-resnet": "",
        "residual": "",
    },
)
class ResNet:
    """Generate images by residual blocks that double the sides: norm, ReLU and convolution, twice.

    A linear layer makes a seed of 4 to 7 pixels a side; a block for each doubling adds
    conv(ReLU(norm(upsample(ReLU(norm(h)))))) and a shortcut of a 1×1 convolution and repeated
    pixels; norm, ReLU, a 3×3 convolution and tanh follow. Images are `[N, C, H, W]` in (-1, 1), of
    any size. The upsampler holds the block's first convolution: `nearest-conv` is the source's.

    The source has 256 channels in all maps (width 256, limit 256); the default doubles them from
    16 in the largest map to 128 in the smallest ones, for a CPU. Signals and volumes have layers of
    one or three axes. Raises CompositionError for points.
    """

    width: int = option(
        16, ge=1, help="channels of the largest map; each smaller map has twice as many"
    )
    limit: int = option(
        128, ge=1, help="most channels of any map; at most the width makes all maps alike"
    )

    @hookimpl
    def make_generator(self, plan):
        require_maps("resnet", plan, "--gen mlp")
        return Generator(plan, self.width, self.limit)


@component(source=SOURCE)
class ResNetCritic:
    """Score images by residual blocks that halve the sides, and the sum over the last map's pixels.

    View `[N, C, H, W]` to features `[N, F]`. A block for each halving down to a side of 8 to 15
    pixels, then plain blocks; each adds conv(ReLU(conv(ReLU(h)))) and a shortcut, and halving ones
    average 2×2 pixels of both. The first block starts with its convolution. ReLU and the sum over
    pixels follow; the score is a linear layer with bias. Norms, which the source has none of, come
    before the ReLUs: with `spectral-norm` choose none.

    The source has 128 channels in all maps (width 128, limit 128) and two plain blocks. Signals and
    volumes have layers of one or three axes. Raises CompositionError for points.
    """

    width: int = option(
        32, ge=1, help="channels of the largest map; each smaller map has twice as many"
    )
    limit: int = option(
        128, ge=1, help="most channels of any map; at most the width makes all maps alike"
    )
    plain: int = option(2, ge=1, help="blocks after the last halving, which keep the size")

    @hookimpl
    def make_critic(self, plan):
        require_maps("resnet-critic", plan, "--critic mlp-critic")
        return Critic(plan, self.width, self.limit, self.plain)
