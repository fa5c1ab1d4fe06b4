"""Facts about experience replay."""

import pytest
import torch
from torch import nn

from gan_plugin_experience_replay import ExperienceReplay
from gancore import Update, cached, component, hookimpl
from gancore.testing import check_component, copy_state, some_data, train

torch.set_num_threads(1)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def fakes(first, n=8):
    """Fakes `[n, 1]` numbered from `first`, labelled by ten times their number."""
    numbers = torch.arange(first, first + n)
    return numbers.float()[:, None], 10 * numbers[:, None]


def filled(n, seed=0, step=8, **options):
    """A buffer to which n numbered fakes were pushed."""
    replay = ExperienceReplay(per_update=step, **options)
    for first in range(0, n, step):
        replay.critic_fakes(*fakes(first, step), 0, rng(1000 * seed + first))
    return replay


def stored(replay):
    return replay.images[: replay.count].flatten().long()


def test_experience_replay_conforms():
    check_component(ExperienceReplay, capacity=12)


def test_replay_keeps_each_pushed_sample_with_equal_probability():
    n, capacity, seeds = 40, 10, 400
    kept = torch.zeros(n)
    for seed in range(seeds):
        kept[stored(filled(n, seed, capacity=capacity))] += 1
    p = capacity / n
    # each count is Binomial(seeds, p), and counts sum to seeds·capacity, so the statistic below has
    # mean n - 1 and, like χ² with n - 1 degrees, standard deviation √(2(n - 1)); 4 of them make the
    # bound
    statistic = ((kept - seeds * p).square() / (seeds * p * (1 - p))).sum() * (n - 1) / n
    assert statistic < n - 1 + 4 * (2 * (n - 1)) ** 0.5


def test_buffer_never_holds_more_than_its_capacity():
    replay = filled(80, capacity=10)
    assert (replay.count, len(replay.images), replay.seen) == (10, 10, 80)


def test_no_fake_is_stored_twice():
    assert len(stored(filled(80, capacity=10)).unique()) == 10


def test_buffer_fills_in_order_while_there_is_room():
    assert stored(filled(16, capacity=100)).tolist() == list(range(16))


def test_stored_fakes_keep_their_labels():
    replay = filled(80, capacity=10)
    assert torch.equal(replay.labels[:10, 0], 10 * stored(replay))


def test_shown_fakes_keep_their_labels():
    images, labels = filled(80, capacity=10).critic_fakes(*fakes(1000), 0, rng())
    assert torch.equal(labels, 10 * images.long())


def test_stated_share_of_the_fakes_is_replaced():
    images, _ = filled(80, capacity=10, share=0.25).critic_fakes(*fakes(1000), 0, rng())
    assert (images < 1000).sum() == 2  # a quarter of 8


def test_fresh_fakes_are_not_written_into():
    images, labels = fakes(1000)
    filled(80, capacity=10, share=1.0).critic_fakes(images, labels, 0, rng())
    assert torch.equal(images, fakes(1000)[0])
    assert torch.equal(labels, fakes(1000)[1])


def test_stored_fakes_are_copies():
    replay, (images, labels) = ExperienceReplay(), fakes(0)
    replay.critic_fakes(images, labels, 0, rng())
    images.zero_()
    assert stored(replay).tolist() == list(range(8))


def test_stored_fakes_have_no_graph():
    replay, (images, labels) = ExperienceReplay(), fakes(0)
    replay.critic_fakes(images.requires_grad_(), labels, 0, rng())
    assert not replay.images.requires_grad


def test_stored_fakes_keep_their_type():
    replay, (images, labels) = ExperienceReplay(), fakes(0)
    replay.critic_fakes(images.bfloat16(), labels, 0, rng())
    assert replay.images.dtype is torch.bfloat16


def test_fakes_are_stored_before_replay_begins():
    replay, (images, labels) = filled(16, start=100), fakes(1000)
    shown, _ = replay.critic_fakes(images, labels, 99, rng())
    assert shown is images
    assert replay.seen == 24


def test_replay_begins_at_its_step():
    shown, _ = filled(16, start=100).critic_fakes(*fakes(1000), 100, rng())
    assert (shown < 1000).any()


def test_share_zero_changes_no_bit_of_training():
    one, other = train(ExperienceReplay(share=0)), train()
    for training in (one, other):
        for _ in range(3):
            training.train_step()
    for role in ("generator", "critic"):
        weights = other.context.gan.player(role).state_dict()
        assert all(
            torch.equal(each, weights[name])
            for name, each in one.context.gan.player(role).state_dict().items()
        )


def test_restored_buffer_goes_on_as_the_old_one():
    one, other = filled(80, capacity=10), ExperienceReplay(capacity=10)
    copy_state(one, other)
    for step in range(5):
        shown = [
            replay.critic_fakes(*fakes(1000 + 8 * step), step, rng(step)) for replay in (one, other)
        ]
        assert torch.equal(shown[0][0], shown[1][0])
    assert torch.equal(one.images, other.images)


def test_empty_buffer_can_be_restored():
    replay = ExperienceReplay()
    copy_state(ExperienceReplay(), replay)
    assert replay.count == 0


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_an_empty_buffer_replaces_nothing(share):
    images, labels = fakes(0)
    assert ExperienceReplay(share=share).critic_fakes(images, labels, 0, rng())[0] is images


# ── labels and images stay together in a run ──────────────────────────────────────────────────────


class Coloured(nn.Module):
    """A generator whose images are their label, plus a little that depends on the latent."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((3,), 1e-3))

    def forward(self, z, labels):
        return (labels[:, :1] + (self.weight * z).sum(1, keepdim=True).tanh() / 4)[
            :, :, None, None
        ].expand(-1, 3, 4, 4)


@component(source="a test")
class Witness:
    """Build the generator above, and note each critic update: what it is shown."""

    shown: list = cached(factory=list)

    @hookimpl
    def make_generator(self):
        return Coloured()

    @hookimpl
    def after_critic_update(self, batch, step):
        real = None if batch.real is None else batch.real.images
        self.shown.append((step, real, batch.fake.images.clone(), batch.fake.labels.clone()))


def watch(steps, *components, **options):
    witness, replay = Witness(), ExperienceReplay(**options)
    training = train(replay, witness, *components, data=some_data((3, 4, 4), (5,)))
    for _ in range(steps):
        training.train_step()
    return witness.shown, replay


@pytest.mark.parametrize(
    "options", [{"share": 0.5, "capacity": 12}, {"mode": "extra-step", "extra_after": 3}]
)
def test_labels_travel_with_images(options):
    shown, _ = watch(7, **options)
    for _, _, images, labels in shown:
        assert torch.equal(images[:, 0, 0, 0].round().long(), labels[:, 0])


def test_replayed_rows_of_a_mixed_batch_are_fakes_of_the_past_with_their_labels():
    shown, _ = watch(6, share=0.5, per_update=4)  # so that every fake pushed was also shown
    past = [
        (image, label)
        for _, _, images, labels in shown[:5]
        for image, label in zip(images, labels, strict=True)
    ]
    _, _, images, labels = shown[5]
    for image, label in zip(images[4:], labels[4:], strict=True):
        assert any(torch.equal(image, old) and torch.equal(label, mark) for old, mark in past)


# ── extra-step ────────────────────────────────────────────────────────────────────────────────────

EACH = [Update("critic"), Update("generator")]
EXTRA = Update("critic", reals=False)


@component(source="a test")
class Twice:
    @hookimpl
    def schedule(self):
        return [Update("critic"), Update("critic"), Update("generator")]


@component(source="a test")
class AtOnce:
    @hookimpl
    def schedule(self):
        return [Update("both")]


def collected(steps, **options):
    """Steps of one critic update each on numbered fakes: what each answers, and what its extra
    update shows.
    """
    replay, found = ExperienceReplay(mode="extra-step", **options), []
    for number in range(steps):
        updates = replay.adapt_schedule(EACH, number)
        shown = [replay.critic_fakes(*fakes(8 * number), number, rng(number))]
        if updates is not None:
            assert updates == [*EACH, EXTRA]
            shown.append(replay.critic_fakes(*fakes(10_000), number, rng(number)))
        found.append(shown)
    return found, replay


@pytest.mark.parametrize("extra_after", [1, 2, 4])
def test_extra_step_conforms(extra_after):
    check_component(ExperienceReplay, mode="extra-step", extra_after=extra_after)


def test_the_extra_update_comes_when_enough_fakes_were_kept_and_shows_exactly_those():
    found, replay = collected(8, extra_after=4)
    assert [len(each) for each in found] == [1, 1, 1, 2, 1, 1, 1, 2]
    for first, (_, (images, labels)) in ((0, found[3]), (4, found[7])):
        assert (images[:, 0] // 8).tolist() == [
            first,
            first + 1,
            first + 2,
            first + 3,
        ]  # one fake of each update
        assert torch.equal(labels, 10 * images.long())
    assert (replay.count, replay.seen) == (0, 0)


def test_fresh_fakes_are_all_shown_in_the_other_updates():
    assert all(each[0] is None for each in collected(8, extra_after=4)[0])


def test_the_kept_fake_is_any_of_the_batch_with_equal_probability():
    counts, n = torch.zeros(8), 400
    for seed in range(n):
        replay = ExperienceReplay(mode="extra-step")
        replay.adapt_schedule(EACH, 0)
        replay.critic_fakes(*fakes(0), 0, rng(seed))
        counts[stored(replay)] += 1
    # each count is Binomial(n, 1/8); bound as in the test of the reservoir, with 8 in place of its
    # n
    statistic = ((counts - n / 8).square() / (n / 8)).sum()
    assert statistic < 7 + 4 * 14**0.5


def test_in_a_run_the_extra_update_is_the_last_of_its_step_and_has_no_reals():
    shown, _ = watch(6, mode="extra-step", extra_after=3)
    assert [step for step, *_ in shown] == [0, 1, 2, 2, 3, 4, 5, 5]
    assert [real is None for _, real, _, _ in shown] == [False, False, False, True] * 2
    assert [len(images) for _, _, images, _ in shown] == [8, 8, 8, 3] * 2


def test_every_replayed_fake_was_shown_before():
    shown, _ = watch(3, mode="extra-step", extra_after=3)
    for image, (_, _, images, _) in zip(shown[3][2], shown[:3], strict=True):
        assert (images == image).flatten(1).all(1).any()


def test_several_critic_updates_of_a_step_are_all_counted():
    shown, _ = watch(3, Twice(), mode="extra-step", extra_after=3)
    # two kept fakes a step: four at the end of the second, of which there is room for three
    assert [(step, len(images)) for step, _, images, _ in shown] == [
        (0, 8),
        (0, 8),
        (1, 8),
        (1, 8),
        (1, 3),
        (2, 8),
        (2, 8),
    ]


def test_simultaneous_updates_count_too():
    shown, _ = watch(4, AtOnce(), mode="extra-step", extra_after=4)
    assert [len(images) for _, _, images, _ in shown] == [8, 8, 8, 8, 4]


def test_no_extra_update_comes_before_its_start():
    found, _ = collected(6, extra_after=2, start=4)
    assert [len(each) for each in found] == [1, 1, 1, 1, 2, 1]
    assert len(found[4][1][0]) == 2  # a random two of the five kept so far


def test_a_store_restored_in_between_goes_on_as_the_old_one():
    _, one = collected(3, extra_after=4)
    other = ExperienceReplay(mode="extra-step", extra_after=4)
    copy_state(one, other)
    shown = []
    for replay in (one, other):
        assert replay.adapt_schedule(EACH, 3) == [*EACH, EXTRA]
        replay.critic_fakes(*fakes(24), 3, rng(3))
        shown.append(replay.critic_fakes(*fakes(0), 3, rng(4)))
    assert all(map(torch.equal, *shown))


def test_mixing_leaves_the_schedule_alone():
    assert ExperienceReplay().adapt_schedule(EACH, 0) is None
