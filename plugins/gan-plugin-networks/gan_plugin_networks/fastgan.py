"""FastGAN: skip-layer excitation in the generator, and a critic that decodes its own maps."""

from itertools import pairwise
from math import prod

from torch import Tensor, nn
from torch.nn import functional

from gan_plugin_networks.blocks import Noise, channels_of, halvings, make_biased_norm
from gancore import CompositionError, Crop, Head, Layers, component, hookimpl, option, requires

SOURCE = (
    "Liu, Zhu, Song and Elgammal, ICLR 2021, arXiv:2101.04775, sections 3.1 and 3.2; "
    "github.com/odegeasslbc/FastGAN-pytorch"
)
IMAGES = requires("data.images", "its networks excite and decode maps of images", fix="--gen mlp")

LAST, BEFORE = -1, -2  # the kept maps of the critic


class Excitation(nn.Module):
    """Compute factors in (0, 1) for the channels of a large map from a small one.

    `[N, C, h, w] → [N, C', 1, 1]`: average to 4×4 pixels, 4×4 convolution, SiLU, 1×1 convolution,
    sigmoid.
    """

    def __init__(self, before: int, after: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(before, after, 4, bias=False),
            nn.SiLU(),
            nn.Conv2d(after, after, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, small: Tensor) -> Tensor:
        return self.layers(small)


class Generator(nn.Module):
    """Generate images `[N, Z] → [N, C, H, W]` in (-1, 1) by gated blocks with excitation."""

    def __init__(self, plan, options):
        super().__init__()
        sizes = halvings(plan.shape[1:], 4)
        channels = channels_of(sizes, options.width, options.limit)
        style = plan.inputs
        self.seed = (2 * channels[0], *sizes[0])
        self.project = nn.Linear(style, prod(self.seed), bias=False)
        self.blocks = nn.ModuleList(
            [Layers(make_biased_norm(plan, self.seed[0], "generator", style), nn.GLU(1))]
        )
        for (before, after), size in zip(pairwise(channels), sizes[1:], strict=True):
            noise = [Noise(size)] if options.noise else []
            norm = make_biased_norm(plan, 2 * after, "generator", style)
            upsample = plan.upsample(before, 2 * after)  # half of them are gates
            self.blocks.append(Layers(upsample, Crop(size), *noise, norm, nn.GLU(1)))
        # as far as in the source, or from the smallest map to the largest one
        self.reach = min(options.reach, len(sizes) - 1)
        excited = range(self.reach, len(sizes)) if self.reach else ()
        self.excitations = nn.ModuleList(
            Excitation(channels[k - self.reach], channels[k]) for k in excited
        )
        self.last = nn.Sequential(nn.Conv2d(channels[-1], plan.shape[0], 3, padding=1), nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        maps = self.project(z).unflatten(1, self.seed)
        made: list[Tensor] = []
        for k, block in enumerate(self.blocks):
            maps = block(maps, labels, z)
            if self.reach and k >= self.reach:
                place = k - self.reach
                maps = maps * self.excitations[place](made[place])
            made.append(maps)
        return self.last(maps)


class Down(nn.Module):
    """Halve maps: the mean of two convolutions and of an average with a 1×1 convolution."""

    def __init__(self, before: int, after: int, plan):
        super().__init__()

        def finish():
            return make_biased_norm(plan, after, "critic"), nn.LeakyReLU(0.2)

        self.main = Layers(
            nn.Conv2d(before, after, 3, 2, 1, bias=False),  # rounds sides up, as the average does
            *finish(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            *finish(),
        )
        self.direct = Layers(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(before, after, 1, bias=False), *finish()
        )

    def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
        return (self.main(maps, labels) + self.direct(maps, labels)) / 2


class Critic(nn.Module):
    """Compute the last map `[N, C, H, W] → [N, F, h, w]`, and keep the last two for decoders."""

    def __init__(self, plan, options):
        super().__init__()
        channels = options.channels(plan)
        self.stem = nn.Sequential(
            nn.Conv2d(plan.critic_shape[0], channels[0], 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.blocks = nn.ModuleList(Down(*pair, plan) for pair in pairwise(channels))
        self.kept: dict[
            int, Tensor
        ] = {}  # maps of the latest forward pass, until a head reads them

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        maps = [self.stem(images)]
        for block in self.blocks:
            maps.append(block(maps[-1], labels))
        self.kept = {LAST: maps[-1], BEFORE: maps[-2:][0]}
        return maps[-1]


class KeptMap(nn.Module):
    """Return, as a head, one of the body's kept maps of this forward pass, `[N, C, h, w]`."""

    def __init__(self, place: int):
        super().__init__()
        self.place = place
        # a plain list: the body's parameters belong to the critic
        self.body: list[Critic] = []

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.body[0].kept.pop(self.place)


class PatchScore(nn.Module):
    """Score patches of the last map, `[N, F] → [N, S]`: 1×1 convolution, leaky ReLU, 4×4
    convolution. Features that tails appended to the map are added to all, by a linear layer.
    """

    def __init__(self, features: int, shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape
        appended = features - prod(shape)
        if appended < 0:
            raise CompositionError(
                f"fastgan-critic scores its last map {list(shape)}, but a component has put "
                f"{features} features in its place",
                where="critic fastgan-critic",
                fix="a condition that keeps the features, such as --cond projection",
            )
        self.appended = nn.Linear(appended, 1, bias=False) if appended else None
        channels, *sides = shape
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 1, [min(4, side) for side in sides], bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        maps, appended = features.tensor_split([prod(self.shape)], 1)
        scores = self.layers(maps.unflatten(1, self.shape)).flatten(1)
        return scores if self.appended is None else scores + self.appended(appended)


def decoder(channels: int, image_channels: int, doublings: int, plan) -> nn.Module:
    """Return gated blocks that double the sides, then a convolution and tanh."""
    layers: list[nn.Module] = []
    for _ in range(doublings):
        after = max(4, channels // 2)
        layers += [
            plan.upsample(channels, 2 * after),
            make_biased_norm(plan, 2 * after, "critic"),
            nn.GLU(1),
        ]
        channels = after
    return Layers(*layers, nn.Conv2d(channels, image_channels, 3, padding=1), nn.Tanh())


def quarter(maps: Tensor, number: int) -> Tensor:
    """Return a quarter of maps `[N, C, h, w]`, of half the sides, by its number from 0 to 3."""
    for axis, second in ((2, number // 2), (3, number % 2)):
        half = maps.shape[axis] // 2
        maps = maps.narrow(axis, half * second, half)
    return maps


@component(
    source=SOURCE,
    rules=[IMAGES],
    defaults={
        "critic": "fastgan-critic",
        "upsample": "nearest-conv",
        "gen-norm": "batch",
        "critic-norm": "batch",
        "init": "dcgan-normal",
    },
)
class FastGAN:
    """Generate images by gated blocks whose large maps are excited by small ones, from few data.

    A linear layer makes a seed of 4 to 7 pixels a side; each block upsamples, adds noise of a
    learned strength, normalises, and keeps half the channels, gated by the others (GLU). The map k
    is multiplied, channel by channel, by factors in (0, 1) computed from map k - reach. Images are
    `[N, C, H, W]` in (-1, 1).

    Departures from the program: every block has one convolution, where every second has two, and
    for images too small for `reach` the smallest map excites the largest; the last convolution has
    a bias. Noise is drawn in training; in evaluation it is fixed. Spectral norm, which the program
    puts on all its layers, is a component of its own.
    """

    width: int = option(
        16, ge=1, help="channels of the largest map; each smaller map has twice as many"
    )
    limit: int = option(128, ge=1, help="most channels of any map")
    reach: int = option(4, ge=0, help="doublings from a map to the one that it excites; 0 for none")
    noise: bool = option(True, help="false adds no noise to the maps")

    @hookimpl
    def make_generator(self, plan):
        return Generator(plan, self)


@component(source=SOURCE, rules=[IMAGES])
class FastGANCritic:
    """Score patches of images, and learn to decode the last two maps (self-supervision of reals).

    View `[N, C, H, W]`: a convolution, then blocks that halve the sides down to 8 to 15 pixels (4
    to 7 for images under 16); a block is the mean of two 3×3 convolutions and of an average with a
    1×1 convolution. The score has one column for each patch, `[N, S]`.

    With decoders, the critic also minimises `reconstruct`·mean|d(m) - x| on views x of reals: one
    decodes the last map to the whole image, the other a quarter of the map before to the same
    quarter of the image, each averaged to the size that is decoded, up to four times that of the
    map. The quarter is that of the step, in turn. They are trained with the critic, on reals alone;
    updates without reals have no such term. The source adds a perceptual distance (LPIPS), which
    needs pretrained weights: here it is L1 alone. The first convolution has a bias, unlike that of
    the source: without it the batch norms after it hide the contrast of images. Logs
    `reconstruction`, the mean of both errors.
    """

    width: int = option(
        16, ge=1, help="channels of the largest map; each smaller map has twice as many"
    )
    limit: int = option(128, ge=1, help="most channels of any map")
    reconstruct: float = option(
        1.0, ge=0, help="weight of the decoders' absolute errors; 0 leaves them out"
    )

    def sizes(self, plan) -> list[tuple[int, ...]]:
        """List the sizes of the critic's maps, largest first."""
        smallest = 8 if min(plan.critic_shape[1:]) >= 16 else 4
        return halvings(plan.critic_shape[1:], smallest)[::-1]

    def channels(self, plan) -> list[int]:
        """List the channels of the critic's maps, largest map first."""
        return channels_of(self.sizes(plan), self.width, self.limit)[::-1]

    @hookimpl
    def make_critic(self, plan):
        return Critic(plan, self)

    @hookimpl
    def make_score(self, features, plan):
        return PatchScore(features, (self.channels(plan)[-1], *self.sizes(plan)[-1]))

    @hookimpl
    def extend_critic(self):
        if self.reconstruct:
            return [Head("whole-map", KeptMap(LAST)), Head("part-map", KeptMap(BEFORE))]
        return None

    # before a wrapper that hides the body
    @hookimpl(tryfirst=True)
    def adapt_critic(self, net):
        for part in net.parts.values():
            if isinstance(part, KeptMap):
                part.body.append(net.body)

    @hookimpl
    def extend_player(self, role, plan):
        if role != "critic" or not self.reconstruct:
            return None
        channels = self.channels(plan)
        # at most four times the map, and not larger than the image
        doublings = min(2, len(channels) - 1)
        image = plan.critic_shape[0]
        before = channels[-2:][0]
        return {
            "whole-decoder": decoder(channels[-1], image, doublings, plan),
            "part-decoder": decoder(before, image, max(doublings - 1, 0), plan),
        }

    @hookimpl
    def critic_terms(self, batch, step, log):
        if batch.real is None or not self.reconstruct:
            return None
        real = batch.real
        decoders = batch.gan.critic.extras
        number = step % 4
        errors = []
        for name, maps, images in (
            ("whole", real.heads["whole-map"], real.view),
            ("part", quarter(real.heads["part-map"], number), quarter(real.view, number)),
        ):
            decoded = batch.network(decoders[f"{name}-decoder"], maps, real.view_labels)
            decoded = decoded[-len(images) :]  # a norm may put reference samples before these
            if decoded.shape[1] != images.shape[1]:
                raise CompositionError(
                    f"the critic's body takes {decoded.shape[1]} channels, but its decoders "
                    f"reconstruct the {images.shape[1]} of what it is shown",
                    where="critic fastgan-critic",
                    fix="--fastgan-critic.reconstruct 0, or a condition such as --cond projection",
                )
            target = functional.adaptive_avg_pool2d(images.detach(), decoded.shape[2:])
            errors.append((decoded - target).abs().mean())
        log("reconstruction", sum(errors) / 2)
        return {"reconstruction": self.reconstruct * sum(errors)}
