"""DCGAN: a generator that doubles a small seed until the image is reached, and a critic that halves it again."""

from itertools import pairwise

from torch import Tensor, nn

from gancore import CompositionError, Crop, component, hookimpl, option, pyramid

SOURCE = "Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434"
LEAST_SIDE = 8  # pixels of an image that has a hidden map of 4 pixels, unless widths are stated


def channels_of(maps: int, options) -> list[int]:
    """List the channels of the hidden maps, largest image first: width, 2·width, 4·width, … up to the limit."""
    return [min(options.limit, options.width * 2**k) for k in range(maps)]


def activate(name: str, slope: float) -> nn.Module:
    """Return the chosen activation, `relu` or `leaky`."""
    return nn.ReLU() if name == "relu" else nn.LeakyReLU(slope)


def refuse_widths(owner: str, options, size: tuple[int, int], most: int) -> None:
    """Raise CompositionError for a list of widths that is too long for the image."""
    raise CompositionError(
        f"{owner}.widths lists {len(options.widths)} maps, but there is room for {most} in {size[0]}×{size[1]} pixels",
        where=f"{owner}.widths",
        fix=f"--{owner}.widths with at most {most} numbers, or a larger --size",
    )


def expect_a_halving(owner: str, size: tuple[int, int]) -> None:
    """Raise CompositionError for an image too small to be halved once into a map of 4 pixels."""
    if min(size) < LEAST_SIDE:
        raise CompositionError(
            f"{owner} needs images of at least {LEAST_SIDE} pixels a side, but these have {size[0]}×{size[1]}",
            where=owner,
            fix=f"a larger --size, e.g. --size {LEAST_SIDE}, or --{owner}.widths",
        )


class Generator(nn.Module):
    """`[N, Z] → [N, C, H, W]` in (-1, 1). Parts are the projected seed, then blocks of upsample, norm, activation."""

    def __init__(self, plan, options):
        super().__init__()
        channels, height, width = plan.shape
        hidden, sizes = options.hidden_maps((height, width))
        self.seed = (hidden[0], *sizes[0])
        bias = options.norm_after_activation  # a norm that follows at once would take it away again
        self.project = nn.Linear(plan.inputs, hidden[0] * sizes[0][0] * sizes[0][1], bias=bias)
        blocks = options.finish(hidden[0], plan)
        for (before, after), size in zip(pairwise(hidden), sizes[1:], strict=True):
            blocks += [plan.upsample(before, after), Crop(size), *options.finish(after, plan)]
        if options.final == "conv":
            kernel = options.final_kernel
            blocks.append(nn.Conv2d(hidden[-1], channels, kernel, padding=kernel // 2))
        else:
            blocks += [plan.upsample(hidden[-1], channels), Crop((height, width))]
        self.blocks = nn.Sequential(*blocks, nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.blocks(self.project(z).unflatten(1, self.seed))


class Critic(nn.Module):
    """`[N, C, H, W] → [N, F, h, w]` by convolutions that halve."""

    def __init__(self, plan, options):
        super().__init__()
        channels, height, width = plan.critic_shape
        layers: list[nn.Module] = []
        for k, after in enumerate(options.maps((height, width))):
            layers += options.halve(channels, after)
            norm = [plan.norm(after, "critic")] if k or options.norm_first else []
            active = [activate(options.activation, options.slope)]
            layers += active + norm if options.norm_after_activation else norm + active
            channels = after
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.layers(images)


@component(
    source=SOURCE,
    defaults={"critic": "dcgan-critic"},
)
class DCGAN:
    """Grow an image from a small seed by doublings, each followed by norm and activation; tanh at the end.

    The seed's smaller side is 4 to 7 pixels, so 28, 48×32, 100 and 256 pixels all come out exact: a side that is
    odd is cropped by one after its doubling. Images are `[N, C, H, W]` in (-1, 1). No layer has a bias, as the
    norms have one, but for the linear layer of the seed where its norm follows the activation and for a last
    convolution. With width 64, latent 100, 64×64×3 and batch norm: 3,576,704 weights.

    `widths` states the hidden maps one by one, and so how often the seed is doubled: 256,256,128,64 with `final conv`
    is 4×4×256 → 8×8×256 → 16×16×128 → 32×32×64 → 32×32×3. Raises CompositionError for points, for images under
    8 pixels a side without `widths` or `final conv`, and for widths that would need a seed under 2 pixels.
    """

    width: int = option(64, ge=1, help="channels of the largest hidden map; each smaller map has twice as many")
    limit: int = option(1024, ge=1, help="most channels of any map")
    widths: tuple[int, ...] = option(
        (), ge=1, help="channels of each hidden map, smallest map first, instead of width and limit; empty leaves those"
    )
    activation: str = option("relu", choices=("relu", "leaky"), help="after each norm; leaky has slope 0.2")
    norm_after_activation: bool = option(False, help="true puts each norm behind its activation instead of before it")
    final: str = option(
        "upsample",
        choices=("upsample", "conv"),
        help="what makes the image: the last upsampler, or one convolution of a hidden map of full size",
    )
    final_kernel: int = option(3, choices=(1, 3, 5, 7, 9), help="side of that last convolution in pixels")

    def hidden_maps(self, size: tuple[int, int]) -> tuple[list[int], list[tuple[int, int]]]:
        """Return channels and sizes of the hidden maps of an image of this height and width, smallest map first."""
        whole = self.final == "conv"  # then the last hidden map is as large as the image
        if not self.widths:
            if not whole:
                expect_a_halving("dcgan", size)
            sizes = pyramid(*size) if whole else pyramid(*size)[:-1]
            return channels_of(len(sizes), self)[::-1], sizes
        sizes = pyramid(*size, smallest=2) if whole else pyramid(*size, smallest=2)[:-1]
        if len(self.widths) > len(sizes):
            refuse_widths("dcgan", self, size, len(sizes))
        return list(self.widths), sizes[-len(self.widths) :]

    def finish(self, channels: int, plan) -> list[nn.Module]:
        """List norm and activation of a hidden map, in the chosen order."""
        pair = [plan.norm(channels, "generator"), activate(self.activation, 0.2)]
        return pair[::-1] if self.norm_after_activation else pair

    @hookimpl
    def make_generator(self, plan):
        if not plan.images:
            raise CompositionError(
                f"dcgan makes images, but the data are points of shape {plan.shape}", fix="--gen mlp"
            )
        return Generator(plan, self)


@component(source=SOURCE)
class DCGANCritic:
    """Halve an image by strided convolutions with leaky activations until its smaller side is 3 to 7 pixels.

    View `[N, C, H, W]` to features `[N, F]`; odd sides are rounded down by even kernels, up by odd ones. The score is
    one linear layer without bias, and the first layer has no norm. With width 64, 64×64×3: 2,765,568 weights with batch
    norm, 2,763,776 without.

    A strided convolution keeps the first of every 2×2 answers of a dense one; `downsample max-pool` keeps the largest,
    so shapes and weights are the same at each stage, at four times the work. `widths` states the maps one by one, and
    so how often the image is halved. Raises CompositionError for points, for images under 8 pixels a side without
    `widths`, and for more halvings than there are pixels.
    """

    width: int = option(64, ge=1, help="channels of the first map; each following map has twice as many")
    limit: int = option(1024, ge=1, help="most channels of any map")
    widths: tuple[int, ...] = option(
        (), ge=1, help="channels of each map, largest map first, instead of width and limit; empty leaves those"
    )
    kernel: int = option(4, ge=3, le=9, help="side of the convolutions in pixels")
    downsample: str = option("stride", choices=("stride", "max-pool"), help="which of every 2×2 answers is kept")
    activation: str = option("leaky", choices=("leaky", "relu"), help="of every layer")
    slope: float = option(0.2, ge=0, le=1, help="slope of a leaky activation below 0")
    norm_first: bool = option(False, help="true gives the first layer a norm too")
    norm_after_activation: bool = option(False, help="true puts each norm behind its activation instead of before it")

    def maps(self, size: tuple[int, int]) -> list[int]:
        """List the channels of the maps of a view of this height and width, largest map first."""
        if not self.widths:
            expect_a_halving("dcgan-critic", size)
            return channels_of(len(pyramid(*size)) - 1, self)
        most = min(size).bit_length() - 1  # halvings that leave at least one pixel
        if len(self.widths) > most:
            refuse_widths("dcgan-critic", self, size, most)
        return list(self.widths)

    def halve(self, before: int, after: int) -> list[nn.Module]:
        """List the layers that turn `[N, before, h, w]` into half its size."""
        strided, padding = self.downsample == "stride", (self.kernel - 1) // 2
        convolution = nn.Conv2d(before, after, self.kernel, 2 if strided else 1, padding, bias=False)
        return [convolution] if strided else [convolution, nn.MaxPool2d(2, ceil_mode=True)]

    @hookimpl
    def make_critic(self, plan):
        if not plan.images:
            raise CompositionError(
                f"dcgan-critic judges images, but the data are points of shape {plan.shape}", fix="--critic mlp-critic"
            )
        return Critic(plan, self)

    @hookimpl
    def make_score(self, features):
        return nn.Linear(features, 1, bias=False)
