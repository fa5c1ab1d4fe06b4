"""A norm that depends on the class: `gan run --norm ./examples/conditional_norm.py`."""

import torch
from torch import Tensor, nn

from gancore import (
    CompositionError,
    ConditionalLayer,
    average,
    component,
    hookimpl,
    option,
    requires,
)


class ConditionalBatchNorm(ConditionalLayer):
    """Normalise maps `[N, C, …]` over the batch; gain and shift `[C]` are those of the class."""

    def __init__(self, channels: int, classes: int, column: int, eps: float, momentum: float):
        super().__init__()
        self.column = column
        self.eps = eps
        self.momentum = momentum
        self.gain = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, maps: Tensor, labels: Tensor, style: Tensor | None) -> Tensor:
        wide = maps.to(torch.promote_types(maps.dtype, torch.float32))  # bfloat16 has 8 bits
        flat = wide.flatten(2) if maps.dim() > 2 else wide[..., None]  # [N, C, P]
        mean, variance = self.statistics(flat)
        normalised = (flat - mean[:, None]) * (variance + self.eps).rsqrt()[:, None]
        classes = labels[:, self.column]
        made = self.gain[classes][..., None] * normalised + self.shift[classes][..., None]
        return made.reshape(maps.shape).to(maps.dtype)

    def statistics(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance `[C]` of the whole batch; outside training, the running ones."""
        if not self.training:
            return self.running_mean, self.running_var
        # each process has the same number of rows, so a mean of their means is that of all rows
        mean = average(flat.mean((0, 2)))
        variance = average((flat - mean[:, None]).square().mean((0, 2)))
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            self.running_var.lerp_(variance.to(self.running_var), self.momentum)
        return mean, variance


@component(
    source=(
        "Dumoulin, Shlens and Kudlur, ICLR 2017, arXiv:1610.07629; "
        "in GANs: Miyato and Koyama, ICLR 2018, arXiv:1802.05637"
    ),
    provides=["batch-statistics"],
    rules=[
        requires("data.labels", "its gain and shift are given by the class", fix="--norm batch")
    ],
)
class ConditionalNorm:
    """Normalise over the batch, with a gain and a shift that are given by the class.

    y = γ_k·(x - mean)/√(var + eps) + β_k for samples of class k. Shape `[N, C, …]` is kept. γ and β
    are one number a class and channel, initially 1 and 0. Mean and variance are one number a
    channel, of all classes together, and those of the whole batch where several processes share a
    run. It serves both players. Raises CompositionError for a label set that does not exist.
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
            raise CompositionError(error.args[0], where="conditional-norm.labels") from None
        classes = len(plan.label_sets[column])
        return ConditionalBatchNorm(channels, classes, column, self.eps, self.momentum)
