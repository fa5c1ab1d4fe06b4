"""Progressive growing: both networks start with small images and fade in larger ones."""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gancore import Crop, Layers, component, hookimpl, option, pyramid, requires, warns_without

SOURCE = "Karras et al., ICLR 2018, arXiv:1710.10196, section 2"
IMAGES = requires(
    "data.images",
    "it doubles height and width, which only images have",
    fix="--gen mlp --critic mlp-critic",
)


class Growing(nn.Module):
    """A network for images of several `sizes`, smallest first, that runs only the current levels.

    `growth` is level + α: 1.3 is level 1 with α = 0.3 of level 2. It is part of `state_dict`, so
    that samples of a checkpoint are of its level. It is no buffer, as it stays on the CPU, where
    `forward` can read it without waiting for the device.
    """

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        super().__init__()
        self.sizes = sizes
        self.top = len(sizes) - 1
        self.growth = torch.zeros((), dtype=torch.float64, device="cpu")

    def get_extra_state(self) -> Tensor:
        return self.growth

    def set_extra_state(self, state: Tensor) -> None:
        self.growth.copy_(state)

    def grow(self, growth: float) -> None:
        """Set level + α, from 0 to `top`."""
        self.growth.fill_(growth)

    def stage(self) -> tuple[int, float]:
        """Return the current level, and the weight α in [0, 1) of the next level."""
        growth = float(self.growth)
        return int(growth), growth - int(growth)

    def pixel(self, level: int) -> int:
        """Return the side of a level's pixel in pixels of the whole image."""
        return 2 ** (self.top - level)


def channels_of(levels: int, options) -> list[int]:
    """List the channels of each level, smallest first: …, 2·width, width, up to the limit."""
    return [min(options.limit, options.width * 2**k) for k in reversed(range(levels))]


def convolve(before: int, after: int, role: str, plan) -> list[nn.Module]:
    """List a convolution that keeps height and width, its norm and its activation."""
    return [nn.Conv2d(before, after, 3, padding=1), *finish(after, role, plan)]


def finish(channels: int, role: str, plan) -> list[nn.Module]:
    """List the norm of a map and its activation; the generator's style is its latent."""
    style = plan.inputs if role == "generator" else 0
    return [plan.norm(channels, role, style), nn.LeakyReLU(0.2)]


class Generator(Growing):
    """Generate images `[N, Z] → [N, C, H, W]` in (-1, 1).

    Each level has a block of layers, and a painter: a 1×1 convolution and tanh to its image.
    """

    def __init__(self, plan, options):
        super().__init__(pyramid(*plan.shape[1:]))
        widths = channels_of(len(self.sizes), options)
        self.seed = (widths[0], *self.sizes[0])
        self.project = nn.Linear(plan.inputs, prod(self.seed))
        self.blocks = nn.ModuleList()
        block = finish(widths[0], "generator", plan)
        block += convolve(widths[0], widths[0], "generator", plan)
        self.blocks.append(Layers(*block))
        for (before, after), size in zip(pairwise(widths), self.sizes[1:], strict=True):
            block = [plan.upsample(before, after), Crop(size), *finish(after, "generator", plan)]
            block += convolve(after, after, "generator", plan)
            self.blocks.append(Layers(*block))
        channels = plan.shape[0]
        self.painters = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, channels, 1), nn.Tanh()) for width in widths
        )

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        level, alpha = self.stage()
        maps = self.project(z).unflatten(1, self.seed)
        for block in self.blocks[: level + 1]:
            maps = block(maps, labels, z)
        images = self.paint(maps, level)
        # α is 0 at the top, which has no next level
        if alpha:
            next_maps = self.blocks[level + 1](maps, labels, z)
            next_images = self.paint(next_maps, level + 1)
            images = (1 - alpha) * images + alpha * next_images
        return images

    def paint(self, maps: Tensor, level: int) -> Tensor:
        """Compute a level's images from its maps, at full size by repeated pixels."""
        height, width = self.sizes[-1]
        images = interpolate(self.painters[level](maps), scale_factor=self.pixel(level))
        # the repeated pixels of a small level may reach beyond an image with an odd side
        return images[..., :height, :width]


class Critic(Growing):
    """Compute features `[N, C, H, W] → [N, F, h, w]`.

    Each level has a reader, a 1×1 convolution of its image, and a block of layers that leads to the
    next smaller level.
    """

    def __init__(self, plan, options):
        channels, *size = plan.critic_shape
        super().__init__(pyramid(*size))
        self.grow(self.top)  # full size, unless `Progressive` sets another level
        widths = channels_of(len(self.sizes), options)
        self.readers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, width, 1), nn.LeakyReLU(0.2)) for width in widths
        )
        self.blocks = nn.ModuleList()
        self.blocks.append(Layers(*convolve(widths[0], widths[0], "critic", plan)))
        for after, before in pairwise(widths):
            block = convolve(before, before, "critic", plan)
            block += convolve(before, after, "critic", plan)
            block.append(nn.AvgPool2d(2, ceil_mode=True))
            self.blocks.append(Layers(*block))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        level, alpha = self.stage()
        maps = self.read(images, level)
        if alpha:
            next_maps = self.blocks[level + 1](self.read(images, level + 1), labels)
            maps = (1 - alpha) * maps + alpha * next_maps
        for block in reversed(self.blocks[: level + 1]):
            maps = block(maps, labels)
        return maps

    def read(self, images: Tensor, level: int) -> Tensor:
        """Compute a level's maps from images of full size, by average pooling."""
        # with ceil_mode a pixel at an odd border is the mean of the pixels inside the image
        return self.readers[level](avg_pool2d(images, self.pixel(level), ceil_mode=True))


@component(
    source=SOURCE,
    provides=["growing.generator"],
    rules=[
        IMAGES,
        requires(
            "growing.critic",
            "a critic of full-size images recognises fakes by their coarse pixels",
            fix="--critic progressive-critic",
        ),
    ],
    defaults={
        "critic": "progressive-critic",
        "upsample": "nearest-conv",
        "init": "he",
        "critic-norm": "none",
    },
    known_as={"pggan": "", "progan": "", "progressive-growing": ""},
)
class Progressive:
    """Grow generator and critic progressively: fade in levels of higher resolution during training.

    Levels double a seed, whose smaller side is 4 to 7 pixels, up to `[N, C, H, W]`: 4, 8, 16, 32
    for 32×32; an odd side is cropped by one after its doubling. Each level is trained for
    `steps_per_level` steps, then the next is faded in over `fade` steps: the last of n levels is
    complete after (n-1)·(steps_per_level + fade) steps. Samples always have full size, by repeated
    pixels: (1-α)·old + α·new while α rises from 0 to 1. Layers of later levels are neither computed
    nor trained. Values lie in (-1, 1) by a tanh at each level. Logs `growth`, level + α.

    A level is the chosen upsampler and a 3×3 convolution, each with norm and leaky ReLU of slope
    0.2, and a 1×1 convolution to the image. The paper trains each level and each fade on 600,000
    images, 9375 steps of 64 images; the defaults suit a run of 800 steps. No other part of the
    paper is included.
    """

    width: int = option(
        32, ge=1, help="channels of the largest level; each smaller level has twice as many"
    )
    limit: int = option(512, ge=1, help="most channels of any level")
    steps_per_level: int = option(
        100, ge=1, help="steps of training at a level before the next is faded in"
    )
    fade: int = option(100, ge=0, help="steps in which a new level is faded in; 0 switches at once")

    def growth_at(self, step: int, top: int) -> float:
        """Return level + α at a step, at most `top`."""
        level, within = divmod(step, self.steps_per_level + self.fade)
        return min(float(top), level + max(0, within - self.steps_per_level) / max(1, self.fade))

    @hookimpl
    def make_generator(self, plan):
        return Generator(plan, self)

    @hookimpl
    def before_step(self, gan, step):
        for player in (gan.generator, gan.critic):
            # among all modules, because other components may have wrapped the network
            for net in player.network.modules():
                if isinstance(net, Growing):
                    net.grow(self.growth_at(step, net.top))

    @hookimpl
    def generator_terms(self, batch, step, log):
        log("growth", self.growth_at(step, len(pyramid(*batch.plan.shape[1:])) - 1))


@component(
    source=SOURCE,
    provides=["growing.critic"],
    rules=[
        IMAGES,
        warns_without(
            "growing.generator",
            "no component makes the critic grow",
            fix="--gen progressive",
        ),
    ],
)
class ProgressiveCritic:
    """Score images at the current resolution of the generator `progressive`, by average pooling.

    View `[N, C, H, W]` to features `[N, F]`. The view is average-pooled to the level's size, then
    passes a 1×1 convolution; two 3×3 convolutions and a 2×2 average pooling lead to each smaller
    level; one more 3×3 convolution and a linear score follow, where the paper has two dense layers.
    While a level is faded in, its maps are mixed with those of the level before, by α and 1-α.
    Activations are leaky ReLUs of slope 0.2; each 3×3 convolution has a norm. Layers of later
    levels are not computed; without that generator all levels are on from the first step.
    """

    width: int = option(
        32, ge=1, help="channels of the largest level; each smaller level has twice as many"
    )
    limit: int = option(512, ge=1, help="most channels of any level")

    @hookimpl
    def make_critic(self, plan):
        return Critic(plan, self)
