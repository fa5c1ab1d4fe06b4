"""Differentiable collectives over the processes that make the current step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gancore.distributed.group import ProcessGroup, peers


def gather(rows: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """Concatenate the rows `[n, …]` of all processes into those of the whole batch, `[N, …]`.

    Returns `rows` itself in a run of one process. Gradients flow back to the process that the rows
    came from. For layers that compare or average the samples of a batch. `group` is `peers()` by
    default.
    """
    group = peers() if group is None else group
    if group.size == 1:
        return rows
    found: Tensor = _Gather.apply(rows, group)
    return found


def average(values: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """Average values of any shape over all processes; gradients flow back to each.

    Returns `values` itself in a run of one process. `group` is `peers()` by default.
    """
    group = peers() if group is None else group
    if group.size == 1:
        return values
    found: Tensor = _Average.apply(values, group)
    return found


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return group.exchange.all_gather(rows).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _ReduceScatter.apply(gradient, ctx.group), None


class _ReduceScatter(torch.autograd.Function):
    """Sum over all processes and keep this process's rows: the backward pass of `_Gather`."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        return group.local_rows(group.exchange.all_reduce(whole))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Gather.apply(gradient, ctx.group), None


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, group: ProcessGroup) -> Tensor:
        ctx.group = group
        # gather, then average: one message instead of the two of an all-reduce, for few numbers
        return group.exchange.all_gather(values).mean(0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Average.apply(gradient, ctx.group), None
