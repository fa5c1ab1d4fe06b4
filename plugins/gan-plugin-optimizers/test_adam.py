import torch
from torch import nn

from gan_plugin_optimizers.adam import Adam
from gancore.testing import check_component, train


def first_step(gradient, **options):
    """Weights `[d]` after one gradient, from 0."""
    weight = nn.Parameter(torch.zeros(len(gradient)))
    weight.grad = torch.tensor(gradient)
    Adam(**options).make_optimizer([("weight", weight)], "generator").step()
    return weight.detach()


def test_adam_conforms():
    check_component(Adam)


def test_the_first_step_has_size_lr_for_every_gradient():
    moved = first_step([5.0, -3.0, 1e-3], lr=0.1)
    # eps = 1e-8 takes off 1e-8/|g| of the step, at most 1e-5
    assert torch.allclose(moved, torch.tensor([-0.1, 0.1, -0.1]), rtol=2e-5)


def test_the_first_step_has_size_lr_whatever_the_betas():
    moved = first_step([5.0, -3.0, 1e-3], lr=0.1, beta1=0.0, beta2=0.9)
    assert torch.allclose(moved, torch.tensor([-0.1, 0.1, -0.1]), rtol=2e-5)


def test_the_defaults_are_those_of_dcgan():
    assert (Adam().lr, Adam().beta1, Adam().beta2) == (2e-4, 0.5, 0.999)


def test_the_betas_reach_the_optimiser():
    group = train(Adam(beta1=0.0, beta2=0.9)).context.gan.generator.optimizer.param_groups[0]
    assert group["betas"] == (0.0, 0.9)


def test_make_optimizer_moves_the_critic_at_its_own_rate():
    gan = train(Adam(lr=0.1, critic_lr=0.3)).context.gan
    assert gan.generator.optimizer.param_groups[0]["lr"] == 0.1
    assert gan.critic.optimizer.param_groups[0]["lr"] == 0.3


def test_a_critic_without_a_rate_of_its_own_takes_the_other():
    assert train(Adam(lr=0.1)).context.gan.critic.optimizer.param_groups[0]["lr"] == 0.1


def test_a_critic_with_rate_zero_never_moves():
    training = train(Adam(critic_lr=0.0))
    before = [weight.clone() for weight in training.context.gan.critic.parameters]
    training.train_step()
    assert all(map(torch.equal, before, training.context.gan.critic.parameters))
