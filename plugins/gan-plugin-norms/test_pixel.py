import pytest
import torch

from gan_plugin_norms.pixel import PixelNorm
from gancore.testing import check_component


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_pixel_norm_conforms():
    check_component(PixelNorm)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 5), (4, 6, 5, 3), (2, 6, 2, 3, 4)])
def test_the_mean_square_over_the_channels_of_each_pixel_is_1(shape):
    made = PixelNorm().make_norm()(random(*shape))
    assert made.shape == shape
    # eps is 1e-8, and a mean square of 6 normal numbers is seldom under 0.01
    assert torch.allclose(made.square().mean(1), torch.ones(()), atol=1e-4)


def test_a_multiple_of_the_maps_gives_the_same():
    norm, maps = PixelNorm().make_norm(), random(4, 6, 5, 3)
    assert torch.allclose(norm(1000 * maps), norm(maps), atol=1e-4)


def test_maps_of_half_precision_are_normalised_in_float32():
    maps = 1000 * random(4, 6, 5).half()  # whose squares overflow float16
    made = PixelNorm().make_norm()(maps)
    assert made.dtype == torch.float16
    assert torch.allclose(made.float().square().mean(1), torch.ones(()), atol=1e-2)


def test_maps_of_zeros_stay_zeros():
    assert torch.equal(PixelNorm().make_norm()(torch.zeros(2, 3)), torch.zeros(2, 3))
