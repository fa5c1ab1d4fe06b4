import pytest
import torch
from torch import nn

from gan_plugin_optimizers.rmsprop import RMSProp
from gancore.testing import check_component, train


def steps(gradients, **options):
    """Weights after each of the gradients `[d]`, from 0."""
    weight = nn.Parameter(torch.zeros(len(gradients[0])))
    optimizer = RMSProp(**options).make_optimizer([("weight", weight)], "generator")
    found = []
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        found.append(weight.detach().clone())
    return found


def test_rmsprop_conforms():
    check_component(RMSProp)


def test_the_first_step_has_the_same_size_for_every_gradient():
    (first,) = steps([[5.0, -3.0, 1e-3]], lr=0.1, alpha=0.99)
    # lr/√(1 - 0.99) = 10 lr; the 1e-8 below the fraction takes off 1e-4 of it for a gradient of
    # 1e-3
    assert torch.allclose(first, torch.tensor([-1.0, 1.0, -1.0]), rtol=2e-4)


def test_the_mean_square_decays_by_alpha():
    _, second = steps([[1.0], [2.0]], lr=0.1, alpha=0.75)
    # v₁ = 0.25, v₂ = 0.75·0.25 + 0.25·4 = 1.1875
    assert second.item() == pytest.approx(-0.1 * (1 / 0.25**0.5 + 2 / 1.1875**0.5), rel=1e-6)


def test_the_default_rate_is_that_of_wgan():
    assert RMSProp().lr == 5e-5


def test_make_optimizer_moves_the_critic_at_its_own_rate():
    gan = train(RMSProp(lr=0.1, critic_lr=0.3)).context.gan
    assert gan.generator.optimizer.param_groups[0]["lr"] == 0.1
    assert gan.critic.optimizer.param_groups[0]["lr"] == 0.3


def test_a_critic_without_a_rate_of_its_own_takes_the_other():
    assert train(RMSProp(lr=0.1)).context.gan.critic.optimizer.param_groups[0]["lr"] == 0.1


def test_a_critic_with_rate_zero_never_moves():
    training = train(RMSProp(critic_lr=0.0))
    before = [weight.clone() for weight in training.context.gan.critic.parameters]
    training.train_step()
    assert all(map(torch.equal, before, training.context.gan.critic.parameters))
