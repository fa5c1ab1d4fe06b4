"""Facts about the mixtures: their modes, their noise, and the two ways to draw them."""

import math

import pytest
import torch

from gan_plugin_toy_data.mixture import SIGMAS, Mixture, draw, means, scale, sigma
from gancore import DataSpec
from gancore.testing import check_component

LAYOUTS = list(SIGMAS)


def numbers(seed=0):
    return torch.Generator().manual_seed(seed)


def made(**options):
    return Mixture(**options).make_data(DataSpec(size=(16, 16)))


@pytest.mark.parametrize("options", [{}, {"layout": "grid25", "finite": 40}])
def test_conforms(options):
    check_component(Mixture, **options)


@pytest.mark.parametrize(
    ("layout", "modes", "separation"),
    [("ring8", 8, 76), ("ring8-metz", 8, 76), ("grid25", 25, 40), ("grid100", 100, 40)],
)
def test_modes_lie_as_many_sigmas_apart_as_the_table_says(layout, modes, separation):
    distances = torch.pdist(means(layout))
    assert len(means(layout)) == modes
    assert int(distances.min() / sigma(layout) + 1e-9) == separation


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scaled_means_reach_exactly_to_one(layout):
    assert (means(layout) / scale(layout)).abs().max() == 1


@pytest.mark.parametrize("layout", LAYOUTS)
def test_modes_lie_symmetrically_about_the_origin(layout):
    assert means(layout).mean(0).abs().max() < 1e-15


@pytest.mark.parametrize("layout", LAYOUTS)
def test_share_of_points_within_three_sigma_is_what_a_normal_gives(layout):
    points, _ = draw(layout, 20_000, numbers())
    near = torch.cdist(points.double() * scale(layout), means(layout)).min(1).values < 3 * sigma(
        layout
    )
    expected = 1 - math.exp(-4.5)  # 0.988891
    assert abs(near.double().mean() - expected) < 4 * math.sqrt(expected * (1 - expected) / 20_000)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_label_names_the_nearest_mode(layout):
    points, labels = draw(layout, 5000, numbers())
    nearest = torch.cdist(points.double() * scale(layout), means(layout)).argmin(1)
    assert torch.equal(nearest, labels[:, 0])


def test_modes_are_equally_frequent():
    _, labels = draw("grid25", 50_000, numbers())
    counts = labels.flatten().bincount(minlength=25).double()
    # chi-squared with 24 degrees of freedom
    assert (counts - 2000).square().sum() / 2000 < 24 + 4 * math.sqrt(2 * 24)


def test_width_of_a_mode_is_sigma_over_scale():
    points, labels = draw("grid25", 50_000, numbers())
    rest = points.double() - means("grid25")[labels[:, 0]] / 4
    # 4 sigma of a deviation of 100,000
    assert abs(rest.std() - 0.0125) < 4 * 0.0125 / math.sqrt(2 * 100_000)


def test_fresh_points_follow_from_the_numbers_of_the_batch_and_not_from_the_indices():
    data = made()
    once, again = (
        data.take(torch.arange(9), numbers(1)),
        data.take(torch.zeros(9, dtype=torch.int64), numbers(1)),
    )
    assert torch.equal(once[0], again[0])
    assert torch.equal(once[1], again[1])
    assert not torch.equal(once[0], data.take(torch.arange(9), numbers(2))[0])


def test_an_epoch_of_fresh_points_is_100000():
    assert len(made()) == 100_000


def test_finite_set_follows_from_its_own_seed():
    assert torch.equal(made(finite=20, seed=4).samples, made(finite=20, seed=4).samples)
    assert made(finite=20, seed=4).fingerprint() != made(finite=20, seed=5).fingerprint()
    assert len(made(finite=20)) == 20


def test_fingerprints_tell_the_laws_apart():
    assert len({made(layout=layout).fingerprint() for layout in LAYOUTS}) == 4
    assert made().fingerprint() == made().fingerprint()


@pytest.mark.parametrize("finite", [0, 500])
def test_drawn_labels_have_one_column_of_modes(finite):
    labels = made(layout="grid25", finite=finite).draw_labels(2000, numbers())
    assert (labels.shape, labels.dtype) == ((2000, 1), torch.int64)
    assert (labels.min(), labels.max()) == (0, 24)


def test_fresh_and_stored_data_have_the_same_members_and_types():
    for data in (made(), made(finite=100)):
        points, labels = data.take(torch.arange(6), numbers())
        assert (points.shape, points.dtype, labels.shape, labels.dtype) == (
            (6, 2),
            torch.float32,
            (6, 1),
            torch.int64,
        )
        assert data.shape == (2,)
        assert data.label_sets[0].classes == tuple("01234567")
