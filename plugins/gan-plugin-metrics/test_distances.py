"""Facts about distances between samples and reals."""

import math

import numpy
import pytest
import scipy.linalg
import torch

from gan_plugin_metrics import distances
from gan_plugin_metrics.distances import (
    MMD,
    Frechet,
    SlicedWasserstein,
    frechet,
    mmd,
    sliced_wasserstein,
)
from gan_plugin_metrics.features import extract, identity, palette, pixels8, randconv
from gancore import DataError, Progress, StoredData, component, hookimpl
from gancore.testing import check_component, some_data, train

torch.set_num_threads(1)

METRICS = [Frechet, MMD, SlicedWasserstein]
POINTS = some_data((2,), (), count=80)


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def images(n=6, channels=3, side=16, seed=0):
    return (
        torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    )


def whitened(n, d):
    """Points whose mean is 0 and whose covariance is the identity, exactly but for rounding."""
    x = normal(n, d)
    q, _ = torch.linalg.qr(x - x.mean(0))
    return q * (n - 1) ** 0.5


@component(source="a stand-in for tests")
class Shown:
    """Show given samples instead of those drawn."""

    samples: object = None

    @hookimpl
    def select_samples(self, images, z, labels):
        return self.samples[: len(images)], z, labels


def measured(metric, data, *others, seed=0):
    return metric.measure(Progress(train(metric, *others, data=data, seed=seed).context, 1, 0.0))


@pytest.mark.parametrize("metric", METRICS)
def test_conforms(metric):
    check_component(metric)


# ── the Fréchet distance ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("n", "d"), [(50, 1), (200, 8), (20, 64)])
def test_frechet_distance_of_a_set_to_itself_is_zero_even_where_the_covariance_is_singular(n, d):
    x = 1000 + normal(n, d)
    assert frechet(x, x) < 1e-8 * x.var(0).sum()


def test_frechet_distance_in_one_dimension_is_that_of_means_plus_that_of_deviations():
    x, y = whitened(40, 1), whitened(60, 1)
    assert frechet(2 + 3 * x, 7 + y).item() == pytest.approx((7 - 2) ** 2 + (3 - 1) ** 2)


def test_frechet_distance_of_equal_covariances_is_that_of_the_means():
    x, shift = normal(100, 5), torch.tensor([3.0, 0, 0, 4, 0], dtype=torch.float64)
    assert frechet(x, x + shift).item() == pytest.approx(25)


def test_frechet_distance_of_commuting_covariances_sums_squared_differences_of_deviations():
    widths = torch.tensor([1.0, 2, 5], dtype=torch.float64)
    assert frechet(whitened(30, 3), whitened(50, 3) * widths).item() == pytest.approx(0 + 1 + 16)


@pytest.mark.parametrize("n", [12, 300])
def test_frechet_distance_is_symmetric(n):
    x, y = normal(n, 20), normal(n + 5, 20, seed=1) * 2
    assert torch.allclose(frechet(x, y), frechet(y, x), rtol=1e-10)


def test_frechet_distance_agrees_with_the_formula_of_matrix_roots():
    x, y = normal(90, 6) @ normal(6, 6, seed=1), normal(70, 6, seed=2) + 0.3
    values, vectors = torch.linalg.eigh(x.T.cov())
    root = vectors * values.sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ y.T.cov() @ root).sqrt().sum()
    expected = (
        (x.mean(0) - y.mean(0)).square().sum() + x.T.cov().trace() + y.T.cov().trace() - 2 * shared
    )
    assert torch.allclose(frechet(x, y), expected, rtol=1e-9)


def test_frechet_distance_of_two_sets_of_one_law_is_the_bias_that_the_expansion_gives():
    n, d, repeats = 200, 3, 300
    found = torch.stack(
        [frechet(normal(n, d, seed), normal(n, d, repeats + seed)) for seed in range(repeats)]
    )
    expected = 2 * d / n + d * (d + 1) / (2 * n)  # 0.06, the next order is about 1/n of it
    assert abs(found.mean() - expected) < 4 * found.std() / repeats**0.5 + 0.02 * expected


# ── the others ────────────────────────────────────────────────────────────────────────────────────


def kernel(square):
    return sum(math.exp(-square / (2 * b)) for b in (10, 15, 20, 50)) / 4


def test_mmd_of_two_point_masses_is_two_less_twice_their_kernel():
    x = torch.zeros(5, 2, dtype=torch.float64)
    assert mmd(x, x + 3).item() == pytest.approx(2 - 2 * kernel(18))


def test_mmd_of_a_set_and_itself_is_slightly_negative_and_not_clamped():
    x = normal(50, 4)
    apart = [
        kernel((a - b).square().sum()) for i, a in enumerate(x) for j, b in enumerate(x) if i != j
    ]
    assert mmd(x, x).item() == pytest.approx(-2 / 50 * (1 - sum(apart) / len(apart)))


def test_mmd_is_zero_on_average_for_equal_laws():
    found = torch.stack(
        [mmd(normal(20, 2, seed), normal(30, 2, 200 + seed)) for seed in range(200)]
    )
    assert (found < 0).any()
    assert abs(found.mean()) < 4 * found.std() / 200**0.5


def test_mmd_of_shifted_normals_is_what_integrating_the_kernel_gives():
    # E exp(-(u + δ)²/2b) for u ~ N(0, 2) is √(b/(b + 2))·exp(-δ²/2(b + 2))
    expected = (
        sum(2 * (b / (b + 2)) ** 0.5 * (1 - math.exp(-9 / (2 * (b + 2)))) for b in (10, 15, 20, 50))
        / 4
    )
    found = torch.stack(
        [mmd(normal(100, 1, seed), normal(100, 1, 50 + seed) + 3) for seed in range(50)]
    )
    assert abs(found.mean() - expected) < 4 * found.std() / 50**0.5


def test_mmd_in_blocks_equals_mmd_at_once():
    x, y = normal(600, 2), normal(700, 2, seed=1) + 1
    squares = torch.cdist(torch.cat([x, y]), torch.cat([x, y])).square()
    k = sum((-squares / (2 * b)).exp() for b in (10, 15, 20, 50)) / 4
    own = (k[:600, :600].sum() - 600) / (600 * 599) + (k[600:, 600:].sum() - 700) / (700 * 699)
    assert torch.allclose(mmd(x, y), own - 2 * k[:600, 600:].mean(), atol=1e-12)


def test_sliced_wasserstein_distance_of_a_set_to_its_own_permutation_is_zero():
    x = normal(50, 4)
    assert sliced_wasserstein(x, x.flip(0)) < 1e-12


def test_sliced_wasserstein_distance_of_a_shift_is_its_length_over_the_root_of_the_dimension():
    x, shift = normal(50, 4), torch.tensor([3.0, 0, 0, 4], dtype=torch.float64)
    # (v·δ)² has mean 25/4 over directions, and standard deviation (25/4)·√(2·3/6) for d = 4
    found = sliced_wasserstein(x, x + shift).square()
    assert abs(found - 25 / 4) < 4 * (25 / 4) / distances.DIRECTIONS**0.5


def test_sliced_wasserstein_distance_in_one_dimension_pairs_the_sorted_points():
    x, y = normal(30, 1), normal(30, 1, seed=1)
    expected = (x.sort(0).values - y.sort(0).values).square().mean().sqrt()
    assert torch.allclose(sliced_wasserstein(x, y), expected)


# ── features ──────────────────────────────────────────────────────────────────────────────────────


def test_random_weights_are_the_ones_that_distances_were_measured_with():
    # they identify the figures: a change here makes all of them incomparable with earlier ones
    assert identity(3) == "fbb29c9413a10f76a062ca61a0eb892eb6b251647e1e45c48eb2a4d9ccd797b0"
    assert identity(1) == "f5ae14349d3a105df26a1a6a6cd7f9f85a1f7a9e3c9d13278178b52e44f4364d"
    assert identity(3)[:8] in Frechet.__doc__


@pytest.mark.parametrize(
    ("features", "width"), [("randconv", 448), ("pixels8", 192), ("palette", 64)]
)
def test_features_have_the_stated_width_at_any_size(features, width):
    for side in (5, 16, 33):
        assert extract(images(side=side), features).shape == (6, width)


@pytest.mark.parametrize("features", ["randconv", "pixels8", "palette"])
def test_features_of_an_image_do_not_depend_on_its_neighbours(features):
    batch = images()
    assert torch.allclose(extract(batch, features)[2:3], extract(batch[2:3], features), atol=1e-6)


def test_random_features_have_no_deviation_within_a_map_of_one_pixel():
    means, deviations = zip(
        *(part.chunk(2, 1) for part in randconv(images(side=2)).split((64, 128, 256), 1)),
        strict=True,
    )
    assert all(part.abs().max() == 0 for part in deviations)
    assert all(part.abs().max() > 0 for part in means)


def test_pixel_features_are_area_averages():
    batch = images(side=16)
    assert torch.allclose(pixels8(batch)[0, 0], batch[0, 0, :2, :2].mean())


def test_palette_shares_sum_to_one_and_know_their_colour():
    assert torch.allclose(palette(images()).sum(1), torch.ones(6, dtype=torch.float64))
    red = torch.tensor([1.0, -1, -1])[None, :, None, None].expand(1, 3, 4, 4)
    assert palette(red).nonzero().tolist() == [[0, 3]]


def test_palette_of_one_channel_has_four_greys():
    assert palette(torch.tensor([-1.0, -0.4, 0.1, 1]).reshape(1, 1, 2, 2)).tolist() == [
        [0.25, 0.25, 0.25, 0.25]
    ]


def test_points_are_their_own_features():
    x = normal(5, 2).float()
    assert torch.equal(extract(x, "randconv"), x.double())


# ── the components ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("features", ["randconv", "pixels8", "palette"])
def test_figures_of_images_are_finite(features):
    figures = measured(Frechet(features=features, images=12), some_data())
    assert figures.keys() == {"distance", "floor", "ratio", "images"}
    assert all(math.isfinite(value) for value in figures.values())


def test_half_of_a_small_data_set_is_used():
    assert measured(Frechet(features="palette"), some_data(count=31))["images"] == 15


def test_ratio_of_other_reals_is_one_within_the_scatter_of_the_floor():
    data, other = (StoredData(normal(400, 2, seed).float()) for seed in (0, 1))
    figures = measured(Frechet(images=200), data, Shown(samples=other.samples))
    # with n = 200 points in the plane the distance has about 5 degrees of freedom: deviation near
    # √(2/5) of its mean
    assert figures["ratio"] < 1 + 4 * (2 / 5) ** 0.5


@pytest.mark.parametrize("metric", [Frechet, SlicedWasserstein])
def test_ratio_is_large_for_samples_far_away(metric):
    assert measured(metric(), POINTS, Shown(samples=torch.full((1000, 2), 30.0)))["ratio"] > 10


def test_mmd_is_many_deviations_from_zero_for_samples_far_away():
    assert measured(MMD(), POINTS, Shown(samples=torch.full((1000, 2), 30.0)))["z"] > 10


@pytest.mark.parametrize("metric", METRICS)
def test_ratio_to_nothing_is_left_out(metric):
    figures = measured(metric(), StoredData(torch.full((20, 3, 8, 8), 77, dtype=torch.uint8)))
    assert not figures.keys() & {"ratio", "z"}
    assert all(math.isfinite(value) for value in figures.values())


@pytest.mark.parametrize("metric", METRICS)
def test_floor_follows_from_the_data_and_not_from_the_run(metric):
    one, other = (measured(metric(), POINTS, seed=seed) for seed in (0, 1))
    name = "floor-deviation" if metric is MMD else "floor"
    assert torch.equal(one[name], other[name])
    assert one != other


@pytest.mark.parametrize("metric", METRICS)
def test_measuring_twice_gives_the_same_figures(metric):
    asked = metric()
    progress = Progress(train(asked, data=POINTS).context, 1, 0.0)
    assert asked.measure(progress) == asked.measure(progress) == metric().measure(progress)


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_is_measured_before_it_is_due(metric):
    asked = metric(every=10)
    context = train(asked, data=POINTS).context
    assert asked.measure(Progress(context, 9, 0.0, before=5)) is None
    assert asked.measure(Progress(context, 11, 0.0, before=9)) is not None


@pytest.mark.parametrize("metric", METRICS)
def test_three_reals_are_refused(metric):
    with pytest.raises(DataError, match="hold 3"):
        measured(metric(), some_data((2,), (), count=3))


def test_too_few_samples_for_the_features_are_told_once():
    metric = Frechet(features="pixels8")
    measured(metric, some_data())
    assert metric.record().startswith(
        "a Fréchet distance of 20 samples in 192 features is mostly bias"
    )
    assert metric.record() is None


def test_enough_samples_are_not_remarked_upon():
    metric = Frechet()
    measured(metric, POINTS)
    assert metric.record() is None


@pytest.mark.parametrize("metric", METRICS)
def test_measuring_changes_no_bit_of_training(metric):
    asked = metric(images=8)
    one, other = train(asked), train()
    for _ in range(3):
        one.train_step()
        numbers = torch.get_rng_state()
        asked.measure(Progress(one.context, one.step, 0.0))
        assert torch.equal(torch.get_rng_state(), numbers)
        other.train_step()
    for role in ("generator", "critic"):
        weights = other.context.gan.player(role).state_dict()
        assert all(
            torch.equal(each, weights[name])
            for name, each in one.context.gan.player(role).state_dict().items()
        )


# ── the same mathematics as other programs ────────────────────────────────────────────────────────


def by_matrix_root(x, y):
    """The Fréchet distance as Heusel et al. compute it, by scipy's root of S₁S₂."""
    x, y = x.numpy(), y.numpy()
    first, second = (numpy.cov(each, rowvar=False) for each in (x, y))
    shared = scipy.linalg.sqrtm(first @ second).real.trace()
    gap = x.mean(0) - y.mean(0)
    return gap @ gap + first.trace() + second.trace() - 2 * shared


def by_eigenvalues(x, y):
    """The same as torch-fidelity 0.4 has it: the trace of the root from the eigenvalues of S₁S₂."""
    x, y = x.numpy(), y.numpy()
    first, second = (numpy.cov(each, rowvar=False) for each in (x, y))
    shared = numpy.sqrt(numpy.linalg.eigvals(first @ second).astype(complex)).real.sum()
    gap = x.mean(0) - y.mean(0)
    return gap @ gap + first.trace() + second.trace() - 2 * shared


def test_frechet_distance_is_that_of_scipys_matrix_root_and_of_torch_fidelity():
    mixing = normal(30, 30, seed=3)
    x, y = normal(400, 30) @ mixing, (normal(500, 30, seed=1) * 1.2 + 0.2) @ mixing
    found = frechet(x, y).item()
    assert found == pytest.approx(by_matrix_root(x, y), rel=1e-6)
    assert found == pytest.approx(by_eigenvalues(x, y), rel=1e-6)


def test_frechet_distance_agrees_with_torch_fidelity_where_that_is_installed():
    fid = pytest.importorskip("torch_fidelity.metric_fid", reason="torch-fidelity is not installed")
    x, y = normal(400, 30), normal(500, 30, seed=1) * 1.2 + 0.2
    sides = [fid.fid_features_to_statistics(each) for each in (x, y)]
    told = fid.fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"]
    assert frechet(x, y).item() == pytest.approx(told, rel=1e-6)
