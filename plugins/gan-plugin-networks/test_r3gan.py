"""Facts about R3GAN's networks."""

import pytest
import torch
from support.tables import every_row
from torch import nn

from gan_plugin_networks.blocks import Residual
from gan_plugin_networks.r3gan import R3GAN, R3GANCritic
from gancore import compose
from gancore.testing import StandIn, StandInLoss, check_component, some_data, train
from gancore.train.loop import Training

SMALL = {"width": 4, "limit": 8}
NO_LABELS = torch.empty(2, 0, dtype=torch.int64)


def play(shape=(3, 16, 16), **options):
    """Both players of R3GAN, with stand-ins for the rest."""
    players = [R3GAN(**{**SMALL, **options}), R3GANCritic(**{**SMALL, **options})]
    data = some_data(shape, (), 4)
    return train(
        *players, data=data, batch=2, stand_ins=[StandIn(dim=3), StandInLoss()]
    ).context.gan


@pytest.mark.parametrize("cls", [R3GAN, R3GANCritic])
def test_r3gan_conforms(cls):
    check_component(cls, **SMALL)


@every_row("size", [(8, 8), (28, 28), (48, 32), (32, 32), (40,), (8, 9, 8)])
def test_every_size_of_every_number_of_axes_is_exact(size):
    gan = play(shape=(3, *size))
    made = gan.generator.network(torch.randn(2, 3), NO_LABELS)
    assert made.shape == (2, 3, *size)
    assert gan.critic.network(made, NO_LABELS).score.shape == (2,)


@every_row("depth", [1, 3])
def test_each_block_is_the_identity_at_first(depth):
    gan = play(depth=depth)
    for player in (gan.generator, gan.critic):
        blocks = [each for each in player.network.modules() if isinstance(each, Residual)]
        assert len(blocks) == 3 * depth
        maps = torch.randn(2, blocks[0][0][0].in_channels, 4, 4)
        assert torch.equal(blocks[0](maps), maps)


def test_images_are_an_affine_function_of_the_latent_at_first():
    # all is affine but for the blocks, which are the identity
    net = play().generator.network
    z = torch.randn(2, 3)
    made, twice, none = (net(factor * z, NO_LABELS) for factor in (1, 2, 0))
    assert torch.allclose(twice - made, made - none, atol=1e-5)


def test_the_first_convolutions_of_a_block_have_the_published_standard_deviation():
    options = {"r3gan.width": 64, "r3gan.limit": 64, "r3gan-critic.width": 4, "sprites.count": 16}
    settings = {"batch": 4, "size": "32", "device": "cpu"}
    gan = Training.of(compose(gen="r3gan", options=options, settings=settings)).context.gan
    blocks = [each for each in gan.generator.network.modules() if isinstance(each, Residual)]
    assert len(blocks) == 4
    for place, fan_in in ((0, 64), (3, 9 * 128 / 4)):
        wanted = (2 / 1.04 / fan_in) ** 0.5 * 4**-0.25  # He's, slope 0.2, times L^(-1/4)
        weight = blocks[0][0][place].weight
        # the relative error of a standard deviation of n normal numbers is about 1/√(2n)
        assert weight.std().item() == pytest.approx(wanted, rel=5 / (2 * weight.numel()) ** 0.5)


def test_groups_are_reduced_to_a_number_that_divides_the_channels():
    gan = play(groups=96)
    found = {each.groups for each in gan.generator.network.modules() if isinstance(each, nn.Conv2d)}
    assert found == {1, 8, 16}
