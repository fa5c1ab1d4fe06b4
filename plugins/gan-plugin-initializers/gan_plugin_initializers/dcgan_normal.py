"""Normal initial weights, as in DCGAN."""

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from gancore import component, hookimpl, option


@component(source="Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434, section 3 (N(0, 0.02))")
class DCGANNormal:
    """Initialise weights from N(0, std²) and scales of norms from N(1, std²); biases are 0.

    Convolutions and linear layers are initialised. Parameters of other modules (embeddings, a
    component's own tensors) are left alone.
    """

    std: float = option(0.02, gt=0, help="standard deviation of the weights")
    linear: bool = option(True, help="false leaves linear layers at the default of torch")

    @hookimpl
    def initialize(self, net, rng):
        for layer in net.modules():
            if isinstance(layer, _ConvNd) or (self.linear and isinstance(layer, nn.Linear)):
                nn.init.normal_(layer.weight, 0.0, self.std, generator=rng)
            elif isinstance(layer, _NormBase | nn.GroupNorm) and layer.weight is not None:
                nn.init.normal_(layer.weight, 1.0, self.std, generator=rng)
            else:
                continue
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        return True
