"""Pixel normalisation."""

import torch
from torch import Tensor, nn

from gancore import component, hookimpl, option


class PixelNormalization(nn.Module):
    """Divide each pixel of maps `[N, C, …]` by the root mean square of its channels."""

    def __init__(self, eps: float):
        super().__init__()
        self.eps = eps

    def forward(self, maps: Tensor) -> Tensor:
        wide = maps.to(torch.promote_types(maps.dtype, torch.float32))  # squares overflow float16
        return (wide * (wide.square().mean(1, keepdim=True) + self.eps).rsqrt()).to(maps.dtype)


@component(
    source="Karras et al., ICLR 2018, arXiv:1710.10196, section 4.2",
    known_as={"pixel-norm": "", "pixelnorm": ""},
)
class PixelNorm:
    """Normalise each pixel over its channels: x/√(mean over c of x_c² + eps).

    Shape `[N, C, …]` is kept; afterwards the mean square over the channels of each pixel is 1, up
    to eps. There are no weights, and a sample's output depends on that sample alone. The source has
    it in the generator, after each activation (`--dcgan.norm-after-activation true`); a layer that
    follows without a bias, as in `dcgan`, then has none.
    """

    eps: float = option(1e-8, gt=0, help="added to the mean square")

    @hookimpl
    def make_norm(self):
        return PixelNormalization(self.eps)
