"""Facts about precision, recall, density and coverage, and about the distances they need."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_plugin_metrics import pairwise
from gan_plugin_metrics.neighbours import SHARES, PrecisionRecall, expected_coverage, prdc
from gan_plugin_metrics.pairwise import distances, kth_neighbours, nearest_distances
from gancore import DataError, Progress
from gancore.testing import check_component, some_data, train

torch.set_num_threads(1)
EXACT = "donot_use_mm_for_euclid_dist"


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def by_definition(reals, fakes, k):
    """Count balls pair by pair, as the two papers define the four shares."""

    def radius(rows, i):
        return sorted((rows[i] - rows[j]).norm().item() for j in range(len(rows)) if j != i)[k - 1]

    def inside(point, rows):
        return [(point - rows[i]).norm().item() < radius(rows, i) for i in range(len(rows))]

    around_fakes = [inside(fake, reals) for fake in fakes]
    precision = sum(map(any, around_fakes)) / len(fakes)
    recall = sum(any(inside(real, fakes)) for real in reals) / len(reals)
    density = sum(map(sum, around_fakes)) / k / len(fakes)
    coverage = sum(map(any, zip(*around_fakes, strict=True))) / len(reals)
    return [precision, recall, density, coverage]


def test_conforms():
    check_component(PrecisionRecall)


# ── distances ─────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 1e-12, 1e-7, 1e-3]), st.floats(-1e4, 1e4))
def test_distances_are_those_of_differences_also_where_rows_are_nearly_equal(seed, step, offset):
    x = normal(7, 5, seed) + offset
    y = torch.cat([x + step, normal(4, 5, seed + 1) + offset])
    assert torch.allclose(distances(x, y), torch.cdist(x, y, compute_mode=EXACT), rtol=1e-6, atol=0)


def test_equal_rows_have_a_distance_of_exactly_zero():
    x = normal(40, 100) + 1000
    assert distances(x, x).diagonal().abs().max() == 0
    assert distances(x.expand(3, -1, -1)[:, 0], x[:1]).abs().max() == 0


def test_blocks_change_no_distance(monkeypatch):
    x, y = normal(50, 3), normal(30, 3, 1)
    nearest, third = nearest_distances(x, y), kth_neighbours(x, 3)
    monkeypatch.setattr(pairwise, "AT_ONCE", 6)
    whole = distances(x, y)
    assert torch.equal(nearest, whole.min(1).values)
    assert torch.allclose(third, torch.cdist(x, x, compute_mode=EXACT).sort(1).values[:, 3])
    parts = [block for _, block in pairwise.in_blocks(x, y, rows=7)]
    assert torch.allclose(torch.cat(parts), whole, rtol=1e-12)


def test_five_rows_have_no_fifth_neighbour():
    with pytest.raises(ValueError, match="5 rows have no 5-th neighbour"):
        kth_neighbours(normal(5, 2), 5)


# ── the four shares ───────────────────────────────────────────────────────────────────────────────


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(5, 9), st.integers(5, 9))
def test_the_shares_are_what_counting_pairs_gives(seed, k, n, m):
    reals, fakes = normal(n, 2, seed), normal(m, 2, seed + 1)
    assert prdc(reals, fakes, k).tolist() == pytest.approx(by_definition(reals, fakes, k))


def test_a_point_on_the_surface_of_a_ball_is_not_inside():
    # radii of the reals 0, 1, 2 are 1; the fakes lie at a distance of exactly 1 or more
    assert prdc(column(0, 1, 2), column(3, -1, -2), k=1)[0] == 0
    assert prdc(column(0, 1, 2), column(2.999, -1, -2), k=1)[0] == pytest.approx(1 / 3)


def test_samples_far_away_have_nothing():
    assert prdc(normal(50, 3), normal(50, 3, 1) + 100).tolist() == [0, 0, 0, 0]


def test_all_samples_equal_to_one_real_are_precise_and_cover_only_its_neighbourhood():
    reals = normal(200, 3)
    precision, recall, _, coverage = prdc(reals, reals[:1].expand(200, -1))
    assert precision == 1
    assert recall == 0
    assert coverage < 0.1


def test_order_and_scale_change_nothing():
    reals, fakes = normal(60, 4), normal(60, 4, 1) * 0.7
    expected = prdc(reals, fakes)
    assert torch.equal(prdc(reals.flip(0) * 4, fakes.flip(0) * 4), expected)


def test_equal_distributions_have_a_density_of_one_and_the_coverage_of_the_closed_form():
    found = torch.stack([prdc(normal(150, 4, s), normal(100, 4, 900 + s)) for s in range(60)])
    error = found.std(0) / 60**0.5
    assert abs(found[:, 2].mean() - 1) < 4 * error[2]
    assert abs(found[:, 3].mean() - expected_coverage(150, 100)) < 4 * error[3]


def test_coverage_of_equally_many_approaches_31_of_32():
    assert expected_coverage(10**6, 10**6) == pytest.approx(1 - 2**-5, abs=1e-5)


def test_precision_and_recall_agree_with_torch_fidelity_where_that_is_installed():
    prc = pytest.importorskip("torch_fidelity.metric_prc", reason="torch-fidelity is not installed")
    reals, fakes = normal(200, 6), normal(200, 6, 1) * 0.8
    # it counts points on the surface too, of which random points have none
    told = prc.calculate_precision_recall_full(fakes, reals, neighborhood=3)
    assert prdc(reals, fakes, 3)[:2].tolist() == pytest.approx(told, abs=1e-6)


# ── the component ─────────────────────────────────────────────────────────────────────────────────


def test_the_component_logs_the_four_shares_beside_those_of_reals():
    metric = PrecisionRecall(features="pixels8")
    figures = metric.measure(Progress(train(metric, data=some_data(count=60)).context, 1, 0.0))
    assert figures.keys() == {*SHARES, *(f"floor/{name}" for name in SHARES), "images"}
    assert figures["images"] == 30
    assert all(math.isfinite(value) for value in figures.values())
    assert (
        metric.measure(Progress(train(metric, data=some_data(count=60)).context, 1, 0.0, 0, False))
        is None
    )


def test_eleven_reals_are_refused():
    with pytest.raises(DataError, match="needs 12 samples"):
        train(PrecisionRecall(), data=some_data(count=11))
