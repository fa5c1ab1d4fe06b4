"""Layer normalisation."""

from torch import nn

from gancore import component, hookimpl, option


@component(
    source=(
        "Ba, Kiros and Hinton 2016, arXiv:1607.06450; "
        "in critics: Gulrajani et al. 2017, arXiv:1704.00028"
    ),
    known_as={"ln": ""},
)
class LayerNorm:
    """Normalise each sample over its channels and pixels.

    y = γ_c·(x - mean)/√(var + eps) + β_c. Shape `[N, C, …]` is kept. γ and β are one number a
    channel, as in the WGAN-GP authors' program. A sample's output depends on that sample alone, and
    does not change when its input is scaled or shifted (up to eps).
    """

    eps: float = option(1e-5, gt=0, help="added to the variance")

    @hookimpl
    def make_norm(self, channels):
        return nn.GroupNorm(1, channels, self.eps)
