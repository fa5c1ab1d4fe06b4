"""Facts about optimizers of games: lookahead, extragradient, optimism, historical averaging."""

import copy

import pytest
import torch
from support.tables import every_row
from torch import nn

from gan_plugin_optimizers.adam import Adam
from gan_plugin_optimizers.extragradient import ExtraAdam, Extragradient
from gan_plugin_optimizers.historical_averaging import HistoricalAveraging
from gan_plugin_optimizers.lookahead import Lookahead
from gan_plugin_optimizers.optimistic_adam import OptimisticAdam, OptimisticSteps
from gancore import CompositionError, Update, component, compose, hookimpl, option
from gancore.testing import StandInLayers, check_component, check_composes_with, some_batch, train

torch.set_num_threads(1)


@component(source="a test", provides=["loss.test"])
class Bilinear:
    """min over x, max over y of x·y, where x and y are one weight of each player."""

    @hookimpl
    def critic_terms(self, batch):
        return {"xy": -corner(batch.gan.generator) * corner(batch.gan.critic)}

    @hookimpl
    def generator_terms(self, batch):
        return {"xy": corner(batch.gan.generator) * corner(batch.gan.critic)}

    @hookimpl
    def schedule(self):
        return [Update("both")]


@component(source="a test")
class Descent:
    """Plain gradient descent."""

    lr: float = option(0.5, help="learning rate")

    @hookimpl
    def make_optimizer(self, params):
        return torch.optim.SGD([weight for _, weight in params], lr=self.lr)


def corner(player):
    return player.parameters[0].flatten()[0]


def radii(*components, steps=60):
    """Distances of (x, y) from the centre: at (1, 1), and after some steps."""
    training = train(*components, Bilinear())
    gan = training.context.gan
    for player in (gan.generator, gan.critic):
        with torch.no_grad():
            player.parameters[0].fill_(1.0)
    for _ in range(steps):
        training.train_step()
    return torch.stack([corner(gan.generator), corner(gan.critic)]).norm().item()


@every_row("cls", [Lookahead, Extragradient, ExtraAdam, OptimisticAdam, HistoricalAveraging])
def test_an_optimizer_of_games_conforms(cls):
    check_component(cls)


@pytest.mark.slow
def test_they_compose_with_layers_that_have_buffers_and_draw():
    for cls in (Lookahead, ExtraAdam, HistoricalAveraging):
        check_composes_with(cls, [StandInLayers])


# ── on min over x, max over y of x·y ──────────────────────────────────────────────────────────────

START = 2**0.5


def test_descent_moves_outwards_by_the_factor_of_its_step():
    # each step multiplies the distance by √(1 + lr²)
    assert radii(Descent(lr=0.1)) == pytest.approx(START * 1.01**30, rel=1e-4)


def test_extragradient_moves_inwards_by_the_factor_of_its_step():
    # the eigenvalues 1 - lr² ± i·lr have the absolute value √(1 - lr² + lr⁴)
    assert radii(Extragradient(), Descent(lr=0.5)) == pytest.approx(
        START * (13 / 16) ** 30, rel=1e-4
    )


def test_lookahead_of_both_players_moves_inwards():
    # after 5 steps of (1 + i·lr), slow weights multiply by (1 + (1 + i·lr)⁵)/2
    factor = abs((1 + (1 + 0.5j) ** 5) / 2)
    assert factor < 1
    assert radii(Lookahead(), Descent(lr=0.5)) == pytest.approx(START * factor**12, rel=1e-4)


def test_optimism_moves_inwards():
    """With an eps far above all gradients Adam's direction is the gradient, and optimism plain."""
    x, y = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    steps = OptimisticSteps([x, y], 0.3 * 1e6, (0.0, 0.999), eps=1e6)
    for _ in range(100):
        x.grad, y.grad = y.detach().clone(), -x.detach()
        steps.step()
    # z_{t+1} = z_t·(1 + 2i·lr) - i·lr·z_{t-1}: the larger root has the absolute value 0.9487
    root = abs((1 + 0.6j + (1 - 0.36) ** 0.5) / 2)
    assert root < 1
    assert torch.cat([x, y]).norm().item() < 2 * START * root**100


@every_row("cls", [ExtraAdam, OptimisticAdam])
def test_both_forms_of_adam_move_inwards_where_adam_moves_outwards(cls):
    # with beta2 = 0.9 the root follows the gradient so closely that all three only jitter
    options = {"lr": 0.05, "beta1": 0.0, "beta2": 0.999}
    assert radii(Adam(**options), steps=400) > START
    assert radii(cls(**options), steps=400) < START / 4


# ── each alone ────────────────────────────────────────────────────────────────────────────────────


def weights(training):
    gan = training.context.gan
    return [*gan.generator.parameters, *gan.critic.parameters]


def test_a_lookahead_of_the_whole_way_changes_no_bit():
    ahead, plain = train(Lookahead(share=1.0, every=2)), train()
    for _ in range(5):
        ahead.train_step()
        plain.train_step()
    assert all(map(torch.equal, weights(ahead), weights(plain)))


def test_between_its_moves_lookahead_changes_no_bit_and_then_takes_the_share():
    ahead, plain = train(Lookahead(share=0.25, every=3)), train()
    start = copy.deepcopy(weights(plain))
    for _ in range(2):
        ahead.train_step()
        plain.train_step()
        assert all(map(torch.equal, weights(ahead), weights(plain)))
    ahead.train_step()
    plain.train_step()
    for slow, first, fast in zip(weights(ahead), start, weights(plain), strict=True):
        torch.testing.assert_close(slow, first + 0.25 * (fast - first))


def test_extragradient_steps_from_the_old_weights_along_the_gradient_looked_ahead():
    training = train(Extragradient(), Descent(lr=0.5), Bilinear())
    gan = training.context.gan
    with torch.no_grad():
        for player in (gan.generator, gan.critic):
            player.parameters[0].fill_(1.0)
    training.train_step()
    # ahead: x = 1 - 0.5·1 and y = 1 + 0.5·1; then from (1, 1) with the gradients there
    assert corner(gan.generator).item() == pytest.approx(1 - 0.5 * 1.5)
    assert corner(gan.critic).item() == pytest.approx(1 + 0.5 * 0.5)


def test_extra_adam_is_extragradient_over_adam_to_the_bit():
    one, other = train(ExtraAdam()), train(Extragradient(), Adam())
    for _ in range(3):
        one.train_step()
        other.train_step()
    assert all(map(torch.equal, weights(one), weights(other)))


def test_for_a_constant_gradient_optimism_is_adam_after_a_first_step_twice_as_long():
    optimistic, plain = (nn.Parameter(torch.zeros(3)) for _ in range(2))
    ours = OptimisticAdam(lr=0.1).make_optimizer([("w", optimistic)], "generator")
    adam = Adam(lr=0.1).make_optimizer([("w", plain)], "generator")
    for _ in range(4):
        optimistic.grad = plain.grad = torch.tensor([5.0, -3.0, 1e-2])
        ours.step()
        adam.step()
    # the step of a constant gradient is lr, so ours is one step ahead
    torch.testing.assert_close(
        optimistic, plain - 0.1 * torch.tensor([1.0, -1.0, 1.0]), rtol=1e-4, atol=0
    )


def test_each_player_moves_at_its_own_rate():
    for cls in (ExtraAdam, OptimisticAdam):
        gan = train(cls(lr=0.1, critic_lr=0.3)).context.gan
        rates = [
            gan.player(role).optimizer.param_groups[0]["lr"] for role in ("generator", "critic")
        ]
        assert rates == [0.1, 0.3], cls


def test_the_historical_mean_is_that_of_the_weights_after_each_update():
    history = HistoricalAveraging(weight=0.0)
    training = train(history)
    past = []
    for _ in range(4):
        training.train_step()
        past.append(copy.deepcopy(training.context.gan.critic.parameters))
    for mean, *values in zip(history.means["critic"].values(), *past, strict=True):
        torch.testing.assert_close(mean, torch.stack(values).mean(0))


def test_the_gradient_of_the_historical_term_points_to_the_mean():
    history = HistoricalAveraging(weight=3.0)
    training = train(history)
    training.train_step()
    batch = some_batch(training)
    critic = training.context.gan.critic
    with torch.no_grad():
        for weight in critic.parameters:
            weight.add_(0.5)
    (term,) = history.critic_terms(batch).values()
    count = sum(weight.numel() for weight in critic.parameters)
    assert term.item() == pytest.approx(3 * 0.25 * count, rel=1e-5)
    for gradient in torch.autograd.grad(term, critic.parameters):
        torch.testing.assert_close(gradient, torch.full_like(gradient, 2 * 3 * 0.5))


def test_a_player_that_is_left_out_has_no_term_and_no_mean():
    history = HistoricalAveraging(player="generator")
    training = train(history)
    training.train_step()
    figures = training.train_step()
    assert "generator/historical-averaging/distance" in figures
    assert "critic/historical-averaging/distance" not in figures
    assert list(history.means) == ["generator"]


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────


@every_row(
    "choices, refused",
    [
        ({"optim": "extra-adam"}, ""),
        ({"gen_optim": "extra-adam"}, "both players look ahead together"),
        ({"critic_optim": "extra-adam"}, "both players look ahead together"),
        ({"optim": "extra-adam", "reg": "extragradient"}, "make each iteration twice"),
        ({"reg": "extragradient"}, ""),
    ],
)
def test_rules_about_looking_ahead(choices, refused):
    if not refused:
        compose(**choices)
        return
    with pytest.raises(CompositionError, match=refused):
        compose(**choices)
