import pytest
import torch
from support.plans import plan_of
from support.tables import every_row
from torch.nn.functional import conv2d, interpolate, pad, pixel_unshuffle

from gan_plugin_upsamplers.bilinear_conv import Bilinear, BilinearConv
from gan_plugin_upsamplers.pixel_shuffle import PixelShuffle
from gancore import CompositionError
from gancore.testing import check_component

KINDS = [(BilinearConv, k) for k in (3, 4, 5)] + [(PixelShuffle, k) for k in (1, 3, 5)]


def upsampler(cls, kernel, channels_in=2, channels_out=3, axes=2):
    torch.manual_seed(0)
    return cls(kernel=kernel).make_upsample(channels_in, channels_out, plan_of(axes)).double()


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("cls", [BilinearConv, PixelShuffle])
def test_upsamplers_conform(cls):
    check_component(cls)


@every_row(("cls", "kernel"), KINDS)
@every_row("size", [(5, 7), (1, 3), (1, 1)])
def test_height_and_width_of_a_non_square_map_are_doubled_exactly(cls, kernel, size):
    height, width = size
    assert upsampler(cls, kernel)(random(2, 2, *size)).shape == (2, 3, 2 * height, 2 * width)


@every_row(("cls", "kernel"), KINDS)
def test_there_is_no_bias(cls, kernel):
    assert [weight.dim() for weight in upsampler(cls, kernel).parameters()] == [4]


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_bilinear_conv_gives_a_constant_interior_for_a_constant_map(kernel):
    made = upsampler(BilinearConv, kernel)(torch.ones(1, 2, 8, 8).double())
    interior = made[..., 2:-2, 2:-2]  # no kernel reaches beyond 2 pixels
    assert torch.allclose(interior, interior[..., :1, :1].expand_as(interior))


def test_interpolation_keeps_a_constant_map_to_the_last_bit():
    assert torch.equal(Bilinear()(torch.full((1, 1, 3, 4), 0.1)), torch.full((1, 1, 6, 8), 0.1))


@pytest.mark.parametrize("size", [(5, 7), (1, 3), (1, 1)])
def test_interpolation_is_that_of_torch_with_corners_not_aligned(size):
    maps = random(2, 3, *size)
    assert torch.allclose(
        Bilinear()(maps), interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    )


def test_gradient_of_the_interpolation_is_that_of_torch():
    maps, weights = random(2, 3, 5, 7).requires_grad_(), random(2, 3, 10, 14)
    (ours,) = torch.autograd.grad((Bilinear()(maps) * weights).sum(), maps)
    plain = interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    (theirs,) = torch.autograd.grad((plain * weights).sum(), maps)
    assert torch.allclose(ours, theirs)


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_bilinear_conv_interpolates_and_then_convolves_border_included(kernel):
    layer, maps = upsampler(BilinearConv, kernel), random(2, 2, 5, 7)
    doubled = interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    border = ((kernel - 1) // 2, kernel // 2) * 2
    assert torch.allclose(layer(maps), conv2d(pad(doubled, border), next(layer.parameters())))


@pytest.mark.parametrize(("size", "mode"), [((5,), "linear"), ((3, 5, 2), "trilinear")])
def test_interpolation_of_signals_and_volumes_is_that_of_torch(size, mode):
    maps = random(2, 3, *size)
    plain = interpolate(maps, scale_factor=2, mode=mode, align_corners=False)
    assert torch.allclose(Bilinear()(maps), plain)


@every_row("kernel", [3, 4, 5])
@every_row("size", [(5,), (3, 5, 2)])
def test_bilinear_conv_doubles_signals_and_volumes(kernel, size):
    made = upsampler(BilinearConv, kernel, axes=len(size))(random(2, 2, *size))
    assert made.shape == (2, 3, *(2 * side for side in size))


@pytest.mark.parametrize("axes", [1, 3])
def test_pixel_shuffle_refuses_signals_and_volumes_with_what_fits(axes):
    with pytest.raises(CompositionError, match="doubles images") as caught:
        upsampler(PixelShuffle, 3, axes=axes)
    assert "nearest-conv, bilinear-conv or transposed" in caught.value.fix


def test_interpolation_commutes_with_flips():
    maps = random(2, 3, 5, 7)
    assert torch.allclose(Bilinear()(maps.flip(2, 3)), Bilinear()(maps).flip(2, 3))


def test_pixel_shuffle_keeps_the_multiset_of_values():
    convolution, shuffle = upsampler(PixelShuffle, 3)
    convolved = convolution(random(1, 2, 5, 7))
    assert torch.equal(shuffle(convolved).flatten().sort()[0], convolved.flatten().sort()[0])


def test_unshuffle_inverts_pixel_shuffle():
    convolution, shuffle = upsampler(PixelShuffle, 3)
    convolved = convolution(random(2, 2, 5, 7))
    assert torch.equal(pixel_unshuffle(shuffle(convolved), 2), convolved)


def test_pixel_shuffle_repeats_pixels_where_its_four_kernels_agree():
    layer, maps = upsampler(PixelShuffle, 1, 2, 3), random(2, 2, 5, 7)
    (weight,) = layer.parameters()
    with torch.no_grad():
        weight.copy_(weight[::4].repeat_interleave(4, 0))
    assert torch.allclose(layer(maps), interpolate(conv2d(maps, weight[::4]), scale_factor=2))
