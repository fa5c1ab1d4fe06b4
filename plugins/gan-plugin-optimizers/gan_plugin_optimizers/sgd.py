"""Stochastic gradient descent, with a learning rate for each player."""

import torch

from gancore import component, hookimpl, option


@component(
    source=(
        "Robbins and Monro, Ann. Math. Stat. 1951; "
        "momentum: Polyak 1964, in the form of torch.optim.SGD"
    )
)
class SGD:
    """Optimise by stochastic gradient descent, with or without momentum.

    w ← w - lr·v with v ← momentum·v + g, and v = g in the first update. Steps are proportional to
    the gradients, so a player with small gradients barely changes: learning rates are far above
    those of Adam.
    """

    lr: float = option(0.01, ge=0, help="learning rate of both players")
    critic_lr: float | None = option(None, ge=0, help="learning rate of the critic; none takes lr")
    momentum: float = option(
        0.0, ge=0, lt=1, help="decay of the running sum of gradients, per update"
    )

    @hookimpl
    def make_optimizer(self, params, role):
        lr = self.critic_lr if role == "critic" and self.critic_lr is not None else self.lr
        return torch.optim.SGD(params, lr=lr, momentum=self.momentum)
