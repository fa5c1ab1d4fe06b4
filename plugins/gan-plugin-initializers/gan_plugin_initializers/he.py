"""He's initial weights."""

from math import prod, sqrt

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from gancore import component, hookimpl, option


def fan_in(layer: nn.Module) -> float:
    """Count the products summed in one output of a linear or convolutional layer, away from the border.

    A convolution sums channels·k² of them. A transposed one of stride s meets only every s-th row and column of its
    kernel in one output: channels·k²/s², on average where s does not divide k.
    """
    if isinstance(layer, _ConvTransposeNd):
        return layer.in_channels / layer.groups * prod(layer.kernel_size) / prod(layer.stride)
    return layer.weight[0].numel()


@component(source="He et al., ICCV 2015, arXiv:1502.01852, equation 15", known_as={"kaiming": ""})
class He:
    """Draw weights from N(0, 2/((1 + slope²)·fan-in)), which keeps the size of activations through leaky layers.

    Norms start as the identity, biases at 0. Parameters of other modules (embeddings, a component's own tensors) are
    left as they were made.
    """

    slope: float = option(0.2, ge=0, le=1, help="slope below 0 of the activations; 0 for relu, 1 for none")

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
