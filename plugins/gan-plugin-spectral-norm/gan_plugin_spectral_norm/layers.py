"""The layers of a network whose weight is one matrix."""

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils import parametrize


def matrix_layers(net):
    """Yield the name and the module of each linear, convolutional and embedding layer.

    Layers whose weight is computed from another one already are left out.
    """
    for name, layer in net.named_modules():
        of_matrix = isinstance(layer, _ConvNd | nn.Linear | nn.Embedding)
        if of_matrix and not parametrize.is_parametrized(layer, "weight"):
            yield name, layer


def as_matrix(layer):
    """Return the weight as a matrix with one row for each output, `[outputs, inputs·k²]`."""
    # a transposed convolution has the outputs second, as groups of them
    outputs = 1 if isinstance(layer, _ConvTransposeNd) else 0
    return layer.weight.transpose(0, outputs).flatten(1)
