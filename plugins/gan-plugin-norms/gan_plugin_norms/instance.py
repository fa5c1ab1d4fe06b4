"""Instance normalisation."""

from torch import Tensor, nn
from torch.nn.functional import group_norm

from gancore import CompositionError, component, hookimpl, option


class InstanceNormalization(nn.GroupNorm):
    """Normalise `[N, C, h, w]` over the pixels of each channel, and `[N, C]` over its channels."""

    def forward(self, maps: Tensor) -> Tensor:
        groups = self.num_groups if maps.shape[2:].numel() > 1 else 1
        return group_norm(maps, groups, self.weight, self.bias, self.eps)


@component(source="Ulyanov, Vedaldi and Lempitsky 2016, arXiv:1607.08022")
class InstanceNorm:
    """Normalise each channel of each sample over its pixels.

    y = γ_c·(x - mean)/√(var + eps) + β_c. Shape `[N, C, …]` is kept; γ and β are one number a
    channel. A sample's output depends on that sample alone. The mean and variance of a channel are
    lost, and so the image's overall colour and contrast. Maps of one pixel, and `[N, C]`, are
    normalised over their channels instead, as by `layer`. Elements of signals and volumes are the
    pixels of those. Raises CompositionError where samples are points, since then no layer has
    pixels.
    """

    eps: float = option(1e-5, gt=0, help="added to the variance")

    @hookimpl
    def make_norm(self, channels, role, plan):
        if not plan.axes:
            raise CompositionError(
                f"instance averages over pixels, but a sample has shape {plan.shape}",
                fix="--critic-norm layer" if role == "critic" else "--gen-norm layer",
            )
        return InstanceNormalization(channels, channels, self.eps)
