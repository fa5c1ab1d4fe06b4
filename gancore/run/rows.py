"""The rows of the metrics log: what a step's row holds, and what it passes on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from gancore.errors import NumbersError
from gancore.run.directory import MetricsRow
from gancore.run.metrics_log import numbers
from gancore.train.context import Figures

if TYPE_CHECKING:
    from gancore.train.progress import Progress


@frozen
class Step:
    """Where a run is after a step, as `fit` passes it to `on_step`.

    `number` counts the steps of the whole run and `share` says how much of it is done, from 0 to 1;
    `images` counts the reals shown since training began in this process.
    """

    number: int
    share: float
    images: int


def measured(progress: Progress) -> Figures:
    """Ask every component for its measurements; name them `component/figure`."""
    context = progress.context
    figures: Figures = {}
    answers = context.hooks.all(
        "measure",
        progress=progress,
        rng=lambda name: context.streams.generator(f"component/{name}", progress.step, "measure"),
    )
    for component, found in answers:
        for name, value in found.items():
            figures[f"{component}/{name}"] = value
    return figures


def make_row(progress: Progress, figures: Figures, seconds: float, images: int) -> MetricsRow:
    """Make a row of a step's figures and of what components measure.

    Raises NumbersError for one that is not finite.
    """
    found = numbers({**figures, **measured(progress)})
    for name, value in found.items():
        if not math.isfinite(value):
            raise NumbersError(f"{name} became {value} at step {progress.step}")
    row: MetricsRow = {
        "step": progress.step,
        "epoch": round(progress.epoch, 6),
        "seconds": round(seconds, 3),
        "images_per_second": round(images / max(seconds, 1e-9), 1),
    }
    if attempt := progress.context.streams.attempt:
        row["attempt"] = attempt
    return {**row, **found}
