"""Mixtures of narrow normal distributions in the plane, with known modes."""

from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

import torch
from attrs import define, field
from torch import Tensor

from gancore import Data, DataSpec, LabelSet, StoredData, component, draw_rows, hookimpl, option

SIGMAS = {"ring8": 0.01, "ring8-metz": 0.02, "grid25": 0.05, "grid100": 0.05}
EPOCH = 100_000  # fresh points in one epoch: the size of PacGAN's fixed set


def means(layout: str) -> Tensor:
    """Return the means of the modes `[K, 2]`, float64, before scaling.

    ring8: (cos 2πi/8, sin 2πi/8); ring8-metz: twice that; grid25: {-4, -2, 0, 2, 4}²; grid100:
    {-9, -7, …, 9}².
    """
    if layout.startswith("ring8"):
        radius = 2 if layout == "ring8-metz" else 1
        angles = torch.arange(8, dtype=torch.float64) * (torch.pi / 4)
        return radius * torch.stack([angles.cos(), angles.sin()], 1)
    reach = {"grid25": 4, "grid100": 9}[layout]
    line = torch.arange(-reach, reach + 1, 2, dtype=torch.float64)
    return torch.cartesian_prod(line, line)


def sigma(layout: str) -> float:
    """Return the standard deviation of every mode in each coordinate, before scaling."""
    return SIGMAS[layout]


def scale(layout: str) -> float:
    """Return the largest absolute coordinate of the means, by which points are divided."""
    return float(means(layout).abs().max())


def draw(layout: str, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw n scaled points, float32 `[n, 2]`, and their modes, int64 `[n, 1]`, equally likely."""
    centres = means(layout).to(rng.device)
    modes = draw_rows(partial(torch.randint, len(centres)), (n,), rng)
    noise = draw_rows(partial(torch.randn, dtype=torch.float64), (n, 2), rng)
    points = (centres[modes] + sigma(layout) * noise) / scale(layout)
    return points.float(), modes[:, None]


def label_sets(layout: str) -> tuple[LabelSet, ...]:
    """Return the label set `mode`: the row of `means` that a point was drawn around."""
    return (LabelSet("mode", tuple(map(str, range(len(means(layout)))))),)


@dataclass(frozen=True)
class Fresh:
    """Points that are drawn anew for every batch."""

    layout: str
    label_sets: tuple[LabelSet, ...]
    shape: tuple[int, ...] = (2,)

    @property
    def means(self) -> Tensor:
        """The means of the modes `[K, 2]`, in units of the points."""
        return means(self.layout) / scale(self.layout)

    @property
    def sigma(self) -> float:
        """The standard deviation of every mode, in units of the points."""
        return sigma(self.layout) / scale(self.layout)

    def __len__(self) -> int:
        return EPOCH

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw points `[n, 2]` with modes `[n, 1]`; only the number of indices matters."""
        return draw(self.layout, len(indices), rng)

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n modes, int64 `[n, 1]`, uniformly distributed."""
        return torch.randint(len(self.label_sets[0]), (n, 1), generator=rng, device=rng.device)

    def fingerprint(self) -> str:
        """Return a digest of the distribution, since no points are stored."""
        distribution = (self.layout, means(self.layout).tolist(), sigma(self.layout))
        return blake2b(repr(distribution).encode(), digest_size=16).hexdigest()


@define(eq=False)
class Fixed(StoredData):
    """Stored points with the `means [K, 2]` and `sigma` of their modes, in units of the points."""

    means: Tensor = field(kw_only=True)
    sigma: float = field(kw_only=True)


@component(
    source="Lin, Khetan, Fanti and Oh, PacGAN, NeurIPS 2018, arXiv:1712.04086; ring: Srivastava "
    "et al., VEEGAN, "
    "NeurIPS 2017, arXiv:1705.07761",
    defaults={
        "gen": "mlp",
        "critic": "mlp-critic",
        # a high-dimensional latent covers few modes, and these small networks learn slowly at the
        # rates
        # of image recipes
        "normal": {"dim": 2},
        "adam": {"lr": 1e-3, "beta2": 0.9},
        "run": {"batch": 128, "steps": 4000},
    },
)
class Mixture:
    """Draw points from a mixture of 8, 25 or 100 narrow normal distributions in the plane.

    With equal weights, x = (mean of a mode + sigma·n) / largest |coordinate| of a mean, n ~ N(0, 1)
    per coordinate:

    - ring8: 8 means on the unit circle, sigma 0.01; ring8-metz: radius 2, sigma 0.02, which is the
      same after the division;
    - grid25: 5×5 means 2 apart, sigma 0.05, divided by 4;
    - grid100: 10×10 means 2 apart, sigma 0.05, divided by 9 (not in the sources, a harder grid25).

    Points are float32 `[N, 2]`, within [-1.1, 1.1] (8 sigma of the outermost modes); the label set
    `mode` is the mode that each was drawn from. PacGAN trains on a fixed set of 100,000 points
    (`finite = 100000`); the default draws fresh points for every batch, 100,000 of which are an
    epoch.
    """

    layout: str = option("ring8", choices=tuple(SIGMAS), help="positions of the modes")
    finite: int = option(
        0, ge=0, help="number of points of a fixed set; 0: fresh points for every batch"
    )
    seed: int = option(0, ge=0, help="seed of the fixed set; fresh points use the seed of the run")

    @hookimpl
    def make_data(self, spec: DataSpec) -> Data:
        fresh = Fresh(self.layout, label_sets(self.layout))
        if not self.finite:
            return fresh
        points, modes = draw(self.layout, self.finite, torch.Generator().manual_seed(self.seed))
        return Fixed(points, modes, fresh.label_sets, means=fresh.means, sigma=fresh.sigma)
