import pytest
import torch
from support.tables import every_row
from torch import nn

from gan_plugin_initializers.dcgan_normal import DCGANNormal
from gancore.testing import check_component, train

STD = 0.02


def initialized(net, **options):
    """The network after initialisation with a fixed seed."""
    assert DCGANNormal(**options).initialize(net, torch.Generator().manual_seed(0))
    return net


def test_dcgan_normal_conforms():
    check_component(DCGANNormal)


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(64, 64, 4), nn.ConvTranspose2d(64, 64, 4), nn.Linear(256, 256)]
)
def test_weights_have_mean_zero_and_the_stated_deviation_within_three_standard_errors(layer):
    weight = initialized(
        layer
    ).weight  # n = 65,536: errors σ/√n of the mean, σ/√(2n) of the deviation
    n = weight.numel()
    assert abs(weight.mean()) < 3 * STD / n**0.5
    assert abs(weight.std() - STD) < 3 * STD / (2 * n) ** 0.5


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4096), nn.GroupNorm(1, 4096)])
def test_scales_of_norms_are_drawn_around_one(norm):
    scale = initialized(norm).weight
    assert abs(scale.mean() - 1) < 3 * STD / 4096**0.5
    assert abs(scale.std() - STD) < 3 * STD / (2 * 4096) ** 0.5


@every_row(
    "layer", [nn.Conv2d(2, 3, 4), nn.ConvTranspose2d(2, 3, 4), nn.Linear(2, 3), nn.BatchNorm2d(3)]
)
def test_biases_are_zero(layer):
    nn.init.ones_(layer.bias)
    assert initialized(layer).bias.tolist() == [0, 0, 0]


def test_std_is_the_deviation():
    one, ten = (initialized(nn.Conv2d(3, 5, 4), std=std).weight for std in (0.01, 0.1))
    assert torch.allclose(10 * one, ten)


def test_linear_false_leaves_linear_layers_at_torchs_default():
    layer = nn.Linear(8, 8)
    before = layer.weight.clone()
    assert torch.equal(initialized(layer, linear=False).weight, before)


def test_parameters_of_other_modules_are_left_alone():
    net = nn.Sequential(nn.Embedding(5, 3), nn.Bilinear(2, 2, 2), nn.PReLU())
    before = [weight.clone() for weight in net.parameters()]
    assert all(map(torch.equal, before, initialized(net).parameters()))


def test_norms_without_a_scale_are_left_alone():
    initialized(nn.InstanceNorm2d(3))


def test_initialize_reaches_both_players():
    gan = train(DCGANNormal(std=1e-6)).context.gan
    for player in (gan.generator, gan.critic):
        assert max(weight.abs().max() for weight in player.parameters) < 1e-5  # ten deviations
