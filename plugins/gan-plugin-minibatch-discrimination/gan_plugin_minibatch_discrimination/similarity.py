"""How alike rows are: exponentials of their distances, which can be differentiated as often as one likes."""

import torch
from torch import Tensor
from torch.autograd import Function


def similarity(x: Tensor, y: Tensor) -> Tensor:
    """Compare rows x `[B, n, C]` with rows y `[B, N, C]` for each of B kernels: exp(-‖x_i - y_j‖₁), `[B, n, N]`.

    Where two numbers are equal the gradient by their difference is 0. Nothing larger than the result is kept.
    """
    same, x = x is y, x.contiguous()
    return Similarity.apply(x, x if same else y.contiguous())


class Similarity(Function):
    """What `similarity` returns. With torch.cdist alone not every version of torch differentiates twice."""

    @staticmethod
    def forward(ctx, x, y):
        close = torch.cdist(x, y, p=1.0).neg_().exp_()
        ctx.same = x is y
        ctx.save_for_backward(x, y, close)
        return close

    @staticmethod
    def backward(ctx, gradient):
        x, y, close = ctx.saved_tensors
        if ctx.same:  # both gradients at once, as close is symmetric
            return Signs.apply(-close * (gradient + gradient.mT), x, x), None
        pulls = -close * gradient
        return Signs.apply(pulls, x, y), Signs.apply(pulls.mT, y, x)


class Signs(Function):
    """Σ_j pulls_ij · sign(x_i - y_j) of pulls `[B, n, N]`, x `[B, n, C]` and y `[B, N, C]`: `[B, n, C]`."""

    @staticmethod
    def forward(ctx, pulls, x, y):
        ctx.save_for_backward(x, y)
        pulls = pulls.contiguous()  # stands in for the distances too, which do not count for p = 1
        return torch.ops.aten._cdist_backward(pulls, x, y, 1.0, pulls)

    @staticmethod
    def backward(ctx, gradient):
        columns = zip(*(each.unbind(2) for each in (gradient, *ctx.saved_tensors)), strict=True)  # never [B, n, N, C]
        return sum(u[..., None] * (x[..., None] - y[:, None]).sign() for u, x, y in columns), None, None
