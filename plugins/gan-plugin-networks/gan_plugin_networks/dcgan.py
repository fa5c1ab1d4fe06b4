"""DCGAN: a generator of upsampling convolutions, and a critic of strided convolutions."""

from itertools import chain, pairwise
from math import prod

from torch import Tensor, nn

from gan_plugin_networks.blocks import Bias, has_weights, make_biased_norm
from gancore import CompositionError, Crop, Layers, component, hookimpl, option, pyramid

SOURCE = "Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434"
LEAST_SIDE = 8  # in pixels: one halving leaves a hidden map of 4; widths allow less


def channels_of(maps: int, options) -> list[int]:
    """List the channels of the hidden maps, largest first: width, 2·width, … up to limit."""
    return [min(options.limit, options.width * 2**k) for k in range(maps)]


def activate(name: str, slope: float) -> nn.Module:
    """Return the activation `relu` or `leaky`."""
    return nn.ReLU() if name == "relu" else nn.LeakyReLU(slope)


def raise_too_many_widths(owner: str, options, size: tuple[int, ...], most: int) -> None:
    """Raise CompositionError for a list of widths that is too long for the image."""
    raise CompositionError(
        f"{owner}.widths lists {len(options.widths)} maps, "
        f"but there is room for {most} in {times(size)} pixels",
        where=f"{owner}.widths",
        fix=f"--{owner}.widths with at most {most} numbers, or a larger --size",
    )


def times(size: tuple[int, ...]) -> str:
    """Write the size of an image as `28×28`; any number of sides will do."""
    return "×".join(map(str, size))


def require_a_halving(owner: str, size: tuple[int, ...]) -> None:
    """Raise CompositionError for an image too small to be halved once into a map of 4 pixels."""
    if min(size) < LEAST_SIDE:
        raise CompositionError(
            f"{owner} needs images of at least {LEAST_SIDE} pixels a side, "
            f"but these have {times(size)}",
            where=owner,
            fix=f"a larger --size, e.g. --size {LEAST_SIDE}, or --{owner}.widths",
        )


class Generator(nn.Module):
    """Generate images `[N, Z] → [N, C, H, W]` in (-1, 1).

    A linear layer makes the seed; blocks of upsampler, norm and activation follow.
    """

    def __init__(self, plan, options):
        super().__init__()
        channels = plan.shape[0]
        full_size = plan.shape[1:]
        hidden, sizes = options.hidden_maps(full_size)
        self.seed = (hidden[0], *sizes[0])
        bias = options.norm_after_activation  # a norm that follows directly would cancel it
        self.project = nn.Linear(plan.inputs, prod(self.seed), bias=bias)
        blocks = options.finish(hidden[0], plan)
        for (before, after), size in zip(pairwise(hidden), sizes[1:], strict=True):
            blocks += [plan.upsample(before, after), Crop(size), *options.finish(after, plan)]
        if options.final == "conv":
            kernel = options.final_kernel
            make_convolution = getattr(nn, f"Conv{plan.axes}d")
            blocks.append(make_convolution(hidden[-1], channels, kernel, padding=kernel // 2))
        else:
            blocks += [plan.upsample(hidden[-1], channels), Crop(full_size)]
            blocks += [Bias(channels)] if options.bias else []
        self.blocks = Layers(*blocks, nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.blocks(self.project(z).unflatten(1, self.seed), labels, style=z)


class Critic(nn.Module):
    """Compute features `[N, C, H, W] → [N, F, h, w]` by strided convolutions."""

    def __init__(self, plan, options):
        super().__init__()
        channels = plan.critic_shape[0]
        layers: list[nn.Module] = []
        maps = options.maps(plan.critic_shape[1:])
        norms = [
            [plan.norm(after, "critic")] if k or options.norm_first else []
            for k, after in enumerate(maps)
        ]
        # without any shift the critic is homogeneous: a fainter image has a score nearer to 0
        needed = not any(has_weights(norm) for norm in chain(*norms))
        for after, norm in zip(maps, norms, strict=True):
            followed = any(has_weights(each) for each in norm)
            bias = needed or options.bias and not followed
            layers += options.halve(channels, after, plan.axes, bias)
            active = [activate(options.activation, options.slope)]
            layers += active + norm if options.norm_after_activation else norm + active
            channels = after
        self.layers = Layers(*layers)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.layers(images, labels)


@component(
    source=SOURCE,
    defaults={"critic": "dcgan-critic"},
)
class DCGAN:
    """Generate images by upsampling a seed, each layer with norm and activation; tanh at the end.

    The seed's smaller side is 4 to 7 pixels, and an odd side is cropped by one after its doubling,
    so sizes such as 28, 48×32, 100 and 256 pixels are exact. Images are `[N, C, H, W]` in (-1, 1).
    Layers that a norm follows have no bias, as norms have one; the linear layer of the seed has one
    where its norm follows the activation, and norms without weights are followed by one. With
    width 64, latent 100, 64×64×3, batch norm and `bias` false: 3,576,704 weights.

    `widths` lists the channels of all hidden maps, and so determines the number of doublings:
    256,256,128,64 with `final conv` is 4×4×256 → 8×8×256 → 16×16×128 → 32×32×64 → 32×32×3. For
    signals `[N, C, T]` and volumes `[N, C, D, H, W]` all layers have one or three axes. Raises
    CompositionError for points, for images under 8 pixels a side without `widths` or `final conv`,
    and for widths that would need a seed under 2 pixels.
    """

    width: int = option(
        64, ge=1, help="channels of the largest hidden map; each smaller map has twice as many"
    )
    limit: int = option(1024, ge=1, help="most channels of any map")
    widths: tuple[int, ...] = option(
        (),
        ge=1,
        help="channels of each hidden map, smallest map first; empty: from width and limit",
    )
    activation: str = option(
        "relu", choices=("relu", "leaky"), help="after each norm; leaky has negative slope 0.2"
    )
    norm_after_activation: bool = option(
        False, help="true puts each norm after its activation instead of before it"
    )
    final: str = option(
        "upsample",
        choices=("upsample", "conv"),
        help="last layer: an upsampler, or a convolution of a hidden map of full size",
    )
    final_kernel: int = option(
        3, choices=(1, 3, 5, 7, 9), help="side of the last convolution in pixels"
    )

    bias: bool = option(
        True, help="a bias of each channel of the image; false is as in PyTorch's example"
    )

    def hidden_maps(self, size: tuple[int, ...]) -> tuple[list[int], list[tuple[int, ...]]]:
        """Return channels and sizes of the hidden maps, smallest first, for (height, width)."""
        full_size = self.final == "conv"  # then the last hidden map is as large as the image
        if not self.widths and not full_size:
            require_a_halving("dcgan", size)
        sizes = pyramid(*size, smallest=2) if self.widths else pyramid(*size)
        if not full_size:
            sizes = sizes[:-1]
        if not self.widths:
            return channels_of(len(sizes), self)[::-1], sizes
        if len(self.widths) > len(sizes):
            raise_too_many_widths("dcgan", self, size, len(sizes))
        return list(self.widths), sizes[-len(self.widths) :]

    def finish(self, channels: int, plan) -> list[nn.Module]:
        """List the norm and the activation of a hidden map, in the chosen order."""
        norm = make_biased_norm(plan, channels, "generator", plan.inputs)
        pair = [norm, activate(self.activation, 0.2)]
        return pair[::-1] if self.norm_after_activation else pair

    @hookimpl
    def make_generator(self, plan):
        if not plan.axes:
            raise CompositionError(
                f"dcgan makes images, but the data are points of shape {plan.shape}",
                fix="--gen mlp",
            )
        return Generator(plan, self)


@component(source=SOURCE)
class DCGANCritic:
    """Score images by strided convolutions with leaky ReLUs, down to a side of 3 to 7 pixels.

    View `[N, C, H, W]` to features `[N, F]`; even kernels round odd sides down, odd kernels up. The
    score is one linear layer without bias, and the first layer has no norm. Convolutions have
    biases where no norm with weights follows. With width 64, 64×64×3: 2,765,632 weights with batch
    norm, 2,764,736 without.

    With batch norm and `bias` false a critic that judges reals and fakes in batches of their own
    cannot tell faint images from images of full contrast: its first layer scales with them, and the
    norms divide the scale out.

    A strided convolution keeps the first of each 2×2 outputs of a dense one; `downsample max-pool`
    keeps the largest, so shapes and weights are the same at each stage, at four times the
    computation. `widths` lists the channels of all maps, and so determines the number of halvings.
    For signals `[N, C, T]` and volumes `[N, C, D, H, W]` all layers have one or three axes.
    Raises CompositionError for points, for images under 8 pixels a side without `widths`, and for
    more halvings than there are pixels.
    """

    width: int = option(
        64, ge=1, help="channels of the first map; each following map has twice as many"
    )
    limit: int = option(1024, ge=1, help="most channels of any map")
    widths: tuple[int, ...] = option(
        (),
        ge=1,
        help="channels of each map, largest map first; empty: from width and limit",
    )
    kernel: int = option(4, ge=3, le=9, help="side of the convolutions in pixels")
    downsample: str = option(
        "stride",
        choices=("stride", "max-pool"),
        help="kept of each 2×2 outputs: the first, or the largest",
    )
    activation: str = option("leaky", choices=("leaky", "relu"), help="activation of each layer")
    slope: float = option(0.2, ge=0, le=1, help="negative slope of the leaky activation")
    norm_first: bool = option(False, help="true adds a norm to the first layer too")
    norm_after_activation: bool = option(
        False, help="true puts each norm after its activation instead of before it"
    )

    bias: bool = option(True, help="biases where no norm follows; false is as in PyTorch's example")

    def maps(self, size: tuple[int, ...]) -> list[int]:
        """List the channels of the maps, largest map first, for views of (height, width)."""
        if not self.widths:
            require_a_halving("dcgan-critic", size)
            return channels_of(len(pyramid(*size)) - 1, self)
        most = min(size).bit_length() - 1  # halvings that leave at least one pixel
        if len(self.widths) > most:
            raise_too_many_widths("dcgan-critic", self, size, most)
        return list(self.widths)

    def halve(self, before: int, after: int, axes: int, bias: bool) -> list[nn.Module]:
        """List the layers that halve each of the axes, with `before` and `after` channels."""
        make_convolution = getattr(nn, f"Conv{axes}d")
        padding = (self.kernel - 1) // 2
        if self.downsample == "stride":
            return [make_convolution(before, after, self.kernel, 2, padding, bias=bias)]
        convolution = make_convolution(before, after, self.kernel, 1, padding, bias=bias)
        return [convolution, getattr(nn, f"MaxPool{axes}d")(2, ceil_mode=True)]

    @hookimpl
    def make_critic(self, plan):
        if not plan.axes:
            raise CompositionError(
                f"dcgan-critic scores images, but the data are points of shape {plan.shape}",
                fix="--critic mlp-critic",
            )
        return Critic(plan, self)

    @hookimpl
    def make_score(self, features):
        return nn.Linear(features, 1, bias=False)
