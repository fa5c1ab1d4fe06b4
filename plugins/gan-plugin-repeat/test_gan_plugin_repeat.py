"""Facts about repeated samples."""

import pytest
import torch

from gan_plugin_repeat import Repeat
from gancore import CompositionError, LabelSet, StoredData
from gancore.testing import check_component, some_data, train

torch.set_num_threads(1)

M = 20
NUMBERED = StoredData(torch.arange(M, dtype=torch.float32)[:, None])  # sample i is the number i


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def epoch(data):
    return data.take(torch.arange(len(data)), rng())


def labelled(*labels):
    classes = tuple("abcde")
    columns = torch.tensor(labels)[:, None]
    return StoredData(
        torch.randn(len(labels), 2, generator=rng()), columns, (LabelSet("letter", classes),)
    )


class Fresh:
    """Points drawn anew by every call."""

    shape, label_sets = (2,), ()

    def __len__(self):
        return 50

    def take(self, indices, rng):
        return torch.randn(len(indices), 2, generator=rng), torch.empty(
            len(indices), 0, dtype=torch.int64
        )


def test_repeat_conforms():
    check_component(Repeat, data=some_data(classes=(3, 2)), images=5, count=16)


def test_repeat_of_one_sample_conforms():
    check_component(Repeat)


def test_repeat_of_points_without_labels_conforms():
    check_component(Repeat, data=some_data((2,), ()), images=2)


@pytest.mark.parametrize("images", [1, 7, M])
def test_chosen_samples_are_all_different(images):
    assert len(epoch(Repeat(images=images).adapt_data(NUMBERED))[0].unique()) == images


def test_an_epoch_has_the_stated_length():
    assert len(Repeat(count=123).adapt_data(NUMBERED)) == 123


def test_each_sample_occurs_equally_often_to_within_one():
    counts = epoch(Repeat(images=3, count=100).adapt_data(NUMBERED))[0].unique(return_counts=True)[
        1
    ]
    assert sorted(counts.tolist()) == [33, 33, 34]


def test_samples_are_those_of_the_data_bit_for_bit():
    data = some_data()
    images, _ = data.take(torch.arange(len(data)), rng())
    for image in epoch(Repeat(images=4, count=4).adapt_data(data))[0]:
        assert (images == image).flatten(1).all(1).any()


def test_every_sample_keeps_its_own_class():
    data = some_data(classes=(5,))
    kept = Repeat(images=6, count=6).adapt_data(data)
    images, labels = data.take(torch.arange(len(data)), rng())
    for image, label in zip(*epoch(kept), strict=True):
        place = (images == image).flatten(1).all(1).nonzero().item()
        assert kept.label_sets[0].classes[label] == data.label_sets[0].classes[labels[place]]


def test_labels_are_renumbered_to_the_classes_that_occur():
    kept = Repeat(images=4, count=4).adapt_data(labelled(4, 1, 3, 1))
    assert kept.label_sets == (LabelSet("letter", ("b", "d", "e")),)
    assert sorted(epoch(kept)[1][:, 0].tolist()) == [0, 0, 1, 2]


def test_one_image_has_one_class():
    kept = Repeat().adapt_data(labelled(2, 2, 2))
    assert kept.label_sets == (LabelSet("letter", ("c",)),)
    assert not epoch(kept)[1].any()


def test_labels_are_drawn_as_often_as_an_epoch_shows_them():
    n, count = 10_000, 5  # of 2 samples in 5 places, the first is shown 3 times
    kept = Repeat(images=2, count=count).adapt_data(labelled(0, 1))
    share = epoch(kept)[1].float().mean().item()
    found = kept.draw_labels(n, rng()).float().mean().item()
    assert abs(share - 0.5) == pytest.approx(0.1)
    assert abs(found - share) < 4 * (0.4 * 0.6 / n) ** 0.5


def test_another_seed_chooses_other_samples():
    chosen = [
        epoch(Repeat(images=5, count=5, seed=seed).adapt_data(NUMBERED))[0] for seed in (0, 0, 1)
    ]
    assert torch.equal(chosen[0], chosen[1])
    assert not torch.equal(chosen[0], chosen[2])


def test_each_sample_is_chosen_equally_often_over_the_seeds():
    seeds, images = 1000, 4
    chosen = [
        epoch(Repeat(images=images, count=images, seed=seed).adapt_data(NUMBERED))[0]
        for seed in range(seeds)
    ]
    counts = torch.cat(chosen).long().flatten().bincount(minlength=M)
    share = images / M
    # each count is Binomial(seeds, images/M); 5σ, as the largest of 20 is looked at
    assert (counts - seeds * share).abs().max() < 5 * (seeds * share * (1 - share)) ** 0.5


def test_data_drawn_fresh_is_drawn_once():
    kept = Repeat(images=3, count=9).adapt_data(Fresh())
    one, other = (kept.take(torch.arange(9), rng(seed))[0] for seed in (1, 2))
    assert torch.equal(one, other)
    assert len(one.unique(dim=0)) == 3


@pytest.mark.parametrize("other", [{"seed": 1}, {"images": 4}, {"count": 99}])
def test_fingerprint_changes_with_what_is_shown(other):
    one, two = (
        Repeat(**{"images": 3, "count": 100, **more}).adapt_data(NUMBERED) for more in ({}, other)
    )
    assert one.fingerprint() != two.fingerprint()


def test_training_sees_the_chosen_alone():
    training = train(Repeat(images=2), data=some_data())
    batches = torch.cat([training.reals(k)()[0] for k in range(4)])
    assert len(batches.unique(dim=0)) == 2


def test_more_images_than_the_data_hold_are_refused():
    with pytest.raises(CompositionError, match="the data hold 20 samples"):
        Repeat(images=21).adapt_data(NUMBERED)


def test_an_epoch_too_short_for_the_images_is_refused():
    with pytest.raises(CompositionError, match="an epoch shows 3 samples"):
        Repeat(images=4, count=3).adapt_data(NUMBERED)
