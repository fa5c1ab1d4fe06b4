"""Uniform latents."""

import torch

from gancore import component, hookimpl, option


def to_open_interval(u: torch.Tensor) -> torch.Tensor:
    """Map u = k/2²⁴ in [0, 1) to (2k + 1)/2²⁴ - 1 in (-1, 1), the centre of its cell."""
    return 2 * u - 1 + 2.0**-24


@component(source="Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434, section 4")
class Uniform:
    """Draw latents `[n, dim]` from U(-1, 1), independent in each column; variance 1/3.

    The interval is open: torch.rand draws u = k/2²⁴ with 0 <= k < 2²⁴, so 2u - 1 could be -1. The
    centre of each cell is used instead: exact in float32, symmetric around 0, and at most 1 - 2⁻²⁴
    in absolute value.
    """

    dim: int = option(64, ge=1, help="width of the latent")

    @hookimpl
    def latent_width(self):
        return self.dim

    @hookimpl
    def draw_latent(self, n, rng):
        return to_open_interval(torch.rand(n, self.dim, generator=rng))
