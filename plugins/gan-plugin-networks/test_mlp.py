import pytest
import torch
from torch import nn

from gan_plugin_networks.mlp import MLP, Maxout, MaxoutCritic, MLPCritic
from gancore import component, hookimpl
from gancore.testing import StandIn, StandInLoss, check_component, some_data, train

NOBODY = torch.empty(5, 0, dtype=torch.int64)


@component(source="a test")
class CountedNorm:
    """Batch norm for flat maps."""

    @hookimpl
    def make_norm(self, channels):
        return nn.BatchNorm1d(channels)


def play(*components, shape=(2,), latent=3):
    stand_ins = [StandIn(dim=latent), StandInLoss()]
    return train(*components, data=some_data(shape, ()), stand_ins=stand_ins).context.gan


def count(net):
    return sum(weight.numel() for weight in net.parameters())


def norms(net):
    return [module.num_features for module in net.modules() if isinstance(module, nn.BatchNorm1d)]


@pytest.mark.parametrize("cls", [MLP, MLPCritic, MaxoutCritic])
@pytest.mark.parametrize("shape", [(2,), (3, 8, 6)])
def test_mlp_conforms_for_points_and_images(cls, shape):
    check_component(cls, data=some_data(shape, ()), hidden=(16, 16))


def test_the_generator_of_the_two_dimensional_study_has_122_weights():
    assert count(play(MLP(hidden=(6, 12)), latent=1).generator.network) == 122


def test_the_critic_of_the_two_dimensional_study_has_121_weights_with_its_score():
    assert count(play(MLPCritic(hidden=(12, 6))).critic.network) == 121


def test_in_three_dimensions_both_players_of_that_study_grow_by_one_column():
    gan = play(MLP(hidden=(6, 12)), MLPCritic(hidden=(12, 6)), shape=(3,), latent=1)
    assert count(gan.generator.network) == 122 + 12 + 1
    assert count(gan.critic.network) == 121 + 12
    assert gan.generator.network(torch.randn(5, 1), NOBODY).shape == (5, 3)


def test_with_a_latent_of_one_number_the_jacobian_has_rank_one_at_most():
    net = play(MLP(), shape=(5,), latent=1).generator.network
    for z in torch.linspace(-3, 3, 7):
        jacobian = torch.autograd.functional.jacobian(lambda z: net(z, NOBODY), z.view(1, 1))
        assert torch.linalg.matrix_rank(jacobian.view(5, 1)) <= 1


def test_points_are_not_squeezed_into_an_interval():
    net = play(MLP()).generator.network
    assert net(1e4 * torch.ones(1, 3), NOBODY).abs().max() > 10


@pytest.mark.parametrize("shape", [(3, 8, 6), (1, 28, 28)])
def test_images_come_in_the_shape_of_the_data_and_between_minus_one_and_one(shape):
    made = play(MLP(), shape=shape).generator.network(torch.randn(5, 3), NOBODY)
    assert made.shape == (5, *shape)
    assert made.abs().max() <= 1


def test_one_sample_alone_can_be_drawn_in_evaluation_mode():
    net = play(MLP(), CountedNorm()).generator.network.eval()
    assert net(torch.randn(1, 3), NOBODY[:1]).shape == (1, 2)


def test_each_hidden_layer_has_a_norm_and_the_last_has_none():
    gan = play(MLP(hidden=(6, 12)), MLPCritic(hidden=(12, 6, 4)), CountedNorm())
    assert norms(gan.generator.network) == [6, 12]
    assert norms(gan.critic.network) == [12, 6, 4]


def test_critic_features_are_as_wide_as_the_last_hidden_layer():
    judged = play(MLPCritic(hidden=(12, 7))).critic.network(torch.randn(5, 2), NOBODY)
    assert judged.features.shape == (5, 7)
    assert judged.score.shape == (5,)


@pytest.mark.parametrize(("activation", "kind"), [("relu", nn.ReLU), ("leaky", nn.LeakyReLU)])
def test_the_activation_is_the_one_chosen(activation, kind):
    gan = play(MLP(activation=activation), MLPCritic(activation=activation))
    for player in (gan.generator, gan.critic):
        assert sum(isinstance(module, kind) for module in player.network.modules()) == 3


def test_without_hidden_layers_the_generator_is_one_affine_map():
    net = play(MLP(hidden=())).generator.network
    one, other = torch.randn(5, 3), torch.randn(5, 3)
    middle = (net(one, NOBODY) + net(other, NOBODY)) / 2
    assert torch.allclose(net((one + other) / 2, NOBODY), middle, atol=1e-6)


def test_the_critic_of_pacgan_has_405201_weights_with_its_score():
    assert count(play(MaxoutCritic()).critic.network) == 405_201


def test_packs_widen_the_first_layer_of_the_maxout_critic_alone():
    wider = count(play(MaxoutCritic(), shape=(8,)).critic.network)
    assert wider - 405_201 == 6 * 200 * 5


def test_maxout_of_opposite_pieces_is_the_absolute_value():
    layer = Maxout(1, 1, 2)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        layer.linear.bias.zero_()
    x = torch.linspace(-3, 3, 9)[:, None]
    assert torch.equal(layer(x), x.abs())
