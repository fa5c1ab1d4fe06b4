"""The normal distribution: its law is what it says, and a seed gives the same points everywhere."""

import math

import torch
from support.tables import every_row

from gan_plugin_toy_data.gaussian import Gaussian, covariance, mean, points
from gancore import DataSpec
from gancore.testing import check_component


def made(**options):
    return Gaussian(**options).make_data(DataSpec(size=(16, 16)))


def test_conforms():
    check_component(Gaussian, count=50)


def test_default_is_1024_points_in_the_plane_without_labels():
    data = made()
    assert (len(data), data.shape, data.samples.dtype, data.label_sets) == (
        1024,
        (2,),
        torch.float32,
        (),
    )


def test_mean_and_factor_are_uniform_on_the_unit_interval():
    numbers = torch.cat([mean(100, seed) for seed in range(20)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    # 4 sigma of the mean of U(0, 1)
    assert abs(numbers.mean() - 0.5) < 4 / math.sqrt(12 * len(numbers))


@every_row("dim", [1, 2, 3, 7])
def test_covariance_is_symmetric_and_has_no_negative_eigenvalue(dim):
    matrix = covariance(dim, seed=5)
    torch.testing.assert_close(matrix, matrix.T)
    assert torch.linalg.eigvalsh(matrix).min() > -1e-12


def test_sample_mean_agrees_with_the_stated_mean():
    count, variances = 100_000, covariance(2, seed=3).diagonal()
    error = points(2, count, seed=3).double().mean(0) - mean(2, seed=3)
    assert (error.abs() < 4 * (variances / count).sqrt()).all()  # 4 sigma of a mean of `count`


def test_sample_covariance_agrees_with_the_stated_covariance():
    count, true = 100_000, covariance(3, seed=3)
    found = points(3, count, seed=3).double().T.cov()
    # of an entry, for a normal
    spread = ((true.diagonal().outer(true.diagonal()) + true.square()) / count).sqrt()
    assert ((found - true).abs() < 4 * spread).all()


def test_one_seed_gives_the_same_points_again_and_another_gives_others():
    assert torch.equal(made(seed=1).samples, made(seed=1).samples)
    assert made(seed=1).fingerprint() != made(seed=2).fingerprint()


def test_drawing_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    made()
    assert torch.equal(torch.get_rng_state(), before)


def test_largest_seed_is_allowed():
    assert len(made(seed=2**63 - 1, count=3)) == 3
