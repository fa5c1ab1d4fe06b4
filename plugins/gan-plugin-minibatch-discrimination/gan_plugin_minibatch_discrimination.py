"""Minibatch discrimination: let the critic see how alike the samples of a batch are."""

import torch
from torch import Tensor, nn

from gancore import Tail, component, hookimpl, option

DENSE = 256  # width of the dense layers before and after


class MinibatchLayer(nn.Module):
    """Features `[N, A] → [N, A + kernels]`: each sample's closeness to the others is appended, one number a kernel."""

    def __init__(self, features, options):
        super().__init__()
        self.options = options
        self.weight = nn.Parameter(torch.empty(features, options.kernels * options.dim))  # T, [A, B·C]
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.closeness(features)], 1)

    def closeness(self, features: Tensor) -> Tensor:
        """Return o `[N, B]`, in float32 also under autocast."""
        rows = features @ self.weight  # M
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32)).unflatten(1, (self.options.kernels, -1))
        # as fast as torch.cdist, which few versions differentiate twice, as a gradient penalty does
        distances = sum((row[:, :, None] - row[:, None, :]).abs() for row in rows.permute(2, 1, 0).contiguous())
        close = torch.exp(-distances).sum(2).T  # [B, N, N] → [N, B]
        own = 0 if self.options.include_self else 1  # exp(-0), a sample's closeness to itself
        return (close - own) / (max(1, len(features) - own) if self.options.normalize else 1)


@component(
    source="Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.2",
    provides=["critic.cross-sample"],
)
class MinibatchDiscrimination:
    """Append to each sample's features how close it lies to the rest of its batch.

    M = f·T `[N, B, C]`, c_b(i, j) = exp(-‖M_ib - M_jb‖₁), o_ib = Σ_j c_b(i, j) over j ≠ i, and the tail returns
    `[f, o]`, `[N, F] → [N, F + B]`, with B kernels of C dims. Reals and fakes are separate batches, so a collapsed
    generator shows as large o. Divided by the count of summands (N - 1, or N with itself) o lies in [0, 1] and does
    not depend on the batch size; the source sums, itself included. With a dense layer of 256 before, the tail returns
    256 + B features, with one after or both 256, even where F was larger. T is Glorot-uniform. A pass needs
    4·B·C·N² bytes, 8 MB at N = 64.
    """

    kernels: int = option(100, ge=1, help="features appended, B")
    dim: int = option(5, ge=1, help="numbers compared by each kernel, C")
    include_self: bool = option(False, help="true counts a sample's closeness to itself, which is 1")
    normalize: bool = option(True, help="true averages over the samples instead of summing")
    dense: str = option(
        "none", choices=("none", "before", "after", "both"), help="where dense layers of 256 features stand, slope 0.2"
    )

    @hookimpl
    def extend_critic(self, features):
        layers, width = [], features
        if self.dense in ("before", "both"):
            layers += [nn.Linear(width, DENSE), nn.LeakyReLU(0.2)]
            width = DENSE
        layers.append(MinibatchLayer(width, self))
        width += self.kernels
        if self.dense in ("after", "both"):
            layers += [nn.Linear(width, DENSE), nn.LeakyReLU(0.2)]
            width = DENSE
        return Tail(nn.Sequential(*layers), added=width - features)
