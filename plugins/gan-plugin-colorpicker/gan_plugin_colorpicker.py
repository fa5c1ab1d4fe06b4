"""The colour picker: each pixel mixes a few colours, and the latent decides both the mixture and the colours."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from gancore import CompositionError, Sample, component, grid, hookimpl, option, pyramid, save_picture


def mix(maps: Tensor, palettes: Tensor) -> Tensor:
    """Colour each pixel: x_c = Σ_k A_k·P_{c,k} with A `[N, K, H, W]` and P `[N, C, K]`; x is `[N, C, H, W]`."""
    return torch.einsum("nkhw,nck->nchw", maps, palettes)


def palette_usage(maps: Tensor) -> Tensor:
    """Count the colours in use: e to the entropy of the mean of A `[N, K, H, W]`, between 1 and K."""
    return torch.special.entr(maps.mean((0, 2, 3))).sum().exp()


def shuffle_conv(before: int, after: int, kernel: int) -> nn.Module:
    """Double `[N, before, h, w]` as the source does: four channels become one of twice the side, then a convolution."""
    if before % 4:
        raise CompositionError(
            f"a pixel shuffle takes channels by fours, but a map with its copy of h has {before}",
            fix="--colorpicker.shuffle false, or a width of the latent that is a multiple of 4",
        )
    pad = nn.ZeroPad2d(((kernel - 1) // 2, kernel // 2) * 2)
    return nn.Sequential(nn.PixelShuffle(2), pad, nn.Conv2d(before // 4, after, kernel))


class Stage(nn.Module):
    """Double a map `[N, c, h, w] → [N, c', *size]`, and remind it of the description h `[N, D]` where it has a skip."""

    def __init__(self, up: nn.Module, size: tuple[int, int], finish: nn.Module, skip: str, tell: nn.Module | None):
        super().__init__()
        self.up, self.size, self.finish, self.skip, self.tell = up, size, finish, skip, tell

    def forward(self, maps: Tensor, h: Tensor) -> Tensor:
        if self.skip == "concat":
            maps = torch.cat([maps, h[..., None, None].expand(-1, -1, *maps.shape[2:])], 1)
        maps = self.up(maps)[..., : self.size[0], : self.size[1]]
        return self.finish(maps if self.tell is None else maps + self.tell(h)[..., None, None])


class Generator(nn.Module):
    """`[N, Z] → [N, C, H, W]`: describe z by h `[N, D]`, grow the map A and the palettes P from h, mix them."""

    def __init__(self, plan, options):
        super().__init__()
        channels, height, width = plan.shape
        sizes = pyramid(height, width, options.smallest)
        widths = options.map_widths(len(sizes))
        described = plan.inputs * (options.project + 1)
        self.hard, self.temperature, self.usage = options.hard, options.temperature, torch.tensor(torch.nan)
        self.tells = False  # whether samples, outside training, come with their palettes and weights

        def layer(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(before, after), plan.norm(after, "generator"), nn.LeakyReLU())

        def stage(k: int) -> Stage:
            skip = options.skip if k else "none"  # the first map has just been made from h
            before, after = widths[k] + (described if skip == "concat" else 0), widths[k + 1]
            up = shuffle_conv(before, after, 4 if k else 3) if options.shuffle else plan.upsample(before, after)
            finish = nn.Sequential(plan.norm(after, "generator"), nn.LeakyReLU())
            return Stage(up, sizes[k + 1], finish, skip, nn.Linear(described, after) if skip == "add" else None)

        def palette() -> nn.Sequential:
            hidden = [layer(*pair) for pair in pairwise((described, 128, 64))]
            return nn.Sequential(*hidden, nn.Linear(64, options.colors), nn.Tanh())

        self.projections = nn.ModuleList(layer(plan.inputs * k, plan.inputs) for k in range(1, options.project + 1))
        self.colours = nn.ModuleList(palette() for _ in range(channels))
        self.first = layer(described, widths[0] * sizes[0][0] * sizes[0][1])
        self.first_shape = (widths[0], *sizes[0])
        self.stages = nn.ModuleList(stage(k) for k in range(len(sizes) - 1))
        self.logits = nn.Conv2d(widths[-1], options.colors, options.kernel, padding=options.kernel // 2)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor | Sample:
        h = self.describe(z)
        maps, palettes = self.paint(h), self.choose(h)
        images = mix(maps, palettes)
        if self.training or not self.tells:
            return images
        return Sample(images, {"palettes": palettes, "weights": maps.mean((2, 3))})

    def maps(self, z: Tensor, labels: Tensor) -> Tensor:
        """Share of each colour in each pixel, A `[N, K, H, W]`, at least 0 and with sum 1 over K."""
        return self.paint(self.describe(z))

    def palettes(self, z: Tensor) -> Tensor:
        """Colours of each image, P `[N, C, K]` in (-1, 1)."""
        return self.choose(self.describe(z))

    def describe(self, z: Tensor) -> Tensor:
        """Append to z `[N, Z]` projections, each of all that stands before it: h `[N, D]`."""
        for project in self.projections:
            z = torch.cat([z, project(z)], 1)
        return z

    def paint(self, h: Tensor) -> Tensor:
        """Grow A `[N, K, H, W]` from h `[N, D]`; with `hard`, outside training, each pixel takes one colour."""
        maps = self.first(h).unflatten(1, self.first_shape)
        for stage in self.stages:
            maps = stage(maps, h)
        maps = (self.logits(maps) / self.temperature).softmax(1)
        if self.training:
            self.usage = palette_usage(maps.detach())
        elif self.hard:
            maps = torch.zeros_like(maps).scatter(1, maps.argmax(1, keepdim=True), 1.0)
        return maps

    def choose(self, h: Tensor) -> Tensor:
        """Compute P `[N, C, K]` from h `[N, D]`, one network a channel."""
        return torch.stack([colours(h) for colours in self.colours], 1)


@component(
    source="ConorLazarou, PokeGAN, 2020, github.com/ConorLazarou/PokeGAN (a program; there is no paper)",
    defaults={"critic": "dcgan-critic", "upsample": "nearest-conv", "init": "he"},
    defaults_with={
        # the paper of the penalty asks 5 critic updates at a rate of 1e-4 and layer norm: slow to start with few steps
        "critic.gradient-penalty": {"n-critic": {"critic": 2}, "adam": {"lr": 4e-4}, "critic-norm": "none"}
    },
    known_as={"palette": ""},
)
class ColorPicker:
    """Paint with 16 colours: x_c = Σ_k A_k·P_{c,k}, one map A of shares and a palette P for each channel, all from z.

    A `[N, K, H, W]` is a softmax over K, P `[N, C, K]` a tanh and nothing follows the sum, so each pixel lies between
    the colours of its image's palette, in (-1, 1). Both grow from h: z and `project` dense-connected projections of it.
    Logs `palette-usage`, e^entropy of the mean of A, in [1, K]. Every size comes out exact.

    The source's net, 2,355,724 weights at 64×64×3 with Z = 60 and batch norm, is: smallest 2, project 7, kernel 5,
    widths 512,256,128,64,64,32, skip concat, shuffle true. The default departs from it for speed: away from the border
    a convolution of [map, copies of h] is one of the map plus a linear image of h, and `skip add` computes that.
    """

    colors: int = option(16, ge=2, help="colours of each image, K")
    width: int = option(16, ge=1, help="channels of the map at full size; each smaller map has twice as many")
    limit: int = option(256, ge=1, help="most channels of any map")
    widths: tuple[int, ...] | None = option(None, ge=1, help="channels of each map, smallest first; none follows width")
    smallest: int = option(4, ge=1, help="least side of the smallest map in pixels; its side is below twice this")
    project: int = option(3, ge=0, help="dense-connected projections of z, each as wide as z")
    skip: str = option("add", choices=("add", "concat", "none"), help="how maps after the second hear of h again")
    shuffle: bool = option(False, help="true doubles by pixel shuffle and a convolution, whatever --upsample says")
    kernel: int = option(3, choices=(3, 5), help="side of the last convolution in pixels")
    temperature: float = option(1.0, gt=0, help="what the logits are divided by before the softmax; low is near hard")
    hard: bool = option(False, help="true gives each pixel of a sample its likeliest colour alone; training stays soft")

    @hookimpl
    def make_generator(self, plan):
        if not plan.images:
            raise CompositionError(f"colorpicker makes images, but a sample has shape {plan.shape}", fix="--gen mlp")
        return Generator(plan, self)

    @hookimpl
    def measure(self, progress):
        nets = progress.context.gan.generator.network.modules()
        return {"palette-usage": next(net.usage for net in nets if isinstance(net, Generator))}

    def map_widths(self, count: int) -> list[int]:
        """Channels of the `count` maps, smallest first."""
        found = self.widths or [min(self.limit, self.width * 2**k) for k in reversed(range(count))]
        if len(found) != count:
            raise CompositionError(f"colorpicker.widths has {len(found)} numbers, but this size has {count} maps")
        return list(found)


@component(source="ConorLazarou, PokeGAN, 2020, github.com/ConorLazarou/PokeGAN: its palettes, made visible")
class PaletteStrip:
    """Draw samples with the colours they were painted from, a sample a row.

    A row is the sample x `[C, H, W]`, then its palette P `[C, K]`, each colour a flat field of H·W pixels, the colour
    with the largest mean share A first. Sampling then tells `palettes [N, C, K]` and `weights [N, K]` in its extras;
    training does not change. Pictures go to `samples/palette-strip/`. Raises CompositionError for a generator without
    palettes.
    """

    images: int = option(16, ge=1, help="samples, one a row")

    @hookimpl(tryfirst=True)  # before another component may copy the network
    def adapt_generator(self, net):
        painters = [module for module in net.modules() if isinstance(module, Generator)]
        if not painters:
            raise CompositionError("this generator has no palettes for palette-strip to show", fix="--gen colorpicker")
        for painter in painters:
            painter.tells = True

    @hookimpl
    def draw(self, progress, folder):
        made = progress.make(progress.latents(self.images), progress.reals(self.images)[1])
        order = made.extras["weights"].argsort(dim=1, descending=True, stable=True)  # [N, K]
        palettes = made.extras["palettes"].mT.take_along_dim(order[..., None], 1)  # [N, K, C]
        fields = palettes[..., None, None].expand(-1, -1, *made.images.shape[1:])
        rows = torch.cat([made.images[:, None], fields], 1)
        save_picture(grid(rows.flatten(0, 1), rows.shape[1]), folder / f"palette-strip/step-{progress.step:09d}.png")
