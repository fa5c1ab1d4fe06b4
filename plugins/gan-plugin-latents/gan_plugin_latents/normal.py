"""Latents from a standard normal distribution."""

import torch

from gancore import component, hookimpl, option


@component(
    source="Radford, Metz and Chintala, ICLR 2016 (uniform); the normal became custom with Gulrajani et al. 2017",
    known_as={"gaussian": "", "randn": ""},
)
class Normal:
    """Draw latents `[n, dim]` from N(0, 1), independent in every column."""

    dim: int = option(64, ge=1, help="width of the latent")

    @hookimpl
    def latent_width(self):
        return self.dim

    @hookimpl
    def draw_latent(self, n, rng):
        return torch.randn(n, self.dim, generator=rng)
