"""An unrolled GAN with its second-order term: `--reg ./examples/unrolled.py`."""

import torch
from torch.func import functional_call

from gancore import average, component, conflicts, fork_state, hookimpl, option


@component(
    source="Metz et al., Unrolled generative adversarial networks, ICLR 2017, equations 7 to 9",
    rules=[conflicts("critic.batch-statistics", "unrolling calls the critic many times a step")],
)
class Unrolled:
    """Let the generator minimise its loss against a critic that is `k` steps of descent ahead.

    The critic's weights are w_0 = w and w_{j+1} = w_j - lr · ∇_w L(w_j, θ), where L is the
    non-saturating critic's loss on the batch at hand; the generator minimises the mean of
    softplus(-score) under w_k. Its gradient passes through all steps (the second-order term), so
    that it learns how the critic will answer. The critic itself is not changed.
    """

    k: int = option(3, ge=0, help="steps of the critic that are looked ahead")
    lr: float = option(0.1, gt=0, help="learning rate of these steps")

    @hookimpl
    def adapt_terms(self, terms, batch, role):
        if role != "generator" or batch.real is None:
            return None
        critic = batch.gan.critic.network
        weights = dict(critic.named_parameters())
        real = (batch.real.view, batch.real.view_labels)
        fake = (batch.fake.view, batch.fake.view_labels)
        # so that these passes leave torch's random numbers and the critic's buffers as they were
        with fork_state(critic, batch.gan.device):
            for _ in range(self.k):
                loss = softplus_mean(functional_call(critic, weights, fake).score)
                loss = loss + softplus_mean(-functional_call(critic, weights, real).score)
                slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
                # each process has the gradient of its own rows
                slopes = [average(slope) for slope in slopes]
                weights = {
                    name: weight - self.lr * slope
                    for (name, weight), slope in zip(weights.items(), slopes, strict=True)
                }
            ahead = functional_call(critic, weights, fake).score
        return {"unrolled": softplus_mean(-ahead)}


def softplus_mean(scores):
    """Average log(1 + exp(score)) over scores of any shape."""
    return torch.nn.functional.softplus(scores).mean()
