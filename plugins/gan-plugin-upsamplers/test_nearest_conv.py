import pytest
import torch
from support.plans import plan_of
from torch.nn import functional
from torch.nn.functional import conv2d, interpolate, pad

from gan_plugin_upsamplers.nearest_conv import NearestConv
from gancore.testing import check_component

KERNELS = (3, 4, 5)


def upsampler(kernel, channels_in=2, channels_out=3, axes=2):
    torch.manual_seed(0)
    return (
        NearestConv(kernel=kernel).make_upsample(channels_in, channels_out, plan_of(axes)).double()
    )


def test_nearest_conv_conforms():
    check_component(NearestConv)


@pytest.mark.parametrize("kernel", KERNELS)
def test_make_upsample_doubles_height_and_width_of_a_non_square_map(kernel):
    assert upsampler(kernel)(torch.zeros(2, 2, 5, 7).double()).shape == (2, 3, 10, 14)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_result_is_that_of_repeating_and_then_convolving_border_included(kernel):
    layer, maps = upsampler(kernel), torch.randn(2, 2, 5, 7).double()
    border = ((kernel - 1) // 2, kernel // 2) * 2
    assert torch.allclose(
        layer(maps), conv2d(pad(interpolate(maps, scale_factor=2), border), layer.weight)
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gradient_of_the_kernel_is_that_of_repeating_and_then_convolving(kernel):
    layer, maps = upsampler(kernel), torch.randn(2, 2, 5, 7).double()
    border = ((kernel - 1) // 2, kernel // 2) * 2
    (ours,) = torch.autograd.grad(layer(maps).square().sum(), layer.weight)
    plain = conv2d(pad(interpolate(maps, scale_factor=2), border), layer.weight)
    (theirs,) = torch.autograd.grad(plain.square().sum(), layer.weight)
    assert torch.allclose(ours, theirs)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_constant_map_gives_a_constant_interior(kernel):
    interior = upsampler(kernel)(torch.ones(1, 2, 8, 8).double())[
        ..., 2:-2, 2:-2
    ]  # no kernel reaches beyond 2 pixels
    assert torch.allclose(interior, interior[..., :1, :1].expand_as(interior))


def test_a_kernel_that_is_its_own_mirror_commutes_with_flips():
    layer, maps = upsampler(3), torch.randn(2, 2, 5, 7).double()
    layer.load_state_dict({"weight": layer.weight + layer.weight.flip(3)})
    assert torch.allclose(layer(maps.flip(3)), layer(maps).flip(3))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [(5,), (3, 5, 2)])
def test_signals_and_volumes_are_repeated_and_convolved_likewise(kernel, size):
    axes = len(size)
    layer = upsampler(kernel, axes=axes)
    maps = torch.randn(2, 2, *size).double()
    border = ((kernel - 1) // 2, kernel // 2) * axes
    convolve = getattr(functional, f"conv{axes}d")
    plain = convolve(pad(interpolate(maps, scale_factor=2), border), layer.weight)
    assert torch.allclose(layer(maps), plain)


def test_there_is_no_bias():
    assert upsampler(3).bias is None
