"""DCGAN: a generator that doubles a small seed until the image is reached, and a critic that halves it again."""

from torch import Tensor, nn

from gancore import CompositionError, component, hookimpl, option, pyramid

SOURCE = "Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434"


def widths(doublings: int, width: int, limit: int) -> list[int]:
    """List the channels of the hidden maps, largest image first: width, 2·width, 4·width, … up to the limit."""
    return [min(limit, width * 2**k) for k in range(doublings)]


class Crop(nn.Module):
    """Cut an upsampled map `[N, C, 2h, 2w]` to `size`, which is smaller by a row or column where a side is odd."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor) -> Tensor:
        return maps[..., : self.size[0], : self.size[1]]


class Generator(nn.Module):
    """`[N, Z] → [N, C, H, W]` in (-1, 1). Parts are the projected seed, then blocks of upsample, norm, activation."""

    def __init__(self, plan, options):
        super().__init__()
        channels, height, width = plan.shape
        sizes = pyramid(height, width)
        hidden = widths(len(sizes) - 1, options.width, options.limit)[::-1]
        self.seed = (hidden[0], *sizes[0])
        self.project = nn.Linear(plan.inputs, hidden[0] * sizes[0][0] * sizes[0][1], bias=False)
        blocks = [plan.norm(hidden[0], "generator"), options.activate()]
        for before, after, size in zip(hidden, [*hidden[1:], channels], sizes[1:], strict=True):
            blocks += [plan.upsample(before, after), Crop(size)]
            if size != (height, width):
                blocks += [plan.norm(after, "generator"), options.activate()]
        self.blocks = nn.Sequential(*blocks, nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.blocks(self.project(z).unflatten(1, self.seed))


class Critic(nn.Module):
    """`[N, C, H, W] → [N, F, h, w]` by strided convolutions; the first layer has no norm."""

    def __init__(self, plan, options):
        super().__init__()
        channels, height, width = plan.critic_shape
        layers: list[nn.Module] = []
        for k, after in enumerate(widths(len(pyramid(height, width)) - 1, options.width, options.limit)):
            layers.append(nn.Conv2d(channels, after, options.kernel, 2, (options.kernel - 1) // 2, bias=False))
            layers += [plan.norm(after, "critic")] if k else []
            layers.append(nn.LeakyReLU(options.slope))
            channels = after
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.layers(images)


@component(
    source=SOURCE,
    asks={"critic": "dcgan-critic"},
)
class DCGAN:
    """Grow an image from a small seed by doublings, each followed by norm and activation; tanh at the end.

    The seed's smaller side is 4 to 7 pixels, so 28, 48×32, 100 and 256 pixels all come out exact: a side that is
    odd is cropped by one after its doubling. Images are `[N, C, H, W]` in (-1, 1). No layer has a bias, as the
    norms have one. With width 64, latent 100, 64×64×3 and batch norm: 3,576,704 weights.
    """

    width: int = option(64, ge=1, help="channels of the largest hidden map; each smaller map has twice as many")
    limit: int = option(1024, ge=1, help="most channels of any map")
    activation: str = option("relu", choices=("relu", "leaky"), help="after each norm; leaky has slope 0.2")

    def activate(self) -> nn.Module:
        """Return the chosen activation."""
        return nn.ReLU() if self.activation == "relu" else nn.LeakyReLU(0.2)

    @hookimpl
    def make_generator(self, plan):
        if not plan.images:
            raise CompositionError(
                f"dcgan makes images, but the data are points of shape {plan.shape}", mend="--gen mlp"
            )
        return Generator(plan, self)


@component(source=SOURCE)
class DCGANCritic:
    """Halve an image by strided convolutions with leaky activations until its smaller side is 3 to 7 pixels.

    View `[N, C, H, W]` to features `[N, F]`; odd sides are rounded down. The score is one linear layer without bias,
    and the first layer has no norm. With width 64, 64×64×3: 2,765,568 weights with batch norm, 2,763,776 without.
    """

    width: int = option(64, ge=1, help="channels of the first map; each following map has twice as many")
    limit: int = option(1024, ge=1, help="most channels of any map")
    kernel: int = option(4, ge=3, le=9, help="side of the convolutions in pixels")
    slope: float = option(0.2, ge=0, le=1, help="slope of the activation below 0")

    @hookimpl
    def make_critic(self, plan):
        if not plan.images:
            raise CompositionError(
                f"dcgan-critic judges images, but the data are points of shape {plan.shape}", mend="--critic mlp-critic"
            )
        return Critic(plan, self)

    @hookimpl
    def make_score(self, features):
        return nn.Linear(features, 1, bias=False)
