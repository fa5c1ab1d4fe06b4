"""Standing statistics, truncation, and rejection by the critic."""

from types import SimpleNamespace

import pytest
import torch
from support.rules import check_rules_table
from support.tables import every_row
from torch import nn

from gan_plugin_sampling.rejection import DRS, MH, probabilities
from gan_plugin_sampling.standing_stats import StandingStats
from gan_plugin_sampling.truncation import Truncation, truncate_normal
from gancore import CompositionError, CriticOutput, component, hookimpl
from gancore.testing import StandInLayers, check_component, check_composes_with, some_data, train
from gancore.train.sampling import draw_samples

torch.set_num_threads(1)

STAND_IN = {"latent": "stand-in"}


@component(source="a test", provides=["batch-statistics"])
class Norms:
    @hookimpl
    def make_norm(self, channels, plan):
        return nn.BatchNorm2d(channels) if plan.images else nn.BatchNorm1d(channels)


@every_row(
    ("cls", "options", "beside"),
    [
        (StandingStats, {"batches": 2, "size": 4}, [Norms()]),
        (Truncation, STAND_IN, []),
        (DRS, {}, []),
        (MH, {"length": 2}, []),
    ],
)
def test_a_component_conforms(cls, options, beside):
    without = ["processes"] if beside else []  # torch's batch norm is that of one process
    check_component(cls, beside=beside, without=without, **options)


def test_truncation_composes_with_other_ways_of_sampling():
    check_composes_with(Truncation, [StandInLayers, DRS], **STAND_IN)


def test_truncated_normals_have_the_distribution_of_redrawn_ones():
    drawn = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    found = truncate_normal(drawn, 0.7)
    redrawn = drawn[drawn.abs() < 0.7]
    assert found.abs().max() <= torch.tensor(0.7)
    at = torch.linspace(0.01, 0.99, 50)
    distance = (found.quantile(at) - redrawn[:200_000].quantile(at)).abs().max()
    assert distance < 0.01  # of two empirical distributions of 1e5 draws
    assert (found[drawn.argsort()].diff() >= 0).all()


def test_a_wide_truncation_changes_nothing_and_far_latents_stay_finite():
    z = torch.tensor([-3.0, 0.0, 1.5, 3.0])
    torch.testing.assert_close(truncate_normal(z, 20.0), z, rtol=0, atol=1e-4)
    assert truncate_normal(torch.tensor([40.0, -40.0]), 0.5).tolist() == [0.5, -0.5]


def test_an_unknown_latent_is_refused_with_the_names_there_are():
    with pytest.raises(CompositionError, match="no component called 'normal'") as caught:
        train(Truncation())
    assert "stand-in" in caught.value.fix


def test_the_threshold_is_measured():
    assert Truncation(tau=0.5).measure() == {"threshold": 0.5}


def trained_with_norms(*components):
    training = train(Norms(), *components, data=some_data((2,), (3,)))
    training.train_step()
    return training


def test_standing_statistics_do_not_depend_on_the_running_ones():
    training = trained_with_norms(StandingStats(batches=4, size=8))
    before = draw_samples(training.context, 6, "a")[0]
    state = {
        name: each.clone() for name, each in training.context.gan.generator.state_dict().items()
    }
    for module in training.context.gan.generator.network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.fill_(5.0)
            module.running_var.fill_(9.0)
    assert torch.equal(draw_samples(training.context, 6, "a")[0], before)
    # nor do they change them
    training.context.gan.generator.load_state_dict(state)
    draw_samples(training.context, 6, "a")
    after = training.context.gan.generator.state_dict()
    assert all(torch.equal(each, after[name]) for name, each in state.items())
    plain = trained_with_norms()
    assert not torch.equal(draw_samples(plain.context, 6, "a")[0], before)


def test_standing_statistics_of_one_batch_are_those_of_that_batch():
    stats = StandingStats(batches=1, size=2)
    training = trained_with_norms(stats)
    net = training.context.gan.generator.network
    (norm,) = [each for each in net.modules() if isinstance(each, nn.BatchNorm1d)]
    ((z, _),) = stats.inputs()
    seen = []
    handle = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    found = stats.sampling_generator(net).statistics
    handle.remove()
    (mean,) = [value for name, value in found.items() if name.endswith("running_mean")]
    assert len(z) == 2
    torch.testing.assert_close(mean, seen[0].mean(0))


def test_a_network_without_statistics_is_sampled_as_it_is():
    training = train(StandingStats())
    assert StandingStats().sampling_generator(training.context.gan.generator.network) is None


class FirstPixel(nn.Module):
    def forward(self, view, labels):
        return CriticOutput(view[:, 0], view, {})


def selected(component, score):
    """Select samples whose scores are these."""
    gan = SimpleNamespace(critic=SimpleNamespace(network=FirstPixel()), device=torch.device("cpu"))
    images, labels = score[:, None], torch.empty(len(score), 0, dtype=torch.int64)
    rng = torch.Generator().manual_seed(0)
    return component.select_samples(images, images, labels, gan, rng)[0][:, 0]


def test_rejection_keeps_equal_scores_with_probability_half_and_never_none():
    equal = torch.full((4000,), 1.5)
    assert probabilities(equal.double(), 0.8).tolist() == pytest.approx([0.5] * 4000)
    assert 1800 < len(selected(DRS(), equal)) < 2200
    assert len(selected(DRS(), torch.tensor([-50.0]))) == 1


def test_rejection_makes_two_normal_distributions_one():
    # fakes N(0, 1), reals N(1, 0.5²): s is the log of the ratio of densities
    fakes = torch.randn(100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    score = -((fakes - 1) ** 2) / (2 * 0.25) + fakes**2 / 2
    largest = score.max()
    # with γ = 0 the probability is e^(s - M), to 1e-6
    logits = score - largest - torch.log1p(-torch.exp(score - largest - 1e-6))
    torch.testing.assert_close(
        torch.sigmoid(logits), torch.exp(score - largest), rtol=1e-4, atol=2e-6
    )
    drawn = torch.rand(len(fakes), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    kept = fakes[drawn < torch.sigmoid(logits)]
    assert kept.mean().item() == pytest.approx(1, abs=0.02)
    assert kept.std().item() == pytest.approx(0.5, abs=0.02)


def test_a_chain_of_equal_scores_ends_at_its_last_and_one_of_falling_ones_at_its_first():
    rows = torch.zeros(12)
    assert len(selected(MH(length=5), rows)) == 3
    falling = -1000.0 * torch.arange(10)
    assert selected(MH(length=5), falling).tolist() == [0, -5000]
    rising = 1.0 * torch.arange(10)
    assert selected(MH(length=5), rising).tolist() == [4, 9]


def test_rules_of_sampling():
    check_rules_table(
        [
            ({"reg": ["drs"], "loss": "bce"}, None),
            ({"reg": ["drs"], "loss": "wgan-gp"}, "refused: 'drs' cannot be used here"),
            ({"reg": ["mh"], "loss": "hinge"}, "refused: 'mh' cannot be used here"),
            ({"reg": ["standing-stats"], "gen-norm": "batch"}, None),
            ({"reg": ["standing-stats"], "gen-norm": "none"}, "note: 'standing-stats' is unusual"),
            ({"reg": ["truncation"]}, None),
        ]
    )
