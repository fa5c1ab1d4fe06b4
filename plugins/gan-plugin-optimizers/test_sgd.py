import pytest
import torch
from torch import nn

from gan_plugin_optimizers.sgd import SGD
from gancore.testing import check_component, train


def steps(gradients, **options):
    """Weights after each of the gradients `[d]`, from 0."""
    weight = nn.Parameter(torch.zeros(len(gradients[0])))
    optimizer = SGD(**options).make_optimizer([("weight", weight)], "generator")
    found = []
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        found.append(weight.detach().clone())
    return found


def test_sgd_conforms():
    check_component(SGD)


def test_sgd_conforms_with_momentum():
    check_component(SGD, momentum=0.9)


def test_one_step_moves_a_weight_by_the_rate_times_its_gradient():
    (first,) = steps([[4.0, -2.0, 0.5]], lr=0.25)
    assert first.tolist() == [-1.0, 0.5, -0.125]  # exact in binary


def test_without_momentum_steps_do_not_remember():
    _, second = steps([[4.0], [1.0]], lr=0.25)
    assert second.item() == -(1.0 + 0.25)


def test_momentum_keeps_its_share_of_the_running_sum():
    # v₁ = 4, v₂ = 0.5·4 + 1 = 3
    _, second = steps([[4.0], [1.0]], lr=0.25, momentum=0.5)
    assert second.item() == -0.25 * (4 + 3)


def test_momentum_multiplies_a_constant_gradient_by_its_geometric_sum():
    moved = steps([[1.0]] * 60, lr=1.0, momentum=0.5)
    # 1/(1 - 0.5) = 2 up to 2⁻⁵⁹; the weight lies below 128, so both ends are rounded to 2⁻¹⁸ at
    # most
    assert (moved[-2] - moved[-1]).item() == pytest.approx(2, abs=2**-17)


def test_make_optimizer_moves_the_critic_at_its_own_rate():
    gan = train(SGD(lr=0.1, critic_lr=0.3)).context.gan
    assert gan.generator.optimizer.param_groups[0]["lr"] == 0.1
    assert gan.critic.optimizer.param_groups[0]["lr"] == 0.3


def test_a_critic_without_a_rate_of_its_own_takes_the_other():
    assert train(SGD(lr=0.1)).context.gan.critic.optimizer.param_groups[0]["lr"] == 0.1


def test_a_critic_with_rate_zero_never_moves():
    training = train(SGD(critic_lr=0.0))
    before = [weight.clone() for weight in training.context.gan.critic.parameters]
    training.train_step()
    assert all(map(torch.equal, before, training.context.gan.critic.parameters))
