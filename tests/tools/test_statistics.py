"""Intervals hold what they say, tests err as seldom as they say, and plans need what they say."""

import math

import numpy as np
import pytest
from scipy.special import ndtri
from support.tables import every_row

from gancore.tools.statistics import (
    POWER,
    bootstrap_interval,
    clopper_pearson,
    correlation,
    equivalence_p,
    expected_best,
    fewest_pairs_to_find,
    holm,
    pairs_needed,
    pairs_needed_by_signs,
    power_of,
    sign_flip_p,
    smallest_effect,
    smallest_effect_of_signs,
    smallest_p,
    t_interval,
    t_p,
)

# ── one sample ────────────────────────────────────────────────────────────────────────────────────


@every_row("pairs", [1, 3, 6, 8, 12, 16])
def test_the_smallest_p_of_the_sign_flip_test_is_that_of_differences_of_one_sign(pairs):
    assert sign_flip_p([1 + place for place in range(pairs)]) == smallest_p(pairs)
    assert smallest_p(pairs) == pytest.approx(2 / 2**pairs)


def test_the_sign_flip_test_counts_signings_as_by_hand():
    # sums of ±1 ±2 ±3: ±6, ±4, ±2, 0, 0; the observed 1 + 2 - 3 = 0 is the least, 2 + 3 - 1 = 4
    assert sign_flip_p([1, 2, -3]) == 1
    assert sign_flip_p([-1, 2, 3]) == 4 / 8


@every_row("scale", [1e-300, 1, 1e300])
def test_the_sign_flip_test_does_not_depend_on_the_unit(scale):
    drawn = [0.3, 0.1, 0.2, -0.1, 0.5, 0.7]
    assert sign_flip_p([scale * each for each in drawn]) == sign_flip_p(drawn)


def test_drawn_signs_agree_with_the_exact_test_and_are_the_same_each_time():
    rng = np.random.default_rng(0)
    many = rng.normal(0.5, 1, 17)
    found = sign_flip_p(many)
    assert found == sign_flip_p(many)
    # by doubling all sums once more, in one block: 2^17 signings
    sums = np.zeros(1)
    for value in many:
        sums = np.concatenate([sums + value, sums - value])
    exact = (np.abs(sums) >= abs(many.sum()) - 1e-9).mean()
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact / 100_000))


@every_row("values", [[], [math.nan, 1.0], [math.inf] * 6, [0.0] * 6])
def test_nothing_is_found_in_a_sample_without_differences(values):
    assert sign_flip_p(values) == 1


@every_row("values", [[], [1.0, 2.0], [1e200] * 3, [math.nan] * 3])
def test_a_sample_that_is_too_small_or_overflows_has_no_interval(values):
    assert t_interval(values) is None
    assert bootstrap_interval(values) is None
    assert (t_p(values), equivalence_p(values, 1.0)) == (1, 1)


def test_equivalence_is_found_where_the_90_percent_interval_lies_within_the_margin():
    rng = np.random.default_rng(1)
    for drawn in rng.normal(0.2, 1, (50, 8)):
        narrow = t_interval(drawn, 0.9)
        inside = narrow.low > -0.8 and narrow.high < 0.8
        assert (equivalence_p(drawn, 0.8) < 0.05) == inside


def cover(interval, drawn, true):
    found = [interval(sample) for sample in drawn]
    return np.mean([each.low <= true <= each.high for each in found])


def test_t_intervals_of_normal_samples_hold_the_mean_in_19_of_20():
    rng = np.random.default_rng(2)
    for n in (3, 5, 8):
        share = cover(t_interval, rng.normal(1, 2, (1000, n)), 1)
        # three standard errors of 1,000 draws: 3·√(.95·.05/1000) = .021
        assert share == pytest.approx(0.95, abs=0.021)


def test_percentiles_of_five_values_cover_too_seldom_and_students_bootstrap_does_not():
    drawn = np.random.default_rng(3).normal(0, 1, (150, 5))
    percentiles = cover(bootstrap_interval, drawn, 0)
    studentized = cover(lambda sample: bootstrap_interval(sample, studentized=True), drawn, 0)
    # 84 % as measured for many more; 150 draws have a standard error of 3 %
    assert percentiles == pytest.approx(0.84, abs=0.09)
    assert studentized > percentiles
    assert studentized > 0.9


def test_a_bootstrap_takes_other_statistics():
    found = bootstrap_interval([1.0, 2.0, 3.0, 4.0, 100.0] * 5, np.median)
    assert (found.mean, found.low >= 1, found.high <= 100) == (3, True, True)


def test_pairs_that_rise_together_are_correlated():
    assert correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert correlation([1, 1, 1], [3, 2, 1]) is correlation([1, 2], [1, 2]) is None


# ── a whole study ─────────────────────────────────────────────────────────────────────────────────


@every_row(("pairs", "arms"), [(8, 3), (9, 6)])
def test_a_study_without_differences_finds_one_at_most_once_in_twenty(pairs, arms):
    # All arms share a baseline, as those of a study do. The signings of a study are the same for
    # all its arms, so the sums over all 2^n come from one product of matrices.
    rng = np.random.default_rng(pairs)
    studies = 2_000
    baseline = rng.normal(size=(studies, 1, pairs))
    differences = rng.normal(size=(studies, arms, pairs)) - baseline
    signs = 1 - 2 * (np.arange(2**pairs)[:, None] >> np.arange(pairs) & 1)
    observed = np.abs(differences.sum(-1))
    sums = np.abs(differences.astype(np.float32) @ signs.T.astype(np.float32))
    p = (sums >= observed[..., None] - 1e-4).mean(-1)
    # the fast form is that of the library
    for study in range(3):
        assert list(map(sign_flip_p, differences[study])) == pytest.approx(list(p[study]))
    wrong = sum(min(holm(list(each))) <= 0.05 for each in p)
    # X ~ Bin(2000, .05) at most: mean 100, standard deviation √95 = 9.7, so P(X > 130) < .002
    assert wrong <= 130


def test_holm_finds_what_a_single_test_would_and_keeps_the_order_of_p():
    assert holm([0.03]) == [0.03]
    corrected = holm([0.001, 0.02, 0.04, 0.5])
    assert corrected == pytest.approx([0.004, 0.06, 0.08, 0.5])


def test_more_comparisons_need_more_pairs_to_reach_5_percent():
    # evidence: 1 comparison needs 6 pairs, 2 or 3 need 7, 4 to 6 need 8, 7 to 12 need 9
    found = [fewest_pairs_to_find(count) for count in (1, 2, 3, 4, 6, 7, 12)]
    assert found == [6, 7, 7, 8, 8, 9, 9]


# ── planning ──────────────────────────────────────────────────────────────────────────────────────


def test_the_smallest_effects_are_those_of_the_table_of_power():
    found = [round(smallest_effect(n), 2) for n in (3, 5, 8, 10, 12, 20, 30)]
    assert found == [3.26, 1.68, 1.16, 1.0, 0.89, 0.66, 0.53]
    assert [round(smallest_effect(n, 0.05 / 3), 2) for n in (8, 10, 20)] == [1.45, 1.22, 0.78]


def test_needed_pairs_are_those_of_the_table_of_power():
    assert [pairs_needed(effect) for effect in (0.5, 0.8, 1, 1.5)] == [34, 15, 10, 6]
    assert pairs_needed(-0.5) == 34
    assert pairs_needed(0.0) is pairs_needed(math.nan) is None
    assert pairs_needed(0.01) == math.ceil((1.959964 + 0.841621) ** 2 / 1e-4)


@every_row(("pairs", "alpha"), [(6, 0.05), (8, 0.05 / 6), (9, 0.05 / 12)])
def test_where_all_signs_must_agree_few_pairs_need_larger_effects_than_a_t_test(pairs, alpha):
    # P(all n differences above 0) = Φ(effect)^n = .8
    closed = ndtri(POWER ** (1 / pairs))
    # of 2,000 simulated samples: standard error .9 % of the power
    assert smallest_effect_of_signs(pairs, alpha) == pytest.approx(closed, abs=0.06)
    assert closed > smallest_effect(pairs, alpha)
    assert pairs_needed_by_signs(closed * 0.9, alpha) > pairs
    assert pairs_needed_by_signs(closed * 1.1, alpha) <= pairs


def test_below_the_fewest_pairs_no_effect_is_found_by_signs():
    assert smallest_effect_of_signs(5) is None
    assert pairs_needed_by_signs(100.0) == 6
    assert pairs_needed_by_signs(0.0) is None
    assert smallest_effect_of_signs(20) == smallest_effect(20)


def test_power_is_that_of_simulated_t_tests():
    rng = np.random.default_rng(4)
    drawn = rng.normal(0.9, 1, (20_000, 8))
    t = drawn.mean(1) / (drawn.std(1, ddof=1) / math.sqrt(8))
    share = (np.abs(t) > 2.364624).mean()
    # three standard errors of 20,000 draws: 3·√(.25/20000) = .011
    assert power_of(0.9, 8) == pytest.approx(share, abs=0.011)
    assert power_of(0.0, 8) == pytest.approx(0.05, abs=1e-3)


def test_the_best_of_k_runs_is_ahead_by_chance():
    # E[max of 2] = 1/√π, of 3 = 1.5/√π
    assert expected_best(2) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-5)
    assert expected_best(3) == pytest.approx(1.5 / math.sqrt(math.pi), abs=1e-5)
    assert [round(expected_best(k), 2) for k in (1, 5, 10, 20)] == [0, 1.16, 1.54, 1.87]


# ── shares ────────────────────────────────────────────────────────────────────────────────────────


def test_intervals_of_failures_have_the_closed_forms_of_none_and_all():
    assert clopper_pearson(0, 8) == pytest.approx((0, 1 - 0.025 ** (1 / 8)))
    assert clopper_pearson(8, 8) == pytest.approx((0.025 ** (1 / 8), 1))
    low, high = clopper_pearson(2, 10)
    # P(X ≥ 2 | low) = P(X ≤ 2 | high) = 2.5 %
    above = 1 - (1 - low) ** 10 - 10 * low * (1 - low) ** 9
    below = sum(math.comb(10, k) * high**k * (1 - high) ** (10 - k) for k in range(3))
    assert (above, below) == pytest.approx((0.025, 0.025))
