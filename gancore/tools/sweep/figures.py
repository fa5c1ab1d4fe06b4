"""Summarises the trials of a sweep: their final figures, and their samples in one picture."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from gancore.run import directory
from gancore.run.directory import MetricsRow, rows_in
from gancore.tools.sweep.trials import FINISHED, Trial

AVERAGED = 5  # last values of a figure that are averaged, because a single one is too noisy
THUMBNAIL = 320  # pixels per side in the comparison picture
CAPTION = 18  # pixels above each thumbnail
GAP = 6


def final_figures(rows: Sequence[MetricsRow], averaged: int = AVERAGED) -> dict[str, float]:
    """Return the mean of the last values of every figure, and the median seconds per step."""
    paces = [*_seconds_per_step(rows)]
    figures = {"seconds/step": statistics.median(paces)} if paces else {}
    keys = dict.fromkeys(itertools.chain.from_iterable(rows))
    for key in keys:
        if "/" not in key:  # step, seconds and the like, which no component measures
            continue
        # a figure may be in some rows only, e.g. one that is measured when the run draws
        last = [row[key] for row in rows if key in row][-averaged:]
        # divide before summing: the sum of huge values would overflow
        figures[key] = sum(value / len(last) for value in last)
    return figures


def _seconds_per_step(rows: Sequence[MetricsRow]) -> list[float]:
    """Return the seconds per step between neighbouring rows of the same process."""
    timed = [row for row in rows if "seconds" in row]
    paces = []
    for earlier, later in itertools.pairwise(timed):
        seconds = later["seconds"] - earlier["seconds"]
        steps = later["step"] - earlier["step"]
        # both counters go back where a run was resumed
        if seconds > 0 and steps > 0:
            paces.append(seconds / steps)
    return paces


def tabulate(
    trials: Sequence[Trial], failures: Mapping[Path, str]
) -> dict[str, dict[int, dict[str, float]]]:
    """Return the final figures by arm and seed, without failed trials."""
    table: dict[str, dict[int, dict[str, float]]] = {trial.arm: {} for trial in trials}
    for trial in trials:
        metrics = trial.folder / directory.METRICS
        if trial.folder in failures or not metrics.exists():
            continue
        if rows := rows_in(metrics):
            table[trial.arm][trial.seed] = final_figures(rows)
    return table


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation (divisor n - 1; nan for one value)."""
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return statistics.fmean(values), deviation


def comparison_picture(trials: Sequence[Trial]) -> Image.Image:
    """Return the final samples side by side: a row per arm, a column per seed; white if missing."""
    arms = list(dict.fromkeys(each.arm for each in trials))
    seeds = sorted({each.seed for each in trials})
    width = THUMBNAIL + GAP
    height = CAPTION + THUMBNAIL + GAP
    sheet = Image.new("RGB", (len(seeds) * width + GAP, len(arms) * height + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for trial in trials:
        left = GAP + seeds.index(trial.seed) * width
        top = GAP + arms.index(trial.arm) * height
        caption = f"{trial.arm}   seed {trial.seed}"
        pen.text((left, top), caption, fill="black", font_size=13)
        if (trial.folder / FINISHED).exists():
            with Image.open(trial.folder / FINISHED) as picture:
                thumbnail = picture.convert("RGB")
            thumbnail.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
            sheet.paste(thumbnail, (left, top + CAPTION))
    return sheet
