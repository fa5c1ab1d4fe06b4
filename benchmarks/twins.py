"""Hand-written loops with the same operations as a composed run: the cost of composing.

Channels last, fused Adam, gradients for one player only, losses on raw scores, fakes shared where a
run shares them, the figures of a run kept as tensors until a row of them is written.

What a run does beside the mathematics is left out: seeds that are derived anew, answers and figures
that are checked.
"""

import json
from contextlib import nullcontext
from itertools import count
from tempfile import TemporaryFile

import torch
from torch.nn.functional import softplus

from benchmarks.draws import in_order
from benchmarks.nets import FastCritic, fast_generator
from gancore import input_gradients

LOG_EVERY = 10  # as in a run


def networks(task):
    """Build generator and critic as a composed run has them."""
    layout = torch.channels_last if task.channels_last else torch.contiguous_format
    return fast_generator(task).to(memory_format=layout), FastCritic(task).to(memory_format=layout)


def optimizer_of(net, task):
    """Build the optimiser in its fast form."""
    if task.optimizer == "sgd":
        return torch.optim.SGD(net.parameters(), lr=task.lr)
    return torch.optim.Adam(net.parameters(), lr=task.lr, betas=task.betas, fused=True)


class Player:
    """A network, its weights, its optimiser, and the figures of its updates."""

    def __init__(self, net, task):
        self.net, self.weights, self.optimizer = (
            net,
            list(net.parameters()),
            optimizer_of(net, task),
        )

    def update(self, total, figures):
        """Backpropagate the sum of the terms to the player's weights, and take a step."""
        torch.autograd.backward(total, inputs=self.weights)
        figures["total"] = total.detach()
        figures["grad_norm"] = torch.nn.utils.get_total_norm(
            [weight.grad for weight in self.weights]
        )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class Loop:
    """What both losses share: layout, precision, players."""

    def __init__(self, task, generator, critic, samples, draws):
        self.task, self.draws = task, draws
        self.generator, self.critic = Player(generator, task), Player(critic, task)
        self.batches = in_order(samples, task.batch)
        self.layout = torch.channels_last if task.channels_last else torch.contiguous_format

    def autocast(self):
        """Return the context of forward passes."""
        return (
            torch.autocast("cpu", torch.bfloat16)
            if self.task.precision == "bf16"
            else nullcontext()
        )

    def reals(self):
        """Return the next batch `[N, …]` in the layout of the networks."""
        return next(self.batches).to(memory_format=self.layout)

    def scores(self, samples):
        """Return raw scores `[N]`, of full precision."""
        scores = self.critic.net(samples)
        return scores.float() if scores.dtype == torch.bfloat16 else scores

    def view(self, samples, *update_id):
        """Return what the critic is shown."""
        return (
            samples + self.task.noise * self.draws.noise(*update_id) if self.task.noise else samples
        )

    def pairs(self, figures, name):
        """Note how close samples lie to each other, where the critic compares them."""
        if self.critic.net.pairs is not None:
            figures[name] = self.critic.net.pairs.found.mean()


def bce_step(loop, step):
    """Update each player by binary cross-entropy on logits, both on the same fakes."""
    reals = loop.reals()
    of_critic = {}
    z = loop.draws.latents(step, "critic", 0)
    with loop.autocast():
        fakes = loop.generator.net(z)
        real_scores = loop.scores(reals)
        loop.pairs(of_critic, "closeness-real")
        fake_scores = loop.scores(fakes.detach())
        loop.pairs(of_critic, "closeness-fake")
        real = softplus(-real_scores).mean()
        fake = softplus(fake_scores).mean()
    of_critic |= {"real": real.detach(), "fake": fake.detach()}
    of_critic |= {
        "score_real": real_scores.detach().mean(),
        "score_fake": fake_scores.detach().mean(),
    }
    loop.critic.update(real + fake, of_critic)

    with loop.autocast():
        scores = loop.scores(fakes)
        term = softplus(-scores).mean()
    of_generator = {"fake": term.detach(), "score_fake": scores.detach().mean()}
    loop.generator.update(term, of_generator)
    return of_critic, of_generator


def wgan_gp_step(loop, step):
    """Make some updates of the critic and one of the generator, on fresh fakes each time."""
    for k in range(loop.task.critic_updates):
        of_critic = update_critic(loop, step, k)
    k = loop.task.critic_updates
    with loop.autocast():
        fakes = loop.generator.net(loop.draws.latents(step, "generator", k))
        scores = loop.scores(loop.view(fakes, step, "generator", k, "fake"))
        term = -scores.mean()
    of_generator = {"fake": term.detach(), "score_fake": scores.detach().mean()}
    loop.generator.update(term, of_generator)
    return of_critic, of_generator


def update_critic(loop, step, k):
    """Move the critic once by the Wasserstein loss and its penalty; return its figures.

    The fakes carry no graph.
    """
    reals = loop.reals()
    with torch.no_grad(), loop.autocast():
        fakes = loop.generator.net(loop.draws.latents(step, "critic", k))
    reals, fakes = (
        loop.view(reals, step, "critic", k, "real"),
        loop.view(fakes, step, "critic", k, "fake"),
    )
    with loop.autocast():
        real_scores = loop.scores(reals)
        fake_scores = loop.scores(fakes)
        real = -real_scores.mean()
        fake = fake_scores.mean()
    share = loop.draws.shares(step, k)
    fakes = fakes.to(torch.promote_types(fakes.dtype, torch.float32))
    gradients = input_gradients(loop.critic.net, share * reals + (1 - share) * fakes)
    norms = torch.linalg.vector_norm(gradients.flatten(1), dim=1)
    penalty = 10 * (norms - 1).square().mean()
    figures = {"real": real.detach(), "fake": fake.detach(), "penalty": penalty.detach()}
    figures |= {"wasserstein": -(real + fake).detach(), "gradient-norm": norms.detach().mean()}
    figures |= {
        "score_real": real_scores.detach().mean(),
        "score_fake": fake_scores.detach().mean(),
    }
    loop.critic.update(real + fake + penalty, figures)
    return figures


STEPS = {"bce": bce_step, "wgan-gp": wgan_gp_step}


def train(task, generator, critic, samples, draws):
    """Make one step each time it is asked, and write a row of figures at the interval of a run."""
    with TemporaryFile("w") as log:
        loop = Loop(task, generator, critic, samples, draws)
        make = STEPS[task.loss]
        for step in count():
            of_critic, of_generator = make(loop, step)
            if (step + 1) % LOG_EVERY == 0:
                log.write(json.dumps({"step": step + 1, **numbers(of_critic, of_generator)}) + "\n")
                log.flush()
            yield


def numbers(of_critic, of_generator):
    """Turn the figures of both players into numbers, with one wait for all."""
    figures = {f"critic/{name}": value for name, value in of_critic.items()}
    figures |= {f"generator/{name}": value for name, value in of_generator.items()}
    values = torch.stack([value.double() for value in figures.values()]).tolist()
    return dict(zip(figures, values, strict=True))
