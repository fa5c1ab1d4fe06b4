import pytest
from support.tables import every_row

from gan_plugin_optimizers.learning_rates import CosineDecay, LinearDecay
from gancore import compose
from gancore.testing import check_component, train

both = pytest.mark.parametrize("cls", [LinearDecay, CosineDecay])


def rate(cls, step, **options):
    """The rate of an optimiser of rate 2 at a step of a decay over the steps 10 to 50."""
    return cls(**{"start": 10, "end": 50, **options}).learning_rate(2.0, step)


@both
def test_decays_conform(cls):
    check_component(cls)


@both
def test_decays_conform_where_they_end_within_the_run(cls):
    check_component(cls, start=1, end=4, final=0.1)


@both
def test_up_to_the_start_the_rate_is_the_own_of_the_optimiser(cls):
    assert [rate(cls, step) for step in (0, 9, 10)] == [2.0] * 3


@both
@every_row("final", [0.0, 0.25, 1.0])
def test_from_the_end_on_the_rate_is_the_final_share(cls, final):
    assert [rate(cls, step, final=final) for step in (50, 51, 10**9)] == pytest.approx(
        [2 * final] * 3, abs=1e-15
    )


@both
@every_row(("final", "middle"), [(0.0, 1.0), (0.25, 1.25), (1.0, 2.0)])
def test_in_the_middle_half_the_way_down_is_done(cls, final, middle):
    assert rate(cls, 30, final=final) == pytest.approx(middle, rel=1e-15)


@both
def test_the_rate_never_rises(cls):
    rates = [rate(cls, step, final=0.1) for step in range(60)]
    assert rates == sorted(rates, reverse=True)


def test_without_an_end_the_decay_is_over_with_the_run():
    options = {"linear-decay.end": None}
    composition = compose(reg=["linear-decay"], settings={"steps": 40}, options=options)
    decay = next(each for each in composition.chosen if each.name == "linear-decay").component
    assert [decay.learning_rate(2.0, step) for step in (0, 20, 40)] == [2.0, 1.0, 0.0]


def test_a_linear_decay_has_equal_steps():
    assert rate(LinearDecay, 20) == pytest.approx(1.5, rel=1e-15)


def test_a_cosine_decay_is_slow_at_first():
    assert rate(CosineDecay, 20) == pytest.approx(1 + 0.5**0.5, rel=1e-15)  # 2·(1 + cos π/4)/2


@both
def test_an_end_before_the_start_drops_the_rate_in_one_step(cls):
    assert [rate(cls, step, start=10, end=5) for step in (10, 11)] == pytest.approx(
        [2.0, 0.0], abs=1e-15
    )


@both
def test_both_players_decay_from_the_own_rate_of_their_optimiser(cls):
    training = train(cls(end=4))
    for _ in range(3):  # the steps 0, 1, 2; of 4 steps the third is the middle
        training.train_step()
    for player in (training.context.gan.generator, training.context.gan.critic):
        assert player.optimizer.param_groups[0]["lr"] == pytest.approx(0.05 / 2, rel=1e-15)


@both
def test_nothing_moves_at_rate_zero(cls):
    training = train(cls(end=1))
    training.train_step()
    before = [weight.clone() for weight in training.context.gan.critic.parameters]
    training.train_step()
    # half a cosine ends at (1 + cos π)/2 = 0 exactly
    assert all(
        old.equal(new)
        for old, new in zip(before, training.context.gan.critic.parameters, strict=True)
    )
