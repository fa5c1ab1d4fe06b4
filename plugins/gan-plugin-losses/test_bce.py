from math import exp, log

import pytest
import torch
from support.tables import every_row
from torch.nn.functional import softplus

from gan_plugin_losses.bce import BCE
from gancore import CompositionError, component, hookimpl
from gancore.testing import check_component, scores_batch, some_batch, terms, train

MODES = ("non-saturating", "saturating")


def critic_terms(real, fake, **options):
    return terms(BCE(**options), "critic_terms", scores_batch(real, fake))


def slope_of_generator(score, mode="non-saturating", **options):
    """Slope of the generator's term at one fake of this score."""
    fake = torch.tensor([score], requires_grad=True)
    batch = scores_batch(torch.zeros(1), fake, role="generator")
    (term,) = terms(BCE(mode=mode, **options), "generator_terms", batch).values()
    return torch.autograd.grad(term, fake)[0].item()


@component(source="a test")
class Shaped:
    """Targets far from 0 and 1, and weights that keep the first half of the fakes."""

    @hookimpl
    def critic_targets(self, targets):
        return 0.25 + 0.5 * targets

    @hookimpl
    def sample_weights(self, weights):
        return torch.arange(len(weights)).lt(len(weights) // 2) * 2.0


def test_bce_conforms():
    check_component(BCE)


def test_the_saturating_form_conforms():
    check_component(BCE, mode="saturating", average=False)


def test_each_side_is_log_two_when_every_score_is_zero():
    found = critic_terms(torch.zeros(4), torch.zeros(4), average=False)
    assert {name: term.item() for name, term in found.items()} == pytest.approx(
        {"real": log(2), "fake": log(2)}
    )


def test_the_average_halves_the_sum():
    scores = torch.linspace(-2, 2, 6), torch.linspace(-1, 3, 6)
    halved, whole = (
        sum(critic_terms(*scores, average=average).values()) for average in (True, False)
    )
    assert whole == 2 * halved


def test_the_generator_term_is_log_two_when_every_score_is_zero():
    batch = scores_batch(torch.zeros(4), torch.zeros(4), role="generator")
    assert terms(BCE(), "generator_terms", batch)["fake"].item() == pytest.approx(log(2))


def test_the_non_saturating_slope_stays_near_one_where_the_critic_is_sure():
    assert slope_of_generator(-10.0, "non-saturating") == pytest.approx(
        -1 / (1 + exp(-10)), rel=1e-6
    )  # -0.99995


def test_the_saturating_slope_vanishes_where_the_critic_is_sure():
    assert slope_of_generator(-10.0, "saturating") == pytest.approx(
        -1 / (1 + exp(10)), rel=1e-4
    )  # -4.5e-5


def test_a_generator_target_below_one_conforms():
    check_component(BCE, generator_target=0.95)


def test_a_smoothed_generator_target_pushes_the_generator_back_from_scores_above_its_logit():
    logit = log(0.95 / 0.05)
    below, at, above = (
        slope_of_generator(logit + by, generator_target=0.95) for by in (-0.1, 0, 0.1)
    )
    assert below < 0 < above
    assert at == pytest.approx(0, abs=1e-6)
    assert slope_of_generator(logit + 0.1) < 0  # the right form raises every score


def test_a_generator_target_leaves_the_critic_alone():
    scores = torch.linspace(-2, 2, 6), torch.linspace(-1, 3, 6)
    assert critic_terms(*scores, generator_target=0.5) == critic_terms(*scores)


def test_a_generator_target_of_one_is_the_plain_term_bit_for_bit():
    scores = torch.linspace(-30, 30, 61)
    batch = scores_batch(torch.zeros(61), scores, role="generator")
    assert torch.equal(terms(BCE(), "generator_terms", batch)["fake"], softplus(-scores).mean())


def test_a_generator_target_of_the_saturating_form_is_refused():
    with pytest.raises(CompositionError, match="no target"):
        slope_of_generator(0.0, "saturating", generator_target=0.95)


@every_row("mode", MODES)
@every_row("score", [-1e4, 1e4])
def test_value_and_slope_are_finite_for_huge_scores(mode, score):
    real, fake = (
        torch.tensor([score], requires_grad=True),
        torch.tensor([-score], requires_grad=True),
    )
    total = sum(terms(BCE(mode=mode), "critic_terms", scores_batch(real, fake)).values())
    total += terms(BCE(mode=mode), "generator_terms", scores_batch(real, fake, role="generator"))[
        "fake"
    ]
    input_gradients = torch.autograd.grad(total, [real, fake])
    assert all(value.isfinite().all() for value in (total, *input_gradients))


@every_row("target", [0.0, 0.25, 0.9, 1.0])
def test_the_slope_at_a_score_is_the_probability_less_the_target(target):
    scores = torch.linspace(-6, 6, 13, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(
        BCE().entropy(scores, torch.full_like(scores, target)).sum(), scores
    )
    assert torch.allclose(slope, scores.sigmoid() - target)


def test_the_best_critic_is_the_share_of_reals_at_a_point():
    # p = 3/4 of what lies at a point is real: d/ds [p·sp(-s) + q·sp(s)] = 0 at s = ln(p/q), where D
    # = p/(p + q)
    score = torch.tensor([log(3)], dtype=torch.float64, requires_grad=True)
    ones = torch.ones_like(score)
    mixed = 0.75 * BCE().entropy(score, ones) + 0.25 * BCE().entropy(score, 0 * ones)
    assert torch.autograd.grad(mixed.sum(), score)[0].item() == pytest.approx(0, abs=1e-12)


def test_one_sided_smoothing_has_its_minimum_at_the_logit_of_the_target():
    # target 0.9 for reals, 0 for fakes: the averaged minimum is H(0.9)/2 = 0.1625, at s_r = ln 9
    # and s_f → -∞
    real = BCE().entropy(torch.tensor(log(9)), torch.tensor(0.9))
    fake = BCE().entropy(torch.tensor(-50.0), torch.tensor(0.0))
    assert (real + fake).item() / 2 == pytest.approx(0.1625, abs=1e-4)


def test_an_update_without_reals_has_the_fake_term_alone():
    batch = scores_batch(torch.zeros(2), torch.zeros(2))
    batch.sides.pop("real")
    assert list(terms(BCE(), "critic_terms", batch)) == ["fake"]


def test_the_critic_heeds_shaped_targets():
    batch = some_batch(train(BCE(), Shaped()))
    real, _ = batch.terms("critic_terms", {}).values()
    assert torch.allclose(
        real, 0.5 * BCE().entropy(batch.real.score, torch.full((8,), 0.75)).mean()
    )


def test_the_generator_never_sees_shaped_targets_and_heeds_weights():
    batch = some_batch(train(BCE(), Shaped()), "generator")
    (found,) = batch.terms("generator_terms", {}).values()
    kept = batch.fake.score[:4]  # the weights are 2, 2, 2, 2, 0, 0, 0, 0
    assert torch.allclose(found, BCE().entropy(kept, torch.ones(4)).mean())
