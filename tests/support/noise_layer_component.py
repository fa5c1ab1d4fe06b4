"""Not a test: a component whose generator draws noise in its forward pass. `test_sampling.py`
trains it.
"""

import torch
from torch import nn

from gancore import component, hookimpl


class Noisy(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.scale = nn.Parameter(torch.full((), 0.5))

    def forward(self, maps):
        maps = self.net(maps)
        noise = torch.randn(len(maps), 1, *maps.shape[2:], device=maps.device, dtype=maps.dtype)
        return maps + self.scale * noise


@component(source="Karras et al., CVPR 2019, arXiv:1812.04948, section 3.2")
class NoiseLayers:
    """Add noise to every upsampled map of the generator."""

    @hookimpl
    def adapt_generator(self, net):
        ups = [
            (name, each)
            for name, each in net.named_modules()
            if isinstance(each, nn.ConvTranspose2d | nn.Upsample)
        ]
        for name, each in ups:
            parent, _, child = name.rpartition(".")
            setattr(net.get_submodule(parent), child, Noisy(each))
