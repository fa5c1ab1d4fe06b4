import pytest

from gan_plugin_schedules.n_critic import NCritic
from gancore import cached, component, hookimpl
from gancore.testing import check_component, train


@component(source="a test")
class Witness:
    """Note each update as it is made, and the first image the critic was shown."""

    seen: list = cached(factory=list)
    shown: list = cached(factory=list)

    @hookimpl
    def after_critic_update(self, batch):
        self.seen.append("critic")
        self.shown.append((batch.real.images.sum().item(), batch.fake.images.sum().item()))

    @hookimpl
    def after_generator_update(self):
        self.seen.append("generator")


def watch(steps=1, **options):
    witness = Witness()
    training = train(NCritic(**options), witness)
    for _ in range(steps):
        training.train_step()
    return witness, training


def test_n_critic_conforms():
    check_component(NCritic)


def test_the_default_is_one_of_each():
    assert watch()[0].seen == ["critic", "generator"]


def test_the_critic_goes_first():
    assert watch(critic=2, generator=2)[0].seen == ["critic", "critic", "generator", "generator"]


@pytest.mark.parametrize(("steps", "k"), [(1, 5), (3, 1), (4, 3)])
def test_after_n_steps_there_have_been_n_times_k_critic_updates(steps, k):
    seen = watch(steps, critic=k)[0].seen
    assert (seen.count("critic"), seen.count("generator")) == (steps * k, steps)


@pytest.mark.parametrize(("steps", "k"), [(1, 5), (3, 1), (4, 3)])
def test_after_n_steps_n_times_k_batches_of_reals_have_been_shown(steps, k):
    assert watch(steps, critic=k)[1].batches == steps * k


def test_each_critic_update_gets_fresh_reals_and_fresh_fakes():
    reals, fakes = zip(
        *watch(critic=5)[0].shown, strict=True
    )  # 5 batches of 8 are the 40 samples of one epoch
    assert len(set(reals)) == 5
    assert len(set(fakes)) == 5


def test_shared_reals_conform():
    check_component(NCritic, critic=3, fresh_reals=False)


def test_without_fresh_reals_all_critic_updates_of_a_step_meet_the_same_reals_and_other_fakes():
    witness, training = watch(2, critic=3, fresh_reals=False)
    reals, fakes = zip(*witness.shown, strict=True)
    assert reals[0] == reals[1] == reals[2] != reals[3] == reals[4] == reals[5]
    assert len(set(fakes)) == 6
    assert training.batches == 2  # with fresh reals it would be 6


def test_by_default_the_critic_is_not_trained_ahead():
    assert watch(critic=2)[0].seen == ["critic", "critic", "generator"]


def test_pretraining_comes_once_before_the_first_generator_update():
    assert watch(2, pretrain=3)[0].seen == ["critic"] * 4 + ["generator", "critic", "generator"]


def test_pretraining_shows_fresh_reals():
    witness, training = watch(pretrain=2, critic=2, fresh_reals=False)
    reals, _ = zip(*witness.shown, strict=True)
    assert len(set(reals[:3])) == 3
    assert reals[2] == reals[3]
    assert training.batches == 3


def test_pretraining_conforms():
    check_component(NCritic, pretrain=2)


def roles(**options):
    return [update.role for update in NCritic(**options).schedule(1)]


def test_reused_fakes_join_the_last_critic_update_and_the_first_of_the_generator():
    assert roles(critic=3, generator=2, reuse_fakes=True) == [
        "critic",
        "critic",
        "in-turn",
        "generator",
    ]
    assert roles(critic=1, reuse_fakes=True) == ["in-turn"]


def test_without_a_player_there_are_no_fakes_to_reuse():
    assert roles(critic=2, generator=0, reuse_fakes=True) == ["critic", "critic"]


def test_with_reused_fakes_the_generator_makes_them_once_for_both_players():
    witness, _ = watch(critic=2, reuse_fakes=True)
    assert witness.seen == ["critic", "critic", "generator"]


def test_one_batch_of_reals_stays_one_where_fakes_are_reused():
    _, training = watch(3, critic=2, fresh_reals=False, reuse_fakes=True)
    assert training.batches == 3
