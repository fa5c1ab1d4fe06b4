"""The report of a study: a table, and sentences that claim no more than the seeds show."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict

from gancore.tools.statistics import (
    ALPHA,
    MOST_PAIRS,
    Interval,
    clopper_pearson,
    fewest_pairs_to_find,
)
from gancore.tools.study.design import FEWEST_SEEDS, Design
from gancore.tools.study.results import Arm, Comparison

NONE = "–"
CAUTION = "This says nothing about other data or settings."


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────


def difference_in_words(scale: str, difference: float) -> str:
    """Write a difference on a study's scale: signed, or as a factor for logarithms."""
    # a difference of logarithms may be too large for its exponential
    return f"×{math.exp(min(difference, 700)):.3g}" if scale == "log" else f"{difference:+.3g}"


def interval_in_words(scale: str, interval: Interval | None) -> str:
    """Write a mean difference and its 95 % interval: `×0.82 [×0.7, ×0.96]`."""
    if interval is None:
        return NONE
    low, high = difference_in_words(scale, interval.low), difference_in_words(scale, interval.high)
    return f"{difference_in_words(scale, interval.mean)} [{low}, {high}]"


def size_in_words(scale: str, difference: float) -> str:
    """Write the size of a difference without a direction."""
    if scale == "log":
        return f"a factor of {math.exp(min(difference, 700)):.3g}"
    return f"{difference:.3g}"


def mean_in_words(values: Sequence[float]) -> str:
    """Write mean ± standard deviation of values."""
    if not values:
        return NONE
    mean = f"{statistics.fmean(values):.4g}"
    return f"{mean} ± {statistics.stdev(values):.2g}" if len(values) > 1 else mean


def failures_in_words(arm: Arm) -> str:
    """Write how many runs failed, with the exact interval of the probability."""
    failed, runs = len(arm.failures), len(arm.scores)
    if not failed:
        return "0"
    low, high = clopper_pearson(failed, runs)
    return f"{failed} [{low:.0%}, {high:.0%}]"


# ── the table ─────────────────────────────────────────────────────────────────────────────────────


def table_of(
    design: Design, arms: Mapping[str, Arm], comparisons: Sequence[Comparison]
) -> list[str]:
    """Return the lines of the table: an arm per row, the primary figure before the secondary."""
    heads = ["arm", "n", "failures", design.figure, "against", "difference [95 % interval]"]
    heads += ["p", "p (Holm)", "ρ", "cost", *design.secondary]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    by_arm = {each.arm: each for each in comparisons}
    for name, arm in arms.items():
        cells = [name, f"{len(arm.scores)}", failures_in_words(arm)]
        cells.append(mean_in_words([*arm.scores.values()]))
        cells += _cells_of(design.scale, by_arm.get(name))
        for figure in design.secondary:
            cells.append(mean_in_words([*arm.secondary.get(figure, {}).values()]))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cells_of(scale: str, comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return [NONE] * 6
    cells = [comparison.against, interval_in_words(scale, comparison.interval)]
    cells.append(NONE if comparison.p is None else f"{comparison.p:.2g}")
    cells.append(NONE if comparison.p_holm is None else f"{comparison.p_holm:.2g}")
    cells.append(NONE if comparison.rho is None else f"{comparison.rho:.2f}")
    cells.append(NONE if comparison.cost is None else f"{comparison.cost:.2f}×")
    return cells


# ── sentences ─────────────────────────────────────────────────────────────────────────────────────


def sentence_of(
    design: Design,
    comparison: Comparison,
    arms: Mapping[str, Arm],
    settings: Mapping[str, str],
) -> str:
    """Return what the seeds say about one arm; a setting of an arm is e.g. `DATA, 800 steps`."""
    setting = settings[comparison.arm]
    if settings[comparison.against] != setting:
        setting += f" ({comparison.against}: {settings[comparison.against]})"
    if design.seeds < FEWEST_SEEDS:
        text = _exploratory(design, comparison)
    elif comparison.separated:
        text = _separated(design, comparison, setting)
    else:
        text = _undecided(design, comparison)
    for name in (comparison.arm, comparison.against):
        failed = len(arms[name].failures)
        if failed:
            low, high = clopper_pearson(failed, design.seeds)
            text += (
                f" Of {name}, {failed} of {design.seeds} runs failed (95 % interval {low:.0%} to "
                f"{high:.0%}); they count as the worst value of the study."
            )
    return text


def _exploratory(design: Design, comparison: Comparison) -> str:
    listed = ", ".join(difference_in_words(design.scale, each) for each in comparison.differences)
    return (
        f"{comparison.arm} against {comparison.against}: exploratory, n = {design.seeds}; "
        f"differences of {design.figure} by seed: {listed}; no test made."
    )


def _separated(design: Design, comparison: Comparison, setting: str) -> str:
    assert comparison.interval is not None
    rose = comparison.interval.mean > 0
    improved = rose == (design.better == "more")
    cost = "" if comparison.cost is None else f" at {comparison.cost:.2f}× the time"
    return (
        f"On {setting} ({design.seeds} paired seeds), {comparison.arm} against "
        f"{comparison.against} changed {design.figure} by "
        f"{interval_in_words(design.scale, comparison.interval)} (p after Holm "
        f"{comparison.p_holm:.2g}; {design.better} is better, so this is an "
        f"{'improvement' if improved else 'impairment'}){cost}. {CAUTION}"
    )


def _undecided(design: Design, comparison: Comparison) -> str:
    text = (
        f"{design.seeds} seeds did not separate {comparison.arm} from {comparison.against}: "
        f"{design.figure} {interval_in_words(design.scale, comparison.interval)}"
    )
    if comparison.p_holm is not None:
        text += f", p after Holm {comparison.p_holm:.2g}"
    if comparison.visible is not None:
        size = size_in_words(design.scale, comparison.visible)
        text += f"; a difference above {size} would probably have been seen (power 80 %)"
    if comparison.seeds_needed is not None:
        count = f"about {comparison.seeds_needed}"
        if comparison.seeds_needed > MOST_PAIRS:
            count = f"more than {MOST_PAIRS:,}"
        text += f", and {count} seeds would decide one of the observed size"
    return f"{text}."


def out_of_reach(design: Design) -> str:
    """Return a note if the seeds are too few for any corrected p to reach 5 %, or ''."""
    count = len(design.comparisons)
    fewest = fewest_pairs_to_find(count)
    if not FEWEST_SEEDS <= design.seeds < fewest:
        return ""
    comparisons = "1 comparison" if count == 1 else f"{count} comparisons"
    return (
        f"{comparisons} need at least {fewest} seeds: the smallest p of {design.seeds} pairs is "
        f"2/2^{design.seeds}, above {ALPHA} after Holm, so that no arm can be separated"
    )


# ── files ─────────────────────────────────────────────────────────────────────────────────────────


def study_as_markdown(
    title: str,
    content: Mapping[str, Any],
    design: Design,
    arms: Mapping[str, Arm],
    comparisons: Sequence[Comparison],
) -> str:
    """Return `study.md`."""
    settings = content["settings"]
    note = out_of_reach(design)
    lines = [f"# {title}", "", how_it_was_read(design, settings), ""]
    lines += [*table_of(design, arms, comparisons), ""]
    lines += [f"- {sentence_of(design, each, arms, settings)}" for each in comparisons]
    if note:
        lines += ["", f"Note: {note}."]
    failed = []
    for name, arm in arms.items():
        failed += [f"- failed: {name}, seed {seed}: {why}" for seed, why in arm.failures.items()]
    if failed:
        lines += ["", *failed]
    made = ", ".join(f"{name} {value}" for name, value in content["circumstances"].items())
    return "\n".join([*lines, "", f"Study {content['id']}; {made}.", ""])


def how_it_was_read(design: Design, settings: Mapping[str, str]) -> str:
    """Return the sentence below the title: data, steps, pairs, figure, and how it is compared."""
    compared = "as factors" if design.scale == "log" else "as differences"
    others: dict[str, list[str]] = {}
    for arm, setting in settings.items():
        others.setdefault(setting, []).append(arm)
    # the setting of the baseline, which most arms share, needs no list
    listed = []
    for place, (setting, arms) in enumerate(others.items()):
        listed.append(f"{', '.join(arms)}: {setting}" if place else setting)
    return (
        f"{'; '.join(listed)}. Paired seeds in each arm: {design.seeds}. {design.figure} "
        f"({design.better} is better), the mean of the last {design.last} evaluations, compared "
        f"{compared}; sign-flip tests, corrected by Holm for {len(design.comparisons)}. Failed "
        "runs count as the worst value of the study."
    )


def results_as_json(arms: Mapping[str, Arm], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return the results of a study, JSON-serialisable."""
    listed = [{**asdict(each), "separated": each.separated} for each in comparisons]
    return {
        "arms": {name: asdict(arm) for name, arm in arms.items()},
        "comparisons": listed,
    }
