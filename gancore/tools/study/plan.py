"""How many seeds a study needs, before its first run: from the deviation that a pilot showed."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gancore.errors import UsageError
from gancore.tools.statistics import ALPHA, smallest_effect_of_signs
from gancore.tools.study.design import STUDY, Design
from gancore.tools.study.report import size_in_words

PLANNED = (3, 5, 6, 8, 10, 12, 16, 20, 30)
SWEEP = "sweep.json"


def plan_lines(design: Design, deviation: float) -> list[str]:
    """Return the table of seeds and the differences that they find with a power of 80 %.

    `deviation` is that of paired differences on the study's scale. Beside a single comparison the
    table has the first of all comparisons of the study after Holm, which is the hardest. It is the
    power of the sign-flip test, which is that of the t-test for 13 pairs or more.
    """
    count = len(design.comparisons)
    heads = ["seeds", "one comparison", f"one of {count}, after Holm", "runs"]
    lines = [
        f"Differences of {design.figure} that are found with a power of 80 %, if paired "
        f"differences have a standard deviation of {deviation:.3g}"
        f"{' in logarithms' if design.scale == 'log' else ''}:",
        "",
        f"| {' | '.join(heads)} |",
        "| --- " * len(heads) + "|",
    ]
    arms = len({*itertools.chain.from_iterable(design.comparisons)} | {"baseline"})
    for seeds in sorted({*PLANNED, design.seeds}):
        cells = [f"{seeds}{' (planned)' if seeds == design.seeds else ''}"]
        for alpha in (ALPHA, ALPHA / count):
            found = smallest_effect_of_signs(seeds, alpha)
            cells.append(
                "no p so small" if found is None else size_in_words(design.scale, found * deviation)
            )
        lines.append(f"| {' | '.join(cells)} | {arms * seeds} |")
    return lines


def deviation_of_pilot(folder: Path, figure: str, scale: str) -> float:
    """Return the standard deviation of the paired differences in a folder of a study or sweep.

    It is the root mean square over all pairs of arms. Raises UsageError for a folder without one,
    or whose arms share fewer than three seeds.
    """
    scores = _scores_in(folder, figure)
    if scale == "log" and any(value <= 0 for row in scores.values() for value in row.values()):
        raise UsageError(f"{figure} of {folder} is not always positive", fix="--scale linear")
    variances = []
    for one, other in itertools.combinations(scores.values(), 2):
        seeds = [seed for seed in one if seed in other]
        differences = [_on(scale, one[seed]) - _on(scale, other[seed]) for seed in seeds]
        if len(differences) >= 3:
            variances.append(statistics.variance(differences))
    if not variances:
        raise UsageError(
            f"{folder} has no two arms with {figure} of three seeds",
            where="--pilot",
            fix="the folder of a study or sweep with 3 seeds or more",
        )
    return math.sqrt(statistics.fmean(variances))


def _on(scale: str, value: float) -> float:
    return math.log(value) if scale == "log" else value


def _scores_in(folder: Path, figure: str) -> dict[str, dict[str, float]]:
    for name in (STUDY, SWEEP):
        if not (folder / name).exists():
            continue
        content: dict[str, Any] = json.loads((folder / name).read_text())
        if name == SWEEP:
            return {arm: dict(_column(seeds, figure)) for arm, seeds in content["figures"].items()}
        if content["design"]["figure"] == figure and "results" in content:
            return {arm: each["scores"] for arm, each in content["results"]["arms"].items()}
    raise UsageError(
        f"{folder} holds no finished study or sweep with {figure}",
        where="--pilot",
        fix="the folder of one, or --sd NUMBER",
    )


def _column(seeds: Mapping[str, Mapping[str, float]], figure: str) -> Iterable[tuple[str, float]]:
    for seed, row in seeds.items():
        if figure in row:
            yield seed, row[figure]
