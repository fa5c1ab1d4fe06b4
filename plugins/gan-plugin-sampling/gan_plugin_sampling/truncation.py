"""The truncation trick: sample from latents that lie within a bound."""

import torch
from torch import Tensor, nn
from torch.special import ndtr, ndtri

from gancore import CompositionError, cached, component, hookimpl, option


def redraw(z: Tensor, bound: float) -> Tensor:
    """Replace those of normal numbers `[…]` that exceed a bound by draws within it.

    The share u of the tail that lies between the bound and |z| is uniform on [0, 1), and
    independent of all else where |z| exceeds the bound, so the quantile of u within the bound is
    a draw from there. No further random numbers are needed.
    """
    wide = z.detach().cpu().double()  # tails of float32 have few digits
    size = wide.abs()
    half = 0.5 * torch.ones_like(size)
    tail = ndtr(torch.tensor(-bound, dtype=torch.float64))
    share = 1 - ndtr(-size) / tail  # u
    drawn = ndtri(half + share * (0.5 - tail))
    within = torch.where(size > bound, drawn.copysign(wide), wide)
    return within.clamp(-bound, bound).to(z)


class Truncated(nn.Module):
    """Call a generator with some columns of the latent drawn again where they exceed a bound."""

    def __init__(self, net, columns, bound):
        super().__init__()
        self.net = net
        self.columns = columns
        self.bound = bound

    def forward(self, z, labels):
        z = z.clone()
        z[:, self.columns] = redraw(z[:, self.columns], self.bound)
        return self.net(z, labels)


@component(
    source="Brock et al., ICLR 2019, arXiv:1809.11096, section 3.1",
    known_as={"truncated-normal": "", "truncation-trick": ""},
)
class Truncation:
    """Draw samples from latents whose values beyond a bound are drawn again: less varied ones.

    Each z_i with |z_i| > bound is replaced by a draw from the normal distribution within the bound,
    the others stay, so each column has the truncated normal distribution, of variance
    1 - 2·b·φ(b)/(2·Φ(b) - 1). The replacement is a function of z_i alone, so the same seed gives
    the same samples. Training does not change. Whatever is computed of samples (metrics, pictures)
    holds for this bound: `gan sample` and `gan eval` name it.

    Raises CompositionError where no component of the name `of` draws latents. These are taken to be
    standard normal.
    """

    bound: float = option(1.0, gt=0, help="largest |z| of a sample, in standard deviations")
    of: str = option("normal", help="the component whose columns of the latent are truncated")
    columns: object = cached()

    @hookimpl
    def adapt_generator(self, plan):
        if self.of not in plan.latent_slices:
            names = ", ".join(plan.latent_slices)
            raise CompositionError(
                f"no component {self.of!r} draws latents that could be truncated",
                where="truncation.of",
                fix=f"--latent normal; latents are drawn by {names}",
            )
        self.columns = plan.latent_slices[self.of]

    @hookimpl
    def sampling_generator(self, net):
        return Truncated(net, self.columns, self.bound)
