"""Fully connected networks, for points and for small images."""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from gancore import component, hookimpl, option

SOURCE = "Goodfellow et al., NeurIPS 2014, arXiv:1406.2661, section 5 (fully connected players)"


def hidden_layers(widths, role, plan, activation):
    """List linear layer, norm and activation for each pair of neighbouring widths."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        active = nn.ReLU() if activation == "relu" else nn.LeakyReLU(0.2)
        layers += [nn.Linear(before, after), plan.norm(after, role), active]
    return layers


class Layers(nn.Sequential):
    """Layers in a row that take labels and do not look at them."""

    def forward(self, given: Tensor, labels: Tensor) -> Tensor:
        return super().forward(given)


@component(
    source=SOURCE,
    defaults={"critic": "mlp-critic", "gen-norm": "none", "critic-norm": "none", "init": "he"},
)
class MLP:
    """Turn the latent into a sample by linear layers, each hidden one with norm and activation.

    `[N, Z] → [N, d]` without a last activation for points; `[N, C, H, W]` in (-1, 1) by tanh for images. With hidden
    (6, 12), Z = 1 and d = 2: 122 weights, biases included. With Z = 1 all samples lie on one curve.
    """

    hidden: tuple[int, ...] = option((128, 128, 128), ge=1, help="outputs of each hidden layer, from the latent on")
    activation: str = option("relu", choices=("relu", "leaky"), help="after each norm; leaky has slope 0.2")

    @hookimpl
    def make_generator(self, plan):
        layers = hidden_layers((plan.inputs, *self.hidden), "generator", plan, self.activation)
        last = nn.Linear(self.hidden[-1] if self.hidden else plan.inputs, prod(plan.shape))
        return Layers(*layers, last, *([nn.Tanh(), nn.Unflatten(1, plan.shape)] if plan.images else []))


@component(source=SOURCE)
class MLPCritic:
    """Judge a flattened sample by linear layers, each with norm and activation.

    View `[N, d]` or `[N, C, H, W]` to features `[N, F]`, F the last hidden width; the score is one linear layer with
    bias. With hidden (12, 6) and d = 2: 121 weights, biases included.
    """

    hidden: tuple[int, ...] = option((128, 128, 128), ge=1, help="outputs of each hidden layer, from the sample on")
    activation: str = option("leaky", choices=("relu", "leaky"), help="after each norm; leaky has slope 0.2")

    @hookimpl
    def make_critic(self, plan):
        widths = (prod(plan.critic_shape), *self.hidden)
        return Layers(nn.Flatten(), *hidden_layers(widths, "critic", plan, self.activation))
