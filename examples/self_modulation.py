"""A norm that depends on the latent: `gan run --gen-norm ./examples/self_modulation.py`."""

import torch
from torch import Tensor, nn

from gancore import CompositionError, ConditionalLayer, average, component, hookimpl, option


class SelfModulatedNorm(ConditionalLayer):
    """Normalise maps `[N, C, …]` over the batch; gain and shift are functions of the style."""

    def __init__(self, channels: int, style: int, hidden: int, eps: float, momentum: float):
        super().__init__(style)
        self.eps = eps
        self.momentum = momentum
        self.modulate = nn.Sequential(
            nn.Linear(style, hidden), nn.ReLU(), nn.Linear(hidden, 2 * channels)
        )
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, maps: Tensor, labels: Tensor, style: Tensor) -> Tensor:
        wide = maps.to(torch.promote_types(maps.dtype, torch.float32))  # bfloat16 has 8 bits
        flat = wide.flatten(2) if maps.dim() > 2 else wide[..., None]  # [N, C, P]
        mean, variance = self.statistics(flat)
        normalised = (flat - mean[:, None]) * (variance + self.eps).rsqrt()[:, None]
        gain, shift = self.modulate(style)[..., None].chunk(2, 1)  # [N, C, 1]
        return ((1 + gain) * normalised + shift).reshape(maps.shape).to(maps.dtype)

    def statistics(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance `[C]` of the whole batch; outside training, the running ones."""
        if not self.training:
            return self.running_mean, self.running_var
        # each process has the same number of rows, so a mean of their means is that of all rows
        mean = average(flat.mean((0, 2)))
        variance = average((flat - mean[:, None]).square().mean((0, 2)))
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            self.running_var.lerp_(variance.to(self.running_var), self.momentum)
        return mean, variance


@component(
    source="Chen, Lucic, Houlsby and Gelly, ICLR 2019, arXiv:1810.01365, section 3.1",
    provides=["batch-statistics"],
)
class SelfModulation:
    """Normalise over the batch, with a gain and a shift computed from the generator's latent.

    y = (1 + γ(z))·(x - mean)/√(var + eps) + β(z). Shape `[N, C, …]` is kept. γ and β are computed
    from z `[N, W]` by a linear layer, ReLU and a linear layer; the 1 lets initial weights near 0
    leave the normalised maps as they are. Mean and variance are those of the whole batch where
    several processes share a run. Raises CompositionError for the critic, which has no latent, and
    for a generator that passes no style to its norms.
    """

    hidden: int = option(32, ge=1, help="width of the hidden layer")
    momentum: float = option(
        0.1, gt=0, le=1, help="share of the new batch in the running statistics"
    )
    eps: float = option(1e-5, gt=0, help="added to the variance")

    @hookimpl
    def make_norm(self, channels, role, style):
        if not style:
            raise CompositionError(
                f"self-modulation needs a style, but the {role} passes none to its norms",
                where=f"norm of the {role}",
                fix="--critic-norm none, as a critic has no latent"
                if role == "critic"
                else "--gen-norm batch, or a generator that calls plan.norm(…, style=W)",
            )
        return SelfModulatedNorm(channels, style, self.hidden, self.eps, self.momentum)
