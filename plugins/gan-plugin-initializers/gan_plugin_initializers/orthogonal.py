"""Orthogonal initial weights."""

from torch import nn

from gan_plugin_initializers.uniform import initialize_layers
from gancore import component, hookimpl, option


@component(
    source=(
        "Saxe, McClelland and Ganguli, ICLR 2014, arXiv:1312.6120, section 3; "
        "in GANs: Brock et al., ICLR 2019, arXiv:1809.11096, appendix C"
    ),
)
class Orthogonal:
    """Initialise weights as random orthogonal matrices times `gain`; biases are 0.

    A weight is taken as a matrix W with a row for each of its first axis, the output channels
    (the input channels of a transposed convolution): W Wᵀ = gain²·I where it has no more rows than
    columns, Wᵀ W = gain²·I otherwise. A square matrix so keeps lengths. Norms are initialised to
    the identity. Parameters of other modules are left alone.
    """

    gain: float = option(1.0, gt=0, help="length of each row, or column where there are fewer")

    @hookimpl
    def initialize(self, net, rng):
        def draw(layer):
            nn.init.orthogonal_(layer.weight, self.gain, generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

        return initialize_layers(net, draw)
