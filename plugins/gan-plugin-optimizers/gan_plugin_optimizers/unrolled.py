"""Unrolling: the generator minimises its loss against a critic some steps ahead."""

import torch
from torch.func import functional_call
from torch.nn.functional import softplus

from gancore import (
    CompositionError,
    average,
    component,
    conflicts,
    fork_state,
    hookimpl,
    option,
    requires,
)


@component(
    source="Metz et al., ICLR 2017, arXiv:1611.02163, equations 7 to 9",
    provides=["generator.unrolled"],
    rules=[
        requires(
            "loss.cross-entropy",
            "the steps ahead descend the cross-entropy",
            cite="Metz et al. 2017, equation 1",
            fix="--loss bce",
        ),
        conflicts(
            "critic.batch-statistics",
            "unrolling calls the critic many times a step, and its running statistics are put back",
            fix="--critic-norm none",
        ),
    ],
    known_as={"unrolled-gan": "", "unrolling": ""},
)
class Unrolled:
    """Let the generator minimise its loss against a critic that is `k` steps of descent ahead.

    The critic's weights are w_0 = w and w_{j+1} = w_j - lr·∇_w L(w_j, θ), with L = mean sp(-s_r) +
    mean sp(s_f) on the batch at hand and sp(x) = ln(1 + eˣ); the generator minimises mean sp(-s_f)
    under w_k, in place of the term `replaces`. Its gradient passes through all steps (the
    second-order term), so that it follows how the critic will answer; without `second_order` the
    steps are constants. The critic and its buffers are not changed, and other terms stay. With
    k = 0 nothing changes. The paper steps by Adam, this by plain descent. A step costs k passes of
    the critic forth and back, and twice that through them.
    """

    k: int = option(5, ge=0, help="steps of the critic that are looked ahead, beside its own")
    lr: float = option(0.1, gt=0, help="learning rate of these steps")
    second_order: bool = option(True, help="true differentiates through the steps")
    replaces: str = option("bce/fake", help="term that is replaced, COMPONENT/TERM")

    @hookimpl
    def adapt_terms(self, terms, batch, role):
        if role != "generator" or batch.real is None or not self.k:
            return None
        if self.replaces not in terms:
            raise CompositionError(
                f"the generator has no term {self.replaces!r} for the unrolled one to replace",
                where="unrolled.replaces",
                fix=f"one of {', '.join(terms)}",
            )
        kept = {name: term for name, term in terms.items() if name != self.replaces}
        return {"unrolled/fake": self.loss_ahead(batch), **kept}

    def loss_ahead(self, batch):
        """Return the mean of sp(-s_f) under the critic's weights k steps ahead."""
        critic = batch.gan.critic.network
        weights = dict(critic.named_parameters())
        real = (batch.real.view, batch.real.view_labels)
        fake = (batch.fake.view, batch.fake.view_labels)
        # so that these passes leave torch's random numbers and the critic's buffers as they were
        with fork_state(critic, batch.gan.device):
            for _ in range(self.k):
                loss = softplus(functional_call(critic, weights, fake).score).mean()
                loss = loss + softplus(-functional_call(critic, weights, real).score).mean()
                weights = self.stepped(weights, loss)
            ahead = functional_call(critic, weights, fake).score
        return batch.fake.mean(softplus(-ahead))

    def stepped(self, weights, loss):
        """Return weights one step of descent further."""
        gradients = torch.autograd.grad(
            loss, list(weights.values()), create_graph=self.second_order, allow_unused=True
        )
        moved = {}
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            # a weight of a head that takes no part in the score stays where it is
            if gradient is None:
                moved[name] = weight
                continue
            # each process has the gradient of its own rows
            moved[name] = weight - self.lr * average(gradient)
        return moved
