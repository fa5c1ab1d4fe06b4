"""Batch normalisation."""

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from gancore import average, component, gather, hookimpl, option, peers


class BatchNormalization(nn.BatchNorm2d):
    """Batch norm that takes `[N, C]` as well as `[N, C, H, W]`, since one network may have layers of both.

    Where several processes share the batch, its statistics are those of all their rows.
    """

    def forward(self, maps: Tensor) -> Tensor:
        if peers().size == 1 or not self.training:
            return super().forward(maps)
        fast = maps.device.type == "cpu" and maps.dtype == self.weight.dtype
        normalize = Shared.apply if fast else normalize_plainly
        made, mean, spread = normalize(maps, self.weight, self.bias, self.eps)
        self.remember(mean, spread, peers().size * maps.numel() // len(mean))
        return made

    @torch.no_grad()
    def remember(self, mean: Tensor, spread: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch of `count` numbers a channel, as torch does."""
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_((spread * count / (count - 1)).to(self.running_var), self.momentum)

    def _check_input_dim(self, maps: Tensor) -> None:
        if maps.dim() < 2:
            raise ValueError(f"batch norm takes [N, C, …], but was given {list(maps.shape)}")


def join(mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance `[C]` of the whole batch from those of this process's rows."""
    moments = gather(torch.stack([mean, spread])[None])  # [R, 2, C], a row a process
    middle = moments[:, 0].mean(0)
    return middle, (moments[:, 1] + (moments[:, 0] - middle).square()).mean(0)


def normalize_plainly(maps: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return γ·(x - μ)/√(σ² + eps) + β of maps `[N, C, …]`, μ and σ² `[C]` by operations that torch differentiates."""
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    spread, mean = torch.var_mean(wide, [0, *range(2, maps.dim())], correction=0)
    mean, spread = join(mean, spread)
    scale = weight * (spread + eps).rsqrt()
    made = (wide - per_channel(mean, maps)) * per_channel(scale, maps) + per_channel(bias, maps)
    return made.to(maps.dtype), mean, spread


def per_channel(values: Tensor, maps: Tensor) -> Tensor:
    """Shape one number a channel `[C]` so that it broadcasts over maps `[N, C, …]`."""
    return values.view(-1, *[1] * (maps.dim() - 2))


class Shared(Function):
    """What `normalize_plainly` computes, by the kernels of torch's own batch norm: a fraction of the time."""

    @staticmethod
    def forward(ctx, maps, weight, bias, eps):
        mean, spread = join(*torch.ops.aten.batch_norm_update_stats(maps, None, None, 0.0))
        ctx.save_for_backward(maps, weight, bias, mean, spread)
        ctx.eps, ctx.peers = eps, peers()
        ctx.mark_non_differentiable(mean, spread)
        return functional.batch_norm(maps, mean, spread, weight, bias, eps=eps), mean, spread

    @staticmethod
    def backward(ctx, gradient, *_):
        maps, weight, bias, mean, spread = ctx.saved_tensors
        if torch.is_grad_enabled():  # it is to be differentiated once more
            with ctx.peers.together():
                made = normalize_plainly(maps, weight, bias, ctx.eps)[0]
            return *torch.autograd.grad(made, (maps, weight, bias), gradient, create_graph=True), None
        # γ/σ·(g - mean of g - x̂·mean of g·x̂), the means over the whole batch: both are sums that γ and β need too
        given = gradient, maps, weight, mean, spread, None, None, False, ctx.eps, (False, True, True)
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(*given)
        both = average(torch.stack([of_bias, of_weight]), ctx.peers) * (len(mean) / maps.numel())
        scale = (spread + ctx.eps).rsqrt()
        slope = -weight * scale.square() * both[1]
        level = -weight * scale * both[0] - slope * mean
        of_maps = torch.addcmul(per_channel(level, maps), maps, per_channel(slope, maps))
        of_maps.addcmul_(gradient, per_channel(weight * scale, maps))
        return of_maps, of_weight, of_bias, None


@component(
    source="Ioffe and Szegedy, ICML 2015, arXiv:1502.03167",
    provides=["batch-statistics"],
    known_as={"bn": ""},
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
