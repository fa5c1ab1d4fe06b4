"""Unrolled GAN: update the generator against a critic that is some steps of descent ahead."""

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import relu, softplus

from gancore import average, component, hookimpl, option, warns_without

# what the critic minimises, of scores of reals and fakes of any shapes
OBJECTIVES = {
    "bce": lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
    "hinge": lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
    "wasserstein": lambda real, fake: fake.mean() - real.mean(),
}


class CriticAhead(nn.Module):
    """A critic k steps of descent ahead: views and their labels of both sides → both outputs.

    Returns the outputs for reals and for fakes under w_k, which is a function of the critic's
    weights w_0 and, with `through`, of the fakes too.
    """

    def __init__(self, critic, objective, k, lr, through):
        super().__init__()
        self.critic = critic
        self.objective = OBJECTIVES[objective]
        self.k = k
        self.lr = lr
        self.through = through

    def forward(self, real, real_labels, fake, fake_labels):
        weights = dict(self.critic.named_parameters())
        for _ in range(self.k):
            weights = self.descend(weights, (real, real_labels), (fake, fake_labels))
        return (
            functional_call(self.critic, weights, (real, real_labels)),
            functional_call(self.critic, weights, (fake, fake_labels)),
        )

    def descend(self, weights, real, fake):
        """Return the weights after one step: w_{j+1} = w_j - lr·∇L(w_j)."""
        loss = self.objective(
            functional_call(self.critic, weights, real).score,
            functional_call(self.critic, weights, fake).score,
        )
        # a head that the score does not need has no gradient
        gradients = torch.autograd.grad(
            loss, list(weights.values()), create_graph=self.through, allow_unused=True
        )
        after = {}
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            # each process has the gradient of its own rows
            after[name] = weight if gradient is None else weight - self.lr * average(gradient)
        return after


@component(
    source="Metz et al., ICLR 2017, arXiv:1611.02163, equations 7 to 10",
    rules=[
        warns_without(
            "loss.absolute-scores",
            "the critic is unrolled along another loss than its own",
            fix="--unrolled.objective wasserstein, with such a loss",
            when=lambda component: component.objective != "wasserstein",
        ),
        warns_without(
            "loss.wasserstein",
            "the critic is unrolled along another loss than its own",
            fix="--unrolled.objective bce, or hinge",
            when=lambda component: component.objective == "wasserstein",
        ),
    ],
    known_as={"unrolling": "", "unrolled-gan": ""},
)
class Unrolled:
    """Update the generator against a critic that is k steps of gradient descent ahead.

    w_0 = w and w_{j+1} = w_j - lr·∇L(w_j, θ), where w are the critic's weights and L is the
    `objective` on the reals and fakes of the update: E sp(-s_r) + E sp(s_f) for bce, with
    sp(x) = ln(1 + eˣ), E relu(1 - s_r) + E relu(1 + s_f) for hinge, E s_f - E s_r for wasserstein.
    All terms of the generator, whichever loss was chosen, then read scores, features and heads of
    w_k. With `through` their gradients pass through all k steps, so that the generator learns how
    the critic will answer; without it w_k is taken as a constant. The critic itself, its running
    statistics and the vectors of its power iterations stay as they were, and k = 0 changes no bit.
    An update costs about 2·k + 2 passes of the critic more, and their graph in memory.

    In the paper the inner steps are Adam's, with its moments; here they are plain descent, without
    penalties and other terms of the critic. On a ring of points steps of 0.01 and more made the
    generator run away, where 0.001 did not. Updates without reals are not unrolled.
    """

    k: int = option(5, ge=0, help="steps of the critic that are looked ahead; 0 turns it off")
    lr: float = option(1e-3, gt=0, help="learning rate of these steps, of plain descent")
    through: bool = option(
        True, help="false takes the critic ahead as a constant: without the second-order term"
    )
    objective: str = option(
        "bce", choices=tuple(OBJECTIVES), help="loss of the critic that the steps descend"
    )

    @hookimpl(tryfirst=True)  # before the loss reads a score
    def generator_terms(self, batch):
        if not self.k or batch.real is None:
            return
        ahead = CriticAhead(batch.gan.critic.network, self.objective, self.k, self.lr, self.through)
        sides = (batch.real, batch.fake)
        inputs = []
        for side in sides:
            inputs += [side.view, side.view_labels]
        for side, out in zip(sides, batch.network(ahead, *inputs), strict=True):
            side.set_output(out)
