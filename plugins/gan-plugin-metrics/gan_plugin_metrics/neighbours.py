"""Precision and recall, density and coverage: samples and reals in each other's neighbourhoods."""

import math

import torch
from torch import Tensor

from gan_plugin_metrics.against_reals import AgainstReals
from gan_plugin_metrics.features import expect_halves
from gan_plugin_metrics.pairwise import in_blocks, kth_neighbours
from gancore import Data, Progress, component, hookimpl, name_of, option

NEIGHBOURS = 5
SHARES = ("precision", "recall", "density", "coverage")


def prdc(reals: Tensor, fakes: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """Return precision, recall, density and coverage `[4]` of fakes `[M, d]` among reals `[N, d]`.

    The ball of a sample has the distance to its k-th neighbour within its own set as radius, itself
    left out. A point lies in a ball if it is strictly nearer than the radius.

    - precision: share of fakes in the ball of some real; recall: of reals in the ball of some fake.
    - density: number of balls of reals around a fake, over k; its mean, 1 for equal distributions.
    - coverage: share of reals whose ball holds a fake; see `expected_coverage`.

    Raises ValueError where a set has k samples or fewer.
    """
    reals = reals.double()
    fakes = fakes.double()
    real_radii = kth_neighbours(reals, k)
    fake_radii = kth_neighbours(fakes, k)
    balls = torch.zeros(len(fakes))  # of reals, around each fake
    recalled = torch.zeros(len(reals), dtype=torch.bool)
    covered = torch.zeros(len(reals), dtype=torch.bool)
    for part, block in in_blocks(reals, fakes):
        inside = block < real_radii[part, None]
        balls += inside.sum(0)
        covered[part] = inside.any(1)
        recalled[part] = (block < fake_radii).any(1)
    figures = [(balls > 0).double().mean(), recalled.double().mean()]
    figures += [balls.double().mean() / k, covered.double().mean()]
    return torch.stack(figures)


def expected_coverage(reals: int, fakes: int, k: int = NEIGHBOURS) -> float:
    """Return the mean coverage of equal distributions: 1 - Π_{i=1..k} (N-i)/(N+M-i).

    A ball holds no fake if the k nearest of all other points around its centre are reals. About
    1 - 2⁻ᵏ for N = M.
    """
    return 1 - math.prod((reals - i) / (reals + fakes - i) for i in range(1, k + 1))


def among(reals: Tensor, fakes: Tensor) -> Tensor:
    """Return `prdc(reals, fakes)` with the arguments in the order of a distance."""
    return prdc(fakes, reals)


@component(
    source="Kynkäänniemi et al., NeurIPS 2019, arXiv:1904.06991; density and coverage: Naeem et "
    "al., ICML 2020, arXiv:2002.09797",
    known_as={"prdc": "", "density-coverage": ""},
)
class PrecisionRecall(AgainstReals):
    """Measure precision, recall, density and coverage of samples among reals.

    Every sample has a ball, whose radius is the distance to its k-th nearest neighbour in its own
    set. Over n samples and n reals in the features of `frechet`, in float64, logs

    - `precision`: the share of samples in the ball of some real: quality, in [0, 1];
    - `recall`: the share of reals in the ball of some sample: diversity, in [0, 1];
    - `density`: in how many of the reals' balls a sample lies, over k; 1 for further reals, more
      for samples smoother than reals;
    - `coverage`: the share of reals with a sample in their ball, in [0, 1];
    - `floor/…`: the mean of each between two disjoint halves of 2n reals (10 splits), which is what
      further reals have: about .969 of coverage for k = 5; and `images`, the n used.

    A few copied training images have a precision and a density as good as that of reals, with a
    coverage near 0: read the four together. Raises DataError for fewer than 2k + 2 reals.
    """

    images: int = option(1000, ge=12, help="n, the number of samples and of reals to compare")

    @hookimpl(trylast=True)  # after all components that wrap the data
    def adapt_data(self, data: Data) -> None:
        expect_halves(len(data), name_of(self), NEIGHBOURS + 1)

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        reference = self.reference_for(progress, among)
        found, n = reference.measure(progress.samples(self.images)[0])
        floors = reference.floors.mean(0)
        figures: dict[str, float | Tensor] = dict(zip(SHARES, found, strict=True))
        for name, floor in zip(SHARES, floors, strict=True):
            figures[f"floor/{name}"] = floor
        return {**figures, "images": n}
