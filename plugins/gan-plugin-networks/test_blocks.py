"""Facts about the parts that networks share: each equals its plain form."""

import pytest
import torch
from support.tables import every_row
from torch.nn import functional

from gan_plugin_networks.blocks import (
    Average,
    AveragedConv2d,
    Noise,
    Repeat,
    channels_of,
    convolve_and_average,
    repeat_and_convolve,
)
from gan_plugin_networks.r3gan import Soften

SIZES = [(8, 8), (4, 6), (5, 7), (1, 3), (2, 1)]


def random(*shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64)


@every_row("size", SIZES)
@every_row("kernel", [1, 3, 5])
def test_one_convolution_is_a_repetition_and_a_convolution(size, kernel):
    maps, weight = random(2, 3, *size), random(4, 3, kernel, kernel, seed=1)
    plain = functional.conv2d(Repeat()(maps), weight, padding=kernel // 2)
    assert torch.allclose(repeat_and_convolve(maps, weight), plain)
    assert torch.equal(Repeat()(maps), functional.interpolate(maps, scale_factor=2))


@every_row("size", SIZES)
@every_row("kernel", [1, 3, 5])
def test_one_convolution_is_a_convolution_and_an_average(size, kernel):
    maps, weight, bias = random(2, 3, *size), random(4, 3, kernel, kernel, seed=1), random(4)
    plain = Average()(functional.conv2d(maps, weight, bias, padding=kernel // 2))
    assert torch.allclose(convolve_and_average(maps, weight, bias), plain)


def test_the_averaged_convolution_has_the_second_derivatives_that_penalties_need():
    layer = AveragedConv2d(2, 2, 3, padding=1).double()
    maps = random(1, 2, 4, 4).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda each: layer(each).tanh(), (maps,))


@every_row("size", [(8,), (8, 8), (4, 4, 4)])
def test_softening_is_a_convolution_with_121_of_which_every_second_element_is_kept(size):
    maps = random(2, 1, *size)
    kernel = torch.ones(())
    for _ in size:
        kernel = kernel[..., None] * torch.tensor([1.0, 2.0, 1.0]).double() / 4
    convolve = getattr(functional, f"conv{len(size)}d")
    plain = convolve(maps, kernel[None, None], stride=2, padding=1)
    assert torch.allclose(Soften()(maps), plain)


def test_noise_of_strength_zero_changes_no_bit_and_in_evaluation_it_is_fixed():
    layer, maps = Noise((4, 4)), random(2, 3, 4, 4).float()
    assert torch.equal(layer(maps), maps)
    with torch.no_grad():
        layer.strength.fill_(1.0)
    assert not torch.equal(layer(maps), layer(maps))
    layer.eval()
    assert torch.equal(layer(maps), layer(maps))


@pytest.mark.parametrize(
    ("width", "limit", "channels"),
    [(32, 128, [128, 64, 32]), (256, 256, [256] * 3), (8, 4, [8] * 3)],
)
def test_channels_double_up_to_the_limit(width, limit, channels):
    assert channels_of([(4, 4), (8, 8), (16, 16)], width, limit) == channels
