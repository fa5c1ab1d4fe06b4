"""Time a gradient penalty: `gancore.input_gradients` against the usual double backward."""

from functools import partial

import torch
from torch import nn

from benchmarks.timing import CLOCKS, in_turn, ratio, tell_ratio
from gancore import input_gradients

ROUNDS = 15
BATCH = 64
WIDTH = 64


def double_backward(function, inputs):
    """Return the same gradient as torch computes it."""
    inputs = inputs.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(function(inputs).sum(), inputs, create_graph=True)
    return gradient


def make_critic(norm):
    """Build a critic of 64×64 images, with or without a norm over each sample."""
    layers = [nn.Conv2d(3, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for before in (WIDTH, 2 * WIDTH, 4 * WIDTH):
        norms = [nn.GroupNorm(1, 2 * before)] if norm else []
        layers += [nn.Conv2d(before, 2 * before, 4, 2, 1, bias=False), *norms, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(8 * WIDTH, 1, 4, bias=False), nn.Flatten(0))


def take(how, critic, images):
    """Compute a penalty and its gradient by the weights."""
    term = (how(critic, images).flatten(1).norm(dim=1) - 1).square().mean()
    torch.autograd.backward(term, inputs=list(critic.parameters()))
    critic.zero_grad()


def compare(norm, layout, rounds, clock):
    """Return the seconds of both ways, by rounds."""
    torch.manual_seed(0)
    critic = make_critic(norm).to(memory_format=layout)
    images = torch.randn(BATCH, 3, 64, 64).to(memory_format=layout)
    ways = {"double backward": double_backward, "input_gradients": input_gradients}
    steps = {name: partial(take, how, critic, images) for name, how in ways.items()}
    return in_turn(steps, rounds, warmup=1, clock=CLOCKS[clock])


def main(given) -> None:
    """Print one claim a critic and layout."""
    for norm in (False, True):
        for name, layout in (
            ("channels first", torch.contiguous_format),
            ("channels last", torch.channels_last),
        ):
            seconds = compare(
                norm, layout, given.rounds or (3 if given.quick else ROUNDS), given.clock
            )
            found = ratio(seconds["double backward"], seconds["input_gradients"])
            label = f"{'layer norm' if norm else 'no norm'}, {name}: double backward ÷ slopes"
            tell_ratio(given, "penalty", label, found, given.clock)
