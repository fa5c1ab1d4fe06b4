"""What is compared of images `[N, C, H, W]` in [-1, 1] (points are their own features), and the reals to compare."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

import torch
from torch import Tensor
from torch.nn import functional

from gancore import DataError, Progress

Distance = Callable[[Tensor, Tensor], Tensor]  # x [n, d], y [n, d] → scalar
SPLITS = 10  # pairs of disjoint halves that a floor is the mean of


@cache
def random_weights(channels: int) -> tuple[Tensor, ...]:
    """Draw the kernels `[out, in, 3, 3]` of randconv: normal, variance 2/(1.04·9·in) (He et al. 2015, slope 0.2)."""
    rng, widths = torch.Generator().manual_seed(0), (channels, 32, 64, 128)
    shapes = [(after, before, 3, 3) for before, after in zip(widths, widths[1:], strict=False)]
    # double precision first, so that processors that differ in the last digit agree on the float32 weights
    drawn = [torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes]
    return tuple((each * (2 / (1.04 * 9 * each.shape[1])) ** 0.5).float() for each in drawn)


def identity(channels: int) -> str:
    """Return the SHA-256 of randconv's weights: distances under other weights cannot be compared."""
    return sha256(b"".join(each.numpy().tobytes() for each in random_weights(channels))).hexdigest()


def randconv(images: Tensor) -> Tensor:
    """Return each channel's mean and deviation after each of three random convolutions `[N, 448]`."""
    found = []
    for kernels in random_weights(images.shape[1]):
        images = functional.leaky_relu(functional.conv2d(images, kernels, stride=2, padding=1), 0.2)
        maps = images.flatten(2).double()  # [N, channels, h·w]
        found += [maps.mean(2), maps.std(2, correction=0)]
    return torch.cat(found, 1)


def pixels8(images: Tensor) -> Tensor:
    """Average images over 8×8 areas `[N, 64·C]`."""
    return functional.adaptive_avg_pool2d(images, 8).flatten(1)


def palette(images: Tensor) -> Tensor:
    """Return the share of pixels in each of 4×4×4 colours `[N, 64]`; 4 greys where there is one channel."""
    levels = images[:, :3].add(1).mul(2).long().clamp(0, 3).flatten(2)  # [N, C, H·W]
    places = 4 ** torch.arange(levels.shape[1])
    colours = (levels * places[:, None]).sum(1)
    counts = torch.zeros(len(images), 4 ** len(places), dtype=torch.float64)
    return counts.scatter_add_(1, colours, torch.ones_like(colours, dtype=torch.float64)) / colours.shape[1]


EXTRACTORS: dict[str, Callable[[Tensor], Tensor]] = {"randconv": randconv, "pixels8": pixels8, "palette": palette}


def expect_halves(count: int, metric: str) -> None:
    """Raise DataError for so few reals that they do not give two halves of two."""
    if count < 4:
        raise DataError(
            f"{metric} compares halves of the data, which needs 4 samples, but the data hold {count}",
            where=f"metric {metric}",
            fix=f"more data, or leave it out: --without {metric}",
        )


def extract(samples: Tensor, features: str) -> Tensor:
    """Return features of images, float64 `[N, d]`, in blocks; points `[N, d]` are their own."""
    if samples.dim() == 2:
        return samples.double()
    return torch.cat([EXTRACTORS[features](block).double() for block in samples.split(256)])


@dataclass(frozen=True, eq=False)
class Reference:
    """What samples are compared with: features of 2n reals, `reals [2n, d]`, and what `distance` finds between them.

    `floors [SPLITS]` are the distances of disjoint halves. All follow from the data alone.
    """

    features: str
    distance: Distance
    reals: Tensor
    middle: Tensor
    width: Tensor
    floors: Tensor

    @classmethod
    def draw(cls, progress: Progress, n: int, features: str, distance: Distance) -> "Reference":
        """Take 2n different reals, or as many as there are. Raises DataError where there are fewer than 4."""
        data, rng = progress.context.data or (), torch.Generator().manual_seed(0)
        n = min(n, len(data) // 2)
        expect_halves(len(data), "reference")
        reals = extract(data.take(torch.randperm(len(data), generator=rng)[: 2 * n], rng)[0], features)
        middle, width = torch.zeros(()), torch.ones(())
        if features == "randconv" and progress.plan.images:
            middle, width = reals.mean(0), reals.std(0)
            width = width.where(width > 1e-6, 1)  # a feature that never varies stays 0
        reals = (reals - middle) / width
        floors = torch.stack([distance(one, other) for one, other in halves(reals)])
        return cls(features, distance, reals, middle, width, floors)

    def measure(self, samples: Tensor) -> tuple[Tensor, int]:
        """Return the distance of at most n samples to as many reals, and how many they were."""
        n = min(len(samples), len(self.reals) // 2)
        found = (extract(samples[:n], self.features) - self.middle) / self.width
        return self.distance(found, self.reals[:n]), n


def halves(reals: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Split reals `[2n, d]` in two at random, again and again: `[n, d]` each, nothing in common."""
    rng = torch.Generator().manual_seed(1)
    for _ in range(SPLITS):
        one, other = reals[torch.randperm(len(reals), generator=rng)].chunk(2)
        yield one, other
