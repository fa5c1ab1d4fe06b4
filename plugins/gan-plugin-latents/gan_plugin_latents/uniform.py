"""Latents from a uniform distribution."""

import torch

from gancore import component, hookimpl, option


def spread(u: torch.Tensor) -> torch.Tensor:
    """Map u = k/2²⁴ in [0, 1), as torch.rand draws it, to (2k + 1)/2²⁴ - 1, the middle of its cell in (-1, 1)."""
    return 2 * u - 1 + 2.0**-24


@component(source="Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434, section 4")
class Uniform:
    """Draw latents `[n, dim]` from U(-1, 1), both ends left out, independent in every column; variance 1/3.

    torch.rand gives u = k/2²⁴ with 0 <= k < 2²⁴, so 2u - 1 could be -1. The middle of each cell is taken instead:
    exact in float32, symmetric around 0, and at most 1 - 2⁻²⁴ in size.
    """

    dim: int = option(64, ge=1, help="width of the latent")

    @hookimpl
    def latent_width(self):
        return self.dim

    @hookimpl
    def draw_latent(self, n, rng):
        return spread(torch.rand(n, self.dim, generator=rng))
