"""The RMSProp optimizer, with a learning rate for each player."""

import torch

from gancore import component, hookimpl, option


@component(
    source=(
        "Tieleman and Hinton 2012, lecture 6.5; "
        "in GANs: Arjovsky et al., ICML 2017, arXiv:1701.07875 (5e-5)"
    )
)
class RMSProp:
    """Optimise by RMSProp: steps of the gradient over the root of its mean square.

    w ← w - lr·g/(√v + 1e-8) with v ← alpha·v + (1 - alpha)·g² and v = 0 initially, so the first
    step is lr/√(1 - alpha) in absolute value for each weight. No momentum.
    """

    lr: float = option(5e-5, ge=0, help="learning rate of both players")
    critic_lr: float | None = option(None, ge=0, help="learning rate of the critic; none takes lr")
    alpha: float = option(0.99, ge=0, lt=1, help="decay of the running mean of squares, per update")

    @hookimpl
    def make_optimizer(self, params, role):
        lr = self.critic_lr if role == "critic" and self.critic_lr is not None else self.lr
        return torch.optim.RMSprop(params, lr=lr, alpha=self.alpha)
