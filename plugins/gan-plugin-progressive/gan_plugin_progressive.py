"""Progressive growing: both players begin with small images and fade in larger ones, one doubling at a time."""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from gancore import Crop, component, hookimpl, option, pyramid, requires, warns_without

SOURCE = "Karras et al., ICLR 2018, arXiv:1710.10196, section 2"
IMAGES = requires("data.images", "points have no height and width to double", fix="--gen mlp --critic mlp-critic")


class Growing(nn.Module):
    """A network for images of several `sizes`, smallest first, that runs only the levels grown so far.

    `growth` is level + α: 1.3 is level 1 with α = 0.3 of level 2. It is part of `state_dict`, so that a checkpoint is
    sampled as it was trained, yet no buffer: it stays on the CPU, where forward reads it without waiting for a device.
    """

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        super().__init__()
        self.sizes, self.top = sizes, len(sizes) - 1
        self.growth = torch.zeros((), dtype=torch.float64, device="cpu")

    def get_extra_state(self) -> Tensor:
        return self.growth

    def set_extra_state(self, state: Tensor) -> None:
        self.growth.copy_(state)

    def grow(self, growth: float) -> None:
        """Set level + α, from 0 to `top`."""
        self.growth.fill_(growth)

    def stage(self) -> tuple[int, float]:
        """Return the level, and α in [0, 1) of the level after it."""
        growth = float(self.growth)
        return int(growth), growth - int(growth)

    def pixel(self, level: int) -> int:
        """Return the side of a level's pixel in pixels of the whole image."""
        return 2 ** (self.top - level)


def channels_of(levels: int, options) -> list[int]:
    """List the channels of each level, smallest image first: …, 4·width, 2·width, width, none above the limit."""
    return [min(options.limit, options.width * 2**k) for k in reversed(range(levels))]


def convolve(before: int, after: int, role: str, plan) -> list[nn.Module]:
    """List a convolution that keeps height and width, its norm and its activation."""
    return [nn.Conv2d(before, after, 3, padding=1), plan.norm(after, role), nn.LeakyReLU(0.2)]


class Generator(Growing):
    """`[N, Z] → [N, C, H, W]` in (-1, 1): a block of layers for each level, and a painter that makes its image."""

    def __init__(self, plan, options):
        super().__init__(pyramid(*plan.shape[1:]))
        widths = channels_of(len(self.sizes), options)
        self.seed = (widths[0], *self.sizes[0])
        self.project = nn.Linear(plan.inputs, prod(self.seed))
        first = [plan.norm(widths[0], "generator"), nn.LeakyReLU(0.2)]
        self.blocks = nn.ModuleList([nn.Sequential(*first, *convolve(widths[0], widths[0], "generator", plan))])
        for (before, after), size in zip(pairwise(widths), self.sizes[1:], strict=True):
            doubled = [plan.upsample(before, after), Crop(size), plan.norm(after, "generator"), nn.LeakyReLU(0.2)]
            self.blocks.append(nn.Sequential(*doubled, *convolve(after, after, "generator", plan)))
        self.painters = nn.ModuleList(nn.Sequential(nn.Conv2d(each, plan.shape[0], 1), nn.Tanh()) for each in widths)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        level, alpha = self.stage()
        maps = self.project(z).unflatten(1, self.seed)
        for block in self.blocks[: level + 1]:
            maps = block(maps)
        images = self.paint(maps, level)
        if alpha:
            images = (1 - alpha) * images + alpha * self.paint(self.blocks[level + 1](maps), level + 1)
        return images

    def paint(self, maps: Tensor, level: int) -> Tensor:
        """Turn a level's maps into images of full size, by repeating pixels."""
        height, width = self.sizes[-1]
        return interpolate(self.painters[level](maps), scale_factor=self.pixel(level))[..., :height, :width]


class Critic(Growing):
    """`[N, C, H, W] → [N, F, h, w]`: a reader for each level's image, and a block that leads to the level below."""

    def __init__(self, plan, options):
        channels, *size = plan.critic_shape
        super().__init__(pyramid(*size))
        self.grow(self.top)  # whole images, until a generator that grows says otherwise
        widths = channels_of(len(self.sizes), options)
        self.readers = nn.ModuleList(nn.Sequential(nn.Conv2d(channels, each, 1), nn.LeakyReLU(0.2)) for each in widths)
        self.blocks = nn.ModuleList([nn.Sequential(*convolve(widths[0], widths[0], "critic", plan))])
        for after, before in pairwise(widths):
            kept, changed = convolve(before, before, "critic", plan), convolve(before, after, "critic", plan)
            self.blocks.append(nn.Sequential(*kept, *changed, nn.AvgPool2d(2, ceil_mode=True)))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        level, alpha = self.stage()
        maps = self.read(images, level)
        if alpha:
            maps = (1 - alpha) * maps + alpha * self.blocks[level + 1](self.read(images, level + 1))
        for block in reversed(self.blocks[: level + 1]):
            maps = block(maps)
        return maps

    def read(self, images: Tensor, level: int) -> Tensor:
        """Turn images of full size into maps of a level, by averaging pixels; at odd borders those there are."""
        return self.readers[level](avg_pool2d(images, self.pixel(level), ceil_mode=True))


@component(
    source=SOURCE,
    provides=["growing.generator"],
    rules=[
        IMAGES,
        requires(
            "growing.critic", "any other critic knows fakes by their coarse pixels", fix="--critic progressive-critic"
        ),
    ],
    defaults={"critic": "progressive-critic", "upsample": "nearest-conv", "init": "he", "critic-norm": "none"},
    known_as={"pggan": "", "progan": "", "progressive-growing": ""},
)
class Progressive:
    """Grow both players from small images to whole ones: a new level of layers is faded in while training goes on.

    Levels double a seed, whose smaller side is 4 to 7 pixels, up to `[N, C, H, W]`: 4, 8, 16, 32 for 32×32; an odd side
    is cropped by one after its doubling. Each level is trained for `steps_per_level` steps, then the next is faded in
    over `fade` steps: of n levels the last is there after (n-1)·(steps_per_level + fade) steps. Samples are of full
    size throughout, their coarse pixels repeated: (1-α)·old + α·new while α rises from 0 to 1. Layers of levels to come
    cost nothing and stay as they are. Values lie in (-1, 1) by a tanh at each level. Logs `growth`, level + α.

    A level is the chosen upsampler and a 3×3 convolution, each with norm and leaky activation of slope 0.2, and a 1×1
    convolution to the image. The paper gives 600,000 images to each level and to each fade, 9375 steps of 64 images;
    the defaults suit a run of 800 steps. Of the paper this is the growing alone.
    """

    width: int = option(32, ge=1, help="channels of the largest level; each smaller level has twice as many")
    limit: int = option(512, ge=1, help="most channels of any level")
    steps_per_level: int = option(100, ge=1, help="steps to train at a level before the next is faded in")
    fade: int = option(100, ge=0, help="steps to fade a new level in; 0 switches at once")

    def growth_at(self, step: int, top: int) -> float:
        """Return level + α at a step: whole for `steps_per_level` steps, up by 1 in `fade` steps, at most `top`."""
        level, within = divmod(step, self.steps_per_level + self.fade)
        return min(float(top), level + max(0, within - self.steps_per_level) / max(1, self.fade))

    @hookimpl
    def make_generator(self, plan):
        return Generator(plan, self)

    @hookimpl
    def before_step(self, gan, step):
        for player in (gan.generator, gan.critic):
            for net in player.network.modules():
                if isinstance(net, Growing):
                    net.grow(self.growth_at(step, net.top))

    @hookimpl
    def generator_terms(self, batch, step, log):
        log("growth", self.growth_at(step, len(pyramid(*batch.plan.shape[1:])) - 1))


@component(
    source=SOURCE,
    provides=["growing.critic"],
    rules=[IMAGES, warns_without("growing.generator", "nothing makes the critic grow", fix="--gen progressive")],
)
class ProgressiveCritic:
    """Judge images at the size the generator `progressive` has grown to, finer detail averaged away.

    View `[N, C, H, W]` to features `[N, F]`. It is averaged down to the level's size and read by a 1×1 convolution;
    two 3×3 convolutions and an average over 2×2 pixels lead to each smaller level, one more 3×3 convolution and a
    linear score end it, where the paper has two dense layers. While a level fades in, what it makes of the view and
    what the level below reads are mixed by (1-α) and α. Activations are leaky with slope 0.2; every 3×3 convolution
    has a norm. Layers of levels to come cost nothing; without that generator all are there from the first step.
    """

    width: int = option(32, ge=1, help="channels of the largest level; each smaller level has twice as many")
    limit: int = option(512, ge=1, help="most channels of any level")

    @hookimpl
    def make_critic(self, plan):
        return Critic(plan, self)
