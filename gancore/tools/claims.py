"""What a sweep says of its claims: agree, disagree or undecided, with at most one wrong verdict in twenty sweeps."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, frozen

from gancore.errors import UsageError

ALPHA = 0.05  # chance of any false verdict in a whole sweep, where no difference is there
HUGE = 1e100  # squares of larger differences overflow, and no mean of theirs says anything
FEWEST = 3  # seeds: two have a spread with one degree of freedom, whose interval says nothing


@frozen
class Claim:
    """What a source said of two arms: `figure` of arm `less` is below that of arm `more`.

    With `same` it said that they are alike: their means differ by less than `margin`, in the unit of the figure.
    """

    says: str
    figure: str
    less: str
    more: str
    same: bool = False
    margin: float = 0.0


@frozen
class Verdict:
    """One claim beside the figures. `differences` are more - less, one a seed; `p` is two-sided, `p_holm` corrected.

    `low` to `high` is the 95 % t-interval of the mean difference of this claim alone. With fewer than three seeds
    mean and interval are None and both p are 1.
    """

    word: str
    differences: tuple[float, ...]
    mean: float | None
    low: float | None
    high: float | None
    p: float
    p_holm: float


def read_claims(sweep: Mapping[str, Any], arms: Sequence[str]) -> list[Claim]:
    """Read `[[sweep.claims]]`.

    Raises UsageError for a claim about an arm that is not there, and for one of likeness without a margin.
    """
    claims = []
    for each in sweep.get("claims", []):
        try:
            claim = Claim(**dict(each))
            if not all(isinstance(said, str) for said in (claim.says, claim.figure, claim.less, claim.more)):
                raise ValueError("says, figure, less and more are texts")
            if not isinstance(claim.margin, int | float) or not 0 <= claim.margin < math.inf:
                raise ValueError(f"margin is {claim.margin!r}, which is no number of at least 0")
        except (TypeError, ValueError) as error:
            raise UsageError(f"a claim of the sweep cannot be read: {error}", fix="says, figure, less, more") from None
        if unknown := {claim.less, claim.more} - set(arms):
            raise UsageError(f"a claim speaks of arm {unknown.pop()!r}", fix=f"one of {', '.join(arms)}")
        if claim.same != bool(claim.margin):
            what = f"the claim {claim.says!r} says same = {str(claim.same).lower()} and margin = {claim.margin}"
            fix = "same = true with a margin above 0, the largest difference that counts as alike; or neither"
            raise UsageError(what, where="[[sweep.claims]]", fix=fix)
        claims.append(claim)
    return claims


def judge(claims: Sequence[Claim], table: Mapping[str, Mapping[int, Mapping[str, float]]]) -> list[Verdict]:
    """Compare each claim with the figures by arm and seed.

    A t-test of the paired differences is made for each claim, corrected by Holm over all claims of the sweep (Holm,
    Scandinavian Journal of Statistics 6, 1979). Where its p is above 0.05 the verdict is `undecided`: the corrected
    interval of the mean difference reaches 0, or for a claim of likeness an edge of -margin to margin. So arms are
    alike only where the whole interval lies within the margin, and not where no difference was found.
    """
    return decide(claims, [paired_differences(claim, table) for claim in claims])


def decide(claims: Sequence[Claim], differences: Sequence[Sequence[float]]) -> list[Verdict]:
    """Give the verdicts of `judge` from the paired differences of each claim, more - less by seed."""
    tests = [t_test(each, claim.margin) for claim, each in zip(claims, differences, strict=True)]
    corrected = holm([p for *_, p in tests])
    return [
        Verdict(_word(claim, mean, p_holm), tuple(found), mean, low, high, p, p_holm)
        for claim, found, (mean, low, high, p), p_holm in zip(claims, differences, tests, corrected, strict=True)
    ]


def paired_differences(claim: Claim, table: Mapping[str, Mapping[int, Mapping[str, float]]]) -> list[float]:
    """List figure of `more` - figure of `less`, by seed, for the seeds that both arms finished."""
    less = table.get(claim.less, {})
    more = table.get(claim.more, {})
    seeds = [seed for seed in less if claim.figure in less[seed] and claim.figure in more.get(seed, {})]
    return [more[seed][claim.figure] - less[seed][claim.figure] for seed in seeds]


def t_test(differences: Sequence[float], margin: float = 0.0) -> tuple[float | None, float | None, float | None, float]:
    """Return mean, both ends of its 95 % t-interval, and a two-sided p.

    p belongs to the distance of the mean from the nearer edge of -margin to margin: at most α where the interval of
    level 1 - α lies wholly within the margin, or wholly outside it.
    """
    n = len(differences)
    if n < FEWEST or not all(abs(each) <= HUGE for each in differences):  # nor nan
        return None, None, None, 1.0
    from scipy.special import stdtr, stdtrit

    mean = statistics.fmean(differences)
    error = statistics.stdev(differences) / math.sqrt(n)
    half = float(stdtrit(n - 1, 1 - ALPHA / 2)) * error
    distance = abs(abs(mean) - margin)
    if error == 0:  # the seeds agree exactly: the interval is one point
        return mean, mean, mean, 0.0 if distance else 1.0
    return mean, mean - half, mean + half, 2 * float(stdtr(n - 1, -distance / error))


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down, in the order given; each at most 1."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected = [1.0] * len(values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, (len(values) - place) * values[index])
        corrected[index] = min(1.0, largest)
    return corrected


def _word(claim: Claim, mean: float | None, p_holm: float) -> str:
    if mean is None or not p_holm <= ALPHA:  # "not" rather than ">", as p is nan where a figure overflows
        return "undecided"
    agrees = abs(mean) < claim.margin if claim.same else mean > 0
    return "agree" if agrees else "disagree"


def line_of(claim: Claim, verdict: Verdict) -> str:
    """Write a claim and its verdict as one item of a Markdown list."""
    relation = f"{claim.less} ≈ {claim.more} within {claim.margin:g}" if claim.same else f"{claim.less} < {claim.more}"
    seeds = ", ".join(f"{each:+.3g}" for each in verdict.differences) or "none"
    found = ""
    if verdict.mean is not None:
        found = f"; mean {verdict.mean:+.3g}, 95 % interval {verdict.low:+.3g} to {verdict.high:+.3g}"
        found += f", p {verdict.p:.2g}, corrected {verdict.p_holm:.2g}"
    return f"- **{verdict.word}**: {claim.says} (`{claim.figure}`: {relation}; differences by seed: {seeds}{found})"


def as_json(claim: Claim, verdict: Verdict) -> dict[str, Any]:
    """Return a claim and its verdict as JSON holds them."""
    return {**asdict(claim), "verdict": verdict.word, **asdict(verdict, filter=lambda field, _: field.name != "word")}
