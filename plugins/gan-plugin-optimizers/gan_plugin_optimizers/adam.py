"""The Adam optimizer, with a learning rate for each player."""

import torch

from gancore import component, hookimpl, option


@component(
    source=(
        "Kingma and Ba, ICLR 2015, arXiv:1412.6980; "
        "betas: Radford et al. 2016; two rates: Heusel et al. 2017"
    )
)
class Adam:
    """Optimise by Adam: steps of the mean gradient over the root of its mean square.

    Running means have bias correction, so the first step is lr in absolute value for each weight.
    The defaults are DCGAN's (2e-4, 0.5, 0.999).
    """

    lr: float = option(2e-4, ge=0, help="learning rate of both players")
    critic_lr: float | None = option(
        None, ge=0, help="learning rate of the critic; none takes lr (TTUR: four times lr)"
    )
    beta1: float = option(
        0.5, ge=0, lt=1, help="decay of the running mean of gradients, per update"
    )
    beta2: float = option(
        0.999, ge=0, lt=1, help="decay of the running mean of squares, per update"
    )

    @hookimpl
    def make_optimizer(self, params, role):
        lr = self.critic_lr if role == "critic" and self.critic_lr is not None else self.lr
        return torch.optim.Adam(params, lr=lr, betas=(self.beta1, self.beta2), fused=True)
