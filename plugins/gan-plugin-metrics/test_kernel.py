"""Facts about the kernel distance, and its agreement with the program that most papers use."""

import numpy as np
import pytest
import torch

from gan_plugin_metrics.kernel import (
    KernelDistance,
    halves_deviation,
    kernel_distance,
    kernel_distance_of_subsets,
)
from gancore import DataError, Progress, StoredData
from gancore.testing import check_component, some_data, train

torch.set_num_threads(1)


def normal(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def as_torch_fidelity_has_it(x, y):
    """State the formula of `torch_fidelity.metric_kid` 0.4 again, for when it is not installed."""
    x, y = x.numpy(), y.numpy()
    m, d = x.shape

    def kernel(a, b):
        return (a @ b.T / d + 1) ** 3

    within = sum(k.sum() - np.trace(k) for k in (kernel(x, x), kernel(y, y))) / (m * (m - 1))
    return within - 2 * kernel(x, y).sum() / m**2


def test_conforms():
    check_component(KernelDistance)


def test_two_pairs_have_the_distance_that_four_kernels_give():
    x = torch.tensor([[1.0, 0], [0, 1]], dtype=torch.float64)
    y = torch.tensor([[2.0, 0], [0, 0]], dtype=torch.float64)
    # k(x1, x2) = 1, k(y1, y2) = 1; x1·y1/2 + 1 = 2, the three others 1
    assert kernel_distance(x, y).item() == pytest.approx(1 + 1 - 2 * (8 + 1 + 1 + 1) / 4)


def test_it_is_the_formula_of_torch_fidelity():
    x, y = normal(300, 40), normal(300, 40, 1) * 1.1 + 0.1
    assert kernel_distance(x, y).item() == pytest.approx(as_torch_fidelity_has_it(x, y), rel=1e-9)


def test_it_agrees_with_torch_fidelity_where_that_is_installed():
    kid = pytest.importorskip("torch_fidelity.metric_kid", reason="torch-fidelity is not installed")
    x, y = normal(300, 40), normal(300, 40, 1) * 1.1 + 0.1
    told = kid.kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=300, verbose=False)
    assert kernel_distance(x, y).item() == pytest.approx(
        told["kernel_inception_distance_mean"], rel=1e-6
    )


def test_equal_distributions_have_a_distance_of_zero_on_average_and_often_a_negative_one():
    found = torch.stack(
        [kernel_distance(normal(30, 3, seed), normal(40, 3, 500 + seed)) for seed in range(200)]
    )
    assert (found < 0).any()
    assert abs(found.mean()) < 4 * found.std() / 200**0.5


def test_shifted_constants_have_the_distance_of_three_kernels():
    x = torch.zeros(5, 4, dtype=torch.float64)
    # k(0, 0) = 1, k(2, 2) = (16/4 + 1)³, k(0, 2) = 1
    assert kernel_distance(x, x + 2).item() == pytest.approx(1 + 125 - 2)


def test_blocks_of_rows_change_nothing():
    x, y = normal(1500, 2), normal(1100, 2, 1)
    k = ((torch.cat([x, y]) @ torch.cat([x, y]).T) / 2 + 1) ** 3
    own = (k[:1500, :1500].sum() - k.diagonal()[:1500].sum()) / (1500 * 1499)
    own += (k[1500:, 1500:].sum() - k.diagonal()[1500:].sum()) / (1100 * 1099)
    assert kernel_distance(x, y).item() == pytest.approx((own - 2 * k[:1500, 1500:].mean()).item())


def test_a_subset_of_all_rows_is_the_distance_itself():
    x, y = normal(50, 3), normal(50, 3, 1)
    found = kernel_distance_of_subsets(x, y, rng(), subsets=3)
    assert torch.allclose(found, kernel_distance(x, y).expand(3), rtol=1e-10)


def test_the_deviation_from_halves_is_that_of_repeated_draws_within_a_factor_of_two():
    repeated = [kernel_distance(normal(200, 3, s), 1 + normal(200, 3, 90 + s)) for s in range(60)]
    stated = halves_deviation(normal(200, 3), 1 + normal(200, 3, 1), rng())
    # ten splits of one draw: their scatter about the truth is some 25 %
    assert 0.5 < stated / torch.stack(repeated).std() < 2


def test_samples_far_away_are_many_deviations_from_zero_and_equal_reals_have_no_z():
    data = some_data((2,), (), count=80)
    metric = KernelDistance()
    figures = metric.measure(Progress(train(metric, data=data).context, 1, 0.0))
    assert figures.keys() == {"squared", "floor-deviation", "z", "images"}
    assert figures["images"] == 40
    flat = StoredData(torch.full((20, 3, 8, 8), 77, dtype=torch.uint8))
    metric = KernelDistance()
    assert "z" not in metric.measure(Progress(train(metric, data=flat).context, 1, 0.0))


def test_three_reals_are_refused():
    with pytest.raises(DataError, match="hold 3"):
        train(KernelDistance(), data=some_data((2,), (), count=3))
