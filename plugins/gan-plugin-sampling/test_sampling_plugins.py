"""Facts about how samples are drawn: standing statistics, truncated latents, selection."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.tables import every_row
from torch import nn

from gan_plugin_sampling.rejection import Rejection, acceptance, accepted, ends_of_chains
from gan_plugin_sampling.standing_stats import StandingStats
from gan_plugin_sampling.truncation import Truncation, redraw
from gancore import CompositionError, Progress, component, compose, hookimpl
from gancore.testing import (
    StandInLayers,
    StandInLoss,
    check_component,
    check_composes_with,
    some_data,
    train,
)
from gancore.train.sampling import draw_samples, sampling_network

torch.set_num_threads(1)

OF = {"of": "stand-in"}  # which draws normal latents in these trainings


@component(source="a test")
class BatchNorm:
    """Batch norm of torch in the generator."""

    @hookimpl
    def make_norm(self, channels):
        return nn.BatchNorm2d(channels)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@every_row(
    "cls, options",
    [
        (StandingStats, {"batches": 2}),
        (Truncation, {"bound": 0.5, **OF}),
        (Rejection, {}),
        (Rejection, {"mode": "metropolis", "chain": 2}),
    ],
)
def test_they_conform(cls, options):
    check_component(cls, **options)


@pytest.mark.slow
def test_they_compose_with_each_other_and_with_layers_that_have_buffers():
    check_composes_with(Truncation, [StandInLayers, StandingStats, Rejection], **OF)


@every_row(
    "make",
    [
        lambda: StandingStats(batches=2),
        lambda: Truncation(**OF),
        Rejection,
    ],
)
def test_training_does_not_change(make):
    one, other = train(make(), BatchNorm()), train(BatchNorm())
    for training in (one, other):
        for _ in range(2):
            training.train_step()
            draw_samples(training.context, 5, "x")
    for role in ("generator", "critic"):
        state = other.context.gan.player(role).state_dict()
        for name, tensor in one.context.gan.player(role).state_dict().items():
            assert torch.equal(tensor, state[name])


# ── standing statistics ───────────────────────────────────────────────────────────────────────────


def norm_of(net):
    (layer,) = [each for each in net.modules() if isinstance(each, nn.BatchNorm2d)]
    return layer


def test_statistics_are_the_mean_of_those_of_the_passes():
    standing = StandingStats(batches=3)
    net = train(standing, BatchNorm()).context.gan.generator.network
    layer = norm_of(net)
    given = []
    handle = layer.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    statistics = standing.sampling_generator(net).statistics
    handle.remove()
    assert len(given) == 3
    assert len({len(each) for each in given}) > 1  # sizes differ
    for name, part in (("mean", torch.Tensor.mean), ("var", torch.Tensor.var)):
        wanted = torch.stack([part(each.transpose(0, 1).flatten(1), 1) for each in given]).mean(0)
        (found,) = [each for key, each in statistics.items() if key.endswith(f"running_{name}")]
        torch.testing.assert_close(found, wanted)


def test_statistics_depend_on_the_weights_and_not_on_the_running_statistics():
    standing = StandingStats()
    training = train(standing, BatchNorm())
    before = draw_samples(training.context, 6, "x")[0]
    layer = norm_of(training.context.gan.generator.network)
    layer.running_mean.fill_(7.0)
    layer.running_var.fill_(9.0)
    assert torch.equal(draw_samples(training.context, 6, "x")[0], before)
    assert layer.running_mean.eq(7).all()
    assert layer.training
    assert layer.momentum == 0.1


def test_a_sample_does_not_depend_on_those_that_it_is_drawn_with():
    training = train(StandingStats(), BatchNorm())
    progress = Progress(training.context, 0, 0.0)
    z, labels = progress.latents(6), torch.zeros(6, 1, dtype=torch.int64)
    alone = progress.make(z[2:3], labels[:1]).images
    torch.testing.assert_close(progress.make(z, labels).images[2:3], alone)


def test_a_generator_without_batch_norm_is_sampled_as_it_is():
    training = train(StandingStats())
    assert sampling_network(training.context) is training.context.gan.generator.network


# ── truncation ────────────────────────────────────────────────────────────────────────────────────


@every_row("bound", [0.1, 0.5, 1.0, 2.5])
def test_truncated_latents_have_the_truncated_normal_distribution(bound):
    z = torch.randn(20_000, generator=rng())
    found = redraw(z, bound)
    assert stats.kstest(found.double().numpy(), stats.truncnorm(-bound, bound).cdf).pvalue > 1e-3
    inside = z.abs() <= bound
    assert torch.equal(found[inside], z[inside])
    # what is drawn again is so independently of its size: it has the distribution as well
    drawn = found[~inside].double().numpy()
    assert stats.kstest(drawn, stats.truncnorm(-bound, bound).cdf).pvalue > 1e-3


@settings(deadline=None)
@given(st.floats(-50, 50, width=32), st.floats(0.01, 5))
def test_no_latent_exceeds_the_bound(value, bound):
    found = redraw(torch.tensor([value]), bound)
    assert found.abs().item() <= bound * (1 + 1e-6)
    assert math.copysign(1, found.item()) == math.copysign(1, value) or found.item() == 0


def test_only_the_columns_of_the_normal_latents_are_truncated():
    @component(source="a test")
    class Code:
        """Two columns of 5."""

        @hookimpl
        def latent_width(self):
            return 2

        @hookimpl
        def draw_latent(self, n):
            return torch.full((n, 2), 5.0)

    seen = []

    @component(source="a test")
    class Watch:
        """Keep the latents that the generator is given."""

        @hookimpl
        def adapt_generator(self, net):
            net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))

    training = train(Code(), Truncation(bound=0.5, **OF), Watch())
    draw_samples(training.context, 8, "x")
    codes, normal = seen[-1].split([2, 3], 1)
    assert codes.eq(5).all()
    assert normal.abs().max() <= 0.5


def test_latents_that_are_not_there_are_refused():
    with pytest.raises(CompositionError, match="no component 'normal' draws latents"):
        train(Truncation())


# ── rejection ─────────────────────────────────────────────────────────────────────────────────────

RATIOS = torch.tensor([0.1, 0.4, 1.0, 2.5])  # p(x)/g(x) of four values that fakes have alike
VALUES = torch.arange(40_000) % 4
SCORES = RATIOS.log()[VALUES]
SHARES = RATIOS / RATIOS.sum()


def shares(places):
    return torch.bincount(VALUES[places], minlength=4) / len(places)


def test_accepted_samples_have_the_density_of_reals_where_scores_are_the_log_ratio():
    places = accepted(SCORES, None, rng())
    # 16,000 of 40,000 are accepted: a standard error of at most 0.5/√16,000 = 0.004
    assert len(places) == pytest.approx(16_000, abs=500)
    torch.testing.assert_close(shares(places), SHARES, atol=0.02, rtol=0)


def test_the_last_states_of_long_chains_have_the_density_of_reals():
    order = torch.randperm(len(VALUES), generator=rng(1))
    places = order[ends_of_chains(SCORES[order], 20, rng())]
    assert len(places) == 2000
    # a standard error of at most 0.5/√2000 = 0.011
    torch.testing.assert_close(shares(places), SHARES, atol=0.05, rtol=0)


def test_equal_scores_are_all_accepted_without_a_shift_and_half_with_one():
    scores = torch.full((1000,), 3.0)
    assert len(accepted(scores, None, rng())) == 1000
    assert acceptance(scores, 80.0).tolist() == [0.5] * 1000


def test_a_sample_at_the_percentile_is_accepted_half_the_time():
    chances = acceptance(torch.linspace(-2, 2, 11), 80.0)
    assert chances[8].item() == pytest.approx(0.5)
    assert chances.diff().gt(0).all()


def test_a_chain_of_one_keeps_every_sample_and_any_number_gives_at_least_one():
    assert ends_of_chains(torch.randn(7), 1, rng()).tolist() == list(range(7))
    for n in (1, 2, 9):
        assert len(ends_of_chains(torch.randn(n), 10, rng())) == 1
        assert len(accepted(torch.linspace(-30, 0, n), 100.0, rng())) >= 1


def test_selection_keeps_images_latents_and_labels_together_and_the_critic_as_it_was():
    training = train(rejection := Rejection(percentile=50.0), StandInLayers(), StandInLoss())
    critic = training.context.gan.critic.network
    before = {name: tensor.clone() for name, tensor in critic.state_dict().items()}
    images, z, labels = torch.rand(20, 3, 16, 16), torch.arange(20.0).unsqueeze(1), torch.arange(20)
    given = (images, z, labels.unsqueeze(1))
    kept, kept_z, kept_labels = rejection.select_samples(*given, training.context.gan, rng())
    assert 0 < len(kept) < 20
    assert torch.equal(images[kept_labels[:, 0]], kept)
    assert torch.equal(kept_z, kept_labels.float())
    assert critic.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in critic.state_dict().items())


def test_a_critic_of_packed_samples_is_refused():
    @component(source="a test")
    class Pairs:
        """Two samples in one."""

        @hookimpl
        def critic_shape(self, shape):
            return (2 * shape[0], *shape[1:])

        @hookimpl
        def critic_view(self, images):
            return images.unflatten(0, (-1, 2)).flatten(1, 2)

    with pytest.raises(CompositionError, match="scores no single sample"):
        train(Rejection(), Pairs(), data=some_data(classes=()))


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────


@every_row(
    "choices, refused, noted",
    [
        ({"reg": "rejection"}, "", ""),
        ({"reg": "rejection", "loss": "wasserstein"}, "do not estimate", ""),
        ({"reg": ["rejection", "label-smoothing"]}, "", "smoothed targets"),
        ({"reg": ["rejection", "noisy-labels"]}, "", "flipped targets"),
        (
            {"reg": ["rejection", "minibatch-discrimination"]},
            "",
            "samples that it is computed with",
        ),
        ({"reg": "standing-stats", "gen_norm": "batch"}, "", ""),
        ({"reg": "standing-stats", "gen_norm": "layer"}, "", "no statistics to compute anew"),
    ],
)
def test_rules_about_sampling(choices, refused, noted):
    if refused:
        with pytest.raises(CompositionError, match=refused):
            compose(**choices)
        return
    ours = ("'rejection'", "'standing-stats'")
    notes = [note for note in compose(**choices).notes if any(name in note for name in ours)]
    assert any(noted in note for note in notes) if noted else not notes


# ── what is reported ──────────────────────────────────────────────────────────────────────────────


def test_a_composition_names_what_changes_its_samples_with_the_options():
    chosen = compose(
        recipe="base",
        reg=["truncation", "rejection", "instance-noise"],
        options={"truncation.bound": 0.5},
    )
    assert chosen.sampled_by() == (
        "truncation (bound 0.5, of normal)",
        "rejection (mode rejection, percentile 80.0, chain 10)",
    )
