"""Facts about triples: what real stacks, noise and wrong ranges are counted as."""

import math
from functools import cache

import pytest
import torch
from support.tables import every_row

from gan_plugin_metrics.triples import Triples, as_number, reverse_kl, value_range
from gancore import CompositionError, LabelSet, Progress, StoredData, cached, component, hookimpl
from gancore.testing import check_component, some_data, train

torch.set_num_threads(1)

K = 4
SMALL = {"images": 300, "reals": 150, "epochs": 8}


def patterns():
    """Four classes of images `[4, 8, 8]`: bright in one quarter."""
    made = torch.full((K, 8, 8), -0.8)
    for number, (x, y) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
        made[number, x : x + 4, y : y + 4] = 0.8
    return made


def stacks(n=400, noise=0.1, seed=0):
    """Real stacks of three patterns under noise."""
    rng = torch.Generator().manual_seed(seed)
    classes = torch.randint(K, (n, 3), generator=rng)
    images = patterns()[classes] + noise * torch.randn(n, 3, 8, 8, generator=rng)
    names = tuple("abcd")
    sets = tuple(LabelSet(name, names) for name in ("red", "green", "blue"))
    return StoredData(images.clamp(-1, 1), classes, sets)


@component(source="a stand-in for tests")
class Shown:
    """Show given samples instead of those drawn."""

    samples: object = cached()

    @hookimpl
    def select_samples(self, images, z, labels):
        return self.samples[: len(images)], z, labels


@cache
def watched():
    """A metric whose classifier is trained once for all tests, and what shows it samples."""
    metric, shown = Triples(**SMALL), Shown()
    return metric, shown, train(metric, shown, data=stacks())


def measured(samples):
    metric, shown, training = watched()
    shown.samples = samples
    figures = metric.measure(Progress(training.context, 1, 0.0))
    return {name: float(value) for name, value in figures.items()}


def test_conforms():
    check_component(Triples, data=stacks(), images=20, reals=20, epochs=1)


def test_other_reals_score_as_the_reals_do():
    figures = measured(stacks(300, seed=1).samples)
    assert figures["classifier"] >= 0.985
    assert figures["confused"] <= 3 * 0.015
    assert figures["modes"] == pytest.approx(figures["reals-modes"], abs=3)
    # 63/2n each, a χ² with 63 degrees: 4 deviations of their difference
    assert abs(figures["kl"] - figures["reals-kl"]) < 4 * 2 * math.sqrt(63) / 600
    # The quantile lies below the second least of 90 held-out channels, and the share of a
    # distribution below that is Beta(2, 89): above .13 with a probability of 1e-4.
    assert figures["junk"] < 0.13
    assert figures["span"] == pytest.approx(1, abs=0.05)


RNG = torch.Generator().manual_seed(3)
JUNK = {
    "uniform noise": 2 * torch.rand(300, 3, 8, 8, generator=RNG) - 1,
    "uniform noise in [0, 1]": torch.rand(300, 3, 8, 8, generator=RNG),
    "normal noise": torch.randn(300, 3, 8, 8, generator=RNG).mul(0.5).clamp(-1, 1),
}


@every_row("name", list(JUNK))
def test_noise_is_junk_whatever_modes_it_is_counted_as(name):
    assert measured(JUNK[name])["junk"] > 0.9


def test_one_repeated_stack_is_one_mode_with_the_logarithm_of_all_as_kl():
    one = stacks(1, noise=0.05).samples.expand(300, -1, -1, -1)
    figures = measured(one)
    assert figures["modes"] == 1
    assert figures["kl"] == pytest.approx(math.log(K**3), abs=1e-12)
    assert figures["images"] == 300


def test_samples_in_the_range_of_a_classifier_of_0_to_1_have_half_the_span():
    assert measured((stacks(300).samples + 1) / 2)["span"] == pytest.approx(0.5, abs=0.05)


def test_kl_of_equally_frequent_tuples_is_zero_and_each_tuple_has_its_number():
    every = torch.cartesian_prod(*[torch.arange(K)] * 3)
    assert as_number(every, K).sort().values.tolist() == list(range(K**3))
    kl, modes = reverse_kl(as_number(every, K), K**3)
    assert (float(kl), modes) == (pytest.approx(0, abs=1e-12), K**3)


def test_the_range_of_a_constant_image_is_one_rather_than_zero():
    assert value_range(torch.zeros(4, 3, 8, 8)) == 1.0


@every_row("data", [some_data((3, 8, 8), (2,)), some_data((3, 8, 8), (2, 3, 2))])
def test_data_without_a_label_set_for_each_channel_are_refused_before_training(data):
    with pytest.raises(CompositionError, match="one label set for each of the 3 channels"):
        train(Triples(), data=data)


def test_the_same_classifier_is_trained_again():
    one, again = (Triples(**SMALL) for _ in range(2))
    for metric in (one, again):
        metric.learn(*stacks().take(torch.arange(40), None), K)
    assert all(
        torch.equal(weight, other)
        for weight, other in zip(
            one.net.state_dict().values(), again.net.state_dict().values(), strict=True
        )
    )
    assert (one.least, one.known) == (again.least, again.known)
