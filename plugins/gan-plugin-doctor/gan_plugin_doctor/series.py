"""The figures of a run as series of (step, value), with the few statistics the rules are made of."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import accumulate
from statistics import median, quantiles


@dataclass(frozen=True)
class Series:
    """One figure: `values[i]` was measured at `steps[i]`."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.steps)

    def last(self, n: int) -> Series:
        """The newest n values."""
        return Series(self.steps[-n:], self.values[-n:])

    @property
    def mean(self) -> float:
        """Mean of all values."""
        return sum(self.values) / len(self.values)

    @property
    def median(self) -> float:
        """Median of all values."""
        return median(self.values)

    @property
    def spread(self) -> float:
        """Standard deviation as told by the quartiles (interquartile range / 1.35): single spikes do not count."""
        low, _, high = quantiles(self.values, n=4)
        return (high - low) / 1.35

    def moving(self, n: int) -> Series:
        """Mean of the n values up to each one, from the n-th on."""
        sums = [0.0, *accumulate(self.values)]
        return Series(self.steps[n - 1 :], [(sums[i] - sums[i - n]) / n for i in range(n, len(sums))])

    def moved(self, n: int, statistic: Callable[[Series], float]) -> Series:
        """Any statistic of the n values up to each one; only the newest 2n windows, for it is slow."""
        ends = range(max(n, len(self) - 2 * n), len(self) + 1)
        windows = [Series(self.steps[end - n : end], self.values[end - n : end]) for end in ends]
        return Series([each.steps[-1] for each in windows], [statistic(each) for each in windows])

    def blocks(self, n: int) -> Series:
        """Means over n equal stretches of steps, each under its last step; stretches without a value are left out."""
        first, length = self.steps[0], self.steps[-1] - self.steps[0] + 1
        ends = [bisect_left(self.steps, first + length * (i + 1) / n) for i in range(n)]
        pieces = [(start, end) for start, end in zip([0, *ends], ends, strict=False) if end > start]
        return Series(
            [self.steps[end - 1] for _, end in pieces],
            [sum(self.values[start:end]) / (end - start) for start, end in pieces],
        )

    def after(self, step: int) -> Series:
        """What was measured at `step` and later."""
        start = bisect_left(self.steps, step)
        return Series(self.steps[start:], self.values[start:])

    def held(self, wrong: Callable[[float], bool], hold: int) -> int | None:
        """Step since which every value is `wrong`, where the newest `hold` values and maybe more are; else None."""
        since, count = None, 0
        for step, value in zip(reversed(self.steps), reversed(self.values), strict=True):
            if not wrong(value):
                break
            since, count = step, count + 1
        return since if count >= hold else None

    def join(self, other: Series, combine: Callable[[float, float], float]) -> Series:
        """Combine two figures where both were measured."""
        theirs = dict(zip(other.steps, other.values, strict=True))
        both = [(s, combine(v, theirs[s])) for s, v in zip(self.steps, self.values, strict=True) if s in theirs]
        return Series([step for step, _ in both], [value for _, value in both])


METRICS = {"critic-accuracy", "critic-output"}


class Log:
    """The series of a run by key, fed row by row.

    With a `limit` each series keeps at most that many values: when it is full, every second value of its older half
    goes, so the newest are complete and the oldest ever sparser.
    """

    def __init__(self, rows: Iterable[Mapping[str, object]] = (), limit: int = 0) -> None:
        self.series: dict[str, Series] = {}
        self.limit = limit
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, object]) -> None:
        """Take in one metrics row; what tells the time is left out."""
        step = int(row["step"])  # type: ignore[call-overload]
        for key, value in row.items():
            if (key == "step" or "/" in key) and isinstance(value, int | float):
                self._append(self.series.setdefault(key, Series()), step, float(value))

    def _append(self, series: Series, step: int, value: float) -> None:
        series.steps.append(step)
        series.values.append(value)
        if len(series) == self.limit:
            half = self.limit // 2
            series.steps[:half] = series.steps[:half:2]
            series.values[:half] = series.values[:half:2]

    def find(self, pattern: str) -> Series:
        """The first series whose key fits a pattern like `critic/*/real`; an empty one where none does.

        Metrics that log under the names of terms are passed over: a share of reals is no loss on them.
        """
        if pattern in self.series:
            return self.series[pattern]
        found = (key for key in self.series if fnmatchcase(key, pattern) and not set(key.split("/")) & METRICS)
        return self.series.get(next(found, ""), Series())

    @property
    def step(self) -> int:
        """The newest step."""
        return self.find("step").steps[-1]

    @property
    def wasserstein(self) -> bool:
        """Whether the run has a Wasserstein loss: its scores are no logits."""
        return bool(len(self.find("critic/*/wasserstein")))

    @property
    def critic_loss(self) -> Series:
        """What the critic loses on reals and fakes together, without penalties and class heads."""
        return self.find("critic/*/real").join(self.find("critic/*/fake"), lambda real, fake: real + fake)

    @property
    def score_gap(self) -> Series:
        """Mean score of reals minus that of fakes."""
        return self.find("critic/score_real").join(self.find("critic/score_fake"), lambda real, fake: real - fake)
