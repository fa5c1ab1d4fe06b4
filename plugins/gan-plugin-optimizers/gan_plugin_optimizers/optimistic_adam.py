"""Optimistic Adam: Adam that takes back its last step once."""

import torch

from gancore import component, hookimpl, option


class Optimistic(torch.optim.Adam):
    """Adam whose step is twice its own, less the one before.

    The last step is part of the state of each weight, as `previous`.
    """

    @torch.no_grad()
    def step(self, closure=None):
        weights = []
        for group in self.param_groups:
            weights += [weight for weight in group["params"] if weight.grad is not None]
        before = [weight.clone() for weight in weights]
        found = super().step(closure)
        for weight, start in zip(weights, before, strict=True):
            moved = weight - start
            # at first there is no step before, and the step is twice that of Adam
            weight.add_(moved)
            state = self.state[weight]
            if "previous" in state:
                weight.sub_(state["previous"])
            state["previous"] = moved
        return found


@component(
    source="Daskalakis et al., ICLR 2018, arXiv:1711.00141, algorithm 1",
    known_as={"oadam": "", "omd": ""},
)
class OptimisticAdam:
    """Optimise by optimistic Adam: each step is twice that of Adam, less the one before.

    θ ← θ + 2·s_t - s_{t-1} with s_t = -lr·m̂_t/(√v̂_t + 1e-8), Adam's step for the gradient at hand.
    Where the players' gradients rotate, as on min_x max_y x·y, plain steps spiral outwards and
    these inwards. The step before has the learning rate of its time.
    """

    lr: float = option(1e-4, ge=0, help="learning rate of both players")
    critic_lr: float | None = option(None, ge=0, help="learning rate of the critic; none takes lr")
    beta1: float = option(
        0.5, ge=0, lt=1, help="decay of the running mean of gradients, per update"
    )
    beta2: float = option(0.9, ge=0, lt=1, help="decay of the running mean of squares, per update")

    @hookimpl
    def make_optimizer(self, params, role):
        lr = self.critic_lr if role == "critic" and self.critic_lr is not None else self.lr
        return Optimistic(params, lr=lr, betas=(self.beta1, self.beta2))
