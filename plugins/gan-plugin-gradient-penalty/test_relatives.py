"""Closed forms of the presets of the gradient penalty, R1, R2, drift and gradient normalisation."""

import pytest
import torch
from support.rules import check_rules_table
from support.tables import every_row
from torch import nn

from gan_plugin_gradient_penalty.drift import Drift
from gan_plugin_gradient_penalty.gn_gan import GNGAN, NormalizedCritic
from gan_plugin_gradient_penalty.gradient_penalty import (
    DRAGAN,
    WGANLP,
    GradientPenalty,
    MaxGP,
    WGANDiv,
    ZeroGP,
)
from gan_plugin_gradient_penalty.zero_centred import R1, R2
from gancore import CompositionError, Critic, CriticOutput, component, compose, hookimpl
from gancore.testing import (
    StandInLayers,
    check_component,
    check_composes_with,
    critic_batch,
    scores_batch,
    some_batch,
    some_data,
    terms,
    train,
)

torch.set_num_threads(1)

numbers = torch.Generator().manual_seed(0)
REALS = torch.randn(8, 3, 4, 4, generator=numbers)
FAKES = torch.randn(8, 3, 4, 4, generator=numbers)
UNIT = nn.functional.normalize(torch.randn(48, generator=numbers), dim=0).view(3, 4, 4)


def linear(size):
    return lambda view: (size * view * UNIT).flatten(1).sum(1)


def penalty(component, critic, reals=REALS, fakes=FAKES):
    batch = critic_batch(critic, reals, fakes)
    return terms(component, "critic_terms", batch)["penalty"].item()


def by_name(name):
    """Make a component as `--reg NAME` does, with the defaults of a preset."""
    composition = compose(reg=[name], critic_norm="none", loss="bce")
    (found,) = [each.component for each in composition.chosen if each.name == name]
    return found


@every_row(
    ("cls", "options"),
    [
        (ZeroGP, {"target": 0.0}),
        (WGANLP, {"one_sided": True}),
        (DRAGAN, {"at": "around-reals"}),
        (MaxGP, {"over": "max", "target": 0.0}),
        (WGANDiv, {"power": 6.0, "target": 0.0}),
        (R1, {}),
        (R2, {}),
        (Drift, {}),
        (GNGAN, {}),
    ],
)
def test_a_penalty_conforms(cls, options):
    check_component(cls, **options)


@every_row(
    ("name", "size", "expected"),
    [
        ("gradient-penalty", 3, 10 * (3 - 1) ** 2),
        ("zero-gp", 3, 10 * 3**2),
        ("wgan-lp", 3, 10 * (3 - 1) ** 2),
        ("wgan-lp", 0.5, 0),
        ("dragan", 3, 10 * (3 - 1) ** 2),
        ("max-gp", 3, 10 * 3**2),
        ("wgan-div", 3, 2 * 3**6),
        ("r1", 3, 10 / 2 * 3**2),
        ("r2", 3, 10 / 2 * 3**2),
    ],
)
def test_a_penalty_of_a_linear_critic_is_its_closed_form(name, size, expected):
    assert penalty(by_name(name), linear(size)) == pytest.approx(expected, rel=1e-4, abs=1e-9)


def half_square(view):
    """A critic with the gradient x at x."""
    return view.flatten(1).square().sum(1) / 2


def test_r1_looks_at_reals_and_r2_at_fakes():
    found = [penalty(cls(gamma=2.0), half_square) for cls in (R1, R2)]
    expected = [side.flatten(1).square().sum(1).mean().item() for side in (REALS, FAKES)]
    assert found == pytest.approx(expected)


def test_the_largest_penalty_is_that_of_the_steepest_sample():
    component = GradientPenalty(over="max", target=0.0, weight=1.0)
    largest = REALS.flatten(1).square().sum(1).max()
    assert penalty(component, half_square, REALS, REALS) == pytest.approx(largest.item())


def test_points_around_reals_have_noise_of_half_a_standard_deviation():
    seen = []
    real = torch.randn(500, 2, generator=numbers)

    def critic(view):
        seen.append(view.detach() - real)
        return view.sum(1)

    penalty(DRAGAN(at="around-reals"), critic, real, real)
    share = seen[0] / real.std(correction=0)
    assert 0 <= share.min() < 0.01
    assert 0.49 < share.max() < 0.5
    assert share.mean() == pytest.approx(0.25, abs=0.02)


def test_gradients_are_those_of_the_image_before_the_view():
    @component(source="a test")
    class Tripled:
        @hookimpl
        def critic_view(self, images):
            return 3 * images

    def size(cls, *others):
        batch = some_batch(train(cls(gamma=2.0), *others, data=some_data((2,), ())))
        batch.gan.critic.network = Plane()
        return batch.terms("critic_terms", {})[f"{cls.__name__.lower()}/penalty"].item()

    for cls in (R1, R2):
        assert size(cls, Tripled()) == pytest.approx(9 * size(cls))
        assert size(cls) == pytest.approx(25)


class Plane(nn.Module):
    """A critic of points with a gradient of norm 5."""

    def forward(self, view, labels):
        return CriticOutput(3 * view[:, 0] - 4 * view[:, 1], view, {})


def test_an_augmentation_is_differentiated_at_the_draw_of_its_side():
    seen = []

    @component(source="a test")
    class Shifted:
        @hookimpl
        def critic_view(self, images, rng):
            seen.append(torch.rand(1, generator=rng).item())
            return images + seen[-1]

    some_batch(train(R1(), Shifted())).terms("critic_terms", {})
    # the views of both sides, and that of R1 once more
    assert len(seen) == 3
    assert len(set(seen)) == 2


@every_row("cls", [R1, R2])
def test_a_lazy_penalty_counts_as_often_as_it_is_left_out(cls):
    batch = critic_batch(linear(3), REALS, FAKES)
    found = [cls(every=4).critic_terms(batch, step, lambda *_: None) for step in range(8)]
    assert [each is not None for each in found] == [step % 4 == 0 for step in range(8)]
    assert found[0]["penalty"].item() == pytest.approx(4 * 45, rel=1e-5)


def test_gamma_follows_the_rule_of_images_where_it_is_none():
    # 0.0002·4·4/8, half of it, times 3²
    assert penalty(R1(gamma=None), linear(3)) == pytest.approx(0.0002 * 16 / 8 / 2 * 9, rel=1e-5)
    points = torch.zeros(4, 2)
    with pytest.raises(CompositionError, match="holds for images"):
        penalty(R1(gamma=None), lambda view: view.sum(1), points, points)


def test_drift_is_the_mean_square_of_the_scores_of_reals():
    batch = scores_batch(torch.full((4,), 3.0), torch.zeros(4))
    assert terms(Drift(weight=0.5), "critic_terms", batch)["scores"] == 4.5


@every_row("cls", [Drift, R1])
def test_no_term_in_an_update_without_reals(cls):
    batch = scores_batch(torch.zeros(4), torch.zeros(4))
    batch.sides.pop("real")
    assert terms(cls(), "critic_terms", batch) == {}


class Flat(nn.Module):
    def forward(self, view, labels):
        return view.flatten(1)


def linear_critic(size, bias):
    """Return a critic with the score w·x + b, w of norm `size`."""
    score = nn.Linear(48, 1)
    with torch.no_grad():
        score.weight.copy_(size * UNIT.view(1, 48))
        score.bias.fill_(bias)
    return Critic(Flat(), {}, score)


def test_a_normalised_linear_score_is_s_over_the_norm_and_s():
    for size, bias in ((3, 0.0), (0.1, -2.0)):
        plain = linear_critic(size, bias)
        score = plain(REALS, None).score
        found = NormalizedCritic.of(plain)(REALS, None).score
        torch.testing.assert_close(found, score / (size + score.abs()))


def test_a_normalised_score_has_a_gradient_of_norm_at_most_one():
    net = NormalizedCritic.of(linear_critic(30.0, 0.5))
    view = REALS.clone().requires_grad_()
    net(view, None).score.sum().backward()
    assert view.grad.flatten(1).norm(dim=1).max() <= 1 + 1e-5


def test_a_flat_critic_has_the_normalised_score_of_its_sign_and_nothing_is_not_a_number():
    for bias, expected in ((0.0, 0), (-3.0, -1)):
        score = NormalizedCritic.of(linear_critic(0.0, bias))(REALS, None).score
        assert score.tolist() == [expected] * 8


def test_a_normalised_critic_passes_gradients_to_the_generator_and_none_in_evaluation():
    training = train(GNGAN())
    training.train_step()
    critic = training.context.gan.critic.network
    batch = some_batch(training, "generator")
    with torch.no_grad():
        score = critic(batch.fake.view, batch.fake.view_labels).score
    assert not score.requires_grad
    torch.testing.assert_close(score, batch.fake.score.detach())


def test_several_scores_a_sample_are_refused():
    @component(source="a test")
    class Two:
        @hookimpl
        def make_score(self, features):
            return nn.Linear(features, 2)

    with pytest.raises(CompositionError, match="the critic gives 2"):
        train(GNGAN(), Two()).train_step()


@pytest.mark.slow
def test_normalisation_composes_with_layers_that_draw():
    check_composes_with(R1, [GNGAN])
    check_composes_with(R2, [StandInLayers])


@every_row("cls", [R1, R2, GNGAN])
def test_a_penalty_is_float32_under_autocast(cls):
    training = train(cls())
    batch = some_batch(training)
    plain = terms(cls(), "critic_terms", batch) if cls is not GNGAN else {"s": batch.fake.score}
    other = some_batch(training)
    with torch.autocast("cpu", torch.bfloat16):
        low = terms(cls(), "critic_terms", other) if cls is not GNGAN else {"s": other.fake.score}
    assert all(torch.equal(value, low[name]) for name, value in plain.items())
    assert all(value.dtype is torch.float32 for value in low.values())


def test_rules_of_penalties():
    rows = []
    for name in ("zero-gp", "wgan-lp", "dragan", "max-gp", "wgan-div", "r1", "r2", "gn-gan"):
        refused = "refused: " + f"'{name}' and 'batch' cannot be composed"
        rows.append(({"reg": [name], "critic-norm": "batch"}, refused))
        rows.append(({"reg": [name], "critic-norm": "none"}, None))
    plain = {"critic-norm": "none"}
    rows += [
        ({"reg": ["r1", "r2"], **plain}, None),
        ({"reg": ["r1", "gradient-penalty"], **plain}, "note: 'r1' and 'gradient-penalty' are an"),
        ({"reg": ["r1", "minibatch-discrimination"], **plain}, "note: 'r1' and 'minibatch-dis"),
        ({"reg": ["dragan", "zero-gp"], **plain}, "note: 'dragan' and 'zero-gp' are an unusual"),
        ({"reg": ["gn-gan", "r1"], **plain}, "note: 'gn-gan' and 'r1' are an unusual pair"),
        ({"reg": ["gn-gan", "weight-clipping"], **plain}, "note: 'gn-gan' and 'weight-clipping'"),
        ({"reg": ["gn-gan"], "loss": "ebgan", **plain}, "refused: 'gn-gan' and 'ebgan'"),
        ({"loss": "bce", "reg": ["drift"]}, "note: 'drift' and 'bce' are an unusual pair"),
        ({"loss": "wgan-gp", "reg": ["drift"]}, None),
    ]
    check_rules_table(rows)
