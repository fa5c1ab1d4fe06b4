"""Statistics of paired runs: intervals, exact p-values, correction, power, shares of failures.

Nothing here knows of runs or figures: a sample is the sequence of paired differences, one for each
seed. A p of 1 and an interval of None stand for a sample that is too small or overflows.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    import numpy as np

ALPHA = 0.05  # probability of any false finding in a whole sweep or study without real differences
POWER = 0.8  # probability of finding a difference of the size that a plan is made for
LARGEST_DIFFERENCE = 1e100  # the squares of larger ones overflow
FEWEST_PAIRS = 3  # the t-interval of two pairs has one degree of freedom, and is useless
MOST_EXACT = 16  # pairs of which all 2^n signs are tried; above, signs are drawn
BLOCKS_OF_SIGNS = 10
SIGNS_IN_BLOCK = 10_000
RESAMPLES = 9_999
QUANTILES = 1_000  # of the standard deviation, over which power is averaged
MOST_SIMULATED = 12  # pairs for which the power of the sign-flip test is simulated
SIMULATIONS = 2_000
BISECTIONS = 10
MOST_PAIRS = 1000  # of a needed number of seeds that is searched for exactly


@frozen
class Interval:
    """The mean of a sample and both ends of its interval."""

    mean: float
    low: float
    high: float


# ── one sample of differences ─────────────────────────────────────────────────────────────────────


def is_usable(differences: Sequence[float]) -> bool:
    """Return whether a sample is large enough for an interval, and its squares do not overflow."""
    # `all(<=)` is also false for nan
    bounded = all(abs(each) <= LARGEST_DIFFERENCE for each in differences)
    return len(differences) >= FEWEST_PAIRS and bounded


def standard_error(differences: Sequence[float]) -> float:
    """Return the standard error of the mean, with divisor n - 1."""
    return statistics.stdev(differences) / math.sqrt(len(differences))


def t_interval(differences: Sequence[float], level: float = 1 - ALPHA) -> Interval | None:
    """Return the mean and its t-interval of a level in (0, 1); None for an unusable sample."""
    # here and not above: only a sweep with claims, or a study, needs it
    from scipy.special import stdtrit

    if not is_usable(differences):
        return None
    mean = statistics.fmean(differences)
    quantile = float(stdtrit(len(differences) - 1, (1 + level) / 2))
    half = quantile * standard_error(differences)
    return Interval(mean, mean - half, mean + half)


def t_p(differences: Sequence[float], margin: float = 0.0) -> float:
    """Return the two-sided p of the t-test; 1 for an unusable sample.

    p tests the distance of the mean from -margin or margin, whichever is nearer: it is at most α if
    the interval of level 1 - α lies wholly inside or wholly outside the margin.
    """
    from scipy.special import stdtr

    if not is_usable(differences):
        return 1.0
    distance = abs(abs(statistics.fmean(differences)) - margin)
    error = standard_error(differences)
    if error == 0:  # all seeds agree exactly: the interval is one point
        return 0.0 if distance else 1.0
    return 2 * float(stdtr(len(differences) - 1, -distance / error))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p of the sign-flip test (Fisher 1935): exact up to 16 pairs.

    It is the share of the 2^n signings of the differences whose sum is at least as far from 0 as
    the observed one. So it is never below 2/2^n; it needs differences that are symmetric about 0
    if the arms do not differ, and no normal distribution. Above 16 pairs 100,000 signings are drawn
    from a fixed seed, and the observed one counts as one more. Returns 1 for an empty sample or one
    that is not finite.
    """
    import numpy as np

    values = np.asarray(differences, dtype=float)
    n = len(values)
    if not n or not np.isfinite(values).all():
        return 1.0
    largest = np.abs(values).max()
    if largest == 0:
        return 1.0
    values = values / largest  # so that no sum overflows
    # sums that are equal in exact arithmetic differ by rounding, and must count as equal
    observed = abs(values.sum()) * (1 - 1e-9) - 1e-12
    if n <= MOST_EXACT:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
        return float((np.abs(sums) >= observed).mean())
    rng = np.random.default_rng(0)
    extreme = 1  # the observed signs
    for _ in range(BLOCKS_OF_SIGNS):  # for the sake of memory
        signs = rng.integers(0, 2, (SIGNS_IN_BLOCK, n)) * 2 - 1
        extreme += int((np.abs(signs @ values) >= observed).sum())
    return extreme / (1 + BLOCKS_OF_SIGNS * SIGNS_IN_BLOCK)


def smallest_p(pairs: int) -> float:
    """Return the smallest p that the sign-flip test of so many pairs can have, 2/2^n."""
    return 2.0 ** (1 - pairs)


def equivalence_p(differences: Sequence[float], margin: float) -> float:
    """Return the p of two one-sided t-tests: that the mean lies within -margin to margin.

    Schuirmann (Journal of Pharmacokinetics and Biopharmaceutics 15, 1987). Returns 1 for an
    unusable sample.
    """
    from scipy.special import stdtr

    if not is_usable(differences):
        return 1.0
    inside = margin - abs(statistics.fmean(differences))
    error = standard_error(differences)
    if error == 0:
        return 0.0 if inside > 0 else 1.0
    return float(stdtr(len(differences) - 1, -inside / error))


def bootstrap_interval(
    values: Sequence[float],
    statistic: Callable[..., object] | None = None,
    *,
    studentized: bool = False,
    level: float = 1 - ALPHA,
) -> Interval | None:
    """Return a statistic (the mean) and its bootstrap interval, from 9,999 resamples of seed 0.

    The interval is that of the percentiles; `studentized` is the bootstrap-t, for the mean alone.
    Below 20 values percentiles cover too seldom: 84 % instead of 95 % at five normal values. Use it
    for medians, or for many values. `statistic` takes an array and `axis`. Returns None for an
    unusable sample. Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 12, 13.
    """
    import numpy as np

    if not is_usable(values):
        return None
    sample = np.asarray(values, dtype=float)
    rng = np.random.default_rng(0)
    drawn = sample[rng.integers(0, len(sample), (RESAMPLES, len(sample)))]
    tails = [(1 - level) / 2, (1 + level) / 2]
    measure = statistic or np.mean
    observed = float(measure(sample, axis=0))  # type: ignore[arg-type]
    if not studentized:
        low, high = np.quantile(measure(drawn, axis=1), tails)  # type: ignore[arg-type]
        return Interval(observed, float(low), float(high))
    spread = drawn.std(1, ddof=1)
    # a resample of one repeated value has no standard error, and says nothing of t
    usable = spread > 0
    if not usable.any():
        return Interval(observed, observed, observed)
    t = (drawn.mean(1) - observed)[usable] / spread[usable]
    low, high = np.quantile(t, tails)
    scale = float(sample.std(ddof=1))
    return Interval(observed, observed - float(high) * scale, observed - float(low) * scale)


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Pearson's ρ of two samples of equal length; None where it has no value."""
    if len(one) < FEWEST_PAIRS or not all(map(math.isfinite, [*one, *other])):
        return None
    try:
        return statistics.correlation(one, other)
    except (statistics.StatisticsError, OverflowError):  # one of them is constant
        return None


# ── several tests ─────────────────────────────────────────────────────────────────────────────────


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method, in the given order.

    Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected = [1.0] * len(values)
    largest = 0.0
    for place, index in enumerate(order):
        # never below that of a smaller p, or a weaker result could count where a stronger does not
        largest = max(largest, (len(values) - place) * values[index])
        corrected[index] = min(1.0, largest)
    return corrected


def fewest_pairs_to_find(comparisons: int, alpha: float = ALPHA) -> int:
    """Return the fewest pairs with which the sign-flip test can reach alpha after Holm."""
    pairs = 1
    while smallest_p(pairs) > alpha / comparisons:
        pairs += 1
    return pairs


# ── planning ──────────────────────────────────────────────────────────────────────────────────────


def power_of(effect: float, pairs: int, alpha: float = ALPHA) -> float:
    """Return the power of the two-sided paired t-test.

    `effect` is the mean difference in standard deviations of the differences. The t statistic has a
    noncentral t distribution with noncentrality effect·√n.
    """
    from scipy.special import ndtr, stdtrit

    # Given s, the estimated over the true standard deviation, the t statistic is normal. scipy's
    # own noncentral t distribution is nan where both the effect and the critical value are large.
    degrees = pairs - 1
    critical = float(stdtrit(degrees, 1 - alpha / 2))
    s = _deviations(degrees)
    shift = abs(effect) * math.sqrt(pairs)
    return float((ndtr(shift - critical * s) + ndtr(-shift - critical * s)).mean())


@lru_cache(2_000)
def _deviations(degrees: int) -> np.ndarray:
    """Return evenly spaced quantiles of the estimated over the true standard deviation."""
    import numpy as np
    from scipy.special import chdtri

    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    found: np.ndarray = np.sqrt(chdtri(degrees, shares) / degrees)
    return found


def smallest_effect(pairs: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the smallest effect that is found with a power, in sd of the differences."""
    from scipy.optimize import brentq

    largest = 1.0
    # no bound is known beforehand: it grows without limit where alpha falls
    while power_of(largest, pairs, alpha) < power:
        largest *= 1.5
    return float(brentq(lambda effect: power_of(effect, pairs, alpha) - power, 0.0, largest))


@lru_cache(100)
def smallest_effect_of_signs(
    pairs: int, alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """Return the smallest effect that the sign-flip test finds with a power, in sd.

    Few pairs need larger effects than a t-test does: of eight at α = 0.05/6, all must have one
    sign. It is simulated for normal differences, up to 12 pairs; more are as good as a t-test.
    Returns None where no p of so many pairs is as small as alpha.
    """
    import numpy as np

    if smallest_p(pairs) > alpha:
        return None
    if pairs > MOST_SIMULATED:
        return smallest_effect(pairs, alpha, power)
    drawn = np.random.default_rng(0).normal(size=(SIMULATIONS, pairs))
    # the other half of all signings has the same absolute sums
    signs = 1.0 - 2 * (np.arange(2 ** (pairs - 1))[:, None] >> np.arange(pairs) & 1)

    def found(effect: float) -> float:
        differences = drawn + effect
        observed = np.abs(differences.sum(1))[:, None]
        p = (np.abs(differences @ signs.T) >= observed - 1e-9).mean(1)
        return float((p <= alpha).mean())

    low, high = 0.0, 1.0
    while found(high) < power:
        low, high = high, 2 * high
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) >= power else (middle, high)
    return high


def pairs_needed_by_signs(effect: float, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """Return how many pairs find an effect by the sign-flip test; None for an effect of 0."""
    pairs = pairs_needed(effect, alpha, power)
    if pairs is None:
        return None
    while pairs <= MOST_SIMULATED:
        smallest = smallest_effect_of_signs(pairs, alpha, power)
        if smallest is not None and smallest <= abs(effect):
            break
        pairs += 1
    return pairs


def pairs_needed(effect: float, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """Return how many pairs find an effect, given in sd of the differences, with a power.

    Above 1,000 it is the approximation by the normal distribution. Returns None for an effect of 0,
    which no number of pairs finds.
    """
    from scipy.special import ndtri

    quantiles = float(ndtri(1 - alpha / 2) + ndtri(power))
    if not quantiles / 1e8 < abs(effect) < math.inf:
        return None
    estimate = math.ceil((quantiles / effect) ** 2)
    if estimate > MOST_PAIRS:
        return estimate
    # the normal distribution has thinner tails than t, so that its number is never too large
    pairs = max(FEWEST_PAIRS, estimate)
    while power_of(effect, pairs, alpha) < power:
        pairs += 1
    return pairs


def expected_best(k: int) -> float:
    """Return the expected largest of k independent standard normal values.

    It is how many standard deviations the best of k tried settings is ahead by chance alone.
    """
    import numpy as np
    from scipy.special import ndtr

    # E[max] is the integral of x dF(x)^k, by parts over (-∞, 0) and (0, ∞)
    grid = np.linspace(0, 12, 4_001)
    above = np.trapezoid(1 - ndtr(grid) ** k, grid)
    below = np.trapezoid(ndtr(-grid) ** k, grid)
    return float(above - below)


# ── shares ────────────────────────────────────────────────────────────────────────────────────────


def clopper_pearson(failures: int, runs: int, level: float = 1 - ALPHA) -> tuple[float, float]:
    """Return the exact interval of a probability, from a count of failures among runs.

    Clopper and Pearson, Biometrika 26, 1934.
    """
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = float(betaincinv(failures, runs - failures + 1, tail)) if failures else 0.0
    high = 1.0
    if failures < runs:
        high = float(betaincinv(failures + 1, runs - failures, 1 - tail))
    return low, high
