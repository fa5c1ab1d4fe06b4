"""The gradient of a component's terms against finite differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gancore.errors import GanError
from gancore.plugins.component import has_state
from gancore.testing.faults import Fault
from gancore.testing.processes import data_in_default_type, default_dtype
from gancore.testing.subject import hooks_of, unwrapped
from gancore.testing.trainings import some_batch, terms, train
from gancore.train.data import Data

# Of a weight. The smallest fits float64; the largest, a component that computes some of its numbers
# in float32, whose rounding a small step would magnify.
DIFFERENCE_STEPS = (1e-6, 1e-4, 1e-3)
DIRECTIONS = 2  # of which one must agree: a kink may lie between the two points of a difference
GRADIENT_TOLERANCE = 1e-3  # of the larger derivative


def check_gradients(make: Callable[[], Sequence[Any]], *, data: Data | None = None) -> list[str]:
    """Check that the gradient of a component's terms is that of their values.

    `make` returns new components at each call; the first is checked. Its terms are computed in
    float64 at the weights of a new training, and at weights a little to either side along random
    directions. Returns sentences about what could not be checked: a component with state, whose
    terms change from call to call, and one that computes in float32.
    """
    return compare_gradients(make, data)


def compare_gradients(make: Callable[[], Sequence[Any]], data: Data | None = None) -> list[str]:
    """Raise Fault where a gradient is wrong; return sentences about what could not be checked."""
    component = unwrapped(make()[0])
    name = type(component).__name__
    if has_state(component):
        return [f"the gradient of {name}'s terms: they may change with its state"]
    skipped = []
    for role in ("critic", "generator"):
        hook = f"{role}_terms"
        if hook not in hooks_of(type(component)):
            continue
        with default_dtype(torch.float64):
            try:
                reason = _compare(make, data, role, hook)
            except (RuntimeError, GanError) as error:
                reason = str(error).partition("\n")[0]
        if reason:
            skipped.append(f"the gradient of {name}.{hook} in float64: {reason}")
    return skipped


def _compare(make: Callable[[], Sequence[Any]], data: Data | None, role: str, hook: str) -> str:
    """Raise Fault where the gradient is wrong; return why it could not be checked, or ''."""
    value, gradients = _evaluated(make, data, role, hook, ())
    if value is None:
        return ""
    rng = torch.Generator().manual_seed(0)
    # the rounding of a difference of terms that hardly change
    rounding = 1e-8 * max(1.0, abs(float(value)))
    apart = ""
    for _ in range(DIRECTIONS):
        direction = [torch.randn(each.shape, generator=rng) for each in gradients]
        pairs = zip(gradients, direction, strict=True)
        analytic = float(sum((one * other).sum() for one, other in pairs))
        rates: list[float] = []
        for step in DIFFERENCE_STEPS:
            ahead, _ = _evaluated(make, data, role, hook, [step * each for each in direction])
            behind, _ = _evaluated(make, data, role, hook, [-step * each for each in direction])
            if ahead is None or behind is None:
                return ""
            rate = float(ahead - behind) / (2 * step)
            if _near(rate, analytic, rounding):
                return ""
            # rates that depend on the step are no derivative: too many kinks, or rounding
            if rates and _near(rate, rates[-1], rounding):
                apart = f"change at a rate of {rate:.6g}, their gradient says {analytic:.6g}"
            rates.append(rate)
    if not apart:
        return "differences of its terms depend on the size of the step"
    raise Fault(
        f"{type(unwrapped(make()[0])).__name__}.{hook}: along a random direction of the {role}'s "
        f"weights the terms {apart}",
        fix="look for detach(), no_grad(), float(…) and hand-written backward passes; "
        'a gradient stopped on purpose: check_component(…, without=["gradients"])',
        hook=hook,
    )


def _near(one: float, other: float, rounding: float) -> bool:
    return abs(one - other) <= GRADIENT_TOLERANCE * max(abs(one), abs(other)) + rounding


def _evaluated(
    make: Callable[[], Sequence[Any]],
    data: Data | None,
    role: str,
    hook: str,
    moved: Sequence[Tensor],
) -> tuple[Tensor | None, list[Tensor]]:
    """Return the sum of the terms, and its gradient in each weight, where these moved by so much.

    A new training each time, so that no call sees what another one left.
    """
    components = make()
    training = train(*components, data=data_in_default_type(components, data))
    player = training.context.gan.player("critic" if role == "critic" else "generator")
    with torch.no_grad():
        for weight, by in zip(player.parameters, moved, strict=bool(moved)):
            weight.add_(by)
    found = list(terms(unwrapped(components[0]), hook, some_batch(training, role)).values())
    if not found:
        return None, []
    total = torch.stack(found).sum()
    gradients = torch.autograd.grad(total, player.parameters, allow_unused=True)
    filled = []
    for weight, gradient in zip(player.parameters, gradients, strict=True):
        filled.append(torch.zeros_like(weight) if gradient is None else gradient)
    return total.detach(), filled
