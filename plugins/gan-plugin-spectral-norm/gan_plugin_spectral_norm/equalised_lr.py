"""Equalised learning rates: weights of variance 1, scaled where they are used."""

from math import sqrt

import torch
from torch import nn
from torch.nn.utils import parametrize

from gan_plugin_spectral_norm.layers import as_matrix, matrix_layers
from gancore import component, conflicts, hookimpl, option


class Scale(nn.Module):
    """Multiply a weight by a constant, He's for its layer."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, weight):
        return self.factor * weight


@component(
    source="Karras et al., ICLR 2018, arXiv:1710.10196, section 4.1",
    provides=["weights.reparametrised"],
    rules=[
        conflicts(
            "weights.reparametrised",
            "both compute a weight from another one, and the second undoes the first",
            fix="leave one of them out",
        ),
        conflicts(
            "weights.clipped",
            "stored weights are drawn with variance 1, so all of them would be clipped at once",
            fix="leave weight-clipping out",
        ),
    ],
    known_as={"equalized-lr": "", "equalised-learning-rate": "", "wscale": ""},
)
class EqualisedLR:
    """Store weights of variance 1 and multiply them by √(gain/fan-in) where they are used.

    For each linear, convolutional and embedding layer of both players. Adam's steps do not depend
    on the size of a gradient, so each weight then changes at the same relative rate, whatever its
    layer's fan-in. Stored weights are drawn from N(0, 1) and biases are 0: this replaces the
    initializer for these layers. With the gain 2 the used weights have He's variance.
    """

    gain: float = option(2.0, gt=0, help="variance of the used weights, times the fan-in")

    @hookimpl(trylast=True)  # after components that add layers
    def adapt_critic(self, net):
        self.equalise(net)

    @hookimpl(trylast=True)
    def adapt_generator(self, net):
        self.equalise(net)

    def equalise(self, net):
        """Scale the weights of a network, in place."""
        for _, layer in list(matrix_layers(net)):
            # one row of an embedding is what a class is given
            fan_in = 1 if isinstance(layer, nn.Embedding) else as_matrix(layer).shape[1]
            with torch.no_grad():
                layer.weight.normal_()  # torch's numbers are seeded for this component
                if getattr(layer, "bias", None) is not None:
                    layer.bias.zero_()
            scale = Scale(sqrt(self.gain / fan_in))
            # unsafe leaves out a trial call, which would need an inverse of the scale
            parametrize.register_parametrization(layer, "weight", scale, unsafe=True)
