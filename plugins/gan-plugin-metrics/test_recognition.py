"""Facts about recognition."""

import math

import pytest
import torch
from torch import nn

from gan_plugin_metrics.recognition import Recognition, first_of_each, shrink
from gancore import CompositionError, DataError, LabelSet, Progress, StoredData, component, hookimpl
from gancore.plugins.component import info_of
from gancore.testing import check_component, some_data, train

torch.set_num_threads(1)

NAMES = ("left", "right", "below")
SMALL = {"reals": 200, "images": 60, "epochs": 5}


def patterns(channels=1, side=12):
    """One image of each class `[3, C, side, side]`: dark, and bright on the left, on the right, or
    below.
    """
    made, half = torch.full((3, channels, side, side), -0.5), side // 2
    made[0, :, :half, :half] = made[1, :, :half, half:] = made[2, :, half:, :] = 0.5
    return made


def easy(n=300, channels=1, side=12):
    """Labelled data that are easy to tell apart: the patterns under noise. Every class is equally
    frequent.
    """
    labels = torch.arange(n) % 3
    noise = torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(0))
    samples = (patterns(channels, side)[labels] + 0.2 * noise).clamp(-1, 1)
    return StoredData(
        samples.add(1).mul(127.5).to(torch.uint8), labels[:, None], (LabelSet("side", NAMES),)
    )


class Painted(nn.Module):
    """The pattern of the class that `turn` gives for the label."""

    def __init__(self, turn):
        super().__init__()
        self.gain, self.turn = nn.Parameter(torch.ones(())), turn

    def forward(self, z, labels):
        return self.gain * patterns()[self.turn(labels[:, 0])]


@component(source="a test")
class Painter:
    """Make samples of known classes."""

    turn: object

    @hookimpl
    def make_generator(self):
        return Painted(self.turn)


def now(training, **more):
    return Progress(training.context, training.step, training.epoch, **more)


def measured(turn, data=None, **options):
    metric = Recognition(**{**SMALL, **options})
    return metric.measure(now(train(metric, Painter(turn=turn), data=data or easy())))


def test_recognition_conforms():
    check_component(Recognition, data=some_data())


def test_recognition_conforms_with_the_second_label_set():
    check_component(Recognition, data=some_data(classes=(3, 2)), labels="set1")


@pytest.mark.parametrize(("channels", "side"), [(1, 12), (3, 8), (3, 40)])
def test_classifier_names_nearly_all_easy_images_of_any_size_and_colour(channels, side):
    metric = Recognition(**SMALL)
    metric.learn(*easy(200, channels, side).take(torch.arange(200), None), 0, 3)
    assert metric.score >= 0.95


def test_samples_of_the_class_asked_for_are_recognised():
    found = measured(lambda labels: labels)
    assert found["classifier"] >= 0.95
    assert found["accuracy"] == 1.0
    assert found["confidence"] > 0.8


def test_samples_of_another_class_are_not():
    found = measured(lambda labels: (labels + 1) % 3)
    assert found["accuracy"] == 0.0
    assert found["histogram-tv"] < 0.2  # though every class is there as often


def test_a_generator_that_makes_one_class_has_no_entropy_and_misses_two_thirds_of_the_data():
    found = measured(lambda labels: torch.ones_like(labels))
    assert [found[f"share/{name}"] for name in NAMES] == [0.0, 1.0, 0.0]
    assert found["entropy"] == 0.0
    # 1 - d₁, where d₁ is the share of the class among 200 draws: Binomial(200, 1/3)/200
    assert abs(found["histogram-tv"] - 2 / 3) < 4 * (1 / 3 * 2 / 3 / 200) ** 0.5


def test_a_generator_that_does_not_hear_labels_has_no_accuracy_and_is_judged_by_the_histogram():
    metric = Recognition(**{**SMALL, "images": 600})
    training = train(
        metric, Painter(turn=lambda labels: torch.arange(len(labels)) % 3), data=easy(), batch=6
    )
    found = metric.measure(now(training))
    assert "accuracy" not in found
    assert found["entropy"] == pytest.approx(1.0, abs=1e-6)


def test_shares_sum_to_one_and_give_entropy_and_variation():
    found = measured(lambda labels: labels % 2)
    h = [found[f"share/{name}"] for name in NAMES]
    assert sum(h) == pytest.approx(1)
    assert found["entropy"] == pytest.approx(
        -sum(p * math.log(p) for p in h if p) / math.log(3), abs=1e-5
    )


def test_figures_lie_in_their_ranges_for_an_untrained_generator():
    metric = Recognition(**SMALL)
    found = metric.measure(now(train(metric, data=some_data())))
    assert all(0 <= value <= 1 for value in found.values())
    assert found["confidence"] >= 1 / 3


def test_classifier_is_trained_once():
    metric = Recognition(**SMALL)
    training = train(metric, data=easy())
    metric.measure(now(training))
    net = metric.net
    assert metric.measure(now(training)) and metric.net is net


def test_a_resumed_run_trains_the_classifier_to_the_same_bits():
    one, other = Recognition(**SMALL), Recognition(**SMALL)
    first, second = train(one, data=easy()), train(other, data=easy())
    found = one.measure(now(first))
    second.train_step()  # the numbers of another step
    other.measure(now(second))
    weights = other.net.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in one.net.state_dict().items())
    assert other.score == found["classifier"]


def test_measuring_leaves_torchs_global_generator_alone():
    metric = Recognition(**SMALL)
    training = train(metric, data=easy())
    numbers = torch.get_rng_state()
    metric.measure(now(training))
    assert torch.equal(torch.get_rng_state(), numbers)


def test_measuring_changes_no_bit_of_training():
    metric = Recognition(**SMALL)
    one, other = train(metric, data=easy()), train(data=easy())
    for _ in range(3):
        one.train_step(), other.train_step()
        metric.measure(now(one))
    for role in ("generator", "critic"):
        found, wanted = (each.context.gan.player(role).state_dict() for each in (one, other))
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_it_can_be_measured_where_gradients_are_off():
    metric = Recognition(**SMALL)
    training = train(metric, data=easy())
    with torch.no_grad():
        assert metric.measure(now(training))["classifier"] >= 0.95


def test_it_measures_when_the_run_draws_or_every_so_many_steps():
    training = train(Recognition(), data=easy())
    assert Recognition().measure(now(training, drawing=False)) is None
    for step, due in ((9, False), (11, True)):
        progress = Progress(training.context, step, 0.0, before=8, drawing=False)
        assert (Recognition(**SMALL, every=10).measure(progress) is not None) == due


def test_equal_images_are_kept_once():
    images = torch.tensor([3.0, 1, 3, 2, 1])[:, None, None, None].expand(-1, 2, 8, 8)
    assert first_of_each(images).tolist() == [0, 1, 3]


def test_large_images_are_averaged_down_and_small_ones_kept():
    image = torch.rand(1, 3, 64, 20)
    assert shrink(image).shape == (1, 3, 32, 20)
    torch.testing.assert_close(shrink(image).mean(), image.mean())
    assert torch.equal(shrink(image[:, :, :9]), image[:, :, :9])


def test_too_few_different_images_are_refused():
    metric = Recognition(**SMALL)
    with pytest.raises(DataError, match="the data give 4"):
        metric.measure(now(train(metric, data=easy(4))))


@pytest.mark.parametrize("tag", ["data.labels", "data.images"])
def test_points_and_data_without_labels_are_refused(tag):
    assert any(
        rule.tag == tag and rule.hard and not rule.present for rule in info_of(Recognition).rules
    )


def test_a_label_set_that_is_not_there_is_named_before_the_run():
    with pytest.raises(
        CompositionError, match="no label set is called 'colour'; the data has side"
    ):
        train(Recognition(labels="colour"), data=easy())


def test_a_single_class_is_refused_before_the_run():
    with pytest.raises(CompositionError, match="nothing to recognise"):
        train(Recognition(), data=some_data(classes=(1,)))
