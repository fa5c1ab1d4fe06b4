"""Points from one normal distribution whose mean and covariance follow from a seed."""

import torch
from torch import Tensor

from gancore import DataSpec, StoredData, component, hookimpl, option


def numbers(seed: int) -> torch.Generator:
    """Return the generator from which the law is drawn first: the factor A, then the mean."""
    return torch.Generator().manual_seed(seed)


def draw_law(dim: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the factor A `[d, d]` and the mean `[d]`, each number from U(0, 1), in float64."""
    factor = torch.rand(dim, dim, generator=rng, dtype=torch.float64)
    return factor, torch.rand(dim, generator=rng, dtype=torch.float64)


def mean(dim: int, seed: int) -> Tensor:
    """Return the true mean `[d]`, float64 in [0, 1)."""
    return draw_law(dim, numbers(seed))[1]


def covariance(dim: int, seed: int) -> Tensor:
    """Return the true covariance A·Aᵀ `[d, d]`, float64."""
    factor, _ = draw_law(dim, numbers(seed))
    return factor @ factor.T


def points(dim: int, count: int, seed: int) -> Tensor:
    """Draw points mean + A·n with n ~ N(0, 1) per coordinate, float32 `[count, d]`."""
    rng = numbers(seed)
    factor, middle = draw_law(dim, rng)
    noise = torch.randn(count, dim, generator=rng, dtype=torch.float64)  # [count, d]
    return (middle + noise @ factor.T).float()


@component(
    source="Leguay, GAN_IconClass, github.com/BenoitLeguay/GAN_IconClass: the normal its GANs are first tried on",
    defaults={"gen": "mlp", "critic": "mlp-critic"},
)
class Gaussian:
    """Draw a fixed set of points from one normal distribution.

    The law is N(m, A·Aᵀ) with every A_ij and every m_i drawn from U(0, 1), so most of it lies within 3·dim of 0.
    Samples are float32 `[count, dim]`, as drawn: they are not scaled to [-1, 1]. There are no labels.
    """

    dim: int = option(2, ge=1, le=1024, help="numbers of one point")
    count: int = option(1024, ge=1, help="points of the set")
    seed: int = option(0, ge=0, help="mean, covariance and points follow from it; not the seed of the run")

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        return StoredData(points(self.dim, self.count, self.seed))
