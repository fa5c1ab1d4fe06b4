"""Lookahead, extragradient, optimistic Adam, historical averaging, and schedules of values."""

from types import SimpleNamespace

import pytest
import torch
from support.descent import Descent
from support.rules import check_rules_table
from support.tables import every_row
from torch import nn

from gan_plugin_optimizers.extragradient import ExtraAdam, Extragradient
from gan_plugin_optimizers.historical_averaging import HistoricalAveraging
from gan_plugin_optimizers.lookahead import Lookahead
from gan_plugin_optimizers.optimistic_adam import Optimistic, OptimisticAdam
from gan_plugin_optimizers.value_schedules import Beta2Schedule, TermSchedule, value_at
from gancore import CompositionError, component, hookimpl
from gancore.testing import (
    StandInLayers,
    check_component,
    check_composes_with,
    train,
)

torch.set_num_threads(1)


@every_row(
    ("cls", "options", "beside"),
    [
        (Lookahead, {"k": 2}, ()),
        (OptimisticAdam, {}, ()),
        (ExtraAdam, {}, ()),
        (HistoricalAveraging, {}, ()),
        (TermSchedule, {"term": "stand-in-loss/fake", "end": 3}, ()),
    ],
)
def test_a_component_conforms(cls, options, beside):
    check_component(cls, beside=beside, **options)


def test_beta2_schedule_conforms_beside_adam():
    check_component(Beta2Schedule, beside=[OptimisticAdam()], end=3)


@pytest.mark.slow
def test_joint_moves_compose_with_layers_that_draw():
    check_composes_with(Lookahead, [StandInLayers])
    check_composes_with(Extragradient, [Lookahead])


def trained(*components, steps=4, **more):
    training = train(*components, **more)
    for _ in range(steps):
        training.train_step()
    gan = training.context.gan
    found = {}
    for player in (gan.generator, gan.critic):
        for name, weight in player.named_parameters():
            found[f"{player.role}.{name}"] = weight.detach().clone()
    return found


def assert_same(one, other):
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())


def test_lookahead_with_alpha_one_changes_no_bit():
    assert_same(trained(Lookahead(alpha=1.0, k=2)), trained())


def test_lookahead_goes_half_of_the_way_of_k_steps():
    begun = trained(steps=0)
    ended = trained(steps=3)
    found = trained(Lookahead(k=3), steps=3)
    for name, weight in found.items():
        torch.testing.assert_close(weight, (begun[name] + ended[name]) / 2)


def radius_after(optimizer_of, steps=400, extragradient=False):
    """The distance from the solution of min_x max_y x·y, begun at distance √2, alternating."""
    x, y = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizers = optimizer_of([x]), optimizer_of([y])
    for _ in range(steps):
        x.grad, y.grad = y.detach().clone(), -x.detach().clone()
        if extragradient:
            start = x.detach().clone(), y.detach().clone()
            for each in optimizers:
                each.step()
            x.grad, y.grad = y.detach().clone(), -x.detach().clone()
            with torch.no_grad():
                x.copy_(start[0])
                y.copy_(start[1])
        for each in optimizers:
            each.step()
    return torch.cat([x, y]).norm().item()


def adam(cls):
    return lambda weights: cls(weights, lr=0.05, betas=(0.0, 0.999))


def test_plain_steps_spiral_outwards_and_optimistic_ones_inwards():
    begun = 2**0.5
    assert radius_after(adam(torch.optim.Adam)) > begun
    assert radius_after(adam(Optimistic)) < 0.3 * begun
    assert radius_after(lambda weights: torch.optim.SGD(weights, lr=0.1)) > begun
    assert radius_after(lambda weights: torch.optim.SGD(weights, lr=0.1), 400, True) < 0.2 * begun


def test_an_optimistic_step_is_twice_its_own_less_the_one_before():
    gradients = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    plain, weight = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))
    of_plain, of_weight = torch.optim.Adam([plain]), Optimistic([weight])
    before = torch.zeros(3)
    for gradient in gradients:
        start, begun = plain.detach().clone(), weight.detach().clone()
        plain.grad, weight.grad = gradient.clone(), gradient.clone()
        of_plain.step()
        of_weight.step()
        own = plain.detach() - start
        torch.testing.assert_close(weight.detach() - begun, 2 * own - before)
        before = own


def test_extragradient_makes_each_schedule_twice_and_starts_again():
    plain, twice = train(), train(Extragradient())
    assert len(twice.schedule()) == 2 * len(plain.schedule())


def test_the_historical_mean_is_that_of_the_weights_before_each_update():
    history = HistoricalAveraging(weight=2.0)
    weight = nn.Parameter(torch.zeros(2))
    player = SimpleNamespace(role="critic", named_parameters=lambda: [("weight", weight)])
    gan = SimpleNamespace(player=lambda role: player)
    assert history.term(player) is None
    for value in (1.0, 3.0, 5.0):
        with torch.no_grad():
            weight.fill_(value)
            history.adapt_gradients(gan, "critic")
    assert history.term(player)["distance"].item() == pytest.approx(2 * 2 * (5 - 3) ** 2)


def plain_loss_ahead(training, batch, lr):
    softplus = nn.functional.softplus
    critic = training.context.gan.critic.network
    kept = {name: each.clone() for name, each in critic.state_dict().items()}
    real, fake = batch.real.images, batch.fake.images.detach()
    none = batch.real.labels
    loss = softplus(critic(fake, none).score).mean() + softplus(-critic(real, none).score).mean()
    gradients = torch.autograd.grad(loss, list(critic.parameters()))
    with torch.no_grad():
        for weight, gradient in zip(critic.parameters(), gradients, strict=True):
            weight -= lr * gradient
        found = softplus(-critic(fake, none).score).mean()
    critic.load_state_dict(kept)
    return found


def test_values_at_the_ends_and_in_the_middle():
    for shape in ("cosine", "linear"):
        schedule = TermSchedule(initial=4.0, final=2.0, start=10, end=30, shape=shape)
        found = [value_at(schedule, step) for step in (0, 10, 20, 30, 99)]
        assert found == pytest.approx([4, 4, 3, 2, 2])


def test_a_scheduled_term_is_multiplied_and_a_missing_one_is_noted_once():
    schedule = TermSchedule(term="it/a", initial=2.0)
    found = schedule.adapt_terms({"it/a": torch.tensor(3.0), "it/b": torch.tensor(1.0)}, 0)
    assert [found["it/a"], found["it/b"]] == [6, 1]
    assert schedule.record() is None
    other = TermSchedule(term="it/c")
    other.adapt_terms({"it/a": torch.tensor(3.0)}, 0)
    assert [other.record(), other.record()] == [
        "no term is called 'it/c' so far; there are it/a",
        None,
    ]


def test_beta2_follows_the_step_and_needs_betas():
    training = train(OptimisticAdam(), Beta2Schedule(initial=0.5, final=0.9, end=2, shape="linear"))
    found = []
    for _ in range(3):
        training.train_step()
        found.append(training.context.gan.critic.optimizer.param_groups[0]["betas"][1])
    assert found == pytest.approx([0.5, 0.7, 0.9])
    with pytest.raises(CompositionError, match="has no β₂"):
        train(Beta2Schedule()).train_step()


@component(source="a test", provides=["loss.test"])
class Bilinear:
    """min over x, max over y of x·y, where x and y are one weight of each player."""

    @hookimpl
    def critic_terms(self, batch):
        return {"xy": -self.product(batch.gan)}

    @hookimpl
    def generator_terms(self, batch):
        return {"xy": self.product(batch.gan)}

    def product(self, gan):
        return corner(gan.generator) * corner(gan.critic)


def corner(player):
    return player.parameters[0].flatten()[0]


def test_extragradient_steps_from_the_old_weights_along_the_gradient_looked_ahead():
    training = train(Extragradient(), Descent(), Bilinear())
    gan = training.context.gan
    with torch.no_grad():
        for player in (gan.generator, gan.critic):
            player.parameters[0].fill_(1.0)
    training.train_step()
    # ahead: x = 1 - 0.5 · 1 and y = 1 + 0.5 · 1; then from (1, 1) with the gradients there
    assert corner(gan.generator).item() == pytest.approx(1 - 0.5 * 1.5)
    assert corner(gan.critic).item() == pytest.approx(1 + 0.5 * 0.5)


def test_extragradient_converges_where_descent_circles_outwards():
    training = train(Extragradient(), Descent(), Bilinear())
    gan = training.context.gan
    for _ in range(60):
        training.train_step()
    assert corner(gan.generator).abs() < 1e-2
    assert corner(gan.critic).abs() < 1e-2


def test_rules_of_joint_moves():
    plain = {"norm": "none"}
    check_rules_table(
        [
            ({"reg": ["accumulate", "extragradient"], **plain}, "refused: 'extragradient' and 'a"),
            ({"reg": ["extra-adam", "lookahead"], **plain}, None),
        ]
    )
