"""A data set with a number for each sample, and a GAN conditioned on it.

gan run --data ./examples/angles.py:Angles --cond ./examples/angles.py:OnValues --gen mlp \
    --critic mlp-critic
"""

import math

import torch
from torch import nn

from gancore import (
    CompositionError,
    LabelSet,
    StoredData,
    Tail,
    Values,
    component,
    hookimpl,
    option,
)


@component(source="the ring of Ding et al., CcGAN, ICLR 2021, arXiv:2011.07466, section 4.1")
class Angles:
    """Points `(cos a, sin a)` with a little noise, each labelled with its angle a.

    Each of `count` angles, evenly spaced in [0, 2π), is a class of the label set `angle`, whose
    value `[1]` is the angle divided by 2π. There are `copies` points of each.
    """

    count: int = option(90, ge=1, help="number of angles")
    copies: int = option(10, ge=1, help="points for each angle")
    sigma: float = option(0.02, ge=0, help="standard deviation of the noise")

    @hookimpl
    def make_data(self):
        turns = torch.arange(self.count) / self.count
        numbers = torch.arange(self.count).repeat(self.copies)
        angles = 2 * math.pi * turns[numbers]
        rng = torch.Generator().manual_seed(0)
        noise = self.sigma * torch.randn(len(numbers), 2, generator=rng)
        points = torch.stack([angles.cos(), angles.sin()], 1) + noise
        names = tuple(f"{number:.4g}" for number in turns.tolist())
        labels = LabelSet("angle", names, turns.unsqueeze(1))
        return StoredData(points, numbers.unsqueeze(1), (labels,))


@component(source="Mirza and Osindero, arXiv:1411.1784, with numbers in place of classes")
class OnValues:
    """Append the D values of a label set to the latent, and to the features of the critic.

    The latent `[N, Z]` becomes `[N, Z + D]`, the features `[N, F]` become `[N, F + D]`, times
    `scale`. Any label set with values will do: angles, or embeddings `[K, D]` of captions. Raises
    CompositionError for data without one.
    """

    labels: str = option("", help="label set to condition on; empty takes the first")
    scale: float = option(1.0, gt=0, help="factor of the values in the critic's features")

    @hookimpl
    def generator_inputs(self, plan):
        return self.label_set(plan).values.shape[1]

    @hookimpl
    def adapt_generator(self, net, plan):
        return WithValues(net, Values(self.label_set(plan)), plan.column(self.labels))

    @hookimpl
    def extend_critic(self, plan):
        values = Values(self.label_set(plan))
        tail = ValuesTail(values, plan.column(self.labels), self.scale)
        return Tail(tail, values.table.shape[1], labels=True)

    def label_set(self, plan):
        """Return the label set that was chosen. Raises CompositionError if it has no values."""
        try:
            found = plan.label_set(self.labels)
        except KeyError as error:
            raise CompositionError(error.args[0], where="--on-values.labels") from error
        if found.values is None:
            raise CompositionError(
                f"label set {found.name!r} has classes, but no values",
                where="--on-values.labels",
                fix="data whose LabelSet has values, such as ./examples/angles.py:Angles",
            )
        return found


class WithValues(nn.Module):
    """Calls a generator with `[N, Z + D]`: the latent and the values of the labels."""

    def __init__(self, net, values, column):
        super().__init__()
        self.net = net
        self.values = values
        self.column = column

    def forward(self, z, labels):
        return self.net(torch.cat([z, self.values(labels[:, self.column])], 1), labels)


class ValuesTail(nn.Module):
    """Appends scaled values of the labels to features `[N, F]`."""

    def __init__(self, values, column, scale):
        super().__init__()
        self.values = values
        self.column = column
        self.scale = scale

    def forward(self, features, labels):
        return torch.cat([features, self.scale * self.values(labels[:, self.column])], 1)
