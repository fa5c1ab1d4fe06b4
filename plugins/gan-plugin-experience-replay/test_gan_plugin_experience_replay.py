"""Facts about experience replay."""

import pytest
import torch

from gan_plugin_experience_replay import ExperienceReplay
from gancore.testing import check_component, train

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
    # each count is Binomial(seeds, p), and counts sum to seeds·capacity, so the statistic below has mean n - 1 and,
    # like χ² with n - 1 degrees, standard deviation √(2(n - 1)); 4 of them make the bound
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
            training.advance()
    for role in ("generator", "critic"):
        weights = other.game.gan.player(role).state_dict()
        assert all(torch.equal(each, weights[name]) for name, each in one.game.gan.player(role).state_dict().items())


def test_restored_buffer_goes_on_as_the_old_one():
    one, other = filled(80, capacity=10), ExperienceReplay(capacity=10)
    other.load_state(one.state())
    for step in range(5):
        shown = [replay.critic_fakes(*fakes(1000 + 8 * step), step, rng(step)) for replay in (one, other)]
        assert torch.equal(shown[0][0], shown[1][0])
    assert torch.equal(one.images, other.images)


def test_empty_buffer_can_be_restored():
    replay = ExperienceReplay()
    replay.load_state(ExperienceReplay().state())
    assert replay.count == 0


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_an_empty_buffer_replaces_nothing(share):
    images, labels = fakes(0)
    assert ExperienceReplay(share=share).critic_fakes(images, labels, 0, rng())[0] is images
