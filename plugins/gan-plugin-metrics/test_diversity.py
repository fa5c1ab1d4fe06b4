"""Facts about the diversity of samples and the modes they find."""

import math
from dataclasses import dataclass

import pytest
import torch
from support.tables import every_row

from gan_plugin_metrics.diversity import (
    Collapse,
    Modes,
    count_modes,
    downscale,
    mean_distance,
    thickness,
)
from gancore import (
    CompositionError,
    DataError,
    Progress,
    StoredData,
    Subset,
    component,
    hookimpl,
)
from gancore.testing import check_component, some_data, train

torch.set_num_threads(1)

TRUE = 1 - math.exp(-4.5)  # share of a plane normal within 3 sigma: 0.988891
LINE = torch.arange(-4, 5, 2, dtype=torch.float64)
GRID = torch.cartesian_prod(LINE, LINE)  # 25 means 2 apart
N = 10_000


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(n, seed=0, means=GRID, sigma=0.05):
    """Points of the true mixture."""
    modes = torch.randint(len(means), (n,), generator=rng(seed))
    return means[modes] + sigma * torch.randn(
        n, means.shape[1], generator=rng(seed + 1), dtype=torch.float64
    )


def found(points, means=GRID, sigma=0.05):
    return {name: float(value) for name, value in count_modes(points, means, sigma).items()}


@dataclass(frozen=True)
class Known:
    """Stored points `[M, 2]` that say which modes they come from."""

    stored: StoredData
    means: torch.Tensor = GRID / 4
    sigma: float = 0.0125

    def __getattr__(self, name):
        return getattr(self.stored, name)

    def __len__(self):
        return len(self.stored)


KNOWN = Known(StoredData((drawn(200) / 4).float()))
POINTS = some_data((2,), (), count=60)


@component(source="a stand-in for tests")
class Shown:
    """Show given samples instead of those drawn."""

    samples: object = None

    @hookimpl
    def select_samples(self, images, z, labels):
        return self.samples[: len(images)], z, labels


@component(source="a stand-in for tests")
class Wrapped:
    """Hide everything but the data's own members."""

    @hookimpl
    def adapt_data(self, data):
        return data.stored


def progress(metric, *others, data=None, seed=0):
    return Progress(train(metric, *others, data=data, seed=seed).context, 1, 0.0)


def measured(metric, *others, data=None):
    return metric.measure(progress(metric, *others, data=data))


@pytest.mark.parametrize(("metric", "data"), [(Collapse, None), (Modes, KNOWN)])
def test_conforms(metric, data):
    check_component(metric, data=data)


# ── collapse ──────────────────────────────────────────────────────────────────────────────────────


def test_mean_distance_of_two_points_is_their_distance():
    assert mean_distance(torch.tensor([[0.0, 0], [3, 4]])) == 5


def test_mean_distance_in_blocks_is_that_over_all_pairs():
    x = torch.randn(600, 3, generator=rng(), dtype=torch.float64)
    assert torch.allclose(mean_distance(x), torch.pdist(x).mean())


def test_images_are_compared_by_area_averages():
    images = torch.rand(2, 3, 16, 16, generator=rng())
    assert downscale(images).shape == (2, 192)
    assert torch.allclose(downscale(images)[0, 0], images[0, 0, :2, :2].double().mean())


@pytest.mark.parametrize("shape", [(3, 16, 16), (2,)])
def test_ratio_of_samples_that_are_all_alike_is_exactly_zero(shape):
    one = torch.rand(1, *shape, generator=rng()).expand(512, *shape)
    assert measured(Collapse(), Shown(samples=one), data=some_data(shape, ()))["ratio"] == 0


@pytest.mark.parametrize("shape", [(3, 16, 16), (2,)])
def test_ratio_of_a_copy_of_the_data_is_one(shape):
    data = some_data(shape, ())
    copy, _ = data.take(torch.arange(40), rng())
    figures = measured(Collapse(), Shown(samples=copy), data=data)
    assert figures["ratio"].item() == pytest.approx(1)
    assert figures["images"] == 40


def test_scaled_points_have_their_scale_as_every_ratio():
    figures = measured(Collapse(), Shown(samples=5 + 3 * POINTS.samples), data=POINTS)
    names = ("ratio", "major", "minor", "across")
    assert [figures[name].item() for name in names] == pytest.approx([3, 3, 3, 3], rel=1e-5)


@every_row("angle", [0.0, 0.4, 1.0, 2.5])
def test_across_is_zero_for_a_line_however_it_lies(angle):
    places = torch.randn(300, 1, generator=rng())
    line = places * torch.tensor([math.cos(angle), math.sin(angle)])
    assert measured(Collapse(), Shown(samples=line), data=POINTS)["across"] < 1e-6


def test_across_of_a_bent_line_is_near_zero_where_minor_is_not():
    places = torch.rand(512, 1, generator=rng()) * math.pi
    half_circle = torch.cat([places.cos(), places.sin()], 1)
    figures = measured(Collapse(), Shown(samples=half_circle), data=POINTS)
    assert figures["across"] < 0.05
    assert figures["minor"] > 0.2


def test_across_of_a_copy_of_the_data_is_one():
    figures = measured(Collapse(), Shown(samples=POINTS.samples), data=POINTS)
    assert figures["across"].item() == pytest.approx(1)


def test_thickness_of_a_band_is_the_deviation_across_it():
    band = torch.rand(2000, 2, generator=rng(), dtype=torch.float64) * torch.tensor([100.0, 0.1])
    assert thickness(band).item() == pytest.approx(0.1 / math.sqrt(12), rel=0.05)


def test_minor_is_zero_and_major_one_for_points_on_the_major_axis():
    angle = torch.tensor([math.cos(0.7), math.sin(0.7)])
    across = torch.tensor([-angle[1], angle[0]])
    along, beside = torch.randn(2, 300, 1, generator=rng())
    # else the axis is slightly turned
    beside -= along * (along * beside).mean() / along.square().mean()
    data = StoredData(4 * (along - along.mean()) * angle + (beside - beside.mean()) * across)
    samples = data.samples @ angle[:, None] * angle
    figures = measured(Collapse(), Shown(samples=samples), data=data)
    assert figures["minor"] < 0.01
    assert figures["major"].item() == pytest.approx(1, rel=1e-3)


def test_images_have_no_axes():
    assert measured(Collapse()).keys() == {"ratio", "images"}


def test_a_ratio_to_nothing_is_left_out():
    assert measured(Collapse(), data=StoredData(torch.zeros(9, 2))).keys() == {"images"}


def test_a_single_real_is_refused():
    with pytest.raises(DataError, match="hold 1"):
        measured(Collapse(), data=StoredData(torch.zeros(1, 2)))


# ── modes ─────────────────────────────────────────────────────────────────────────────────────────


def test_share_of_high_quality_of_the_true_mixture_is_what_a_normal_gives():
    assert abs(found(drawn(N))["high-quality"] - TRUE) < 4 * math.sqrt(TRUE * (1 - TRUE) / N)


def test_true_mixture_finds_every_mode():
    figures = found(drawn(2500))
    assert (figures["count"], figures["count20"], figures["images"]) == (25, 25, 2500)


def test_width_of_the_true_mixture_is_that_of_a_normal_cut_at_three_sigma():
    # 0.974; its error is below 1/√(2·2n)
    expected = math.sqrt((2 - 11 * math.exp(-4.5)) / (2 * TRUE))
    assert abs(found(drawn(N))["width"] - expected) < 4 / math.sqrt(4 * N)


def test_reverse_kl_and_junk_of_the_true_mixture_are_the_floors_of_sampling():
    figures = [found(drawn(N, seed)) for seed in range(0, 100, 2)]
    kl, junk, tv = (
        sum(each[name] for each in figures) / len(figures) for name in ("reverse-kl", "junk", "tv")
    )
    # χ² with K - 1 degrees, over 2n: its deviation over 50 draws is √(2/(24·50)) = 4 % of the mean,
    # so 2.5 of them
    assert kl == pytest.approx(24 / (2 * N * TRUE), rel=0.1)
    assert junk == pytest.approx(math.sqrt(24 / (2 * math.pi * N * TRUE)), rel=0.1)
    assert tv == pytest.approx(math.sqrt(24 / (2 * math.pi * N * TRUE)), rel=0.1)


def test_uniform_noise_finds_most_modes_and_is_junk_all_the_same():
    noise = (torch.rand(50, 2500, 2, generator=rng(), dtype=torch.float64) * 2 - 1) * 4.15
    figures = [found(each) for each in noise]
    assert sum(each["count"] for each in figures) / 50 == pytest.approx(
        23.1, abs=4 * 1.3 / math.sqrt(50)
    )
    assert min(each["junk"] for each in figures) > 0.95
    # less than the .70 that is reported of a plain GAN: neither rejects noise
    assert sum(each["reverse-kl"] for each in figures) / 50 < 0.3
    assert sum(each["tv"] for each in figures) / 50 < 0.3


def test_one_mode_gives_the_logarithm_of_k_as_reverse_kl():
    figures = found(drawn(2500, means=GRID[:1]))
    assert figures["count"] == figures["count20"] == 1
    assert figures["reverse-kl"] == pytest.approx(math.log(25), abs=1e-12)
    assert figures["tv"] == pytest.approx(24 / 25, abs=1e-12)
    assert figures["junk"] == pytest.approx(TRUE * 24 / 25, abs=0.01)


def test_points_at_exactly_three_sigma_are_not_of_high_quality():
    points = torch.tensor([[3.0, 0], [0, -3], [2.999, 0]])
    assert found(points, torch.zeros(1, 2), 1.0)["high-quality"] == pytest.approx(1 / 3)


def test_without_a_point_of_high_quality_reverse_kl_is_left_out_and_junk_is_the_share_elsewhere():
    figures = found(torch.full((10, 2), 99.0))
    assert figures.keys() == {"count", "count20", "high-quality", "junk", "total", "images"}
    assert figures["junk"] == pytest.approx(TRUE)


@every_row("value", [math.nan, math.inf, -math.inf])
def test_points_that_are_no_numbers_are_junk(value):
    figures = found(torch.full((10, 2), value))
    assert (figures["count"], figures["high-quality"]) == (0, 0)
    assert figures["junk"] == pytest.approx(TRUE)


def test_too_narrow_modes_have_a_small_width():
    assert found(drawn(2500, sigma=0.01))["width"] == pytest.approx(
        0.2, rel=4 / math.sqrt(4 * 2500)
    )


def test_order_of_points_and_modes_changes_nothing():
    points, figures = drawn(500), found(drawn(500))
    shuffled = found(
        points[torch.randperm(500, generator=rng())], GRID[torch.randperm(25, generator=rng())]
    )
    assert shuffled == pytest.approx(figures, abs=1e-12)


def test_single_precision_gives_the_figures_of_double_precision():
    assert found(drawn(500).float()) == pytest.approx(found(drawn(500)), abs=1e-6)


def test_scale_of_the_data_changes_nothing():
    assert found(drawn(500) / 4, GRID / 4, 0.0125) == pytest.approx(found(drawn(500)), abs=1e-9)


def test_share_within_three_sigma_depends_on_the_dimension():
    share = math.erf(3 / math.sqrt(2))  # of a normal on the line
    assert found(torch.full((4, 1), 9.0), torch.zeros(1, 1), 1.0)["junk"] == pytest.approx(share)


def test_component_measures_its_samples_in_units_of_the_data():
    figures = measured(Modes(), Shown(samples=(drawn(2500) / 4).float()), data=KNOWN)
    assert figures["count"] == 25
    assert figures["high-quality"] > 0.97


def test_modes_are_known_behind_a_wrapper():
    modes = Modes()
    assert modes.measure(progress(Wrapped(), modes, data=KNOWN))["images"] == 2500


def test_some_samples_of_a_mixture_have_its_modes():
    modes = Modes()
    some = Subset(Subset(KNOWN, torch.arange(20)), torch.arange(10))
    modes.adapt_data(some)
    assert torch.equal(modes.means, KNOWN.means)


def test_data_without_known_modes_are_refused_before_training():
    with pytest.raises(CompositionError, match="states none"):
        train(Modes(), data=POINTS)


# ── both ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("metric", [Collapse, Modes])
def test_nothing_is_measured_before_it_is_due(metric):
    asked = metric(every=10)
    context = train(asked, data=KNOWN).context
    assert asked.measure(Progress(context, 9, 0.0, before=5)) is None
    assert asked.measure(Progress(context, 11, 0.0, before=9)) is not None


@pytest.mark.parametrize("metric", [Collapse, Modes])
def test_measuring_twice_gives_the_same_figures(metric):
    asked = metric()
    now = progress(asked, data=KNOWN)
    assert asked.measure(now) == asked.measure(now)


@pytest.mark.parametrize("metric", [Collapse, Modes])
def test_measuring_changes_no_bit_of_training(metric):
    asked = metric(images=20)
    one, other = train(asked, data=KNOWN), train(data=KNOWN)
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
