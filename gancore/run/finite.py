"""Refuse figures that are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gancore.errors import NumbersError
from gancore.run.metrics_log import numbers


def check_finite(figures: Mapping[str, Any], step: int) -> None:
    """Raise NumbersError naming the first player's first figure that is not finite, its terms
    before its totals.
    """
    tensors = {name: value for name, value in figures.items() if isinstance(value, Tensor)}
    if all(value.device.type == "cpu" and math.isfinite(value) for value in tensors.values()):
        return
    wrong = [(name, value) for name, value in numbers(tensors).items() if not math.isfinite(value)]
    if not wrong:
        return
    role = wrong[0][0].partition("/")[0]
    own = [(name, value) for name, value in wrong if name.partition("/")[0] == role]
    name, value = next(((name, value) for name, value in own if name.count("/") == 2), own[0])
    what = name.partition("/")[2]
    raise NumbersError(
        f"the {role}'s {what.replace('/', '.')} became {value} at step {step}",
        fix="lower the learning rate, or look at the term's options",
    )
