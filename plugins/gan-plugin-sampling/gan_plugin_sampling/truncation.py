"""Truncation: samples of latents near the mean of their distribution."""

from math import sqrt

import torch
from torch import nn

from gancore import CompositionError, Plan, cached, component, hookimpl, option


class Truncated(nn.Module):
    """Call a network with the columns of its latents narrowed by a function."""

    def __init__(self, net, columns, narrow):
        super().__init__()
        self.net = net
        self.columns = columns
        self.narrow = narrow

    def forward(self, z, labels):
        z = z.clone()
        z[:, self.columns] = self.narrow(z[:, self.columns])
        return self.net(z, labels)


def truncate_normal(z, bound):
    """Map standard normal numbers to normal ones within ±bound, keeping their order."""
    wide = z.double()  # the distribution function is near 0 and 1 in the tails
    share = torch.erf(wide / sqrt(2)) * torch.erf(torch.tensor(bound / sqrt(2)).to(wide))
    return (sqrt(2) * torch.erfinv(share)).clamp(-bound, bound).to(z.dtype)


@component(
    source="Brock et al., ICLR 2019, arXiv:1809.11096, section 3.1; Marchesi 2017, "
    "arXiv:1706.00082",
    known_as={"truncation-trick": "", "truncated-normal": ""},
)
class Truncation:
    """Sample from normal latents within ±τ: fewer odd samples, and less variety.

    z ← Φ⁻¹(½ + (Φ(z) - ½)·(2Φ(τ) - 1)) for each column of the latent component `latent`, with Φ the
    normal distribution function: exactly the distribution of redrawing each z until |z| < τ, as the
    paper does, but without a draw, and each latent keeps its place. Columns of other components,
    such as codes, stay as they are. Training does not change. `threshold` is measured with every
    row, as all figures of samples are those of truncated ones. Raises CompositionError where no
    component of that name draws a latent.
    """

    tau: float = option(0.7, gt=0, help="largest absolute latent τ, in standard deviations")
    latent: str = option("normal", help="component whose columns are truncated")

    plan: Plan | None = cached()

    @hookimpl
    def adapt_generator(self, plan):
        if self.latent not in plan.latent_slices:
            raise CompositionError(
                f"no component called {self.latent!r} draws a latent",
                where="truncation.latent",
                fix=f"one of {', '.join(plan.latent_slices)}",
            )
        self.plan = plan

    @hookimpl
    def sampling_generator(self, net):
        columns = self.plan.latent_slices[self.latent]
        return Truncated(net, columns, lambda z: truncate_normal(z, self.tau))

    @hookimpl
    def measure(self):
        return {"threshold": self.tau}
