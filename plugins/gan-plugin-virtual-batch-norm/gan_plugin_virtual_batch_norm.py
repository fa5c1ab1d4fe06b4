"""Virtual batch normalisation: each sample is normalised with a fixed reference batch, never with its neighbours."""

import torch
from torch import Tensor, nn

from gancore import CompositionError, Sample, component, hookimpl, option


class VirtualBatchNorm(nn.Module):
    """Normalise `[m + N, C, …]`, the m reference samples first; they use their own statistics alone."""

    def __init__(self, channels, reference, eps, weight, centre=True):
        super().__init__()
        self.reference, self.eps, self.share, self.centre = reference, eps, weight, centre
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        if len(maps) <= self.reference:
            return maps  # no sample follows the reference: the core only counts features
        flat = maps.to(torch.promote_types(maps.dtype, torch.float32)).reshape(len(maps), len(self.weight), -1)
        reference, own = flat[: self.reference], flat[self.reference :]  # [m, C, P], [N, C, P]
        spread_r, mean_r = torch.var_mean(reference, (0, 2), correction=0, keepdim=True)  # [1, C, 1]
        spread_i, mean_i = torch.var_mean(own, 2, correction=0, keepdim=True)  # [N, C, 1]
        c = self.share
        mean = c * mean_i + (1 - c) * mean_r
        spread = c * (spread_i + (mean_i - mean) ** 2) + (1 - c) * (spread_r + (mean_r - mean) ** 2)
        if not self.centre:
            mean_r = mean = 0.0
        parts = [(reference - mean_r) * (spread_r + self.eps).rsqrt(), (own - mean) * (spread + self.eps).rsqrt()]
        return (torch.cat(parts) * self.weight[:, None] + self.bias[:, None]).reshape(maps.shape).to(maps.dtype)


class Referenced(nn.Module):
    """Run a network on its reference and the given samples together, and return what follows the reference.

    The reference `[m, …]` and its labels `[m, L]` are buffers, so they lie in the checkpoint; without labels of its
    own the reference wears those of the given samples, in turn.
    """

    def __init__(self, net, reference, labels=None):
        super().__init__()
        self.net = net
        self.register_buffer("reference", reference)
        self.register_buffer("labels", labels)

    def forward(self, given: Tensor, labels: Tensor) -> Tensor | Sample:
        m = len(self.reference)
        worn = self.labels
        if worn is None:
            worn = labels[torch.arange(m, device=labels.device) % len(labels)]
        made = self.net(torch.cat([self.reference, given]), torch.cat([worn, labels]))
        if isinstance(made, Sample):
            return Sample(made.images[m:], {name: extra[m:] for name, extra in made.extras.items()})
        return made[m:]


@component(
    source="Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.5",
    known_as={"vbn": ""},
)
class VirtualBatch:
    """Normalise each sample by a fixed reference batch joined with that sample alone.

    With means μ_r, μ_i and variances v_r, v_i per channel, over the m reference samples and over the one sample:
    μ = c·μ_i + (1-c)·μ_r, σ² = c·(v_i + (μ_i-μ)²) + (1-c)·(v_r + (μ_r-μ)²), y = γ·(x-μ)/√(σ²+eps) + β, of the shape
    `[N, C, …]` given. The reference goes through the network first in every pass, with gradients, for the weights
    move: m more samples each time. It is m fixed latents for the generator; for the critic m real samples, clean
    of any view and with their own labels. So ∂y_i/∂x_j = 0 for i ≠ j, and a gradient penalty is well defined.

    Without `centre` it is y = γ·x/√(σ²+eps) + β: a fault kept for comparison, that of garridoq/gan-guide, whose layer
    computes x-μ and then overwrites it.
    """

    reference: int = option(128, ge=1, help="samples in the reference batch, m")
    eps: float = option(1e-5, gt=0, help="added to the variance")
    labels: str = option(
        "current",
        choices=("current", "fixed"),
        help="labels of the generator's reference: those of each batch, or fixed ones, under which classes may be lost",
    )
    weight: float | None = option(
        None, ge=0, le=1, help="share c of a sample's own statistics; none is 1/(m + 1), 0 reference batch norm"
    )
    centre: bool = option(True, help="false leaves the mean where it is, which is a fault")

    @hookimpl
    def make_norm(self, channels):
        share = 1 / (self.reference + 1) if self.weight is None else self.weight
        return VirtualBatchNorm(channels, self.reference, self.eps, share, self.centre)

    @hookimpl(trylast=True)  # outermost, so that wrappers which append labels to the input see the reference too
    def adapt_generator(self, net, plan):
        worn = plan.reals(self.reference)[1] if self.labels == "fixed" else None
        return Referenced(net, plan.latents(self.reference), worn)

    @hookimpl(trylast=True)
    def adapt_critic(self, net, plan):
        if plan.critic_shape != plan.shape:
            raise CompositionError(
                f"virtual-batch keeps real samples of shape {list(plan.shape)}, but here the critic sees "
                f"{list(plan.critic_shape)}",
                where="--critic-norm virtual-batch",
                fix="--critic-norm layer",
            )
        net.body = Referenced(net.body, *plan.reals(self.reference))
