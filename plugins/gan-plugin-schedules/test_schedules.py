import pytest
import torch
from support.tables import every_row
from torch import nn

from gan_plugin_schedules.schedules import Boosted, Monitored, Simultaneous, WGANWarmup
from gancore import Update, component, hookimpl, option
from gancore.testing import check_component, copy_state, some_data, train

EACH = [Update("critic"), Update("generator")]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def weights(training, role):
    return [weight.detach().clone() for weight in training.context.gan.player(role).parameters]


# ── wgan-warmup ───────────────────────────────────────────────────────────────────────────────────


def count(step, **options):
    """Critic updates of one step."""
    return WGANWarmup(**options).schedule(step).count(Update("critic"))


def test_wgan_warmup_conforms():
    check_component(WGANWarmup, many=3, first=2, every=4, k=1)


def test_a_thousand_steps_make_7470_critic_updates():
    assert sum(count(step) for step in range(1000)) == 25 * 100 + 100 + 974 * 5 == 7470


def test_every_step_ends_in_one_generator_update():
    for step in (0, 24, 25, 500):
        updates = WGANWarmup().schedule(step)
        assert updates.index(Update("generator")) == len(updates) - 1


@every_row(("step", "updates"), [(0, 100), (24, 100), (25, 5), (499, 5), (500, 100), (501, 5)])
def test_the_warm_up_ends_and_returns_where_the_source_says(step, updates):
    assert count(step) == updates


def test_step_zero_is_a_multiple_even_without_a_warm_up():
    assert [count(step, first=0, every=3) for step in range(5)] == [100, 5, 5, 100, 5]


# ── monitored ─────────────────────────────────────────────────────────────────────────────────────


def terms(*values):
    return {str(number): torch.tensor(value) for number, value in enumerate(values)}


def judge(*critic, generator=None, **options):
    """Whether the critic's update with these terms is skipped after a generator update with that
    loss.
    """
    monitored = Monitored(**options)
    if generator is not None:
        assert monitored.skip_update("generator", terms(generator)) is None
    return monitored.skip_update("critic", terms(*critic)) is True


def test_monitored_conforms():
    check_component(Monitored)


def test_monitored_conforms_where_it_skips():
    check_component(Monitored, threshold=100.0)


def test_monitored_asks_for_both_updates_in_each_step():
    assert Monitored().schedule() == EACH


def test_the_first_critic_update_always_steps():
    assert not judge(0.0)


def test_at_equilibrium_the_critic_steps():
    assert not judge(0.693, 0.693, generator=0.693)  # 1.386 > 0.8·0.693


def test_at_equilibrium_the_critic_steps_with_the_average_of_its_terms_too():
    assert not judge(0.3466, 0.3466, generator=0.6931)  # 0.693 > 0.8·0.693


def test_a_critic_far_ahead_is_skipped():
    assert judge(0.2, 0.3, generator=1.0)  # 0.5 < 0.8


def test_a_loss_equal_to_the_share_is_skipped():
    assert judge(0.25, 0.25, generator=1.0, threshold=0.5)  # exact in binary


def test_the_terms_of_the_critic_are_summed():
    assert not judge(0.5, 0.5, generator=1.0)  # either alone is below 0.8


def test_the_generator_is_never_skipped():
    monitored = Monitored(threshold=0.0)
    assert [monitored.skip_update("generator", terms(loss)) for loss in (0.0, 1.0, -1.0)] == [
        None
    ] * 3


def test_the_last_loss_of_the_generator_counts():
    monitored = Monitored()
    for loss in (0.1, 1.0):
        monitored.skip_update("generator", terms(loss))
    assert monitored.skip_update("critic", terms(0.5)) is True


def test_a_skipped_critic_does_not_move():
    training = train(Monitored(threshold=1e9))
    training.train_step()
    before = weights(training, "critic")
    training.train_step()
    assert all(map(torch.equal, before, weights(training, "critic")))


def test_the_generator_moves_while_the_critic_is_skipped():
    training = train(Monitored(threshold=1e9))
    training.train_step()
    before = weights(training, "generator")
    training.train_step()
    assert not all(map(torch.equal, before, weights(training, "generator")))


def test_skipped_is_the_share_of_the_critic_updates_of_the_run():
    training = train(monitored := Monitored(threshold=1e9))
    for _ in range(4):
        training.train_step()
    assert monitored.measure() == {"skipped": 0.75}  # all but the first


def test_before_any_update_the_share_is_zero():
    assert Monitored().measure() == {"skipped": 0.0}


# ── boosted ───────────────────────────────────────────────────────────────────────────────────────


def boosts(steps, seed=0, **options):
    """The updates of that many steps: C, G, or . for both."""
    boosted, numbers = Boosted(**options), rng(seed)
    made = (boosted.schedule(numbers) for _ in range(steps))
    return "".join("." if updates == EACH else updates[0].role[0].upper() for updates in made)


def test_boosted_conforms():
    check_component(Boosted, generator_chance=0.3, critic_chance=0.5, length=2)


def test_boosted_conforms_across_a_boost_that_the_resume_cuts():
    check_component(Boosted, generator_chance=0.0, critic_chance=1.0, length=5)


@pytest.mark.parametrize(("player", "chance"), [("C", 0.06), ("G", 0.02)])
def test_shares_of_the_boosts_are_those_expected(player, chance):
    steps, length, both = 20_000, 10, 0.08
    # a cycle is one normal step (1 - p) or a boost of `length`; its mean length is X, and the share
    # s = c·length/X. by the central limit theorem for renewals the share has variance E[(reward -
    # s·length of the cycle)²]/(X·steps)
    mean = 1 - both + both * length
    share = chance * length / mean
    spread = (1 - both) * share**2 + length**2 * (
        (both - chance) * share**2 + chance * (1 - share) ** 2
    )
    found = (
        boosts(steps, generator_chance=0.02, critic_chance=0.06, length=length).count(player)
        / steps
    )
    assert abs(found - share) < 4 * (spread / (mean * steps)) ** 0.5


def test_the_stated_shares_are_those_of_the_defaults():
    boosted = Boosted()
    mean = 1 - 1e-3 + 1e-3 * boosted.length
    assert boosted.critic_chance * boosted.length / mean == pytest.approx(0.082, abs=5e-4)
    assert boosted.generator_chance * boosted.length / mean == pytest.approx(0.009, abs=5e-4)


def test_a_boost_lasts_as_many_steps_as_stated():
    played = boosts(2000, generator_chance=0.0, critic_chance=0.05, length=7)
    runs = [len(run) for run in played.rstrip("C").split(".") if run]
    assert runs
    assert all(
        run % 7 == 0 for run in runs
    )  # one boost may follow another; the last was cut off by the end


def test_the_step_that_draws_a_boost_is_its_first():
    assert boosts(5, generator_chance=1.0, critic_chance=0.0, length=5) == "GGGGG"


def test_without_chances_there_is_no_boost():
    assert boosts(100, generator_chance=0.0, critic_chance=0.0) == "." * 100


def test_nothing_is_drawn_during_a_boost():
    boosted, numbers = Boosted(critic_chance=1.0, length=5), rng()
    boosted.schedule(numbers)
    before = numbers.get_state()
    boosted.schedule(numbers)
    assert torch.equal(numbers.get_state(), before)


def test_a_resumed_boost_ends_where_it_would_have():
    one, other = (
        Boosted(critic_chance=1.0, length=3),
        Boosted(generator_chance=0.0, critic_chance=0.0),
    )
    one.schedule(rng())
    copy_state(one, other)
    found = [other.schedule(rng()) for _ in range(3)]
    assert found == [[Update("critic")], [Update("critic")], EACH]


@pytest.mark.parametrize(("options", "still"), [((1.0, 0.0), "critic"), ((0.0, 1.0), "generator")])
def test_during_a_boost_the_other_player_does_not_move(options, still):
    training = train(Boosted(generator_chance=options[0], critic_chance=options[1]))
    before = weights(training, still)
    training.train_step()
    assert all(map(torch.equal, before, weights(training, still)))


SAME = Update("critic", fresh=False)


def overlapped(player, steps, **options):
    """The updates of the first steps of a boost that begins at once, as the source's program makes
    them.
    """
    chances = {f"{each}_chance": float(each == player) for each in ("generator", "critic")}
    boosted = Boosted(**chances, overlap=True, **options)
    return [boosted.schedule(rng()) for _ in range(steps)]


@pytest.mark.parametrize("player", ["generator", "critic"])
def test_overlapping_boosts_conform(player):
    check_component(Boosted, **{f"{player}_chance": 1.0}, length=2, overlap=True)


def test_with_overlap_a_boost_of_the_generator_begins_with_the_critic_and_ends_with_two_generator_updates():
    found = overlapped("generator", 4, length=4)
    assert found == [EACH, [Update("generator")], [Update("generator")], [Update("generator")] * 2]


def test_with_overlap_a_boost_of_the_critic_ends_with_the_normal_updates_on_the_same_reals():
    found = overlapped("critic", 4, length=4)
    assert found == [*[[Update("critic")]] * 3, [Update("critic"), SAME, Update("generator")]]


def test_overlap_leaves_normal_steps_alone():
    boosted = Boosted(generator_chance=0.0, critic_chance=0.0, overlap=True)
    assert [boosted.schedule(rng()) for _ in range(3)] == [EACH] * 3


def test_overlap_makes_two_more_updates_a_boost():
    length = 10
    for player in ("generator", "critic"):
        assert sum(map(len, overlapped(player, length, length=length))) == length + 2


def test_the_boosted_shares_of_the_steps_are_measured():
    first = Boosted(generator_chance=0.0, critic_chance=1.0, length=3)
    for _ in range(3):
        first.schedule(rng())
    boosted = Boosted(generator_chance=0.0, critic_chance=0.0, length=3)
    copy_state(first, boosted)
    boosted.schedule(rng())
    assert boosted.measure() == {"critic": 0.75, "generator": 0.0}


def test_the_boosted_shares_are_those_of_the_updates_made():
    boosted, numbers = Boosted(generator_chance=0.1, critic_chance=0.2, length=3), rng()
    made = [boosted.schedule(numbers) for _ in range(200)]
    shares = {player: made.count([Update(player)]) / 200 for player in ("critic", "generator")}
    assert boosted.measure() == shares
    assert min(shares.values()) > 0


def test_before_any_step_the_boosted_shares_are_zero():
    assert Boosted().measure() == {"critic": 0.0, "generator": 0.0}


# ── simultaneous ──────────────────────────────────────────────────────────────────────────────────


class Point(nn.Module):
    """A generator of one number x, whatever the latent."""

    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.tensor(1.0))

    def forward(self, z, labels):
        return self.x.expand(len(z), 1)


class Plain(nn.Module):
    def forward(self, view, labels):
        return view


@component(source="a test", provides=["loss.test"])
class Bilinear:
    """The game min_x max_y xy, by plain gradient steps."""

    h: float = option(0.1, help="step")

    @hookimpl
    def make_generator(self):
        return Point()

    @hookimpl
    def make_critic(self):
        return Plain()

    @hookimpl
    def make_score(self):
        return nn.Linear(1, 1, bias=False)

    @hookimpl
    def make_optimizer(self, params):
        return torch.optim.SGD(params, lr=self.h)

    @hookimpl
    def critic_terms(self, batch):
        return {"xy": -batch.fake.score.mean()}

    @hookimpl
    def generator_terms(self, batch):
        return {"xy": batch.fake.score.mean()}


def test_simultaneous_conforms():
    check_component(Simultaneous)


def test_simultaneous_steps_spiral_outwards_by_one_plus_h_squared():
    training = train(Simultaneous(), Bilinear(h=0.1), data=some_data((1,), ()))

    def size():
        return sum(
            weights(training, role)[0].square().sum().item() for role in ("generator", "critic")
        )

    before = size()
    for _ in range(50):
        training.train_step()
    assert size() / before == pytest.approx(
        1.01**50, rel=50 * 4 * 2**-23
    )  # four roundings of float32 a step
