"""What a study found: scores of its runs, and paired comparisons of its arms."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from gancore.errors import GanError
from gancore.run import directory
from gancore.run.directory import rows_in
from gancore.tools.statistics import (
    ALPHA,
    Interval,
    correlation,
    holm,
    pairs_needed_by_signs,
    sign_flip_p,
    smallest_effect_of_signs,
    standard_error,
    t_interval,
)
from gancore.tools.study.design import FEWEST_SEEDS, Design
from gancore.tools.sweep import Trial, final_figures

PACE = "seconds/step"
STEPS_MADE = "steps"


@frozen
class Arm:
    """The runs of one arm: scores by seed, with the worst value of the study for failed ones."""

    scores: Mapping[int, float]
    failures: Mapping[int, str]
    secondary: Mapping[str, Mapping[int, float]]
    seconds: float | None  # median over the seeds, of a whole run without its measurements


@frozen
class Comparison:
    """An arm beside another, by the paired differences on the study's scale.

    `differences` are arm - against, one per seed. `p` is that of the sign-flip test and None below
    six seeds; `p_holm` is corrected for the number of comparisons. `rho` is the correlation of the
    pairs. `cost` is how many times the seconds of the other arm a run took. `visible` is the
    difference that would have been found with a power of 80 %, and `seeds_needed` how many seeds
    would find one of the observed size, both given the observed deviation.
    """

    arm: str
    against: str
    differences: tuple[float, ...]
    interval: Interval | None
    p: float | None
    p_holm: float | None
    rho: float | None
    cost: float | None
    visible: float | None
    seeds_needed: int | None

    @property
    def separated(self) -> bool:
        """Whether the seeds separate the arms: by the interval and by the corrected p."""
        if self.interval is None or self.p_holm is None or self.p_holm > ALPHA:
            return False
        return self.interval.low > 0 or self.interval.high < 0


# ── scores ────────────────────────────────────────────────────────────────────────────────────────


def score_arms(
    design: Design, trials: Sequence[Trial], failures: Mapping[Path, str]
) -> dict[str, Arm]:
    """Return the arms with their scores, once all trials have ended.

    A run that failed, or whose figure is missing or has no logarithm, scores the worst value of all
    runs of the study: to leave it out would flatter its arm. Raises GanError where no run has a
    score.
    """
    found: dict[str, dict[int, dict[str, float]]] = {}
    failed: dict[str, dict[int, str]] = {}
    values = []
    any_scored = False
    for trial in trials:
        figures = _figures_of(trial, design.last)
        fault = _fault_of(figures, design)
        reason = failures.get(trial.folder) or fault
        found.setdefault(trial.arm, {})[trial.seed] = figures
        reasons = failed.setdefault(trial.arm, {})
        if reason:
            reasons[trial.seed] = reason
        if not fault:
            # what a run logged before it failed may be the worst value too
            values.append(figures[design.figure])
        any_scored = any_scored or not reason
    if not any_scored:
        raise _nothing_scored(found, failed, design.figure)
    worst = max(values) if design.better == "less" else min(values)
    return {arm: _make_arm(design, seeds, failed[arm], worst) for arm, seeds in found.items()}


def _figures_of(trial: Trial, last: int) -> dict[str, float]:
    metrics = trial.folder / directory.METRICS
    rows = rows_in(metrics) if metrics.exists() else []
    if not rows:
        return {}
    return {**final_figures(rows, last), STEPS_MADE: float(rows[-1]["step"])}


def _fault_of(figures: Mapping[str, float], design: Design) -> str:
    """Return why a finished run has no score, or ''."""
    value = figures.get(design.figure)
    if value is None:
        return f"logged no {design.figure}"
    if not math.isfinite(value):
        return f"{design.figure} is {value}"
    if design.scale == "log" and value <= 0:
        return f"{design.figure} is {value:g}, which has no logarithm"
    return ""


def _nothing_scored(
    found: Mapping[str, Mapping[int, Mapping[str, float]]],
    failed: Mapping[str, Mapping[int, str]],
    figure: str,
) -> GanError:
    logged: dict[str, None] = {}
    reasons: dict[str, None] = {}
    for arm, seeds in found.items():
        reasons |= dict.fromkeys(failed[arm].values())
        for figures in seeds.values():
            logged |= dict.fromkeys(figures)
    known = [name for name in logged if "/" in name and name != PACE]
    return GanError(
        f"no run of the study has a score: {next(iter(reasons), '')}",
        where=f"--figure {figure}",
        fix=f"a figure that the runs log: {', '.join(known)}" if known else "see their folders",
    )


def _make_arm(
    design: Design,
    seeds: Mapping[int, Mapping[str, float]],
    failed: Mapping[int, str],
    worst: float,
) -> Arm:
    scores = {}
    for seed, figures in seeds.items():
        scores[seed] = worst if seed in failed else figures[design.figure]
    secondary = {}
    for name in design.secondary:
        secondary[name] = {seed: row[name] for seed, row in seeds.items() if name in row}
    times = [row[PACE] * row[STEPS_MADE] for row in seeds.values() if PACE in row]
    return Arm(scores, failed, secondary, statistics.median(times) if times else None)


# ── comparisons ───────────────────────────────────────────────────────────────────────────────────


def compare_arms(design: Design, arms: Mapping[str, Arm]) -> list[Comparison]:
    """Compare the arms of a study in pairs, corrected for the number of comparisons."""
    pairs = design.comparisons
    found = [paired(design.scale, arms[arm], arms[other]) for arm, other in pairs]
    tested = design.seeds >= FEWEST_SEEDS
    values = list(map(sign_flip_p, found)) if tested else []
    corrected = holm(values)
    comparisons = []
    for place, (arm, other) in enumerate(pairs):
        one, two = arms[arm], arms[other]
        visible, needed = _power(found[place], len(pairs))
        comparisons.append(
            Comparison(
                arm=arm,
                against=other,
                differences=found[place],
                interval=t_interval(found[place]),
                p=values[place] if tested else None,
                p_holm=corrected[place] if tested else None,
                rho=correlation(on_scale(design.scale, two), on_scale(design.scale, one)),
                cost=one.seconds / two.seconds if one.seconds and two.seconds else None,
                visible=visible,
                seeds_needed=needed,
            )
        )
    return comparisons


def on_scale(scale: str, arm: Arm) -> list[float]:
    """Return the scores in the order of the seeds, or their logarithms."""
    scores = [arm.scores[seed] for seed in sorted(arm.scores)]
    return list(map(math.log, scores)) if scale == "log" else scores


def paired(scale: str, arm: Arm, against: Arm) -> tuple[float, ...]:
    """Return the paired differences of two arms on a scale, arm - against."""
    pairs = zip(on_scale(scale, arm), on_scale(scale, against), strict=True)
    return tuple(one - other for one, other in pairs)


def _power(differences: Sequence[float], comparisons: int) -> tuple[float | None, int | None]:
    """Return the difference that would have been found, and the seeds that the observed one needs.

    Both at the level that Holm asks of the first of so many comparisons.
    """
    interval = t_interval(differences)
    error = standard_error(differences) if interval else 0.0
    if interval is None or not error > 0:
        return None, None
    deviation = error * math.sqrt(len(differences))
    alpha = ALPHA / comparisons
    smallest = smallest_effect_of_signs(len(differences), alpha)
    visible = None if smallest is None else smallest * deviation
    return visible, pairs_needed_by_signs(interval.mean / deviation, alpha)
