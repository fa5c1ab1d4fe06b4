"""A sweep's verdicts are wrong at most once in twenty sweeps, and its intervals hold what they say."""

import json
import random
import statistics

import pytest
from support.tables import every_row

from gancore import UsageError
from gancore.tools.claims import (
    Claim,
    claim_as_json,
    claim_as_line,
    judge_claims,
    needed_in_words,
    read_claims,
)
from gancore.tools.statistics import holm, t_interval, t_p

BELOW = Claim("", "f", "a", "b")
ALIKE = Claim("", "f", "a", "b", same=True, margin=0.5)


def figures(**arms):
    """The figure `f` of each arm, by seed."""
    return {
        arm: {seed: {"f": value} for seed, value in enumerate(values)}
        for arm, values in arms.items()
    }


def verdict(claim, less, more):
    (found,) = judge_claims([claim], figures(a=less, b=more))
    return found


def drawn(rng, n, mean=0.0):
    return [rng.gauss(mean, 1) for _ in range(n)]


# ── one claim ─────────────────────────────────────────────────────────────────────────────────────


@every_row(
    ("less", "more", "word"),
    [
        ([0, 0, 0], [1.0, 1.1, 0.9], "agree"),
        ([1.0, 1.1, 0.9], [0, 0, 0], "disagree"),
        (
            [0, 0, 0],
            [1.0, 1.5, 0.5],
            "undecided",
        ),  # all above 0 and 3.5 standard errors from it, but only three
        ([0] * 6, [1.0, 1.5, 0.5] * 2, "agree"),
        ([0, 0, 0], [1.0, -0.5, 1.0], "undecided"),
        ([1, 1], [2, 2], "undecided"),  # too few seeds
        ([1, 1, 1], [1, 1, 1], "undecided"),
        ([0, 0, 0], [8, 8, 8], "agree"),
    ],
)
def test_a_difference_counts_where_its_interval_excludes_0(less, more, word):
    assert verdict(BELOW, less, more).word == word


@every_row(
    ("more", "word"),
    [
        ([0.01, -0.01, 0.0], "agree"),
        (
            [0.3, -0.3, 0.0],
            "undecided",
        ),  # no difference was found, which does not say that there is none
        ([0.0, 0.0, 0.0], "agree"),
        ([2.0, 2.1, 1.9], "disagree"),
        ([-2.0, -2.1, -1.9], "disagree"),
        ([0.6, 0.9, 0.5], "undecided"),
        ([0.2, 0.21, 0.19], "agree"),  # they differ, but by less than the margin
        ([0.5, 0.5, 0.5], "undecided"),
    ],
)
def test_arms_are_alike_only_where_the_interval_lies_within_the_margin(more, word):
    assert verdict(ALIKE, [0, 0, 0], more).word == word


def test_the_interval_is_that_of_a_t_test():
    found, p = t_interval([1.0, 2.0, 3.0]), t_p([1.0, 2.0, 3.0])
    assert (found.mean, found.low, found.high) == pytest.approx(
        (2, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5)
    )
    assert p == pytest.approx(1 - (6 / 7) ** 0.5)  # 2·P(t₂ > 2·√3)


def test_a_claim_about_a_run_that_failed_is_undecided():
    (found,) = judge_claims([BELOW], {"a": {}, "b": {0: {"f": 1.0}}})
    assert (found.word, found.differences, found.mean, found.p_holm) == ("undecided", (), None, 1)


def test_only_seeds_that_both_arms_finished_are_compared():
    table = figures(a=[1, 2, 3, 4], b=[2, 3, 4, 9])
    del table["b"][3]
    assert judge_claims([BELOW], table)[0].differences == (1, 1, 1)


@every_row("more", [[1e308, 1e307, 1.7e308], [1.0, 1.0, float("inf")], [1e101, 1e101, 1e101]])
def test_a_figure_that_overflows_decides_nothing(more):
    assert verdict(BELOW, [0, -1e308, 0], more).word == "undecided"


# ── all claims of a sweep ─────────────────────────────────────────────────────────────────────────


def test_holm_corrects_as_in_the_textbook():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_a_claim_of_many_needs_more_than_a_claim_alone():
    less, more = [0, 0, 0], [1.0, 1.3, 0.8]
    arms = figures(a=less, b=more, c=[0, 1, -1])
    alone, among = (
        judge_claims([BELOW], arms),
        judge_claims([BELOW, *[Claim("", "f", "a", "c")] * 9], arms),
    )
    assert (alone[0].word, among[0].word) == ("agree", "undecided")
    assert among[0].p == alone[0].p == pytest.approx(among[0].p_holm / 10)


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_an_interval_holds_the_true_difference_in_19_of_20_sweeps(seeds):
    rng = random.Random(seeds)
    held = [
        found.low <= 2 <= found.high
        for found in (t_interval(drawn(rng, seeds, 2)) for _ in range(2000))
    ]
    assert statistics.fmean(held) == pytest.approx(
        0.95, abs=0.015
    )  # three standard errors of 2,000 draws


@pytest.mark.parametrize("seeds", [3, 6])
def test_a_whole_sweep_without_a_difference_is_wrong_at_most_once_in_twenty(seeds):
    claims = [
        Claim("", "f", *pair)
        for pair in (("a", "b"), ("a", "c"), ("b", "c"), ("d", "a"), ("c", "d"))
    ]
    rng = random.Random(seeds)
    wrong = 0
    for _ in range(1000):
        arms = figures(
            **{arm: drawn(rng, seeds) for arm in "abcd"}
        )  # claims share arms, as those of a sweep do
        wrong += any(each.word != "undecided" for each in judge_claims(claims, arms))
    assert wrong / 1000 <= 0.05 + 0.02  # and three standard errors


def test_arms_that_differ_by_the_margin_are_seldom_called_alike():
    rng = random.Random(0)
    words = [verdict(ALIKE, [0] * 6, drawn(rng, 6, 0.5)).word for _ in range(1000)]
    assert words.count("agree") / 1000 <= 0.025 + 0.015


def test_a_large_difference_is_found_with_eight_seeds():
    rng = random.Random(1)
    words = [verdict(BELOW, [0] * 8, drawn(rng, 8, 2)).word for _ in range(300)]
    assert words.count("agree") / 300 > 0.95


# ── reading and writing ───────────────────────────────────────────────────────────────────────────


def claim(**changes):
    return {"claims": [{"says": "", "figure": "f", "less": "a", "more": "b", **changes}]}


@every_row(
    ("changes", "what"),
    [
        ({"more": "c"}, "names the unknown arm 'c'"),
        ({"same": True}, "same = true and margin = 0"),
        ({"margin": 0.1}, "same = false and margin = 0.1"),
        ({"same": True, "margin": -1}, "must be a number of at least 0"),
        ({"same": True, "margin": "a tenth"}, "must be a number of at least 0"),
        ({"figure": 3}, "must be strings"),
        ({"verdict": "agree"}, "cannot be read"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(changes, what):
    with pytest.raises(UsageError, match=what):
        read_claims(claim(**changes), ["a", "b"])


@every_row("content", [False, 3, "a", ["a"], None])
def test_a_claim_that_is_no_table_is_refused(content):
    with pytest.raises(UsageError, match="must be a table"):
        read_claims({"claims": [content]}, ["a", "b"])


def test_a_verdict_is_written_with_its_interval_and_its_p():
    claim = Claim("it is smaller", "f", "a", "b")
    (found,) = judge_claims([claim], figures(a=[0, 0, 0], b=[1, 2, 3]))
    assert claim_as_line(claim, found) == (
        "- **undecided**: it is smaller (`f`: a < b; differences by seed: +1, +2, +3; mean +2, 95 % interval "
        "-0.484 to +4.48, p 0.074, corrected 0.074; about 5 seeds would decide a difference of this size)"
    )
    assert json.loads(json.dumps(claim_as_json(claim, found)))["differences"] == [1, 2, 3]


@every_row(
    ("more", "words"),
    [
        ([1, 2, 3], "; about 5 seeds would decide a difference of this size"),
        # d = 0.001/1: (1.96 + 0.84)²/d² pairs by the normal distribution
        ([1.001, 0.001, -0.999], "; more than 1,000 seeds would decide a difference of this size"),
        ([1, 0, -1], ""),  # a mean of exactly 0
        ([1, 1.1, 0.9], ""),  # decided
        ([1, 2], ""),
    ],
)
def test_an_undecided_claim_says_how_many_seeds_its_difference_needs(more, words):
    found = verdict(BELOW, [0] * len(more), more)
    assert needed_in_words(found) == words
    if found.seeds_needed:
        assert found.word == "undecided"
        assert found.seeds_needed > len(more)


def test_more_claims_need_more_seeds():
    arms = figures(a=[0, 0, 0], b=[1, 2, 3], c=[0, 1, -1])
    among = judge_claims([BELOW, *[Claim("", "f", "a", "c")] * 9], arms)
    assert among[0].seeds_needed > verdict(BELOW, [0, 0, 0], [1, 2, 3]).seeds_needed


def test_a_verdict_on_too_few_seeds_has_no_interval():
    (found,) = judge_claims([ALIKE], figures(a=[0.0], b=[1.0]))
    assert (
        claim_as_line(ALIKE, found)
        == "- **undecided**:  (`f`: a ≈ b within 0.5; differences by seed: +1)"
    )
