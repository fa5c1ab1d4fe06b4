"""Facts about dropout."""

import math

import pytest
import torch
from torch import nn

from gan_plugin_dropout import Dropout
from gancore import CompositionError, component, hookimpl
from gancore.testing import check_component, some_batch, train

torch.set_num_threads(1)


class Net(nn.Module):
    """A network of one sequence, called with labels."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x, labels):
        return self.layers(x)


@component(source="a test")
class Leaky:
    """Two linear layers for each player, with an activation between them and a tanh after the
    generator's last.
    """

    @hookimpl
    def make_generator(self, plan):
        last = nn.Linear(8, math.prod(plan.shape))
        return Net(
            nn.Linear(plan.inputs, 8),
            nn.LeakyReLU(0.2),
            last,
            nn.Tanh(),
            nn.Unflatten(1, plan.shape),
        )

    @hookimpl
    def make_critic(self, plan):
        return Net(nn.Flatten(), nn.Linear(math.prod(plan.critic_shape), 8), nn.LeakyReLU(0.2))


def adapted(p, *layers):
    net = Net(*layers)
    Dropout(generator=p).adapt_generator(net)
    return net


def count(net):
    return sum(isinstance(each, nn.Dropout) for each in net.modules())


def test_dropout_conforms():
    check_component(Dropout, beside=[Leaky()])


def test_dropout_of_both_players_conforms():
    check_component(Dropout, beside=[Leaky()], generator=0.5, critic=0.5)


def test_evaluation_is_the_identity():
    x, net = torch.rand(100, 50), adapted(0.5, nn.ReLU()).eval()  # ReLU leaves x >= 0 as it is
    assert torch.equal(net(x, None), x)


def test_each_element_is_zero_or_divided_by_what_is_kept():
    x, net = torch.rand(100, 50) + 1, adapted(0.5, nn.ReLU())
    made = net(x, None)
    assert torch.equal(made, torch.where(made == 0, 0.0, 2 * x))


def test_share_of_zeros_is_the_probability():
    torch.manual_seed(0)
    made, n = adapted(0.25, nn.ReLU())(torch.ones(200, 100), None), 20_000
    assert abs((made == 0).sum() - n * 0.25) < 4 * (n * 0.25 * 0.75) ** 0.5  # Binomial(n, p)


def test_mean_is_kept():
    torch.manual_seed(0)
    made, n, p = adapted(0.25, nn.ReLU())(torch.ones(200, 100), None), 20_000, 0.25
    # each element is 0 or 1/(1-p): mean 1, variance p/(1-p)
    assert abs(made.mean() - 1) < 4 * (p / (1 - p) / n) ** 0.5


def test_elements_of_one_channel_are_dropped_independently():
    torch.manual_seed(0)
    made = adapted(0.5, nn.ReLU())(torch.ones(1, 1, 64, 64), None)
    assert 0 < (made == 0).sum() < 64 * 64


def test_every_hidden_activation_is_followed_by_dropout():
    inner = nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU())
    net = adapted(0.5, nn.Linear(3, 3), nn.ReLU(), inner)
    assert [type(each) for each in net.layers[1]] == [nn.ReLU, nn.Dropout]
    assert [type(each) for each in net.layers[2][1]] == [nn.LeakyReLU, nn.Dropout]
    assert count(net) == 2


def test_an_activation_used_twice_is_followed_by_dropout_twice():
    active = nn.ReLU()
    assert count(adapted(0.5, nn.Linear(3, 3), active, nn.Linear(3, 3), active)) == 2


def test_a_final_tanh_is_not_followed_by_dropout():
    assert [
        type(each) for each in adapted(0.5, nn.ReLU(), nn.Linear(3, 3), nn.Tanh()).layers[1:]
    ] == [
        nn.Linear,
        nn.Tanh,
    ]


def test_by_default_only_the_critic_has_dropout():
    gan = train(Dropout(), Leaky()).context.gan
    assert (count(gan.generator.network), count(gan.critic.network)) == (0, 1)


def test_probability_zero_leaves_the_very_networks():
    net = Net(nn.ReLU())
    assert Dropout(generator=0).adapt_generator(net) is None
    assert type(net.layers[0]) is nn.ReLU


def test_probability_zero_changes_no_bit_of_training():
    one, other = train(Dropout(critic=0), Leaky()), train(Leaky())
    for training in (one, other):
        for _ in range(3):
            training.train_step()
    weights = other.context.gan.critic.state_dict()
    assert all(
        torch.equal(each, weights[name])
        for name, each in one.context.gan.critic.state_dict().items()
    )


def test_initial_weights_are_bit_identical_to_those_without():
    one, other = train(Dropout(), Leaky()).context.gan.critic, train(Leaky()).context.gan.critic
    assert all(torch.equal(*pair) for pair in zip(one.parameters, other.parameters, strict=True))


def test_two_scores_of_one_view_differ_while_training():
    torch.manual_seed(0)
    batch = some_batch(train(Dropout(critic=0.5), Leaky()))
    scores = [batch.critic(batch.real.view, batch.real.labels).score for _ in range(2)]
    assert not torch.equal(*scores)


@pytest.mark.parametrize("role", ["generator", "critic"])
def test_a_network_without_a_hidden_activation_is_refused(role):
    with pytest.raises(CompositionError, match=f"the {role} has no activation"):
        train(Dropout(**{"generator": 0, "critic": 0, role: 0.5}))  # the stand-ins have tanh alone
