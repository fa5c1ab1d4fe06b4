"""Fully connected networks (multilayer perceptrons), for points and small images."""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from gancore import Layers, component, hookimpl, option

SOURCE = "Goodfellow et al., NeurIPS 2014, arXiv:1406.2661, section 5 (fully connected players)"


def hidden_layers(widths, role, plan, activation, style=0):
    """List a linear layer, a norm and an activation for each pair of successive widths.

    `style` is the width of the style that the network passes to its norms.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        active = nn.ReLU() if activation == "relu" else nn.LeakyReLU(0.2)
        layers += [nn.Linear(before, after), plan.norm(after, role, style), active]
    return layers


class Generator(Layers):
    """Layers from the latent `[N, Z]`, which is the style of their norms too."""

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return super().forward(z, labels, style=z)


@component(
    source=SOURCE,
    defaults={"critic": "mlp-critic", "gen-norm": "none", "critic-norm": "none", "init": "he"},
)
class MLP:
    """Generate samples by fully connected layers, each hidden one with norm and activation.

    `[N, Z] → [N, d]` without a last activation for points; `[N, C, H, W]` in (-1, 1) by tanh for
    images, and likewise signals and volumes. With hidden (6, 12), Z = 1 and d = 2: 122 weights,
    biases included. With Z = 1 all samples lie on one curve.
    """

    hidden: tuple[int, ...] = option(
        (128, 128, 128), ge=1, help="width of each hidden layer, first layer first"
    )
    activation: str = option(
        "relu", choices=("relu", "leaky"), help="after each norm; leaky has negative slope 0.2"
    )

    @hookimpl
    def make_generator(self, plan):
        widths = (plan.inputs, *self.hidden)
        layers = hidden_layers(widths, "generator", plan, self.activation, plan.inputs)
        layers.append(nn.Linear(widths[-1], prod(plan.shape)))
        if plan.axes:
            layers += [nn.Tanh(), nn.Unflatten(1, plan.shape)]
        return Generator(*layers)


@component(source=SOURCE)
class MLPCritic:
    """Score flattened samples by fully connected layers, each with norm and activation.

    View `[N, d]` or `[N, C, H, W]` to features `[N, F]`, F the last hidden width; the score is one
    linear layer with bias. With hidden (12, 6) and d = 2: 121 weights, biases included.
    """

    hidden: tuple[int, ...] = option(
        (128, 128, 128), ge=1, help="width of each hidden layer, first layer first"
    )
    activation: str = option(
        "leaky", choices=("relu", "leaky"), help="after each norm; leaky has negative slope 0.2"
    )

    @hookimpl
    def make_critic(self, plan):
        widths = (prod(plan.critic_shape), *self.hidden)
        return Layers(nn.Flatten(), *hidden_layers(widths, "critic", plan, self.activation))


class Maxout(nn.Module):
    """Compute the maximum of `pieces` linear functions for each output: `[N, F] → [N, G]`."""

    def __init__(self, before: int, after: int, pieces: int):
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(before, after * pieces)

    def forward(self, maps: Tensor) -> Tensor:
        return self.linear(maps).unflatten(1, (-1, self.pieces)).amax(2)


@component(
    source="Goodfellow et al., Maxout networks, ICML 2013, arXiv:1302.4389, section 2; widths: Lin "
    "et al., PacGAN, NeurIPS 2018, arXiv:1712.04086 (its published program)"
)
class MaxoutCritic:
    """Score flattened samples by maxout layers, each the maximum of `pieces` linear functions.

    View `[N, d]` or `[N, C, H, W]` to features `[N, F]`, F the last hidden width: h = max_k (W_k x
    + b_k) for each unit, then the norm; the score is one linear layer with bias. A norm of `none`
    is the source's. With the defaults and d = 2: 405,201 weights, biases included.
    """

    hidden: tuple[int, ...] = option(
        (200, 200, 200), ge=1, help="units of each maxout layer, first layer first"
    )
    pieces: int = option(5, ge=2, help="linear functions of which each unit takes the maximum")

    @hookimpl
    def make_critic(self, plan):
        widths = (prod(plan.critic_shape), *self.hidden)
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(widths):
            layers += [Maxout(before, after, self.pieces), plan.norm(after, "critic")]
        return Layers(*layers)
