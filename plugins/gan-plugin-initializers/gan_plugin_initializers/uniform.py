"""Uniform initial weights: the default of torch, Glorot's (Xavier), and a fixed range."""

from collections.abc import Callable
from math import sqrt

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from gancore import component, hookimpl, option


def initialize_layers(net: nn.Module, draw: Callable[[nn.Module], None]) -> bool:
    """Apply `draw` to each linear or convolutional layer, and initialise norms to the identity.

    Returns True, as the hook `initialize` does for a network that it has initialised.
    """
    for layer in net.modules():
        if isinstance(layer, _ConvNd | nn.Linear):
            draw(layer)
        elif isinstance(layer, _NormBase | nn.GroupNorm) and layer.weight is not None:
            nn.init.ones_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return True


@component(source="torch.nn.Linear and Conv2d, reset_parameters: kaiming_uniform(a=√5)")
class TorchDefault:
    """Initialise weights and biases from U(-b, b) with b = 1/√fan-in, the default of torch.

    The variance is 1/(3·fan-in), a sixth of He's 2/fan-in. Fan-in is channels·k² of the input; for
    transposed convolutions torch counts the channels of the output. Norms are initialised to the
    identity. Parameters of other modules (embeddings, a component's own tensors) are left alone.
    """

    @hookimpl
    def initialize(self, net, rng):
        def draw(layer):
            bound = 1 / sqrt(layer.weight[0].numel())
            for weight in (layer.weight, layer.bias):
                if weight is not None:
                    nn.init.uniform_(weight, -bound, bound, generator=rng)

        return initialize_layers(net, draw)


@component(
    source="Glorot and Bengio, AISTATS 2010, equation 16; the default of Keras",
    known_as={"xavier": ""},
)
class Glorot:
    """Initialise weights from U(-b, b) with b = √(6/(fan-in + fan-out)); biases are 0.

    Fan-in and fan-out are the input and output channels, times k² for a convolution. The variance
    2/(fan-in + fan-out) is a compromise between the forward and the backward pass. Norms are
    initialised to the identity. Parameters of other modules are left alone.
    """

    @hookimpl
    def initialize(self, net, rng):
        def draw(layer):
            nn.init.xavier_uniform_(layer.weight, generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

        return initialize_layers(net, draw)


@component(
    source=(
        "Keras, initializers.RandomUniform (±0.05); "
        "in a GAN: kmualim/DCGAN-Keras-Implementation, its critic"
    )
)
class KerasUniform:
    """Initialise weights from U(-bound, bound), independent of the size of the layer; biases are 0.

    The variance is bound²/3. Norms are initialised to the identity. Parameters of other modules are
    left alone.
    """

    bound: float = option(0.05, gt=0, help="largest absolute weight")

    @hookimpl
    def initialize(self, net, rng):
        def draw(layer):
            nn.init.uniform_(layer.weight, -self.bound, self.bound, generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

        return initialize_layers(net, draw)
