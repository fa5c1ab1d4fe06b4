"""Batch normalisation."""

import torch
from torch import Tensor, nn

from gancore import component, gather, hookimpl, option, processes


class BatchNormalization(nn.BatchNorm2d):
    """Batch norm that takes `[N, C]` as well as `[N, C, H, W]`, since one network may have layers of both.

    Where several processes share the batch, its statistics are those of all their rows.
    """

    def forward(self, maps: Tensor) -> Tensor:
        if processes() == 1 or not self.training:
            return super().forward(maps)
        axes, wide = [0, *range(2, maps.dim())], maps.to(torch.promote_types(maps.dtype, torch.float32))
        moments = gather(torch.stack(torch.var_mean(wide, axes, correction=0))[None])  # [R, 2, C], one row a process
        mean = moments[:, 1].mean(0)
        spread = (moments[:, 0] + (moments[:, 1] - mean).square()).mean(0)
        self.remember(mean.detach(), spread.detach(), processes() * maps.numel() // len(mean))
        shape = (-1, *[1] * (maps.dim() - 2))
        scale = self.weight * (spread + self.eps).rsqrt()
        return ((wide - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)).to(maps.dtype)

    @torch.no_grad()
    def remember(self, mean: Tensor, spread: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch of `count` numbers a channel, as torch does."""
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_((spread * count / (count - 1)).to(self.running_var), self.momentum)

    def _check_input_dim(self, maps: Tensor) -> None:
        if maps.dim() < 2:
            raise ValueError(f"batch norm takes [N, C, …], but was given {list(maps.shape)}")


@component(
    source="Ioffe and Szegedy, ICML 2015, arXiv:1502.03167",
    provides=["batch-statistics"],
)
class BatchNorm:
    """Normalise each channel over the batch: training output has mean β and variance γ².

    Shape `[N, C, …]` is kept. Reals and fakes are normalised apart, as they are separate calls. A sample's output
    depends on its neighbours, which is why a penalty on one sample's gradient refuses it in the critic. Where several
    processes share a run, the batch is that of all of them.
    Keras counts the share that is kept: its momentum 0.9 is 0.1 here; its eps is 1e-3.
    """

    momentum: float = option(0.1, gt=0, le=1, help="share of the new batch in the running statistics")
    eps: float = option(1e-5, gt=0, help="added to the variance")

    @hookimpl
    def make_norm(self, channels):
        return BatchNormalization(channels, self.eps, self.momentum)
