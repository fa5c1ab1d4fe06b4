"""R3GAN: residual networks of grouped convolutions without any normalisation."""

from itertools import pairwise

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_plugin_networks.blocks import (
    CONVOLUTIONS,
    Bias,
    Residual,
    channels_of,
    halvings,
    require_maps,
)
from gancore import Crop, Layers, component, conflicts, hookimpl, option

SOURCE = (
    "Huang, Gokaslan, Kuleshov and Tompkin, NeurIPS 2024, arXiv:2501.05441, section 4; "
    "initial weights: github.com/brownvc/R3GAN, Networks.py"
)


class Soften(nn.Module):
    """Convolve with [1, 2, 1]/4 along each axis and keep every second pixel: sides are halved,
    rounding up.
    """

    def forward(self, maps: Tensor) -> Tensor:
        pool = getattr(functional, f"avg_pool{maps.dim() - 2}d")
        # [1, 2, 1]/4 is the mean of neighbours, twice; zeros are outside
        return pool(pool(maps, 2, 1, padding=1), 2, 2)


def block(channels: int, groups: int, expansion: int, axes: int) -> Residual:
    """Return 1×1, grouped 3×3 and 1×1 convolutions beside the identity; only the first two
    convolutions are activated.
    """
    convolution = CONVOLUTIONS[axes]
    inner = channels * expansion
    # as many groups as asked for, where they divide the channels
    while inner % groups:
        groups -= 1
    branch = Layers(
        convolution(channels, inner, 1, bias=False),
        Bias(inner),
        nn.LeakyReLU(0.2),
        convolution(inner, inner, 3, padding=1, groups=groups, bias=False),
        Bias(inner),
        nn.LeakyReLU(0.2),
        convolution(inner, channels, 1, bias=False),
    )
    return Residual(branch, nn.Identity())


@torch.no_grad()
def scale_branches(net: nn.Module) -> None:
    """Divide the first two convolutions of each block by ⁴√L, and set its last one to 0.

    L counts the blocks, and a block of m convolutions has the factor L^(-1/(2m - 2)). Each block is
    so the identity at first (fixup initialisation, Zhang et al. 2019, arXiv:1901.09321).
    """
    blocks = [module for module in net.modules() if isinstance(module, Residual)]
    for each in blocks:
        branch, _ = each
        for layer in (branch[0], branch[3]):
            layer.weight.mul_(len(blocks) ** -0.25)
        branch[6].weight.zero_()


class Generator(nn.Module):
    """Generate images `[N, Z] → [N, C, H, W]`: a learned seed, scaled by a linear map of z, then
    blocks and upsamplers, and a 1×1 convolution without a last activation.
    """

    def __init__(self, plan, options):
        super().__init__()
        sizes = halvings(plan.shape[1:], 4)
        channels = channels_of(sizes, options.width, options.limit)
        self.basis = nn.Parameter(torch.randn(channels[0], *sizes[0]))
        self.project = nn.Linear(plan.inputs, channels[0], bias=False)
        layers = options.blocks_of(channels[0], plan.axes)
        for (before, after), size in zip(pairwise(channels), sizes[1:], strict=True):
            layers += [plan.upsample(before, after), Crop(size)]
            layers += options.blocks_of(after, plan.axes)
        layers.append(CONVOLUTIONS[plan.axes](channels[-1], plan.shape[0], 1, bias=False))
        self.layers = Layers(*layers)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        scale = self.project(z)
        seed = self.basis * scale.view(*scale.shape, *[1] * (self.basis.dim() - 1))
        return self.layers(seed, labels, z)


class Critic(nn.Module):
    """Compute features `[N, C, H, W] → [N, F]`: the generator mirrored, and one number a channel
    by a convolution of each channel over its whole last map.
    """

    def __init__(self, plan, options):
        super().__init__()
        sizes = halvings(plan.critic_shape[1:], 4)
        channels = channels_of(sizes, options.width, options.limit)[::-1]
        convolution = CONVOLUTIONS[plan.axes]
        layers: list[nn.Module] = [convolution(plan.critic_shape[0], channels[0], 1, bias=False)]
        for before, after in pairwise(channels):
            layers += [*options.blocks_of(before, plan.axes), Soften()]
            if before != after:
                layers.append(convolution(before, after, 1, bias=False))
        last = channels[-1]
        layers += options.blocks_of(last, plan.axes)
        layers.append(convolution(last, last, sizes[0], groups=last, bias=False))
        self.layers = Layers(*layers)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.layers(images, labels).flatten(1)


@attrs.define(eq=False, kw_only=True)
class Sizes:
    """The blocks of either player, and the options that describe them. A base of components."""

    width: int = option(
        16, ge=1, help="channels of the largest map; each smaller map has twice as many"
    )
    limit: int = option(128, ge=1, help="most channels of any map, before the expansion in blocks")
    depth: int = option(1, ge=1, help="residual blocks at each size of map; the source has 2")
    groups: int = option(4, ge=1, help="groups of the 3×3 convolutions, at most; the source has 96")
    expansion: int = option(2, ge=1, help="channels within a block for each one outside of it")

    def blocks_of(self, channels: int, axes: int) -> list[nn.Module]:
        """List the blocks of one size of map."""
        return [block(channels, self.groups, self.expansion, axes) for _ in range(self.depth)]


@component(
    source=SOURCE,
    defaults={
        "critic": "r3gan-critic",
        "upsample": "bilinear",
        "gen-norm": "none",
        "critic-norm": "none",
        "init": "he",
    },
)
class R3GAN(Sizes):
    """Generate images by residual blocks of grouped convolutions, without normalisation.

    A learned seed `[C, 4, 4]` (4 to 7 pixels a side), scaled channel by channel by a linear map of
    z, passes `depth` blocks at each size. A block adds 1×1, grouped 3×3 and 1×1 convolutions, the
    first two with a bias and a leaky ReLU of slope 0.2; an upsampler, [1, 2, 1] and a 1×1
    convolution, doubles the sides. Images are `[N, C, H, W]`, not bounded by a last activation.

    Weights start from He's distribution; blocks are then scaled by L^(-1/4), L the number of
    blocks, and their last convolution is 0. The source has 768 channels at 4 to 16 pixels, 2 blocks
    a size for 32-pixel images, and 96 groups; the defaults are for a CPU, on which groups save no
    time. Norms are ignored. Its loss, penalties and rates are in `--recipe r3gan`. Raises
    CompositionError for points.
    """

    @hookimpl
    def make_generator(self, plan):
        require_maps("r3gan", plan, "--gen mlp")
        return Generator(plan, self)

    # first, on the network that it built itself: wrappers come later
    @hookimpl(tryfirst=True)
    def adapt_generator(self, net):
        scale_branches(net)


@component(
    source=SOURCE,
    defaults={"critic-norm": "none", "init": "he"},
    rules=[
        conflicts(
            "weights.spectral-norm",
            "the last convolution of each block begins at zero, "
            "and so has no singular value to divide by",
            fix="--reg r1 --reg r2 bound its gradients",
        ),
    ],
)
class R3GANCritic(Sizes):
    """Score images by residual blocks of grouped convolutions, without normalisation.

    View `[N, C, H, W]` to features `[N, F]`: a 1×1 convolution, `depth` blocks at each size, [1, 2,
    1] and a 1×1 convolution between sizes, down to a side of 4 to 7 pixels, and a convolution of
    each channel over its whole last map. The score is a linear layer without bias. Blocks and
    initial weights are those of `r3gan`; norms are ignored. Raises CompositionError for points.
    """

    @hookimpl
    def make_critic(self, plan):
        require_maps("r3gan-critic", plan, "--critic mlp-critic")
        return Critic(plan, self)

    @hookimpl
    def make_score(self, features):
        return nn.Linear(features, 1, bias=False)

    @hookimpl(tryfirst=True)
    def adapt_critic(self, net):
        scale_branches(net.body)
