"""The colour picker: each pixel mixes a few colours, and the latent decides both the mixture and the colours."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from gancore import CompositionError, component, hookimpl, option, pyramid


def mix(maps: Tensor, palettes: Tensor) -> Tensor:
    """Colour each pixel: x_c = Σ_k A_k·P_{c,k} with A `[N, K, H, W]` and P `[N, C, K]`; x is `[N, C, H, W]`."""
    return torch.einsum("nkhw,nck->nchw", maps, palettes)


def palette_usage(maps: Tensor) -> Tensor:
    """Count the colours in use: e to the entropy of the mean of A `[N, K, H, W]`, between 1 and K."""
    return torch.special.entr(maps.mean((0, 2, 3))).sum().exp()


class ShuffleConv(nn.Sequential):
    """The source's doubling: four channels become one of twice the side, then a convolution."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        if before % 4:
            raise CompositionError(
                f"a pixel shuffle takes channels by fours, but a map and its copy of z have {before}",
                mend="--colorpicker.shuffle false, or a --latent width that is a multiple of 4",
            )
        pad = nn.ZeroPad2d(((kernel - 1) // 2, kernel // 2) * 2)
        super().__init__(nn.PixelShuffle(2), pad, nn.Conv2d(before // 4, after, kernel))


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
    """`[N, Z] → [N, C, H, W]`: describe z, paint the map A and the palettes P from the description, mix them."""

    def __init__(self, plan, options):
        super().__init__()
        channels, height, width = plan.shape
        sizes = pyramid(height, width, options.seed)
        widths = options.map_widths(len(sizes))
        self.hard, self.temperature, self.usage = options.hard, options.temperature, torch.tensor(torch.nan)

        def layer(before: int, after: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(before, after), plan.norm(after, "generator"), nn.LeakyReLU())

        def stage(k: int) -> Stage:
            skip = options.skip if k else "none"  # the first map has just been made from h
            before, after = widths[k] + (described if skip == "concat" else 0), widths[k + 1]
            up = ShuffleConv(before, after, 4 if k else 3) if options.shuffle else plan.upsample(before, after)
            finish = nn.Sequential(plan.norm(after, "generator"), nn.LeakyReLU())
            return Stage(up, sizes[k + 1], finish, skip, nn.Linear(described, after) if skip == "add" else None)

        described = plan.inputs * (options.project + 1)
        self.projections = nn.ModuleList(layer(plan.inputs * k, plan.inputs) for k in range(1, options.project + 1))
        self.palette_nets = nn.ModuleList(
            nn.Sequential(*(layer(*pair) for pair in pairwise((described, 128, 64))), nn.Linear(64, options.colors))
            for _ in range(channels)
        )
        self.seed = nn.Sequential(
            layer(described, widths[0] * sizes[0][0] * sizes[0][1]), nn.Unflatten(1, (widths[0], *sizes[0]))
        )
        self.stages = nn.ModuleList(stage(k) for k in range(len(sizes) - 1))
        self.logits = nn.Conv2d(widths[-1], options.colors, options.kernel, padding=options.kernel // 2)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        h = self.describe(z)
        return mix(self.paint(h), self.choose(h))

    def maps(self, z: Tensor, labels: Tensor) -> Tensor:
        """Share of each colour in each pixel, A `[N, K, H, W]`, at least 0 and with sum 1 over K."""
        return self.paint(self.describe(z))

    def palettes(self, z: Tensor) -> Tensor:
        """Colours of each image, P `[N, C, K]` in (-1, 1)."""
        return self.choose(self.describe(z))

    def describe(self, z: Tensor) -> Tensor:
        """Append to z `[N, Z]` each projection of all that stands before it: h `[N, D]`."""
        for project in self.projections:
            z = torch.cat([z, project(z)], 1)
        return z

    def paint(self, h: Tensor) -> Tensor:
        """Grow A `[N, K, H, W]` from h `[N, D]`; with `hard`, outside training, each pixel takes one colour."""
        maps = self.seed(h)
        for stage in self.stages:
            maps = stage(maps, h)
        maps = (self.logits(maps) / self.temperature).softmax(1)
        self.usage = palette_usage(maps.detach())
        if self.hard and not self.training:
            maps = torch.zeros_like(maps).scatter(1, maps.argmax(1, keepdim=True), 1.0)
        return maps

    def choose(self, h: Tensor) -> Tensor:
        """Compute P `[N, C, K]` from h `[N, D]`, one network a channel."""
        return torch.stack([net(h) for net in self.palette_nets], 1).tanh()


@component(
    source="Liu (ConorLazarou), PokeGAN, 2020 (a program, no paper); one map and a palette for each channel, as there",
    asks={"critic": "dcgan-critic"},
)
class ColorPicker:
    """Grow a map of shares of 16 colours, and mix with it one palette for each channel; both come from z.

    x_c = Σ_k A_k·P_{c,k}: the map A `[N, K, H, W]` is a softmax over K colours, P `[N, C, K]` a tanh, so every pixel lies
    between the colours of its image's palette.
    """

    colors: int = option(16, ge=2, le=256, help="colours of each image, K")
    width: int = option(16, ge=1, help="channels of the map at full size; each smaller map has twice as many")
    limit: int = option(256, ge=1, help="most channels of any map")
    widths: tuple[int, ...] | None = option(None, ge=1, help="channels of each map, smallest first; none follows width")
    seed: int = option(4, ge=1, help="least side of the smallest map in pixels; it is below twice this")
    project: int = option(3, ge=0, help="dense-connected projections of z; each is as wide as z")
    skip: str = option("add", choices=("add", "concat", "none"), help="how later maps hear of z")
    shuffle: bool = option(False, help="true doubles by pixel shuffle and a convolution, whatever --upsample says")
    kernel: int = option(3, choices=(3, 5), help="side of the last convolution in pixels")
    temperature: float = option(1.0, gt=0, help="divides the logits of the softmax")
    hard: bool = option(False, help="true gives each sampled pixel its likeliest colour alone")

    @hookimpl
    def make_generator(self, plan):
        if not plan.images:
            raise CompositionError(f"colorpicker makes images, not points of {plan.shape[0]} numbers", mend="--gen mlp")
        return Generator(plan, self)

    def map_widths(self, count: int) -> list[int]:
        """Channels of the `count` maps, smallest first."""
        found = self.widths or [min(self.limit, self.width * 2**k) for k in reversed(range(count))]
        if len(found) != count:
            raise CompositionError(f"colorpicker.widths has {len(found)} numbers, but there are {count} maps")
        return list(found)
