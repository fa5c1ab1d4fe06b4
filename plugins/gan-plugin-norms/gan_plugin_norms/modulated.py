"""Batch normalisation whose gain and shift are those of a class, or functions of the latent."""

import torch
from torch import Tensor, nn

from gan_plugin_norms.batch import BatchNormalization, normalize_plainly
from gancore import (
    CompositionError,
    ConditionalLayer,
    component,
    hookimpl,
    option,
    peers,
    requires,
)


class Standardization(BatchNormalization):
    """Normalise maps `[N, C, …]` to mean 0 and variance 1 over the batch, without weights."""

    def __init__(self, channels: int, options):
        super().__init__(channels, options.eps, options.momentum, affine=False)

    def forward(self, maps: Tensor) -> Tensor:
        if peers().size == 1 or not self.training:
            return super().forward(maps)
        weight = torch.ones(maps.shape[1], device=maps.device)
        made, mean, variance = normalize_plainly(maps, weight, torch.zeros_like(weight), self.eps)
        self.update_running_statistics(mean, variance, peers().size * maps.numel() // len(mean))
        return made


class ModulatedBatchNorm(ConditionalLayer):
    """Normalise maps `[N, C, …]` over the batch; each sample has a gain and a shift `[C]`.

    A subclass defines `modulation(labels, style)`, which returns both as `[N, 2·C]`.
    """

    def __init__(self, channels: int, style: int, options):
        super().__init__(style)
        self.norm = Standardization(channels, options)

    def forward(self, maps: Tensor, labels: Tensor, style: Tensor | None) -> Tensor:
        gain, shift = self.modulation(labels, style).chunk(2, 1)  # [N, C]
        shape = (*maps.shape[:2], *[1] * (maps.dim() - 2))
        # in the precision of the gain: bfloat16 has 8 bits
        made = self.norm(maps) * gain.reshape(shape) + shift.reshape(shape)
        return made.to(maps.dtype)

    def modulation(self, labels: Tensor, style: Tensor | None) -> Tensor:
        """Return gains and shifts `[N, 2·C]`."""
        raise NotImplementedError


class ByClass(ModulatedBatchNorm):
    """Take gain and shift `[C]` from a table of the classes."""

    def __init__(self, channels: int, classes: int, column: int, options):
        super().__init__(channels, 0, options)
        self.column = column
        start = torch.cat([torch.ones(channels), torch.zeros(channels)])
        self.table = nn.Parameter(start.repeat(classes, 1))

    def modulation(self, labels: Tensor, style: Tensor | None) -> Tensor:
        """Return the rows of the classes."""
        return self.table[labels[:, self.column]]


class ByStyle(ModulatedBatchNorm):
    """Compute gain and shift from the style `[N, W]`, by one hidden layer or a linear map."""

    def __init__(self, channels: int, style: int, hidden: int, options):
        super().__init__(channels, style, options)
        layers = [nn.Linear(style, hidden), nn.ReLU()] if hidden else []
        self.modulate = nn.Sequential(*layers, nn.Linear(hidden or style, 2 * channels))

    def modulation(self, labels: Tensor, style: Tensor | None) -> Tensor:
        """Return 1 + γ(style) and β(style)."""
        gain, shift = self.modulate(style).chunk(2, 1)
        return torch.cat([1 + gain, shift], 1)


@component(
    source=(
        "Dumoulin, Shlens and Kudlur, ICLR 2017, arXiv:1610.07629; de Vries et al., NeurIPS 2017, "
        "arXiv:1707.00683; in GANs: Miyato and Koyama, ICLR 2018, arXiv:1802.05637"
    ),
    provides=["batch-statistics"],
    rules=[
        requires("data.labels", "its gain and shift are given by the class", fix="--norm batch")
    ],
    known_as={"conditional-batch-norm": "", "cbn": ""},
)
class ConditionalBatch:
    """Normalise over the batch, with a gain and a shift that are given by the class.

    y = γ_k·(x - mean)/√(var + eps) + β_k for samples of class k. Shape `[N, C, …]` is kept. γ and β
    are one number a class and channel, initially 1 and 0: with equal rows it is `batch`. Mean and
    variance are one number a channel, of all classes together, and those of the whole batch where
    several processes share a run. It serves both players; in a critic it conflicts with per-sample
    gradient penalties, as `batch` does. Raises CompositionError for a label set that does not
    exist.
    """

    labels: str = option("", help="label set that gives the class; empty takes the first")
    momentum: float = option(
        0.1, gt=0, le=1, help="share of the new batch in the running statistics"
    )
    eps: float = option(1e-5, gt=0, help="added to the variance")

    @hookimpl
    def make_norm(self, channels, plan):
        try:
            column = plan.column(self.labels)
        except KeyError as error:
            raise CompositionError(error.args[0], where="conditional-batch.labels") from None
        return ByClass(channels, len(plan.label_sets[column]), column, self)


@component(
    source="Chen, Lucic, Houlsby and Gelly, ICLR 2019, arXiv:1810.01365, section 3.1",
    provides=["batch-statistics"],
)
class SelfModulation:
    """Normalise over the batch, with a gain and a shift computed from the generator's latent.

    y = (1 + γ(z))·(x - mean)/√(var + eps) + β(z). Shape `[N, C, …]` is kept. γ and β are computed
    from z `[N, W]` by a linear layer, ReLU and a linear layer, or by a linear layer alone with
    `hidden 0`; the 1 lets initial weights near 0 leave the normalised maps as they are. A condition
    that another component appends to the latent (`concat-label`) is part of z, so labels compose
    with it. Mean and variance are those of the whole batch where several processes share a run.
    Raises CompositionError for the critic, which has no latent, and for a generator that passes no
    style to its norms.
    """

    hidden: int = option(32, ge=0, help="width of the hidden layer; 0 for a linear map")
    momentum: float = option(
        0.1, gt=0, le=1, help="share of the new batch in the running statistics"
    )
    eps: float = option(1e-5, gt=0, help="added to the variance")

    @hookimpl
    def make_norm(self, channels, role, style):
        if not style:
            raise CompositionError(
                f"self-modulation needs a style, but the {role} passes none to its norms",
                where=f"norm of the {role}",
                fix="--critic-norm none, as a critic has no latent"
                if role == "critic"
                else "--gen-norm batch, or a generator that calls plan.norm(…, style=W)",
            )
        return ByStyle(channels, style, self.hidden, self)
