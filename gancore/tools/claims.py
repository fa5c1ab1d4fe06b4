"""Tests the claims of a sweep: agree, disagree or undecided.

If no claimed difference exists, at most one sweep in twenty gives any wrong verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, frozen

from gancore.errors import UsageError
from gancore.tools.statistics import (
    ALPHA,
    MOST_PAIRS,
    holm,
    pairs_needed,
    standard_error,
    t_interval,
    t_p,
)

FiguresByArm = Mapping[str, Mapping[int, Mapping[str, float]]]


@frozen
class Claim:
    """A claim of a source about two arms: `figure` of arm `less` is below that of arm `more`.

    With `same`, the claim is that they are alike: their means differ by less than `margin`, in the
    unit of the figure.
    """

    says: str
    figure: str
    less: str
    more: str
    same: bool = False
    margin: float = 0.0


@frozen
class ClaimVerdict:
    """The verdict on one claim: `word` is agree, disagree or undecided.

    `differences` are more - less, one per seed. `low` to `high` is the 95 % t-interval of their
    mean, for this claim alone. `p` is two-sided, and `p_holm` corrected for the number of claims.
    With fewer than three seeds, mean and interval are None and both p are 1. `seeds_needed` of an
    undecided claim is how many seeds would decide a difference of the observed size with a power of
    80 %, at the level that remains for each claim of the sweep; None if no number of seeds would.
    """

    word: str
    differences: tuple[float, ...]
    mean: float | None
    low: float | None
    high: float | None
    p: float
    p_holm: float
    seeds_needed: int | None = None


def read_claims(sweep: Mapping[str, Any], arms: Sequence[str]) -> list[Claim]:
    """Read `[[sweep.claims]]`.

    Raises UsageError for what is no table, for a claim about an unknown arm, and for `same` without
    a margin.
    """
    return [_read_claim(each, arms) for each in sweep.get("claims", [])]


def _read_claim(content: Any, arms: Sequence[str]) -> Claim:
    if not isinstance(content, Mapping):
        what = f"a claim of the sweep is {content!r}, but must be a table"
        raise UsageError(what, where="[[sweep.claims]]", fix="says, figure, less, more")
    try:
        claim = Claim(**content)
        for text in (claim.says, claim.figure, claim.less, claim.more):
            if not isinstance(text, str):
                raise ValueError("says, figure, less and more must be strings")
        if not isinstance(claim.margin, int | float) or not 0 <= claim.margin < math.inf:
            raise ValueError(f"margin is {claim.margin!r}, but must be a number of at least 0")
    except (TypeError, ValueError) as error:
        what = f"a claim of the sweep cannot be read: {error}"
        raise UsageError(what, fix="says, figure, less, more") from None
    if unknown := {claim.less, claim.more} - set(arms):
        what = f"a claim names the unknown arm {unknown.pop()!r}"
        raise UsageError(what, fix=f"one of {', '.join(arms)}")
    if claim.same != bool(claim.margin):
        same = str(claim.same).lower()
        raise UsageError(
            f"the claim {claim.says!r} has same = {same} and margin = {claim.margin}",
            where="[[sweep.claims]]",
            fix="same = true with margin = the largest difference that counts as alike; or neither",
        )
    return claim


def judge_claims(claims: Sequence[Claim], table: FiguresByArm) -> list[ClaimVerdict]:
    """Test each claim against the figures by arm and seed.

    This makes a t-test of the paired differences for each claim, corrected over all claims of the
    sweep (Holm, Scandinavian Journal of Statistics 6, 1979). If the corrected p is above 0.05, the
    verdict is `undecided`: the corrected interval of the mean difference contains 0 or, for a claim
    with `same`, -margin or margin. So arms count as alike only if the whole interval lies within
    the margin, and not because no difference was found.
    """
    differences = [paired_differences(claim, table) for claim in claims]
    return judge_differences(claims, differences)


def judge_differences(
    claims: Sequence[Claim], differences: Sequence[Sequence[float]]
) -> list[ClaimVerdict]:
    """Return the verdicts from the paired differences of each claim, more - less by seed."""
    pairs = list(zip(claims, differences, strict=True))
    values = [t_p(found, claim.margin) for claim, found in pairs]
    verdicts = []
    for (claim, found), p, p_holm in zip(pairs, values, holm(values), strict=True):
        interval = t_interval(found)
        if interval is None:
            verdicts.append(ClaimVerdict("undecided", tuple(found), None, None, None, p, p_holm))
            continue
        word = _word_for(claim, interval.mean, p_holm)
        needed = None
        if word == "undecided":
            needed = _seeds_needed(found, claim.margin, interval.mean, len(claims))
        ends = (interval.mean, interval.low, interval.high)
        verdicts.append(ClaimVerdict(word, tuple(found), *ends, p, p_holm, needed))
    return verdicts


def _seeds_needed(
    differences: Sequence[float], margin: float, mean: float, claims: int
) -> int | None:
    """Return how many seeds would decide a difference of this size among so many claims."""
    error = standard_error(differences)
    if not error > 0:
        return None
    deviation = error * math.sqrt(len(differences))
    # Holm asks for at most ALPHA / claims; which place a claim will have is not known beforehand
    return pairs_needed(abs(abs(mean) - margin) / deviation, ALPHA / claims)


def paired_differences(claim: Claim, table: FiguresByArm) -> list[float]:
    """Return figure of `more` - figure of `less` for each seed that both arms finished."""
    more = table.get(claim.more, {})
    differences = []
    for seed, row in table.get(claim.less, {}).items():
        other = more.get(seed, {})
        # a seed whose run failed, or measured no such figure, says nothing about the difference
        if claim.figure in row and claim.figure in other:
            differences.append(other[claim.figure] - row[claim.figure])
    return differences


def _word_for(claim: Claim, mean: float, p_holm: float) -> str:
    # `not <=` rather than `>`: p is nan if a figure overflows
    if not p_holm <= ALPHA:
        return "undecided"
    agrees = abs(mean) < claim.margin if claim.same else mean > 0
    return "agree" if agrees else "disagree"


def claim_as_line(claim: Claim, verdict: ClaimVerdict) -> str:
    """Return a claim and its verdict as an item of a Markdown list."""
    relation = f"{claim.less} < {claim.more}"
    if claim.same:
        relation = f"{claim.less} ≈ {claim.more} within {claim.margin:g}"
    seeds = ", ".join(f"{each:+.3g}" for each in verdict.differences) or "none"
    found = f"{relation}; differences by seed: {seeds}"
    if verdict.mean is not None:
        found += f"; mean {verdict.mean:+.3g}"
        found += f", 95 % interval {verdict.low:+.3g} to {verdict.high:+.3g}"
        found += f", p {verdict.p:.2g}, corrected {verdict.p_holm:.2g}"
    found += needed_in_words(verdict)
    return f"- **{verdict.word}**: {claim.says} (`{claim.figure}`: {found})"


def needed_in_words(verdict: ClaimVerdict) -> str:
    """Return how many seeds would decide an undecided claim, or '' where that is unknown."""
    if verdict.seeds_needed is None:
        return ""
    count = f"about {verdict.seeds_needed}"
    if verdict.seeds_needed > MOST_PAIRS:
        count = f"more than {MOST_PAIRS:,}"
    return f"; {count} seeds would decide a difference of this size"


def claim_as_json(claim: Claim, verdict: ClaimVerdict) -> dict[str, Any]:
    """Return a claim and its verdict as one JSON object."""
    about = asdict(verdict)
    return {**asdict(claim), "verdict": about.pop("word"), **about}
