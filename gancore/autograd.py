"""How scores change with their input: derivatives that can be differentiated once more, without
paying twice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def input_gradients(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Return the gradient of the sum of `function(inputs)` at inputs `[N, …]`, itself
    differentiable.

    Where each score depends on its own sample alone, row n is the gradient of score n. To rounding
    the same as `torch.autograd.grad(…, create_graph=True)`, but the second derivative of plain
    convolutions and rectifiers by their input is not computed, for it is 0; everything else is left
    to torch. The inputs are taken as constants: no gradient flows back through them. Runs in the
    precision it is called in, autocast included.
    """
    inputs = inputs.detach().requires_grad_()
    rules = _Rules(inputs)
    with rules, _uncompiled():
        total = function(inputs).sum()
    rules.asking = True
    (gradient,) = torch.autograd.grad(total, inputs, create_graph=True)
    rules.asking = False
    return gradient


def _uncompiled() -> AbstractContextManager[object]:
    """Return the context in which no module is compiled: compiled code cannot be differentiated
    twice.
    """
    # nor is anything compiled yet, and its import takes long
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


class _Rules(TorchFunctionMode):
    """Gives convolutions and rectifiers a backward made of operations that are cheap to
    differentiate again.

    `asking` is true while the gradient by the inputs alone is taken, for which no weight's gradient
    is computed: torch tells an autograd function which of its arguments require a gradient, not
    which are asked for one.
    """

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = inputs
        self.asking = False

    def __torch_function__(
        self, called: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        rule = _RULES.get(called)
        return rule(self, called, *args, **kwargs) if rule else called(*args, **kwargs)

    def convolve(
        self,
        called: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        plain = (
            input.dim() == 4
            and groups == 1
            and _pair(dilation) == (1, 1)
            and not isinstance(padding, str)
        )
        # a weight that depends on the inputs has a part in their gradient, and while `asking` no
        # gradient of a weight is computed
        if not plain or self.reach(weight) or self.reach(bias):
            return called(input, weight, bias, stride, padding, dilation, groups)
        cast = map(_cast, (input, weight, bias))
        return _Convolution.apply(self, *cast, _pair(stride), _pair(padding))

    def rectify(self, called: Any, input: Tensor, *args: Any, **kwargs: Any) -> Any:
        slope = 0.0
        if called in _LEAKY:
            slope = kwargs.get("negative_slope", args[0] if args else 0.01)
        if slope < 0:  # the sign of the result would not be that of the input
            return called(input, *args, **kwargs)
        return _Rectifier.apply(input, slope, lambda maps: called(maps, *args, **kwargs))

    def reach(self, weight: Tensor | None) -> bool:
        """Say whether a weight depends on the inputs, as one that another network makes may."""
        waiting = [] if weight is None or weight.grad_fn is None else [weight.grad_fn]
        seen = set()
        while waiting:
            node = waiting.pop()
            if getattr(node, "variable", None) is self.inputs:
                return True
            seen.add(node)
            for before, _ in node.next_functions:
                if before is not None and before not in seen:
                    waiting.append(before)
        return weight is self.inputs


class _Convolution(Function):
    """A plain convolution whose gradient by the input is an ordinary operation, linear in gradient
    and weight.
    """

    @staticmethod
    def forward(
        ctx: Any, rules: _Rules, input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any
    ) -> Any:
        ctx.rules = rules
        ctx.stride = stride
        ctx.padding = padding
        ctx.sizes = None if bias is None else bias.shape
        ctx.save_for_backward(input, weight)
        # of a later pass, in which nothing flows into the inputs
        ctx.wanted = (input is not rules.inputs, *ctx.needs_input_grad[2:4])
        return torch.conv2d(input, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        input, weight = ctx.saved_tensors
        if not ctx.rules.asking:
            given = (
                gradient,
                input,
                weight,
                ctx.sizes,
                ctx.stride,
                ctx.padding,
                (1, 1),
                False,
                (0, 0),
                1,
            )
            return None, *torch.ops.aten.convolution_backward(*given, ctx.wanted), None, None
        # rows and columns at the end that the strides never read, whose gradient is 0
        left = []
        sides = zip(input.shape[2:], weight.shape[2:], ctx.padding, ctx.stride, strict=True)
        for side, kernel, padding, stride in sides:
            left.append((side + 2 * padding - kernel) % stride)
        found = torch.conv_transpose2d(gradient, weight, None, ctx.stride, ctx.padding, left)
        return None, found, None, None, None, None


class _Rectifier(Function):
    """A (leaky) rectifier whose backward is a mask without history, the mask being constant almost
    everywhere.
    """

    @staticmethod
    def forward(ctx: Any, input: Tensor, slope: float, rectify: Callable[[Tensor], Tensor]) -> Any:
        result = rectify(input)
        if result is input:
            ctx.mark_dirty(input)
        ctx.slope = slope
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (result,) = ctx.saved_tensors
        return (
            torch.ops.aten.leaky_relu_backward(gradient, result.detach(), ctx.slope, True),
            None,
            None,
        )


def _pair(value: Any) -> tuple[int, ...]:
    """Give both sides a number, as torch takes one for two."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * 2 if len(numbers) == 1 else numbers


def _cast(tensor: Tensor | None) -> Tensor | None:
    """Cast as autocast casts what a convolution is given.

    It does not reach into an autograd function's backward.
    """
    if (
        tensor is None
        or tensor.dtype is torch.float64
        or not torch.is_autocast_enabled(tensor.device.type)
    ):
        return tensor
    return tensor.to(torch.get_autocast_dtype(tensor.device.type))


_LEAKY = (functional.leaky_relu, functional.leaky_relu_)
_RECTIFIERS = (functional.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, *_LEAKY)
_RULES: dict[Any, Any] = {
    torch.conv2d: _Rules.convolve,
    **dict.fromkeys(_RECTIFIERS, _Rules.rectify),
}
