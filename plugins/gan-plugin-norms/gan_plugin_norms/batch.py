"""Batch normalisation."""

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from gancore import average, component, gather, hookimpl, option, peers


class BatchNormalization(nn.BatchNorm2d):
    """Batch norm of `[N, C]` and of `[N, C, H, W]`, since one network may have layers of both, and
    of maps with any other number of axes.

    Where several processes share the batch, statistics are those of the whole batch.
    """

    def forward(self, maps: Tensor) -> Tensor:
        if peers().size == 1 or not self.training:
            return super().forward(maps)
        fast = maps.device.type == "cpu" and maps.dtype == self.weight.dtype
        normalize = SharedBatchNorm.apply if fast else normalize_plainly
        made, mean, variance = normalize(maps, self.weight, self.bias, self.eps)
        self.update_running_statistics(mean, variance, peers().size * maps.numel() // len(mean))
        return made

    @torch.no_grad()
    def update_running_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Average in the statistics of a batch of `count` elements a channel, as torch does."""
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        unbiased = variance * count / (count - 1)
        self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)

    def _check_input_dim(self, maps: Tensor) -> None:
        if maps.dim() < 2:
            raise ValueError(f"batch norm takes [N, C, …], but was given {list(maps.shape)}")


def join_statistics(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance `[C]` of the whole batch from those of this process's rows."""
    moments = gather(torch.stack([mean, variance])[None])  # [R, 2, C], a row for each process
    means = moments[:, 0]
    variances = moments[:, 1]
    joint = means.mean(0)
    return joint, (variances + (means - joint).square()).mean(0)


def normalize_plainly(
    maps: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return γ·(x - μ)/√(σ² + eps) + β of maps `[N, C, …]`, μ `[C]` and σ² `[C]`.

    All operations are differentiable by torch, any number of times.
    """
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    variance, mean = torch.var_mean(wide, [0, *range(2, maps.dim())], correction=0)
    mean, variance = join_statistics(mean, variance)
    scale = weight * (variance + eps).rsqrt()
    centred = wide - per_channel(mean, maps)
    made = centred * per_channel(scale, maps) + per_channel(bias, maps)
    return made.to(maps.dtype), mean, variance


def per_channel(values: Tensor, maps: Tensor) -> Tensor:
    """Reshape one number a channel `[C]` to broadcast over maps `[N, C, …]`."""
    return values.view(-1, *[1] * (maps.dim() - 2))


class SharedBatchNorm(Function):
    """Compute `normalize_plainly` faster, by the kernels of torch's batch norm."""

    @staticmethod
    def forward(ctx, maps, weight, bias, eps):
        statistics = torch.ops.aten.batch_norm_update_stats(maps, None, None, 0.0)
        mean, variance = join_statistics(*statistics)
        ctx.save_for_backward(maps, weight, bias, mean, variance)
        ctx.eps = eps
        ctx.peers = peers()
        ctx.mark_non_differentiable(mean, variance)
        made = functional.batch_norm(maps, mean, variance, weight, bias, eps=eps)
        return made, mean, variance

    @staticmethod
    def backward(ctx, gradient, *_):
        maps, weight, bias, mean, variance = ctx.saved_tensors
        # a double backward needs a graph, which the kernels do not make
        if torch.is_grad_enabled():
            with ctx.peers.together():
                made = normalize_plainly(maps, weight, bias, ctx.eps)[0]
            inputs = (maps, weight, bias)
            return *torch.autograd.grad(made, inputs, gradient, create_graph=True), None
        # γ/σ·(g - mean of g - x̂·mean of g·x̂), with means over the whole batch: both are sums that
        # the gradients of γ and β need too
        wanted = (False, True, True)
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, maps, weight, mean, variance, None, None, False, ctx.eps, wanted
        )
        sums = average(torch.stack([of_bias, of_weight]), ctx.peers)
        means = sums * (len(mean) / maps.numel())
        scale = (variance + ctx.eps).rsqrt()
        # the gradient by x is linear in x and g, per channel
        slope = -weight * scale.square() * means[1]
        level = -weight * scale * means[0] - slope * mean
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

    Shape `[N, C, …]` is kept. Reals and fakes are normalised separately, in separate forward
    passes. A sample's output depends on the other samples of its batch, so a per-sample gradient
    penalty conflicts with it in the critic. Where several processes share a run, statistics are
    those of the whole batch. Momentum in Keras is the share that is kept: 0.9 there is 0.1 here;
    eps there is 1e-3.
    """

    momentum: float = option(
        0.1, gt=0, le=1, help="share of the new batch in the running statistics"
    )
    eps: float = option(1e-5, gt=0, help="added to the variance")

    @hookimpl
    def make_norm(self, channels):
        return BatchNormalization(channels, self.eps, self.momentum)
