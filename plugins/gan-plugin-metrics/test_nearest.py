import pytest
import torch

from gan_plugin_metrics.nearest import Nearest, nearest
from gancore.testing import check_component, some_data, train


class Shown:
    """A run whose samples and reals are given."""

    def __init__(self, samples, reals, labels=None, real_labels=None, due=True):
        none = torch.empty(len(samples), 0, dtype=torch.int64)
        self.made = samples, none if labels is None else labels
        self.there = (
            reals,
            torch.empty(len(reals), 0, dtype=torch.int64) if real_labels is None else real_labels,
        )
        self.is_due = due

    def due(self, every):
        return self.is_due

    def samples(self, n):
        return self.made

    def reals(self, n):
        return self.there


def column(*numbers):
    return torch.tensor(numbers)[:, None]


def test_nearest_conforms():
    check_component(Nearest, images=8)


def test_the_distance_is_the_mean_absolute_difference():
    distance, which = nearest(torch.zeros(1, 4), torch.tensor([[1.0, 1, 1, 1], [0.5, 0, 0, 0]]))
    assert distance.tolist() == [0.125]
    assert which.tolist() == [1]


def test_blocks_change_nothing():
    samples, reals = torch.randn(150, 6), torch.randn(30, 6)
    assert torch.equal(
        nearest(samples, reals)[0], torch.cat([nearest(each[None], reals)[0] for each in samples])
    )


def test_copies_of_the_data_have_no_error_and_reach_all_of_it():
    reals = torch.randn(20, 1, 4, 4)
    found = Nearest().measure(Shown(reals.flip(0), reals))
    assert (found["error"], found["share"], found["ratio"]) == (0.0, 1.0, 0.0)


def test_reals_among_themselves_say_how_far_a_new_sample_lies():
    # neighbours of 0, 1, 3, 6 are 1, 0, 1, 3: distances 1, 1, 2, 3, whose lower median is 1
    found = Nearest().measure(Shown(column(0.5, 3.5), column(0.0, 1.0, 3.0, 6.0)))
    assert (found["ratio"], found["floor-share"]) == (0.5, 0.75)


def test_a_single_real_has_no_neighbour_to_compare_with():
    found = Nearest().measure(Shown(column(0.5), column(0.0, 0.0)))
    assert not {"ratio", "floor-share"} & set(found)


def test_repeated_reals_count_once():
    reals = torch.zeros(10, 2).index_fill(0, torch.arange(5), 1.0)
    assert Nearest().measure(Shown(torch.ones(4, 2), reals))["share"] == 0.5


def test_a_label_that_gives_the_other_image_shows_in_the_label_error_alone():
    reals, labels = torch.tensor([[0.0], [1.0]]), column(0, 1)
    right = Nearest().measure(Shown(reals, reals, labels, labels))
    wrong = Nearest().measure(Shown(reals.flip(0), reals, labels, labels))
    assert (right["error"], right["label-error"]) == (0, 0)
    assert (wrong["error"], wrong["label-error"]) == (0, 1)


def test_a_label_without_reals_leaves_the_label_error_out():
    reals = torch.tensor([[0.0], [1.0]])
    assert "label-error" not in Nearest().measure(Shown(reals, reals, column(0, 2), column(0, 1)))


def test_nothing_is_measured_when_it_is_not_due():
    assert Nearest().measure(Shown(torch.zeros(1, 1), torch.zeros(1, 1), due=False)) is None


@pytest.mark.parametrize("data", [some_data(), some_data((2,), ())])
def test_measuring_changes_no_bit_of_training(data):
    weights = []
    for components in ((), (Nearest(images=8),)):
        training = train(*components, data=data)
        training.train_step()
        weights.append(
            torch.cat([w.detach().flatten() for w in training.context.gan.generator.parameters])
        )
    assert torch.equal(*weights)
