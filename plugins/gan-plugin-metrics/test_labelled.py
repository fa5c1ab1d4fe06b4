"""Facts about the figures that class probabilities give."""

import math

import pytest
import torch

from gan_plugin_metrics.labelled import class_figures, expected_tv

torch.set_num_threads(1)
EVEN = torch.full((4,), 0.25)


def test_certain_and_even_predictions_have_a_class_score_of_the_number_of_classes():
    figures = class_figures(torch.eye(4).repeat(5, 1), EVEN, torch.arange(4).repeat(5))
    assert figures["cs"] == pytest.approx(4)
    assert figures["entropy-conditional"] == 0
    assert figures["entropy-marginal"] == pytest.approx(math.log(4))
    assert figures["class-tv"] == 0
    assert figures["class-accuracy"] == 1


def test_one_class_alone_has_a_class_score_of_one_and_the_distance_of_the_others():
    figures = class_figures(torch.eye(4)[:1].expand(9, -1), EVEN)
    assert figures["cs"] == 1
    assert figures["class-tv"] == 0.75
    assert "class-accuracy" not in figures


def test_undecided_predictions_have_a_class_score_of_one():
    figures = class_figures(EVEN.expand(9, -1), EVEN)
    assert figures["cs"] == pytest.approx(1)
    assert figures["entropy-conditional"] == pytest.approx(math.log(4))


def test_the_histogram_of_reals_has_the_distance_that_is_expected():
    found = []
    for seed in range(50):
        drawn = torch.randint(10, (1000,), generator=torch.Generator().manual_seed(seed))
        found.append(class_figures(torch.eye(10)[drawn], torch.full((10,), 0.1))["class-tv"])
    # the formula takes the K counts as independent normals: 5 % too low for K = 10
    assert sum(found) / 50 == pytest.approx(expected_tv(10, 1000), rel=0.1)
