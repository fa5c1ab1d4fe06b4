"""Weight clipping: clamp the critic's weights, so that it is Lipschitz continuous."""

import torch
from torch import nn

from gancore import component, hookimpl, option, warns_with


@component(
    source="Arjovsky, Chintala and Bottou, ICML 2017, arXiv:1701.07875, algorithm 1",
    provides=["lipschitz", "weights.clipped"],
    rules=[
        warns_with(
            "critic.batch-statistics",
            "batch norm divides by the standard deviation of its input, so small weights no longer "
            "bound the critic's gradient",
            fix="--critic-norm layer or none",
        ),
    ],
    known_as={"clip": "", "clipping": ""},
)
class WeightClipping:
    """Clip the critic's weights to [-c, c] after each critic update.

    w ← min(c, max(-c, w)) for each parameter of the critic and of its extra networks, not for
    buffers: a linear critic of d inputs then has Lipschitz constant at most c·√d. Scales and shifts
    of norm layers are not clipped, since scales are initialised to 1 and would be c at once. The
    source's program clips before a step, so weights there can be outside by one step.

    Measured: `at-bound`, the share of the clipped weights at -c or c, 0 to 1. Near 1 almost only
    the signs of the weights carry information (Gulrajani et al., NeurIPS 2017, figure 1b).
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
        """List the parameters that are clipped."""
        modules = (*gan.critic.network.modules(), *gan.critic.extras.modules())
        weights = []
        for module in modules:
            # scales of norm layers are initialised to 1, far outside of [-c, c]
            if self.norms or not is_norm(module):
                weights += module.parameters(recurse=False)
        return weights


def is_norm(module):
    """Return whether a module is a norm layer: its weight is one scale a channel, or an element."""
    weight = getattr(module, "weight", None)
    return isinstance(module, nn.LayerNorm) or (
        isinstance(weight, nn.Parameter) and weight.dim() == 1
    )


def share_at_bounds(parameters, c):
    """Compute the share in [0, 1] of parameters with absolute value c or more, a 0-d tensor."""
    sizes = torch.cat([weight.detach().abs().flatten() for weight in parameters])
    return (sizes >= c).float().mean()
