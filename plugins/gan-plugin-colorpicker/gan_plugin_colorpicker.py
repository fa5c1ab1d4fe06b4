"""Colour picker: a generator that mixes the colours of a palette in each pixel."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from gancore import (
    CompositionError,
    Layers,
    Sample,
    component,
    grid,
    hookimpl,
    option,
    pyramid,
    save_picture,
)


def mix(maps: Tensor, palettes: Tensor) -> Tensor:
    """Mix colours in each pixel, x_c = Σ_k A_k·P_{c,k}.

    A is `[N, K, H, W]`, P `[N, C, K]` and x `[N, C, H, W]`.
    """
    return torch.einsum("nkhw,nck->nchw", maps, palettes)


def palette_usage(maps: Tensor) -> Tensor:
    """Compute the perplexity of the mean of A `[N, K, H, W]`: the number of colours, 1 to K."""
    return torch.special.entr(maps.mean((0, 2, 3))).sum().exp()


def shuffle_conv(before: int, after: int, kernel: int) -> nn.Module:
    """Double a map by pixel shuffle and a convolution, `[N, before, h, w] → [N, after, 2h, 2w]`."""
    if before % 4:
        raise CompositionError(
            "pixel shuffle needs a multiple of 4 channels, "
            f"but a map and its copy of h have {before}",
            fix="--colorpicker.shuffle false, or a width of the latent that is a multiple of 4",
        )
    # an even kernel keeps the size with one more pixel at the right and at the bottom
    pad = nn.ZeroPad2d(((kernel - 1) // 2, kernel // 2) * 2)
    return nn.Sequential(nn.PixelShuffle(2), pad, nn.Conv2d(before // 4, after, kernel))


class Stage(nn.Module):
    """Double a map `[N, c, h, w] → [N, c', *size]`, with a skip connection from h `[N, D]`."""

    def __init__(
        self,
        up: nn.Module,
        size: tuple[int, int],
        finish: nn.Module,
        skip: str,
        tell: nn.Module | None,
    ):
        super().__init__()
        self.up = up
        self.size = size
        self.finish = finish
        self.skip = skip
        self.tell = tell

    def forward(self, maps: Tensor, h: Tensor, labels: Tensor, z: Tensor) -> Tensor:
        if self.skip == "concat":
            copies = h[..., None, None].expand(-1, -1, *maps.shape[2:])
            maps = torch.cat([maps, copies], 1)
        maps = self.up(maps)[..., : self.size[0], : self.size[1]]
        if self.tell is not None:
            maps = maps + self.tell(h)[..., None, None]
        return self.finish(maps, labels, z)


class Generator(nn.Module):
    """Generate images `[N, Z] → [N, C, H, W]` as mixtures of colours.

    Dense projections of z give h `[N, D]`; the shares A and the palettes P are computed from h.
    """

    def __init__(self, plan, options):
        super().__init__()
        channels, height, width = plan.shape
        sizes = pyramid(height, width, smallest=options.smallest)
        widths = options.map_widths(len(sizes))
        described = plan.inputs * (options.project + 1)
        self.hard = options.hard
        self.temperature = options.temperature
        self.usage = torch.tensor(torch.nan)  # nothing is known before the first training pass
        self.with_extras = False  # whether samples, outside training, have palettes and weights

        def finish(channels: int) -> Layers:
            return Layers(plan.norm(channels, "generator", plan.inputs), nn.LeakyReLU())

        def layer(before: int, after: int) -> Layers:
            return Layers(nn.Linear(before, after), *finish(after))

        def stage(k: int) -> Stage:
            skip = options.skip if k else "none"  # the first map is computed from h directly
            before = widths[k] + (described if skip == "concat" else 0)
            after = widths[k + 1]
            kernel = 4 if k else 3  # as in the source
            up = (
                shuffle_conv(before, after, kernel)
                if options.shuffle
                else plan.upsample(before, after)
            )
            tell = nn.Linear(described, after) if skip == "add" else None
            return Stage(up, sizes[k + 1], finish(after), skip, tell)

        def palette() -> Layers:
            hidden = [layer(*pair) for pair in pairwise((described, 128, 64))]
            return Layers(*hidden, nn.Linear(64, options.colors), nn.Tanh())

        depths = range(1, options.project + 1)
        self.projections = nn.ModuleList(layer(plan.inputs * k, plan.inputs) for k in depths)
        self.colours = nn.ModuleList(palette() for _ in range(channels))
        self.first = layer(described, widths[0] * sizes[0][0] * sizes[0][1])
        self.first_shape = (widths[0], *sizes[0])
        self.stages = nn.ModuleList(stage(k) for k in range(len(sizes) - 1))
        padding = options.kernel // 2
        self.logits = nn.Conv2d(widths[-1], options.colors, options.kernel, padding=padding)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor | Sample:
        h = self.describe(z, labels)
        maps = self.paint(h, labels, z)
        palettes = self.choose(h, labels, z)
        images = mix(maps, palettes)
        if self.training or not self.with_extras:
            return images
        return Sample(images, {"palettes": palettes, "weights": maps.mean((2, 3))})

    def maps(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return the shares of the colours in each pixel, A `[N, K, H, W]`, with sum 1 over K."""
        return self.paint(self.describe(z, labels), labels, z)

    def palettes(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return the colours of each image, P `[N, C, K]` in (-1, 1)."""
        return self.choose(self.describe(z, labels), labels, z)

    def describe(self, z: Tensor, labels: Tensor) -> Tensor:
        """Append densely connected projections to z `[N, Z]`, and return h `[N, D]`."""
        h = z
        for project in self.projections:
            h = torch.cat([h, project(h, labels, z)], 1)
        return h

    def paint(self, h: Tensor, labels: Tensor, z: Tensor) -> Tensor:
        """Compute A `[N, K, H, W]` from h `[N, D]`; one-hot with `hard`, outside training."""
        maps = self.first(h, labels, z).unflatten(1, self.first_shape)
        for stage in self.stages:
            maps = stage(maps, h, labels, z)
        maps = (self.logits(maps) / self.temperature).softmax(1)
        if self.training:
            self.usage = palette_usage(maps.detach())
        elif self.hard:
            maps = torch.zeros_like(maps).scatter(1, maps.argmax(1, keepdim=True), 1.0)
        return maps

    def choose(self, h: Tensor, labels: Tensor, z: Tensor) -> Tensor:
        """Compute P `[N, C, K]` from h `[N, D]`, by one network for each channel."""
        return torch.stack([colours(h, labels, z) for colours in self.colours], 1)


@component(
    source="ConorLazarou, PokeGAN, 2020, github.com/ConorLazarou/PokeGAN (a program, no paper)",
    defaults={
        "critic": "dcgan-critic",
        "upsample": "nearest-conv",
        "init": "he",
        "dcgan-critic": {"width": 32},
        "adam": {"lr": 2e-4},
        "run": {"batch": 64, "steps": 800},
    },
    defaults_with={
        # the paper of the penalty asks for 5 critic updates at a rate of 1e-4 and layer norm, which
        # learns little in few steps
        "critic.gradient-penalty": {
            "n-critic": {"critic": 2},
            "adam": {"lr": 4e-4},
            "critic-norm": "none",
        }
    },
    known_as={"palette": ""},
)
class ColorPicker:
    """Generate images in 16 colours: each pixel is a convex combination of the image's palette.

    x_c = Σ_k A_k·P_{c,k}, with one map A of shares and a palette P for each channel, all computed
    from z. A `[N, K, H, W]` is a softmax over K and P `[N, C, K]` a tanh, so each pixel lies in the
    convex hull of its image's palette, in (-1, 1). Both are computed from h: z and `project`
    densely connected projections of it. Logs `palette-usage`, e^entropy of the mean of A, in
    [1, K]. Every image size is exact.

    The source's network, 2,355,724 weights at 64×64×3 with Z = 60 and batch norm, is: smallest 2,
    project 7, kernel 5, widths 512,256,128,64,64,32, skip concat, shuffle true. The default departs
    from it for speed: away from the border a convolution of [map, copies of h] equals one of the
    map plus a linear function of h, and `skip add` computes that.
    """

    colors: int = option(16, ge=2, help="colours of each image, K")
    width: int = option(
        16, ge=1, help="channels of the map at full size; each smaller map has twice as many"
    )
    limit: int = option(256, ge=1, help="most channels of any map")
    widths: tuple[int, ...] | None = option(
        None, ge=1, help="channels of each map, smallest map first; none computes them from width"
    )
    smallest: int = option(
        4, ge=1, help="least side of the smallest map in pixels; its side is below twice this"
    )
    project: int = option(3, ge=0, help="densely connected projections of z, each as wide as z")
    skip: str = option(
        "add",
        choices=("add", "concat", "none"),
        help="skip connection from h to each map after the first",
    )
    shuffle: bool = option(
        False, help="true upsamples by pixel shuffle and a convolution instead of by --upsample"
    )
    kernel: int = option(3, choices=(3, 5), help="side of the last convolution in pixels")
    temperature: float = option(
        1.0, gt=0, help="temperature of the softmax, a divisor of its logits; low is nearly one-hot"
    )
    hard: bool = option(
        False, help="true uses only the likeliest colour in each pixel of a sample, not in training"
    )

    @hookimpl
    def make_generator(self, plan):
        if not plan.images:
            raise CompositionError(
                f"colorpicker makes images, but a sample has shape {plan.shape}", fix="--gen mlp"
            )
        return Generator(plan, self)

    @hookimpl
    def measure(self, progress):
        nets = progress.context.gan.generator.network.modules()
        return {"palette-usage": next(net.usage for net in nets if isinstance(net, Generator))}

    def map_widths(self, count: int) -> list[int]:
        """Return the channels of the `count` maps, smallest map first."""
        if not self.widths:
            return [min(self.limit, self.width * 2**k) for k in reversed(range(count))]
        if len(self.widths) != count:
            raise CompositionError(
                f"colorpicker.widths has {len(self.widths)} numbers, but this size has {count} maps"
            )
        return list(self.widths)


@component(
    source="ConorLazarou, PokeGAN, 2020, github.com/ConorLazarou/PokeGAN: its palettes, visualised"
)
class PaletteStrip:
    """Draw samples beside their palettes, one sample a row, most used colour first.

    A row is the sample x `[C, H, W]`, then its palette P `[C, K]`, each colour a uniform field of
    H·W pixels, in descending order of the mean share in A. Samples have the extras `palettes
    [N, C, K]` and `weights [N, K]`; training does not change. Pictures go to
    `samples/palette-strip/`. Raises CompositionError for a generator without palettes.
    """

    images: int = option(16, ge=1, help="samples, one a row")

    @hookimpl(tryfirst=True)  # before another component may copy the network
    def adapt_generator(self, net):
        pickers = [module for module in net.modules() if isinstance(module, Generator)]
        if not pickers:
            raise CompositionError(
                "this generator has no palettes for palette-strip to show", fix="--gen colorpicker"
            )
        for picker in pickers:
            picker.with_extras = True

    @hookimpl
    def draw(self, progress, folder):
        labels = progress.reals(self.images)[1]
        made = progress.make(progress.latents(self.images), labels)
        order = made.extras["weights"].argsort(dim=1, descending=True, stable=True)  # [N, K]
        palettes = made.extras["palettes"].mT.take_along_dim(order[..., None], 1)  # [N, K, C]
        fields = palettes[..., None, None].expand(-1, -1, *made.images.shape[1:])
        rows = torch.cat([made.images[:, None], fields], 1)
        path = folder / f"palette-strip/step-{progress.step:09d}.png"
        save_picture(grid(rows.flatten(0, 1), rows.shape[1]), path)
