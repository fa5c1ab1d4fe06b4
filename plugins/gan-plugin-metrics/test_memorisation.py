"""Facts about memorisation: shares under the null, of copies, of mirrored copies, of small sets."""

import pytest
import torch

from gan_plugin_metrics.memorisation import closeness, memorised, nearest_with_flips
from gan_plugin_metrics.pairwise import nearest_distances

torch.set_num_threads(1)


def normal(n, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def share_of(samples, train, held):
    nearest = [nearest_distances(samples, part) for part in (train, held)]
    return memorised(*nearest, len(train), len(held))


def test_ties_count_half():
    found = memorised(torch.tensor([1.0, 2, 3]), torch.tensor([1.0, 1, 4]), 10, 10)
    assert found.share == pytest.approx((0.5 + 0 + 1) / 3)


def test_a_copy_of_everything_has_a_share_of_one_and_an_independent_sample_of_one_half():
    train, held = normal(300), normal(300, seed=1)
    copies = share_of(train, train, held)
    assert copies.share == copies.copied == 1
    assert copies.found
    fresh = [
        share_of(normal(300, seed=s), normal(300, seed=100 + s), normal(300, seed=200 + s))
        for s in range(20)
    ]
    assert not any(each.found for each in fresh)
    # the limit is 4 deviations of one: 20 of them average to within 4/√20
    mean = sum(each.share for each in fresh) / 20
    assert abs(mean - 0.5) < (fresh[0].limit - 0.5) / 20**0.5


@pytest.mark.parametrize("sizes", [(400, 400), (1600, 400)])
def test_a_fifth_of_copies_gives_a_share_of_six_tenths_whatever_the_sizes(sizes):
    train, held = normal(sizes[0]), normal(sizes[1], seed=1)
    samples = torch.cat([train[:200], normal(800, seed=2)])
    found = share_of(samples, train, held)
    assert abs(found.share - 0.6) < found.limit - 0.5
    assert found.copied == pytest.approx(2 * (found.share - 0.5))
    assert found.found or sizes[0] != sizes[1]


def test_samples_nearer_to_held_out_data_are_no_copies():
    train, held = normal(100), normal(100, seed=1)
    assert share_of(held, train, held).copied == 0


def test_samples_far_from_all_data_are_no_copies_though_one_training_item_is_nearest_to_all():
    train, held = normal(300), normal(300, seed=1)
    train[0] = 10
    noise = torch.full((500, 4), 50.0, dtype=torch.float64)
    nearest = [nearest_distances(noise, part) for part in (train, held)]
    reach = nearest_distances(held, train).quantile(0.95).item()
    assert memorised(*nearest, 300, 300).copied == 1
    assert memorised(*nearest, 300, 300, reach).share == pytest.approx(0.5)
    copies = [nearest_distances(train[:60], part) for part in (train, held)]
    assert memorised(*copies, 300, 300, reach).copied == 1


def test_mirrored_copies_are_found_by_their_mirror_image():
    images = normal(50, 16).reshape(50, 1, 4, 4)
    mirrored = images.flip(3)
    found = nearest_with_flips(mirrored.flatten(1), mirrored.flip(3).flatten(1), images.flatten(1))
    assert found.max() == 0
    assert nearest_with_flips(mirrored.flatten(1), None, images.flatten(1)).min() > 0


def test_without_other_data_copies_are_nearer_than_the_data_to_itself():
    train = normal(200)
    copies = closeness(nearest_distances(train[:50], train), train)
    assert copies.quantile == 0
    assert copies.copied > 0.9
    assert copies.found
    fresh = closeness(nearest_distances(normal(200, seed=1), train), train)
    assert not fresh.found
    assert fresh.copied < 0.05


def test_repetitions_in_the_data_are_not_counted_as_copies():
    train = normal(100).repeat_interleave(2, 0)  # like an image in the folders of both its classes
    fresh = closeness(nearest_distances(normal(200, seed=1), train), train)
    assert fresh.copied == 0
    assert not fresh.found


def test_one_item_alone_says_nothing():
    assert closeness(torch.zeros(5), torch.zeros(9, 3)) is None
