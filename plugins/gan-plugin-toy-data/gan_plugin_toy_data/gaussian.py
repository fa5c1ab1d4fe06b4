"""Points from one normal distribution, whose mean and covariance depend on a seed."""

import torch
from torch import Tensor

from gancore import DataSpec, StoredData, component, hookimpl, option


def make_rng(seed: int) -> torch.Generator:
    """Return the generator of the factor A, the mean and the points, drawn in this order."""
    return torch.Generator().manual_seed(seed)


def draw_parameters(dim: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the factor A `[d, d]` and the mean `[d]`, each entry from U(0, 1), in float64."""
    factor = torch.rand(dim, dim, generator=rng, dtype=torch.float64)
    return factor, torch.rand(dim, generator=rng, dtype=torch.float64)


def mean(dim: int, seed: int) -> Tensor:
    """Return the true mean `[d]`, float64 in [0, 1)."""
    return draw_parameters(dim, make_rng(seed))[1]


def covariance(dim: int, seed: int) -> Tensor:
    """Return the true covariance A·Aᵀ `[d, d]`, float64."""
    factor, _ = draw_parameters(dim, make_rng(seed))
    return factor @ factor.T


def points(dim: int, count: int, seed: int) -> Tensor:
    """Draw points mean + A·n with n ~ N(0, 1) per coordinate, float32 `[count, d]`."""
    rng = make_rng(seed)
    factor, centre = draw_parameters(dim, rng)
    noise = torch.randn(count, dim, generator=rng, dtype=torch.float64)  # [count, d]
    return (centre + noise @ factor.T).float()


@component(
    source=(
        "Leguay, GAN_IconClass, github.com/BenoitLeguay/GAN_IconClass: "
        "the normal its GANs are first tried on"
    ),
    defaults={
        "gen": "mlp",
        "critic": "mlp-critic",
        "adam": {"lr": 2e-4},
        "run": {"batch": 64, "steps": 800},
    },
)
class Gaussian:
    """Draw a fixed set of points from one multivariate normal distribution.

    The distribution is N(m, A·Aᵀ) with all A_ij and m_i drawn from U(0, 1), so most points lie
    within 3·dim of 0. Points are float32 `[count, dim]`, not scaled to [-1, 1]. There are no
    labels.
    """

    dim: int = option(2, ge=1, le=1024, help="dimension of a point")
    count: int = option(1024, ge=1, help="number of points")
    seed: int = option(0, ge=0, help="seed of mean, covariance and points; not the seed of the run")

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        return StoredData(points(self.dim, self.count, self.seed))
