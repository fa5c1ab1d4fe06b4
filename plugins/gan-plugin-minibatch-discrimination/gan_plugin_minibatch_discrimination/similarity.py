"""Similarity of rows: exponentials of their L1 distances, differentiable twice."""

import torch
from torch import Tensor
from torch.autograd import Function


def similarity(x: Tensor, y: Tensor) -> Tensor:
    """Compute exp(-‖x_i - y_j‖₁) of rows x `[B, n, C]` and y `[B, N, C]`: `[B, n, N]`.

    The subgradient of |a - b| at a = b is 0. No tensor larger than the result is stored.
    """
    same = x is y  # before `contiguous`, which may copy
    x = x.contiguous()
    return Similarity.apply(x, x if same else y.contiguous())


class Similarity(Function):
    """Compute `similarity`. Not all versions of torch can differentiate torch.cdist twice."""

    @staticmethod
    def forward(ctx, x, y):
        close = torch.cdist(x, y, p=1.0).neg_().exp_()
        ctx.same = x is y
        ctx.save_for_backward(x, y, close)
        return close

    @staticmethod
    def backward(ctx, gradient):
        x, y, close = ctx.saved_tensors
        if ctx.same:  # one call for both gradients, as `close` is symmetric
            return Signs.apply(-close * (gradient + gradient.mT), x, x), None
        weights = -close * gradient
        return Signs.apply(weights, x, y), Signs.apply(weights.mT, y, x)


class Signs(Function):
    """Compute Σ_j w_ij · sign(x_i - y_j), `[B, n, C]`, of weights w `[B, n, N]`."""

    @staticmethod
    def forward(ctx, weights, x, y):
        ctx.save_for_backward(x, y)
        weights = weights.contiguous()
        # the last argument, the distances, is not used for p = 1
        return torch.ops.aten._cdist_backward(weights, x, y, 1.0, weights)

    @staticmethod
    def backward(ctx, gradient):
        x, y = ctx.saved_tensors
        of_weights = 0
        # one column at a time: never [B, n, N, C]
        for g, a, b in zip(gradient.unbind(2), x.unbind(2), y.unbind(2), strict=True):
            of_weights = of_weights + g[..., None] * (a[..., None] - b[:, None]).sign()
        return of_weights, None, None
