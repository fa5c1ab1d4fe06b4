"""The figures of a run as series of (step, value), and the statistics that the rules use."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import accumulate
from statistics import median, quantiles


@dataclass(frozen=True)
class Series:
    """One figure of a run: `values[i]` was measured at `steps[i]`."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.steps)

    def last(self, n: int) -> Series:
        """Return the newest n values."""
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
    def robust_std(self) -> float:
        """Standard deviation as interquartile range / 1.35: single spikes do not count."""
        low, _, high = quantiles(self.values, n=4)
        return (high - low) / 1.35

    def moving(self, n: int) -> Series:
        """Return the means of n consecutive values, each at the step of its last value."""
        # a mean is the difference of two running sums, so the time does not grow with n
        sums = [0.0, *accumulate(self.values)]
        means = [(late - early) / n for early, late in zip(sums, sums[n:], strict=False)]
        return Series(self.steps[n - 1 :], means)

    def moved(self, n: int, statistic: Callable[[Series], float]) -> Series:
        """Return a statistic of n consecutive values, each at the step of its last value.

        Only for the newest 2n values, since it is slow.
        """
        moved = Series()
        for end in range(max(n, len(self) - 2 * n), len(self) + 1):
            window = Series(self.steps[end - n : end], self.values[end - n : end])
            moved.steps.append(window.steps[-1])
            moved.values.append(statistic(window))
        return moved

    def blocks(self, n: int) -> Series:
        """Return the means over n equal intervals of steps, each at its last step, if not empty."""
        first = self.steps[0]
        length = self.steps[-1] - first + 1
        means = Series()
        start = 0
        for i in range(n):
            end = bisect_left(self.steps, first + length * (i + 1) / n)
            if end > start:
                means.steps.append(self.steps[end - 1])
                means.values.append(sum(self.values[start:end]) / (end - start))
            start = end
        return means

    def after(self, step: int) -> Series:
        """Return the values measured at `step` and later."""
        start = bisect_left(self.steps, step)
        return Series(self.steps[start:], self.values[start:])

    def held(self, wrong: Callable[[float], bool], hold: int) -> int | None:
        """Return the step since which all values are `wrong`; None unless at least `hold` are."""
        since = None
        count = 0
        for step, value in zip(reversed(self.steps), reversed(self.values), strict=True):
            if not wrong(value):
                break
            since = step
            count += 1
        return since if count >= hold else None

    def join(self, other: Series, combine: Callable[[float, float], float]) -> Series:
        """Combine two figures at the steps at which both were measured."""
        theirs = dict(zip(other.steps, other.values, strict=True))
        joined = Series()
        for step, mine in zip(self.steps, self.values, strict=True):
            # a full log drops values of each figure by itself, so steps of one may lack in another
            if step in theirs:
                joined.steps.append(step)
                joined.values.append(combine(mine, theirs[step]))
        return joined


# components whose figures are called like terms of a loss
METRICS = {"critic-accuracy", "critic-output"}


class Log:
    """The series of a run by key, appended row by row.

    With a `limit` a series keeps at most that many values: a full one drops every second value of
    its older half, so the newest values are complete and the oldest get sparser.
    """

    def __init__(self, rows: Iterable[Mapping[str, object]] = (), limit: int = 0) -> None:
        self.series: dict[str, Series] = {}
        self.limit = limit
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, object]) -> None:
        """Append a metrics row, without the columns that measure time."""
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
        """Return the first series whose key matches a pattern like `critic/*/real`, if any.

        Metrics whose figures have the names of terms are excluded: an accuracy on reals is not the
        loss on them.
        """
        if pattern in self.series:
            return self.series[pattern]
        matching = (key for key in self.series if fnmatchcase(key, pattern))
        found = (key for key in matching if not METRICS & set(key.split("/")))
        return self.series.get(next(found, ""), Series())

    @property
    def step(self) -> int:
        """The newest step."""
        return self.find("step").steps[-1]

    @property
    def wasserstein(self) -> bool:
        """Whether the run has a Wasserstein loss, whose scores are no logits."""
        return bool(len(self.find("critic/*/wasserstein")))

    @property
    def critic_loss(self) -> Series:
        """The critic's loss on reals and fakes together, without penalties and class heads."""
        fakes = self.find("critic/*/fake")
        return self.find("critic/*/real").join(fakes, lambda real, fake: real + fake)

    @property
    def score_gap(self) -> Series:
        """Mean score of reals minus mean score of fakes."""
        fakes = self.find("critic/score_fake")
        return self.find("critic/score_real").join(fakes, lambda real, fake: real - fake)
