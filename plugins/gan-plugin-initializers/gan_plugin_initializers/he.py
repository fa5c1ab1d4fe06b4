"""He's (Kaiming) normal initial weights."""

from math import prod, sqrt

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from gancore import component, hookimpl, option


def fan_in(layer: nn.Module) -> float:
    """Count the inputs of one output of a linear or convolutional layer, away from the border.

    For a convolution this is channels·k². A transposed convolution of stride s uses only every s-th
    row and column of its kernel for one output: channels·k²/s², on average where s does not
    divide k.
    """
    if isinstance(layer, _ConvTransposeNd):
        return layer.in_channels / layer.groups * prod(layer.kernel_size) / prod(layer.stride)
    return layer.weight[0].numel()


@component(source="He et al., ICCV 2015, arXiv:1502.01852, equation 15", known_as={"kaiming": ""})
class He:
    """Initialise weights from a normal distribution of variance 2/((1 + slope²)·fan-in).

    This preserves the mean square of activations through layers with leaky ReLUs. Norms are
    initialised to the identity, biases to 0. Parameters of other modules (embeddings, a component's
    own tensors) are left alone.
    """

    slope: float = option(
        0.2, ge=0, le=1, help="negative slope of the activations; 0 for ReLU, 1 for linear"
    )

    @hookimpl
    def initialize(self, net, rng):
        for layer in net.modules():
            if isinstance(layer, _ConvNd | nn.Linear):
                std = sqrt(2 / ((1 + self.slope**2) * fan_in(layer)))
                nn.init.normal_(layer.weight, 0.0, std, generator=rng)
            elif isinstance(layer, _NormBase | nn.GroupNorm) and layer.weight is not None:
                nn.init.ones_(layer.weight)
            else:
                continue
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        return True
