"""Lookahead of both players: step back from time to time towards where they were."""

import torch

from gancore import component, hookimpl, option, state


@component(
    source="Chavdarova et al., ICLR 2021, arXiv:2006.14567, algorithm 1; "
    "Zhang et al., NeurIPS 2019, arXiv:1907.08610",
    known_as={"lookahead-minmax": "", "la-gan": ""},
)
class Lookahead:
    """Draw both players back, every k steps, towards their weights k steps before.

    θ̄ ← θ̄ + α·(θ - θ̄) and θ ← θ̄ after every k-th step, for all trained weights of generator and
    critic at once: where the players' dynamics rotate, the point between is nearer to the centre.
    θ̄ starts as the initial weights. Steps are iterations of the schedule, with all their updates.
    With α = 1 nothing changes. Moments of the optimisers and buffers are left alone. Memory is one
    more set of weights.
    """

    k: int = option(5, ge=1, help="steps between two draws back")
    alpha: float = option(0.5, gt=0, le=1, help="share of the way that is kept, 1 keeps all")

    slow: dict[str, torch.Tensor] = state(factory=dict)  # θ̄, by role and weight

    @hookimpl
    def before_step(self, gan):
        if not self.slow:
            self.slow = {name: weight.detach().clone() for name, weight in weights_of(gan)}

    @hookimpl
    def after_step(self, gan, step):
        if (step + 1) % self.k:
            return
        for name, weight in weights_of(gan):
            slow = self.slow[name].to(weight.device).lerp_(weight, self.alpha)
            self.slow[name] = slow
            weight.copy_(slow)


def weights_of(gan):
    """Yield every trained weight of both players, by `ROLE.NAME`."""
    for player in (gan.generator, gan.critic):
        for name, weight in player.named_parameters():
            yield f"{player.role}.{name}", weight
