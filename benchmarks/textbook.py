"""The loops as a reader of the official tutorial writes them: plain, correct, not fast.

Both are generators that make one step each time they are asked.
"""

from itertools import count

import torch
from torch import nn

from benchmarks.draws import in_order
from benchmarks.nets import tutorial_critic, tutorial_generator


def networks(task):
    """Build the tutorial's generator and critic."""
    return tutorial_generator(task), tutorial_critic(task)


def optimizer_of(net, task):
    """Build the optimiser as its defaults have it."""
    if task.optimizer == "sgd":
        return torch.optim.SGD(net.parameters(), lr=task.lr)
    return torch.optim.Adam(net.parameters(), lr=task.lr, betas=task.betas)


def latents(draws, step, role, index):
    """Draw latents `[N, Z, 1, 1]`."""
    return draws.latents(step, role, index)[..., None, None]


def bce(task, generator, critic, samples, draws):
    """Train by binary cross-entropy on probabilities: two critic passes, one generator pass.

    The generator's also computes gradients of the critic's weights, which nobody uses. Five
    `.item()` a step.
    """
    criterion = nn.BCELoss()
    history = []
    critic_optimizer, generator_optimizer = (
        optimizer_of(critic, task),
        optimizer_of(generator, task),
    )
    for step, reals in enumerate(in_order(samples, task.batch)):
        critic.zero_grad()
        label = torch.full((len(reals),), 1.0)
        output = critic(reals).view(-1)
        critic_real = criterion(output, label)
        critic_real.backward()
        mean_real = output.mean().item()
        fakes = generator(latents(draws, step, "critic", 0))
        label.fill_(0.0)
        output = critic(fakes.detach()).view(-1)
        critic_fake = criterion(output, label)
        critic_fake.backward()
        mean_fake = output.mean().item()
        critic_loss = critic_real + critic_fake
        critic_optimizer.step()

        generator.zero_grad()
        label.fill_(1.0)
        output = critic(fakes).view(-1)
        generator_loss = criterion(output, label)
        generator_loss.backward()
        mean_again = output.mean().item()
        generator_optimizer.step()
        history.append(
            (critic_loss.item(), generator_loss.item(), mean_real, mean_fake, mean_again)
        )
        yield


def wgan_gp(task, generator, critic, samples, draws):
    """Train by WGAN-GP: fakes are made with a graph and then detached."""
    history = []
    critic_optimizer, generator_optimizer = (
        optimizer_of(critic, task),
        optimizer_of(generator, task),
    )
    batches = in_order(samples, task.batch)
    for step in count():
        for k in range(task.critic_updates):
            reals = next(batches)
            critic.zero_grad()
            fakes = generator(latents(draws, step, "critic", k)).detach()
            penalty = gradient_penalty(critic, reals, fakes, draws.shares(step, k))
            critic_loss = critic(fakes).mean() - critic(reals).mean() + 10 * penalty
            critic_loss.backward()
            critic_optimizer.step()

        generator.zero_grad()
        generator_loss = -critic(
            generator(latents(draws, step, "generator", task.critic_updates))
        ).mean()
        generator_loss.backward()
        generator_optimizer.step()
        history.append((critic_loss.item(), generator_loss.item()))
        yield


def gradient_penalty(critic, reals, fakes, alpha):
    """Return the mean of (‖∂D(x̂)/∂x̂‖ - 1)²; one alpha `[N, 1, 1, 1]` mixes each sample."""
    between = (alpha * reals + (1 - alpha) * fakes).requires_grad_(True)
    scores = critic(between)
    gradient = torch.autograd.grad(
        scores, between, grad_outputs=torch.ones_like(scores), create_graph=True, retain_graph=True
    )[0]
    return ((gradient.view(len(reals), -1).norm(2, dim=1) - 1) ** 2).mean()


def train(task, generator, critic, samples, draws):
    """Return the loop of the task's loss, which makes one step each time it is asked."""
    return {"bce": bce, "wgan-gp": wgan_gp}[task.loss](task, generator, critic, samples, draws)
