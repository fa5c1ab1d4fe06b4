"""Refuse figures that are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gancore.errors import NumbersError
from gancore.run.metrics_log import numbers


def check_finite(figures: Mapping[str, Any], step: int) -> None:
    """Raise NumbersError naming the first player's first figure that is not finite, its terms
    before its totals.
    """
    tensors = {name: value for name, value in figures.items() if isinstance(value, Tensor)}
    # each is read by itself on the CPU; elsewhere `numbers` reads all at once, as a read waits
    if all(value.is_cpu and math.isfinite(value) for value in tensors.values()):
        return
    values = numbers(tensors)
    wrong = [name for name, value in values.items() if not math.isfinite(value)]
    if not wrong:
        return
    name = _first_to_blame(wrong)
    role, _, what = name.partition("/")
    raise NumbersError(
        f"the {role}'s {what.replace('/', '.')} became {values[name]} at step {step}",
        fix="lower the learning rate, or look at the term's options",
    )


def _first_to_blame(wrong: Sequence[str]) -> str:
    role = wrong[0].partition("/")[0]
    for name in wrong:
        # a total, ROLE/NAME, is wrong where one of its terms, ROLE/COMPONENT/TERM, is
        if name.startswith(f"{role}/") and name.count("/") == 2:
            return name
    return wrong[0]
