"""Facts about noisy labels."""

import pytest
import torch
from torch.nn.functional import softplus

from gan_plugin_targets.noisy_labels import NoisyLabels
from gancore import component, hookimpl
from gancore.plugins.component import info_of
from gancore.testing import StandInLoss, check_component, some_batch, terms, train

torch.set_num_threads(1)

N = 40_000
REAL, FAKE = torch.ones(N), torch.zeros(N)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def entropy(targets, score):
    """Mean cross-entropy of one score with many targets, in nats."""
    return (targets * softplus(-score) + (1 - targets) * softplus(score)).mean()


def test_noisy_labels_conform():
    check_component(NoisyLabels)


def test_noisy_labels_of_a_whole_batch_conform():
    check_component(NoisyLabels, per="batch", rate=0.5)


def test_rate_zero_gives_the_very_tensor():
    assert NoisyLabels(rate=0).critic_targets(REAL, rng(), rng(1)) is REAL


@pytest.mark.parametrize("plain", [REAL, FAKE])
def test_rate_one_flips_every_target(plain):
    assert torch.equal(NoisyLabels(rate=1).critic_targets(plain, rng(), rng(1)), 1 - plain)


@pytest.mark.parametrize("plain", [REAL, FAKE])
def test_flips_are_binomial(plain):
    flips = (NoisyLabels(rate=0.05).critic_targets(plain, rng(), rng(1)) != plain).sum()
    assert (
        abs(flips - N * 0.05) < 4 * (N * 0.05 * 0.95) ** 0.5
    )  # 4 standard deviations of Binomial(N, 0.05)


def test_flips_of_whole_batches_are_binomial():
    noise, draws = NoisyLabels(rate=0.2, per="batch"), 2000
    flips = sum(noise.critic_targets(FAKE[:1], rng(), rng(seed)).item() for seed in range(draws))
    assert abs(flips - draws * 0.2) < 4 * (draws * 0.2 * 0.8) ** 0.5


@pytest.mark.parametrize(("plain", "smooth"), [(REAL, 0.9), (FAKE, 0.1)])
def test_expected_loss_is_that_of_two_sided_smoothing(plain, smooth):
    score = torch.tensor(1.5, dtype=torch.float64)
    found = entropy(NoisyLabels(rate=0.1).critic_targets(plain.double(), rng(), rng(1)), score)
    # a flip changes one sample's loss by |sp(s) - sp(-s)| = s, so the mean has standard deviation
    # s·√(ε(1-ε)/N)
    assert abs(found - entropy(torch.tensor(smooth), score)) < 4 * 1.5 * (0.1 * 0.9 / N) ** 0.5


@pytest.mark.parametrize(("plain", "smooth"), [(REAL, 0.9), (FAKE, 0.1)])
def test_expected_gradient_is_that_of_two_sided_smoothing(plain, smooth):
    score = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    noisy = NoisyLabels(rate=0.1).critic_targets(plain.double(), rng(), rng(1))
    (found,) = torch.autograd.grad(entropy(noisy, score), score)
    # the gradient is logistic(s) - t, so its mean varies as that of t does
    assert abs(found - (torch.sigmoid(score) - smooth)) < 4 * (0.1 * 0.9 / N) ** 0.5


def test_swapping_a_batch_flips_reals_and_fakes_together():
    training = train(NoisyLabels(rate=0.5, per="batch"))
    seen = set()
    for step in range(20):  # both cases are missed together with probability 2·2⁻²⁰
        batch = some_batch(training, step=step)
        assert torch.equal(batch.real.targets, 1 - batch.fake.targets)
        seen.add(batch.real.targets.unique().item())
    assert seen == {0.0, 1.0}


def test_single_targets_of_reals_and_fakes_flip_independently():
    batch = some_batch(train(NoisyLabels(rate=0.5), batch=4096))
    both = ((batch.real.targets == 0) & (batch.fake.targets == 1)).sum()
    assert (
        abs(both - 4096 / 4) < 4 * (4096 * 0.25 * 0.75) ** 0.5
    )  # Binomial(4096, 1/4) when independent


def test_flipping_comes_before_smoothing_in_whatever_order_they_are_given():
    @component(source="a test")
    class Smoothing:
        @hookimpl
        def critic_targets(self, targets):
            return 0.5 * targets

    for components in ([Smoothing(), NoisyLabels(rate=1)], [NoisyLabels(rate=1), Smoothing()]):
        batch = some_batch(train(*components))
        assert torch.equal(batch.real.targets, torch.zeros(8))
        assert torch.equal(batch.fake.targets, torch.full((8,), 0.5))


def test_generator_terms_are_unchanged_bit_for_bit():
    found, wanted = (
        terms(StandInLoss(), "generator_terms", some_batch(train(*components), "generator"))["fake"]
        for components in ([NoisyLabels(rate=1)], [])
    )
    assert torch.equal(found, wanted)


def test_a_loss_without_targets_is_refused():
    (rule,) = info_of(NoisyLabels).rules
    assert (rule.tag, rule.present, rule.hard) == ("loss.targets", False, True)
