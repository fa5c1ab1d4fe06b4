"""Facts about label smoothing."""

import math

import pytest
import torch
from torch.nn.functional import softplus

from gan_plugin_targets.label_smoothing import LabelSmoothing
from gancore.plugins.component import info_of
from gancore.testing import StandInLoss, check_component, some_batch, terms, train

torch.set_num_threads(1)

REAL, FAKE = torch.ones(4), torch.zeros(4)


def entropy(target, scores):
    """Cross-entropy on logits, in nats, one for each score."""
    return target * softplus(-scores) + (1 - target) * softplus(scores)


def least(plain, **options):
    """The least cross-entropy of one side over a grid of scores 0.001 apart, and the score where it
    lies.
    """
    grid = torch.linspace(-30, 30, 60_001, dtype=torch.float64)
    losses = entropy(LabelSmoothing(**options).critic_targets(plain.double())[0], grid)
    return losses.min().item(), grid[losses.argmin()].item()


def test_label_smoothing_conforms():
    check_component(LabelSmoothing)


def test_two_sided_smoothing_conforms():
    check_component(LabelSmoothing, real=0.95, fake=0.05)


def test_reals_get_nine_tenths_and_fakes_stay_at_zero():
    smoothing = LabelSmoothing()
    torch.testing.assert_close(smoothing.critic_targets(REAL), torch.full((4,), 0.9))
    assert torch.equal(smoothing.critic_targets(FAKE), FAKE)


def test_two_sided_targets_are_the_two_options():
    smoothing = LabelSmoothing(real=0.95, fake=0.05)
    torch.testing.assert_close(smoothing.critic_targets(REAL), torch.full((4,), 0.95))
    torch.testing.assert_close(smoothing.critic_targets(FAKE), torch.full((4,), 0.05))


def test_a_target_flipped_before_becomes_that_of_the_other_side():
    torch.testing.assert_close(LabelSmoothing().critic_targets(1 - FAKE), torch.full((4,), 0.9))


def test_targets_of_certainty_are_the_very_tensor_given():
    assert LabelSmoothing(real=1, fake=0).critic_targets(REAL) is REAL


def test_least_averaged_cross_entropy_is_half_the_entropy_of_nine_tenths():
    half = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / 2
    assert half == pytest.approx(0.1625, abs=5e-5)
    # the loss is flat at its minimum: a grid 1e-3 wide misses it by s''/2·(5e-4)² = 1e-8; fakes at
    # -30 add e⁻³⁰; the target itself is float32, whose 0.9 is 2e-8 off
    assert (least(REAL)[0] + least(FAKE)[0]) / 2 == pytest.approx(half, abs=2e-7)


def test_least_summed_cross_entropy_of_the_two_sided_trial_is_0_3970():
    options = {"real": 0.95, "fake": 0.05}
    assert least(REAL, **options)[0] + least(FAKE, **options)[0] == pytest.approx(0.3970, abs=5e-5)


def test_best_score_of_reals_is_ln_9():
    assert least(REAL)[1] == pytest.approx(math.log(9), abs=1e-3)  # one step of the grid


def test_best_score_of_fakes_has_no_lower_end():
    assert least(FAKE)[1] == -30  # the end of the grid


def test_generator_terms_are_unchanged_bit_for_bit():
    found, wanted = (
        terms(StandInLoss(), "generator_terms", some_batch(train(*components), "generator"))["fake"]
        for components in ([LabelSmoothing(real=0.7, fake=0.2)], [])
    )
    assert torch.equal(found, wanted)


def test_critic_is_trained_towards_the_smoothed_targets():
    batch = some_batch(train(LabelSmoothing(real=0.75, fake=0.25)))  # exact in float32
    assert torch.equal(batch.real.targets, torch.full((8,), 0.75))
    assert torch.equal(batch.fake.targets, torch.full((8,), 0.25))


def test_targets_keep_half_precision():
    assert LabelSmoothing().critic_targets(REAL.bfloat16()).dtype is torch.bfloat16


@pytest.mark.parametrize(("fake", "noted"), [(0.0, False), (0.1, True)])
def test_only_two_sided_smoothing_is_noted(fake, noted):
    note = next(rule for rule in info_of(LabelSmoothing).rules if not rule.hard)
    assert note.when(LabelSmoothing(fake=fake)) is noted


def test_a_loss_without_targets_is_refused():
    rule = next(rule for rule in info_of(LabelSmoothing).rules if rule.hard)
    assert (rule.tag, rule.present) == ("loss.targets", False)
