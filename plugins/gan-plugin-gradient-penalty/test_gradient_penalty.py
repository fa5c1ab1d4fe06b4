"""Facts about the gradient penalty."""

import pytest
import torch
from torch import nn

from gan_plugin_gradient_penalty.gradient_penalty import GradientPenalty
from gancore import CompositionError, component, hookimpl
from gancore.testing import check_component, critic_batch, some_batch, some_data, terms, train

torch.set_num_threads(1)

SHAPE = (3, 8, 8)
numbers = torch.Generator().manual_seed(0)
REALS = torch.randn(16, *SHAPE, generator=numbers)
FAKES = torch.randn(16, *SHAPE, generator=numbers)
DIRECTION = nn.functional.normalize(torch.randn(SHAPE, generator=numbers).flatten(), dim=0).reshape(
    SHAPE
)


def penalty(critic, reals=REALS, fakes=FAKES, **options):
    return terms(GradientPenalty(**options), "critic_terms", critic_batch(critic, reals, fakes))[
        "penalty"
    ]


def linear(weight):
    return lambda view: (view * weight).flatten(1).sum(1)


def asked(each, batch, step=0):
    """The answer of `critic_terms` at a step, with the figures it logged."""
    figures = {}
    return each.critic_terms(
        batch, step, torch.Generator().manual_seed(0), figures.__setitem__
    ), figures


def test_gradient_penalty_conforms():
    check_component(GradientPenalty)


def test_gradient_penalty_of_points_conforms():
    check_component(GradientPenalty, data=some_data((2,), ()))


def test_penalty_is_zero_for_a_linear_critic_of_unit_norm():
    assert penalty(linear(DIRECTION)).item() == pytest.approx(
        0, abs=1e-10
    )  # λ·(a few float32 ulps)²


def test_penalty_is_lambda_for_a_linear_critic_of_norm_two():
    assert penalty(linear(2 * DIRECTION)).item() == pytest.approx(10, rel=1e-5)


def test_penalty_is_lambda_for_a_critic_that_ignores_its_input():
    assert penalty(linear(0 * DIRECTION)).item() == 10


def test_gradient_of_the_penalty_is_finite_for_a_critic_that_ignores_its_input():
    weight = torch.zeros(SHAPE, requires_grad=True)
    penalty(linear(weight)).backward()
    assert weight.grad.isfinite().all()


def test_one_norm_is_taken_per_sample():
    # 16 unit gradients give 0; one norm over the batch would give λ·(√16 - 1)² = 90
    assert penalty(linear(DIRECTION)).item() < 1


def test_one_norm_is_taken_over_channels_rows_and_columns():
    # a norm for each of the 8·3 rows of an image would see about 1/√24 each, and give λ·(1/√24 -
    # 1)² = 6.3
    ramp = torch.ones(SHAPE) / 192**0.5
    assert penalty(linear(ramp)).item() == pytest.approx(0, abs=1e-10)


def test_rows_of_the_first_image_conform():
    # a fault of a published program, kept for comparison: each process has a first image of its own
    check_component(GradientPenalty, norm="rows-of-first-image", without=["processes"])


def test_rows_of_the_first_image_penalise_a_critic_of_unit_norm():
    # each of the 32 rows of a constant gradient has the norm 1/√32, so the fault gives λ·(1 -
    # 1/√32)² = 0.678·λ
    ramp, images = torch.ones(3, 32, 32) / 3072**0.5, torch.zeros(4, 3, 32, 32)
    found = [
        penalty(linear(ramp), images, images, norm=norm).item()
        for norm in ("rows-of-first-image", "image")
    ]
    assert found == pytest.approx([10 * (1 - 32**-0.5) ** 2, 0], abs=1e-5)
    assert found[0] == pytest.approx(6.78, abs=0.01)


def test_rows_of_the_first_image_ask_for_an_image_norm_of_root_h():
    ramp = 8**0.5 * torch.ones(SHAPE) / 192**0.5
    assert penalty(linear(ramp), norm="rows-of-first-image").item() == pytest.approx(0, abs=1e-10)


def test_rows_of_the_first_image_ignore_every_other_image():
    def critic(view):
        return view.flatten(1).square().sum(1)

    others = torch.cat([REALS[:1], 5 * REALS[1:]])
    found = [penalty(critic, each, each, norm="rows-of-first-image") for each in (REALS, others)]
    assert torch.equal(*found)
    assert not torch.equal(penalty(critic, REALS, REALS), penalty(critic, others, others))


def test_rows_of_points_are_refused():
    points = torch.zeros(4, 2)
    with pytest.raises(CompositionError, match="only images have rows"):
        penalty(lambda view: view.sum(1), points, points, norm="rows-of-first-image")


def test_gradient_of_the_penalty_follows_the_closed_form():
    weight = (3 * DIRECTION).requires_grad_()
    penalty(linear(weight)).backward()
    # ∂/∂w λ(‖w‖ - 1)² = 2λ(‖w‖ - 1)·w/‖w‖
    torch.testing.assert_close(weight.grad, 2 * 10 * (3 - 1) * DIRECTION)


def test_every_sample_has_an_epsilon_of_its_own():
    # D(x) = ‖x‖²/2 has the gradient x̂ itself; with reals 1 and fakes 0 in one dimension, x̂ = ε
    seen = []

    def critic(view):
        seen.append(view.detach().flatten())
        return view.flatten(1).square().sum(1) / 2

    penalty(critic, torch.ones(64, 1), torch.zeros(64, 1))
    assert len(seen[0].unique()) == 64
    assert ((seen[0] >= 0) & (seen[0] <= 1)).all()


def test_interpolates_lie_on_the_line_from_fake_to_real():
    seen = []

    def critic(view):
        seen.append(view.detach())
        return view.flatten(1).sum(1)

    penalty(critic)
    along, way = (seen[0] - FAKES).flatten(1), (REALS - FAKES).flatten(1)
    share = (along * way).sum(1, keepdim=True) / way.square().sum(1, keepdim=True)
    torch.testing.assert_close(along, share * way)


def test_mean_over_the_batch_equals_the_loop_over_single_samples():
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0)
    )
    whole = penalty(critic, REALS, REALS)  # x̂ = x whatever ε
    single = [penalty(critic, each[None], each[None]) for each in REALS]
    torch.testing.assert_close(whole, torch.stack(single).mean())


def test_permuting_the_batch_changes_nothing():
    torch.manual_seed(0)
    critic = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0)
    )
    order = torch.randperm(16)
    torch.testing.assert_close(
        penalty(critic, REALS, REALS), penalty(critic, REALS[order], REALS[order])
    )


def test_one_sided_penalty_leaves_a_flat_critic_alone():
    assert penalty(linear(0.5 * DIRECTION), one_sided=True).item() == 0


def test_one_sided_penalty_acts_above_the_target():
    assert penalty(linear(2 * DIRECTION), one_sided=True).item() == pytest.approx(10, rel=1e-5)


def test_another_target_moves_the_minimum():
    assert penalty(linear(3 * DIRECTION), target=3).item() == pytest.approx(0, abs=1e-8)


def test_lazy_penalty_counts_as_often_as_it_is_left_out():
    batch = critic_batch(linear(2 * DIRECTION), REALS, FAKES)
    answers = [asked(GradientPenalty(every=4), batch, step)[0] for step in range(8)]
    assert [answer is not None for answer in answers] == [step % 4 == 0 for step in range(8)]
    assert answers[0]["penalty"].item() == pytest.approx(40, rel=1e-5)


def test_no_penalty_in_an_update_without_reals():
    batch = some_batch(train())
    batch.sides.pop("real")
    assert asked(GradientPenalty(), batch)[0] is None


def test_mean_norm_is_logged():
    _, figures = asked(GradientPenalty(), critic_batch(linear(2 * DIRECTION), REALS, FAKES))
    assert figures["gradient-norm"].item() == pytest.approx(2, rel=1e-5)


def test_no_gradient_reaches_the_generator():
    training = train()
    batch = some_batch(training)
    asked(GradientPenalty(), batch)[0]["penalty"].backward()
    assert all(weight.grad is None for weight in training.context.gan.generator.parameters)


def test_labels_of_the_reals_go_with_the_interpolates():
    batch, seen = some_batch(train()), []
    critic = batch.critic
    object.__setattr__(
        batch, "critic", lambda view, labels: seen.append(labels) or critic(view, labels)
    )
    asked(GradientPenalty(), batch)
    assert torch.equal(seen[0], batch.real.labels)


def test_penalty_acts_on_the_views_not_on_the_images():
    @component(source="a test")
    class Black:
        @hookimpl
        def critic_view(self, images):
            return 0 * images

    batch, seen = some_batch(train(Black())), []
    critic = batch.critic
    object.__setattr__(
        batch, "critic", lambda view, labels: seen.append(view) or critic(view, labels)
    )
    asked(GradientPenalty(), batch)
    assert not seen[-1].any()


def test_penalty_is_float32_under_autocast():
    weight = (2 * DIRECTION).requires_grad_()
    batch = critic_batch(
        lambda view: nn.functional.linear(view.flatten(1), weight.reshape(1, -1))[:, 0],
        REALS,
        FAKES,
    )
    with torch.autocast("cpu", torch.bfloat16):
        found = asked(GradientPenalty(), batch)[0]["penalty"]
    assert found.dtype is torch.float32
    assert found.item() == pytest.approx(10, rel=1e-5)  # in bfloat16 it would be off by about 1e-2


@pytest.mark.parametrize(
    ("given", "found"), [("float64", "float64"), ("float32", "float32"), ("bfloat16", "float32")]
)
def test_penalty_has_the_precision_of_the_views_but_never_half(given, found):
    seen, views = [], [side.to(getattr(torch, given)) for side in (REALS, FAKES)]

    def critic(view):
        seen.append(view.dtype)
        return view.flatten(1).square().sum(1)

    term = asked(GradientPenalty(), critic_batch(critic, *views))[0]["penalty"]
    assert {*seen, term.dtype} == {getattr(torch, found)}


def test_first_and_second_derivatives_agree_with_finite_differences():
    rng = torch.Generator().manual_seed(0)
    reals, fakes = (torch.randn(3, 4, dtype=torch.double, generator=rng) for _ in range(2))

    def term(weight):
        return penalty(lambda view: (view @ weight).tanh(), reals, fakes)

    weight = torch.randn(4, dtype=torch.double, generator=rng).requires_grad_()
    assert torch.autograd.gradcheck(term, weight)
    assert torch.autograd.gradgradcheck(term, weight)
