"""What does a penalty on slopes cost? `gancore.slopes` against double backward as everyone writes it, in turn."""

import statistics
import time

import torch
from torch import nn

from gancore import slopes

ROUNDS, BATCH, WIDTH = 15, 64, 64
BOUNDS = 3, 11  # of 15 sorted ratios, the fourth and the twelfth hold the median between them 96 times of 100


def double_backward(function, inputs):
    """Return the same gradient as torch computes it."""
    inputs = inputs.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(function(inputs).sum(), inputs, create_graph=True)
    return gradient


def make_critic(norm):
    """Build a critic of 64×64 images, with a norm over each sample from the second layer on or without."""
    layers = [nn.Conv2d(3, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for before in (WIDTH, 2 * WIDTH, 4 * WIDTH):
        norms = [nn.GroupNorm(1, 2 * before)] if norm else []
        layers += [nn.Conv2d(before, 2 * before, 4, 2, 1, bias=False), *norms, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(8 * WIDTH, 1, 4, bias=False), nn.Flatten(0))


def seconds_of(how, critic, images):
    """Return the processor time of a penalty and its gradient by the weights."""
    begun = time.process_time()
    term = (how(critic, images).flatten(1).norm(dim=1) - 1).square().mean()
    torch.autograd.backward(term, inputs=list(critic.parameters()))
    critic.zero_grad()
    return time.process_time() - begun


def ratios(norm, layout):
    """Time both in turn, changing who goes first; the first pair warms up."""
    torch.manual_seed(0)
    critic = make_critic(norm).to(memory_format=layout)
    images = torch.randn(BATCH, 3, 64, 64).to(memory_format=layout)
    found = []
    for turn in range(ROUNDS + 1):
        order = (double_backward, slopes) if turn % 2 else (slopes, double_backward)
        seconds = {how: seconds_of(how, critic, images) for how in order}
        found.append(seconds[double_backward] / seconds[slopes])
    return sorted(found[1:])


def main():
    """Print one line a critic and layout."""
    torch.set_num_threads(1)
    print(
        f"double backward ÷ slopes, processor time of one penalty, batch {BATCH}, median of {ROUNDS} pairs (interval)"
    )
    for norm in (False, True):
        for name, layout in (("rows", torch.contiguous_format), ("channels last", torch.channels_last)):
            found = ratios(norm, layout)
            low, high = (found[place] for place in BOUNDS)
            critic = "layer norm" if norm else "no norm"
            print(f"  {critic:10}  {name:13} {statistics.median(found):.2f} ({low:.2f} to {high:.2f})", flush=True)


if __name__ == "__main__":
    main()
