import pytest
import torch
from torch import nn

from gan_plugin_dcgan import DCGAN, DCGANCritic
from gancore import component, hookimpl
from gancore.testing import StandIn, StandInLoss, check_component, some_data, train

SIZES = [(28, 28), (48, 32), (32, 48), (64, 64), (100, 100), (30, 50), (256, 256)]


@component(source="a test")
class BatchNorms:
    @hookimpl
    def make_norm(self, channels):
        return nn.BatchNorm2d(channels)


@component(source="a test")
class Fourfold:
    @hookimpl
    def make_upsample(self, channels_in, channels_out):
        return nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1, bias=False)


def play(*components, shape=(3, 32, 32), latent=3):
    """Both players; what is not among the components is the plainest stand-in."""
    stand_ins = [StandIn(dim=latent), StandInLoss()]
    return train(*components, Fourfold(), data=some_data(shape, (), 4), batch=2, stand_ins=stand_ins).game.gan


def make(net, n=2, latent=3):
    return net(torch.randn(n, latent), torch.empty(n, 0, dtype=torch.int64))


def judge(critic, *shape):
    return critic(torch.rand(shape) * 2 - 1, torch.empty(shape[0], 0, dtype=torch.int64))


def count(net):
    return sum(weight.numel() for weight in net.parameters())


@pytest.mark.parametrize("cls", [DCGAN, DCGANCritic])
def test_dcgan_conforms(cls):
    check_component(cls, width=4)


@pytest.mark.parametrize(("width", "latent", "weights"), [(64, 100, 3_576_704), (128, 16, 11_282_176)])
def test_the_generator_has_the_published_number_of_weights(width, latent, weights):
    gan = play(DCGAN(width=width), BatchNorms(), shape=(3, 64, 64), latent=latent)
    assert count(gan.generator.network) == weights


def test_the_critic_has_the_published_number_of_weights_with_batch_norm():
    assert count(play(DCGANCritic(), BatchNorms(), shape=(3, 64, 64)).critic.network) == 2_765_568


def test_the_critic_has_the_published_number_of_weights_without_norm():
    assert count(play(DCGANCritic(), shape=(3, 64, 64)).critic.network) == 2_763_776


@pytest.mark.parametrize("size", SIZES)
def test_make_generator_gives_every_size_exactly(size):
    assert make(play(DCGAN(width=2), shape=(3, *size)).generator.network).shape == (2, 3, *size)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_generator_gives_as_many_channels_as_the_data_has(channels):
    assert make(play(DCGAN(width=2), shape=(channels, 32, 32)).generator.network).shape[1] == channels


@pytest.mark.parametrize(
    ("size", "least"), [((28, 28), (7, 7)), ((48, 32), (6, 4)), ((100, 100), (6, 6)), ((30, 50), (3, 6))]
)
def test_make_critic_halves_both_sides_rounding_down(size, least):
    critic = play(DCGANCritic(width=2), shape=(3, *size)).critic.network
    features = critic.body(torch.zeros(2, 3, *size), torch.empty(2, 0, dtype=torch.int64))
    assert features.shape[2:] == least


@pytest.mark.parametrize("kernel", range(3, 10))
def test_every_kernel_halves_alike(kernel):
    critic = play(DCGANCritic(width=2, kernel=kernel), shape=(3, 64, 64)).critic.network
    assert judge(critic, 2, 3, 64, 64).features.shape == (2, 16 * 4 * 4)


def test_make_score_gives_one_number_a_sample_without_bias():
    critic = play(DCGANCritic(width=2)).critic.network
    assert judge(critic, 5, 3, 32, 32).score.shape == (5,)
    assert critic.score.bias is None


def test_images_lie_between_minus_one_and_one():
    net = play(DCGAN(width=4)).generator.network
    assert net(1e4 * torch.randn(4, 3), torch.empty(4, 0, dtype=torch.int64)).abs().max() <= 1


def test_one_sample_alone_can_be_drawn_in_evaluation_mode():
    net = play(DCGAN(width=4), BatchNorms()).generator.network.eval()
    assert make(net, 1).shape == (1, 3, 32, 32)


def test_one_sample_alone_can_be_judged_in_evaluation_mode():
    critic = play(DCGANCritic(width=4), BatchNorms()).critic.network.eval()
    assert judge(critic, 1, 3, 32, 32).score.shape == (1,)


def test_every_hidden_map_of_the_generator_has_a_norm_and_the_image_has_none():
    net = play(DCGAN(width=4), BatchNorms(), shape=(3, 64, 64)).generator.network
    assert [norm.num_features for norm in net.modules() if isinstance(norm, nn.BatchNorm2d)] == [32, 16, 8, 4]


def test_the_first_layer_of_the_critic_has_no_norm():
    net = play(DCGANCritic(width=4), BatchNorms(), shape=(3, 64, 64)).critic.network
    assert [norm.num_features for norm in net.modules() if isinstance(norm, nn.BatchNorm2d)] == [8, 16, 32]


def test_no_map_has_more_channels_than_the_limit():
    gan = play(DCGAN(width=4, limit=10), DCGANCritic(width=4, limit=10), shape=(3, 64, 64))
    convs = [each for each in gan.critic.network.modules() if isinstance(each, nn.Conv2d)]
    ups = [each for each in gan.generator.network.modules() if isinstance(each, nn.ConvTranspose2d)]
    assert [each.out_channels for each in convs] == [4, 8, 10, 10]
    assert [each.in_channels for each in ups] == [10, 10, 8, 4]


@pytest.mark.parametrize(("activation", "kind"), [("relu", nn.ReLU), ("leaky", nn.LeakyReLU)])
def test_the_activation_is_the_one_chosen(activation, kind):
    net = play(DCGAN(width=4, activation=activation)).generator.network
    assert sum(isinstance(module, kind) for module in net.modules()) == 3


def test_the_slope_is_that_of_every_activation_of_the_critic():
    net = play(DCGANCritic(width=4, slope=0.3)).critic.network
    assert {module.negative_slope for module in net.modules() if isinstance(module, nn.LeakyReLU)} == {0.3}
