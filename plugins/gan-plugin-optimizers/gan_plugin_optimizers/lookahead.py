"""Lookahead for both players at once: slow weights that follow the fast ones."""

import torch

from gancore import component, hookimpl, option, state


@component(
    source=(
        "Chavdarova et al., ICLR 2021, arXiv:2006.14567, algorithm 1; "
        "Zhang et al., NeurIPS 2019, arXiv:1907.08610"
    ),
    known_as={"lookahead-minmax": "", "slow-weights": ""},
)
class Lookahead:
    """Every few steps, take both players back to a point between old and new weights.

    After each `every` iterations of the schedule θ̃ ← θ̃ + share·(θ - θ̃) and θ ← θ̃ for the weights
    of both players together: θ are the fast weights, which the optimizers change, and θ̃ the slow
    ones, which start as the initial weights. Where the players circle around each other, the point
    between two points of the circle lies nearer to its centre. Buffers, such as running statistics,
    and the moments of the optimizers stay as they are. share = 1 changes nothing. Memory is one
    more set of weights of both players.

    The paper takes every = 5 or 5000 and share = 0.5, and shows that one player's lookahead alone
    does not converge where that of both does. `every` counts iterations here, so a critic that is
    updated several times in one has made as many steps more.
    """

    every: int = option(5, ge=1, help="iterations from one move of the slow weights to the next")
    share: float = option(
        0.5, gt=0, le=1, help="share α of the way to the fast weights that the slow ones move"
    )
    slow: dict[str, torch.Tensor] = state(factory=dict)  # θ̃ by player and name

    @hookimpl
    def before_step(self, gan):
        if not self.slow:
            self.slow = {name: weight.detach().clone() for name, weight in weights_of(gan)}

    @hookimpl
    def after_step(self, gan, step):
        if (step + 1) % self.every:
            return
        for name, weight in weights_of(gan):
            # lerp returns exactly the fast weight for a share of 1
            slow = self.slow[name].to(weight.device).lerp_(weight, self.share)
            weight.copy_(slow)
            self.slow[name] = slow


def weights_of(gan):
    """Yield the trained weights of both players, each with a name that is unique among them."""
    for player in (gan.generator, gan.critic):
        for name, weight in player.named_parameters():
            yield f"{player.role}.{name}", weight
