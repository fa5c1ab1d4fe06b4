"""Standard normal latents."""

import torch

from gancore import component, hookimpl, option


@component(
    source="Radford, Metz and Chintala, ICLR 2016 (uniform); Gulrajani et al. 2017 (normal)",
    known_as={"gaussian": "", "randn": ""},
)
class Normal:
    """Draw latents `[n, dim]` from the standard normal distribution, independent in each column."""

    dim: int = option(64, ge=1, help="width of the latent")

    @hookimpl
    def latent_width(self):
        return self.dim

    @hookimpl
    def draw_latent(self, n, rng):
        return torch.randn(n, self.dim, generator=rng)
