"""Losses of critics that reconstruct their input: EBGAN and BEGAN."""

from math import prod

import torch
from torch import nn

from gancore import (
    CompositionError,
    CriticOutput,
    Head,
    Layers,
    average,
    component,
    conflicts,
    gather,
    hookimpl,
    option,
    state,
)

HEAD = "reconstruction"

RULES = [
    conflicts(
        "critic.bounded-score",
        "scores are energies, and a sigmoid would bound them",
        fix="leave sigmoid-score out",
    ),
]


class Decoder(nn.Module):
    """Reconstruct a view `[N, *shape]` from features `[N, F]` by two fully connected layers."""

    def __init__(self, features, width, shape):
        super().__init__()
        last = nn.Linear(width, prod(shape))
        self.layers = Layers(nn.Linear(features, width), nn.ReLU(), last, nn.Unflatten(1, shape))

    def forward(self, features, labels):
        return self.layers(features)


def decoder(features, width, plan):
    """Return the head that reconstructs the critic's input."""
    return Head(HEAD, Decoder(features, width, plan.critic_shape))


def score_by_energy(power):
    """Return a forward hook that makes the score -mean |x - reconstruction|^power, `[N]`."""

    def rescore(critic, given, out):
        view = given[0]
        made = out.heads[HEAD]
        if view.shape != made.shape:
            raise CompositionError(
                f"the critic's body takes {list(made.shape[1:])}, but is shown "
                f"{list(view.shape[1:])}, which is what an autoencoder reconstructs",
                where="an autoencoder as the critic",
                fix="a condition that does not widen the critic's input, such as --cond projection",
            )
        error = (view - made).abs().flatten(1)
        energy = error.pow(power).mean(1) if power != 1 else error.mean(1)
        return CriticOutput(-energy.to(out.score), out.features, out.heads)

    return rescore


@component(
    source="Zhao, Mathieu and LeCun, ICLR 2017, arXiv:1609.03126, equations 1 to 4",
    provides=["loss.energy"],
    rules=RULES,
    known_as={"energy-based": "", "autoencoder-critic": ""},
)
class EBGAN:
    """Let the critic reconstruct reals and, up to a margin, not fakes: an energy-based GAN.

    The energy E = mean (x - x̂)² over the elements of a view x, with x̂ made from the critic's
    features by two fully connected layers. The critic minimises mean E_r + mean max(0, m - E_f),
    the generator mean E_f + pull·P, where P is the mean over pairs i ≠ j of the squared cosine of
    features of fakes: the pulling-away term, over the batch of all processes. The critic's score is
    -E, in place of its linear head, which is not trained.
    """

    margin: float = option(1.0, gt=0, help="energy m above which a fake has no gradient")
    pull: float = option(0.1, ge=0, help="factor of the pulling-away term")
    width: int = option(128, ge=1, help="hidden width of the decoder")

    @hookimpl
    def extend_critic(self, features, plan):
        return decoder(features, self.width, plan)

    @hookimpl
    def adapt_critic(self, net):
        net.register_forward_hook(score_by_energy(2))

    @hookimpl
    def critic_terms(self, batch):
        terms = {"fake": batch.fake.mean((self.margin + batch.fake.score).relu())}
        if batch.real is not None:
            terms = {"real": -batch.real.mean(batch.real.score), **terms}
        return terms

    @hookimpl
    def generator_terms(self, batch):
        terms = {"fake": -batch.fake.mean(batch.fake.score)}
        if self.pull:
            terms["pull"] = self.pull * pulling_away(gather(batch.fake.features.float()))
        return terms


def pulling_away(features):
    """Return the mean over pairs i ≠ j of the squared cosines of features `[N, F]`, in [0, 1]."""
    unit = nn.functional.normalize(features, dim=1)
    squares = (unit @ unit.T).square()
    pairs = max(1, len(features) * (len(features) - 1))
    return (squares.sum() - squares.diagonal().sum()) / pairs


@component(
    source="Berthelot, Schumm and Metz 2017, arXiv:1703.10717, section 3.4",
    provides=["loss.energy"],
    rules=RULES,
    known_as={"boundary-equilibrium": ""},
)
class BEGAN:
    """Balance the reconstruction of reals and of fakes: boundary equilibrium GAN.

    The energy E = mean |x - x̂| over the elements of a view x, with x̂ made from the critic's
    features by two fully connected layers. The critic minimises mean E_r - k·mean E_f, the
    generator mean E_f, and after each critic's update with reals k ← k + rate·(γ·mean E_r -
    mean E_f), clamped to [0, 1], over all processes. Logs k and `convergence`, mean E_r +
    |γ·mean E_r - mean E_f|. The critic's score is -E, in place of its linear head, which is not
    trained.
    """

    gamma: float = option(0.5, gt=0, le=1, help="ratio γ of energies; lower is less diverse")
    rate: float = option(1e-3, ge=0, help="proportional gain λ of k, per critic update")
    width: int = option(128, ge=1, help="hidden width of the decoder")

    k: torch.Tensor | None = state()  # 0-d, 0 at first

    @hookimpl
    def extend_critic(self, features, plan):
        return decoder(features, self.width, plan)

    @hookimpl
    def adapt_critic(self, net):
        net.register_forward_hook(score_by_energy(1))

    @hookimpl
    def critic_terms(self, batch, log):
        fake = batch.fake.mean(-batch.fake.score)
        k = torch.zeros_like(fake.detach()) if self.k is None else self.k.to(fake.device)
        log("k", k)
        terms = {"fake": -k * fake}
        if batch.real is not None:
            real = batch.real.mean(-batch.real.score)
            balance = average(self.gamma * real.detach() - fake.detach())
            log("convergence", average(real.detach()) + balance.abs())
            self.k = (k + self.rate * balance).clamp(0, 1)
            terms = {"real": real, **terms}
        return terms

    @hookimpl
    def generator_terms(self, batch):
        return {"fake": -batch.fake.mean(batch.fake.score)}
