"""Facts about [1, 2, 1]: as an upsampler, as a blur, and about equal initial kernels."""

import pytest
import torch
from support.plans import plan_of
from support.tables import every_row
from torch.nn.functional import conv2d, conv_transpose2d, interpolate

from gan_plugin_upsamplers.bilinear_conv import Bilinear, BilinearConv
from gan_plugin_upsamplers.blur import Blur
from gan_plugin_upsamplers.interpolated import Between, Interpolated
from gan_plugin_upsamplers.nearest_conv import NearestConv
from gan_plugin_upsamplers.pixel_shuffle import PixelShuffle, QuadrupleConv2d
from gan_plugin_upsamplers.transposed import Transposed
from gancore import compose
from gancore.testing import check_component
from gancore.train.loop import Training

KERNEL = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
SQUARE = (KERNEL[:, None] * KERNEL)[None, None]  # of sum 16
EVERY = [Transposed, NearestConv, BilinearConv, PixelShuffle]


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_bilinear_conforms():
    check_component(Interpolated)


@every_row("cls", EVERY)
def test_blurred_upsamplers_conform(cls):
    check_component(cls, blur=True)


def test_bilinear_puts_zeros_between_pixels_and_convolves_with_121():
    maps = random(1, 1, 5, 7)
    plain = conv_transpose2d(maps, SQUARE / 4, stride=2, padding=1)  # [9, 13], zeros outside
    assert torch.allclose(Between()(maps)[..., :9, :13], plain)


@pytest.mark.parametrize("size", [(5,), (5, 7), (3, 2, 4), (1, 1)])
def test_every_second_pixel_is_one_of_the_map_and_a_constant_stays_constant(size):
    maps = random(2, 3, *size)
    made = Between()(maps)
    assert made.shape == (2, 3, *(2 * side for side in size))
    assert torch.equal(made[(..., *[slice(None, None, 2)] * len(size))], maps)
    assert torch.equal(Between()(torch.full((1, 1, 3, 4), 0.1)), torch.full((1, 1, 6, 8), 0.1))


def test_bilinear_has_no_weight_unless_channels_change():
    make = Interpolated().make_upsample
    assert not list(make(3, 3, plan_of(2)).parameters())
    assert [tuple(each.shape) for each in make(3, 5, plan_of(2)).parameters()] == [(5, 3, 1, 1)]
    assert make(3, 5, plan_of(1))(random(2, 3, 4).float()).shape == (2, 5, 8)


def test_blur_is_a_convolution_with_121_on_each_axis():
    maps = random(1, 1, 5, 7)
    assert torch.allclose(Blur()(maps)[..., 1:-1, 1:-1], conv2d(maps, SQUARE / 16))
    assert torch.equal(Blur()(torch.full((1, 2, 3), 0.1)), torch.full((1, 2, 3), 0.1))


def test_repeated_and_blurred_pixels_are_interpolated_bilinearly():
    maps = random(2, 3, 5, 7)
    assert torch.allclose(Blur()(interpolate(maps, scale_factor=2)), Bilinear()(maps))


def test_the_checkerboard_of_an_odd_transposed_kernel_is_blurred_away():
    made = []
    for blur in (False, True):
        layer = Transposed(kernel=3, blur=blur).make_upsample(1, 1, plan_of(2)).double()
        for weight in layer.parameters():
            torch.nn.init.ones_(weight)
        made.append(layer(torch.ones(1, 1, 8, 8).double())[..., 3:-3, 3:-3])
    # 1, 2 or 4 of the kernel's pixels meet: with 121 each is 2¼
    assert sorted(made[0].unique().tolist()) == [1, 2, 4]
    assert torch.allclose(made[1], torch.full_like(made[1], 2.25))


@every_row("init", ["dcgan-normal", "he", "glorot"])
def test_icnr_repeats_pixels_before_training_whatever_drew_the_weights(init):
    options = {"pixel-shuffle.icnr": True, "sprites.count": 16, "dcgan.width": 4}
    settings = {"batch": 4, "size": "16", "device": "cpu"}
    chosen = compose(upsample="pixel-shuffle", init=init, options=options, settings=settings)
    net = Training.of(chosen).context.gan.generator.network
    layers = [each for each in net.modules() if isinstance(each, QuadrupleConv2d)]
    assert layers
    for layer in layers:
        made = torch.pixel_shuffle(layer(torch.randn(1, layer.in_channels, 4, 4)), 2)
        assert torch.allclose(made, interpolate(made[..., ::2, ::2], scale_factor=2), atol=1e-6)
        assert layer.weight[::4].unique().numel() == layer.weight[::4].numel()


def test_icnr_conforms():
    check_component(PixelShuffle, icnr=True)
