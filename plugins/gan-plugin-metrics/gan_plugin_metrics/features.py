"""Features of images `[N, C, H, W]` in [-1, 1], and the reals that samples are compared with.

Signals `[N, C, T]` and volumes `[N, C, D, H, W]` have the same features along their own axes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

import torch
from torch import Tensor
from torch.nn import functional

from gancore import CompositionError, DataError, Progress

Distance = Callable[[Tensor, Tensor], Tensor]  # x [n, d], y [n, d] → scalar
WIDTHS = (32, 64, 128)  # channels of randconv's layers
SPLITS = 10  # pairs of disjoint halves; a floor is the mean of their distances


@cache
def random_weights(
    channels: int, axes: int = 2, seed: int = 0, outputs: tuple[int, ...] = WIDTHS
) -> tuple[Tensor, ...]:
    """Draw the kernels `[out, in, 3, 3]` of randconv, of one side for each axis.

    They are normal with variance 2/(1.04·9·in) (He et al. 2015, for a LeakyReLU of slope 0.2), for
    3 and 27 in place of 9 in kernels of one and of three axes.
    """
    rng = torch.Generator().manual_seed(seed)
    widths = (channels, *outputs)
    kernel = (3,) * axes
    shapes = [(after, before, *kernel) for before, after in zip(widths, widths[1:], strict=False)]
    # drawn in float64, so that processors whose last digits differ round to the same float32
    # weights
    drawn = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    area = 3**axes
    return tuple((each * (2 / (1.04 * area * each.shape[1])) ** 0.5).float() for each in drawn)


def digest(kernels: tuple[Tensor, ...]) -> str:
    """Return the SHA-256 of weights, which identifies the features that they give."""
    return sha256(b"".join(each.numpy().tobytes() for each in kernels)).hexdigest()


def identity(channels: int) -> str:
    """Return the SHA-256 of randconv's weights, on which its distances depend."""
    return digest(random_weights(channels))


def layers(images: Tensor, kernels: tuple[Tensor, ...]) -> Iterator[Tensor]:
    """Yield the maps `[N, channels, h, w]` after each convolution of stride 2, LeakyReLU 0.2."""
    convolve = getattr(functional, f"conv{images.dim() - 2}d")
    for each in kernels:
        images = functional.leaky_relu(convolve(images, each, stride=2, padding=1), 0.2)
        yield images


def randconv(images: Tensor, seed: int = 0) -> Tensor:
    """Return mean and standard deviation of each channel after three convolutions, `[N, 448]`."""
    found = []
    for each in layers(images, random_weights(images.shape[1], images.dim() - 2, seed)):
        maps = each.flatten(2).double()  # [N, channels, h·w]
        found += [maps.mean(2), maps.std(2, correction=0)]
    return torch.cat(found, 1)


def pixels8(images: Tensor) -> Tensor:
    """Return the averages of 8×8 areas, `[N, 64·C]`; of 8 or 8×8×8 for one or three axes."""
    pool = getattr(functional, f"adaptive_avg_pool{images.dim() - 2}d")
    return pool(images, 8).flatten(1)


def palette(images: Tensor) -> Tensor:
    """Return the histogram of pixels over 4×4×4 colours, `[N, 64]`; 4 greys for one channel.

    Raises CompositionError for signals, which have no colours.
    """
    if images.dim() == 3:
        raise CompositionError(
            "palette counts the colours of pixels, but the data are signals",
            where="features palette",
            fix="--frechet.features randconv, --sliced-wasserstein.features pixels8",
        )
    levels = images[:, :3].add(1).mul(2).long().clamp(0, 3).flatten(2)  # [N, C, H·W]
    places = 4 ** torch.arange(levels.shape[1])
    colours = (levels * places[:, None]).sum(1)
    counts = torch.zeros(len(images), 4 ** len(places), dtype=torch.float64)
    return (
        counts.scatter_add_(1, colours, torch.ones_like(colours, dtype=torch.float64))
        / colours.shape[1]
    )


# the names alone, which help pages read without running this module
FEATURES = ("randconv", "pixels8", "palette")
EXTRACTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "randconv": randconv,
    "pixels8": pixels8,
    "palette": palette,
}


def expect_halves(count: int, metric: str, least: int = 2) -> None:
    """Raise DataError unless the data can be split into two halves of at least `least`."""
    if count < 2 * least:
        raise DataError(
            f"{metric} compares halves of the data, which needs {2 * least} samples, "
            f"but the data hold {count}",
            where=f"metric {metric}",
            fix=f"more data, or leave it out: --without {metric}",
        )


def extract(samples: Tensor, features: str) -> Tensor:
    """Return features of images, float64 `[N, d]`; points `[N, d]` are their own features."""
    if samples.dim() == 2:
        return samples.double()
    return torch.cat([EXTRACTORS[features](block).double() for block in samples.split(256)])


@dataclass(frozen=True, eq=False)
class Reference:
    """The reals that samples are compared with, as features `[2n, d]`.

    `floors [SPLITS]` are the distances between disjoint halves of them. Everything here depends on
    the data alone.
    """

    features: str
    distance: Distance
    reals: Tensor
    mean: Tensor
    std: Tensor
    floors: Tensor

    @classmethod
    def draw(cls, progress: Progress, n: int, features: str, distance: Distance) -> "Reference":
        """Take 2n distinct reals, or as many as there are.

        Raises DataError for fewer than 4.
        """
        data = progress.context.data or ()
        rng = torch.Generator().manual_seed(0)
        n = min(n, len(data) // 2)
        expect_halves(len(data), "reference")
        reals = extract(
            data.take(torch.randperm(len(data), generator=rng)[: 2 * n], rng)[0], features
        )
        mean = torch.zeros(())
        std = torch.ones(())
        if features == "randconv" and progress.plan.axes:
            mean = reals.mean(0)
            std = reals.std(0)
            std = std.where(std > 1e-6, 1)  # a constant feature stays 0
        reals = (reals - mean) / std
        floors = torch.stack([distance(one, other) for one, other in halves(reals)])
        return cls(features, distance, reals, mean, std, floors)

    def measure(self, samples: Tensor) -> tuple[Tensor, int]:
        """Return the distance of at most n samples to as many reals, and their number."""
        n = min(len(samples), len(self.reals) // 2)
        found = (extract(samples[:n], self.features) - self.mean) / self.std
        return self.distance(found, self.reals[:n]), n


def halves(reals: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield random splits of reals `[2n, d]` into two disjoint halves `[n, d]`."""
    rng = torch.Generator().manual_seed(1)
    for _ in range(SPLITS):
        one, other = reals[torch.randperm(len(reals), generator=rng)].chunk(2)
        yield one, other
