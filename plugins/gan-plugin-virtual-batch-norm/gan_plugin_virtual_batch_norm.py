"""Virtual batch normalisation: statistics of a fixed reference batch and of the sample itself."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gancore import CompositionError, Critic, Sample, component, hookimpl, option


class VirtualBatchNorm(nn.Module):
    """Normalise `[m + N, C, …]`, of which the first m are the reference samples.

    Reference samples are normalised by the statistics of the reference batch alone.
    """

    def __init__(self, channels, reference, eps, weight, centre=True):
        super().__init__()
        self.reference = reference
        self.eps = eps
        self.share = weight
        self.centre = centre
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        if len(maps) <= self.reference:
            return maps  # no sample follows the reference, as when the core counts features
        wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
        flat = wide.reshape(len(maps), len(self.weight), -1)
        reference = flat[: self.reference]  # [m, C, P]
        own = flat[self.reference :]  # [N, C, P]
        var_r, mean_r = torch.var_mean(reference, (0, 2), correction=0, keepdim=True)  # [1, C, 1]
        var_i, mean_i = torch.var_mean(own, 2, correction=0, keepdim=True)  # [N, C, 1]
        c = self.share
        mean = c * mean_i + (1 - c) * mean_r
        var = c * (var_i + (mean_i - mean) ** 2) + (1 - c) * (var_r + (mean_r - mean) ** 2)
        if not self.centre:
            mean_r = mean = 0.0
        normalised = torch.cat(
            [
                (reference - mean_r) * (var_r + self.eps).rsqrt(),
                (own - mean) * (var + self.eps).rsqrt(),
            ]
        )
        made = normalised * self.weight[:, None] + self.bias[:, None]
        return made.reshape(maps.shape).to(maps.dtype)


class Referenced(nn.Module):
    """Run a network on the reference batch and its input together, and drop the reference's output.

    The reference `[m, …]` and its labels `[m, L]` are buffers, and so part of a checkpoint. Without
    labels of its own the reference has the labels of the input, in turn.
    """

    def __init__(self, net, reference, labels=None):
        super().__init__()
        self.net = net
        self.register_buffer("reference", reference)
        self.register_buffer("labels", labels)

    def forward(self, given: Tensor, labels: Tensor) -> Tensor | Sample:
        m = len(self.reference)
        reference_labels = self.labels
        if reference_labels is None:
            reference_labels = labels[torch.arange(m, device=labels.device) % len(labels)]
        # the reference is shown without a view: columns of labels that a view adds are 0 for it
        added = labels.shape[1] - reference_labels.shape[1]
        reference_labels = functional.pad(reference_labels, (0, added))
        inputs = torch.cat([self.reference, given])
        made = self.net(inputs, torch.cat([reference_labels, labels]))
        if isinstance(made, Sample):
            extras = {name: extra[m:] for name, extra in made.extras.items()}
            return Sample(made.images[m:], extras)
        return made[m:]


@component(
    source="Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.5",
    known_as={"vbn": ""},
)
class VirtualBatch:
    """Normalise each sample by the statistics of a fixed reference batch and of that sample alone.

    With means μ_r, μ_i and variances v_r, v_i per channel, over the m reference samples and over
    the one sample: μ = c·μ_i + (1-c)·μ_r, σ² = c·(v_i + (μ_i-μ)²) + (1-c)·(v_r + (μ_r-μ)²),
    y = γ·(x-μ)/√(σ²+eps) + β, with shape `[N, C, …]` kept. The reference is part of each forward
    pass, with gradients, since the weights change: m more samples each time. It is m fixed latents
    for the generator; for the critic m real samples without any view, with their own labels. So
    ∂y_i/∂x_j = 0 for i ≠ j, and a gradient penalty is well defined.

    Without `centre`, y = γ·x/√(σ²+eps) + β: a fault kept for comparison, found in
    garridoq/gan-guide, whose layer computes x-μ and then overwrites it.
    """

    reference: int = option(128, ge=1, help="samples in the reference batch, m")
    eps: float = option(1e-5, gt=0, help="added to the variance")
    labels: str = option(
        "current",
        choices=("current", "fixed"),
        help="labels of the generator's reference: of each batch, or fixed (classes may be lost)",
    )
    weight: float | None = option(
        None,
        ge=0,
        le=1,
        help="weight c of a sample's own statistics; none is 1/(m + 1), 0 is reference batch norm",
    )
    centre: bool = option(True, help="false does not subtract the mean, which is a fault")

    @hookimpl
    def make_norm(self, channels):
        share = 1 / (self.reference + 1) if self.weight is None else self.weight
        return VirtualBatchNorm(channels, self.reference, self.eps, share, self.centre)

    # outermost, so that wrappers that append labels to the input apply to the reference too
    @hookimpl(trylast=True)
    def adapt_generator(self, net, plan):
        labels = plan.reals(self.reference)[1] if self.labels == "fixed" else None
        return Referenced(net, plan.latents(self.reference), labels)

    @hookimpl(trylast=True)
    def adapt_critic(self, net, plan):
        if plan.critic_shape != plan.shape:
            raise CompositionError(
                f"virtual-batch stores real samples of shape {list(plan.shape)}, but here "
                f"the critic's input has shape {list(plan.critic_shape)}",
                where="--critic-norm virtual-batch",
                fix="--critic-norm layer",
            )
        # inside of what another component has wrapped the critic in
        critic = next(module for module in net.modules() if isinstance(module, Critic))
        critic.body = Referenced(critic.body, *plan.reals(self.reference))
