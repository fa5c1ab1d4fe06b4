"""Weight clipping: keep every weight of the critic in a box, so that its slope stays bounded."""

import torch
from torch import nn

from gancore import component, hookimpl, option, warns_with


@component(
    source="Arjovsky, Chintala and Bottou, ICML 2017, arXiv:1701.07875, algorithm 1",
    provides=["lipschitz", "weights.clipped"],
    rules=[
        warns_with(
            "critic.batch-statistics",
            "batch norm divides by the spread of its input, so small weights no longer bound the critic's slope",
            fix="--critic-norm layer or none",
        ),
    ],
    known_as={"clip": "", "clipping": ""},
)
class WeightClipping:
    """Clip the critic's weights to [-c, c] after each of its updates.

    w ← min(c, max(-c, w)) for every parameter of the critic and of its extra networks, buffers left alone: a linear
    critic of d inputs then has slope at most c·√d. Scales and shifts of norm layers are left alone, for scales start
    at 1 and would be c at once; the source's program clips before a step, so weights there lie up to a step outside.

    Measured: `at-bound`, the share of the clipped weights that lie at -c or c, 0 to 1. Near 1 the critic is little but
    signs (Gulrajani et al., NeurIPS 2017, figure 1b).
    """

    c: float = option(0.01, gt=0, help="largest absolute weight, above 0")
    norms: bool = option(False, help="true clips the scales and shifts of norm layers too")

    @hookimpl
    def after_critic_update(self, gan):
        for weight in self.clipped(gan):
            weight.clamp_(-self.c, self.c)

    @hookimpl
    def measure(self, progress):
        return {"at-bound": share_at_bounds(self.clipped(progress.context.gan), self.c)}

    def clipped(self, gan):
        """List the weights that are kept in the box."""
        modules = (*gan.critic.network.modules(), *gan.critic.extras.modules())
        kept = [module for module in modules if self.norms or not is_norm(module)]
        return [weight for module in kept for weight in module.parameters(recurse=False)]


def is_norm(module):
    """Whether a module's weight is one scale a channel (or element), as in every norm layer, and no matrix."""
    weight = getattr(module, "weight", None)
    return isinstance(module, nn.LayerNorm) or (isinstance(weight, nn.Parameter) and weight.dim() == 1)


def share_at_bounds(parameters, c):
    """Share in [0, 1] of all weights that lie at -c or c (or beyond), as a 0-d tensor: near 1, clipping rules."""
    sizes = torch.cat([weight.detach().abs().flatten() for weight in parameters])
    return (sizes >= c).float().mean()
