"""Facts about weight clipping."""

import pytest
import torch
from torch import nn

from gan_plugin_weight_clipping import WeightClipping, share_at_bounds
from gancore import Progress, component, hookimpl
from gancore.testing import check_component, train

torch.set_num_threads(1)


@component(source="a test")
class Company:
    """A norm with scales, a buffer, and an extra network of the critic."""

    @hookimpl
    def make_norm(self, channels, plan):
        return nn.BatchNorm2d(channels)

    @hookimpl
    def extend_player(self, role):
        return {"more": nn.Linear(3, 3)} if role == "critic" else None


def clipped(**options):
    training = train(WeightClipping(**options), Company())
    with torch.no_grad():
        for weight in training.context.gan.critic.parameters:
            weight.mul_(10)
    training.train_step()
    return training.context.gan.critic


def test_weight_clipping_conforms():
    check_component(WeightClipping)


def test_every_critic_weight_lies_in_the_box_after_each_update():
    training = train(WeightClipping(c=0.02))
    for _ in range(3):
        training.train_step()
        assert max(
            weight.abs().max() for weight in training.context.gan.critic.parameters
        ) <= torch.tensor(0.02)


def test_weights_inside_the_box_are_left_alone():
    training, free = train(WeightClipping(c=1e6)), train()
    training.train_step()
    free.train_step()
    weights = free.context.gan.critic.state_dict()
    assert all(
        torch.equal(each, weights[name])
        for name, each in training.context.gan.critic.state_dict().items()
    )


def test_weights_of_extra_networks_are_clipped():
    assert clipped().extras["more"].weight.abs().max() <= torch.tensor(0.01)


def test_scales_of_norm_layers_are_left_alone():
    assert clipped().network.body.layers[1].weight.min() > 1


def test_scales_of_norm_layers_are_clipped_on_request():
    assert clipped(norms=True).network.body.layers[1].weight.max() <= torch.tensor(0.01)


def test_biases_of_other_layers_are_clipped():
    assert clipped().network.body.layers[0].bias.abs().max() <= torch.tensor(0.01)


def test_buffers_are_left_alone():
    assert clipped().network.body.layers[1].running_var.min() > 0.5  # 0.9·1 + 0.1·variance


def test_generator_weights_are_left_alone():
    training = train(WeightClipping(c=1e-4))
    training.train_step()
    assert max(weight.abs().max() for weight in training.context.gan.generator.parameters) > 0.01


def test_clipping_twice_equals_clipping_once():
    training = train(WeightClipping(c=0.02))
    training.train_step()
    before = {name: each.clone() for name, each in training.context.gan.critic.state_dict().items()}
    with torch.no_grad():
        WeightClipping(c=0.02).after_critic_update(training.context.gan)
    assert all(
        torch.equal(each, before[name])
        for name, each in training.context.gan.critic.state_dict().items()
    )


def test_clipped_linear_critic_has_slope_at_most_c_root_d():
    weight = torch.randn(100, generator=torch.Generator().manual_seed(0)).clamp(-0.01, 0.01)
    assert weight.norm() <= 0.01 * 100**0.5 * (1 + 1e-6)


def test_share_at_bounds_counts_weights_at_either_bound():
    weights = [torch.tensor([[-0.01, 0.0], [0.005, 0.01]]), torch.tensor([0.02, 0.009])]
    assert share_at_bounds(weights, 0.01).item() == pytest.approx(3 / 6)


def at_bound(training, **options):
    return WeightClipping(**options).measure(Progress(training.context, 1, 0.0))["at-bound"].item()


def test_the_share_at_the_bounds_is_measured():
    training = train(WeightClipping(), Company())
    critic = training.context.gan.critic.network
    with torch.no_grad():
        for weight in training.context.gan.critic.parameters:
            weight.zero_()
        critic.score.weight[0, :5] = 0.01
        critic.score.weight[0, 5:7] = -0.01
    norm = sum(weight.numel() for weight in critic.body.layers[1].parameters())
    every = sum(weight.numel() for weight in training.context.gan.critic.parameters)
    assert at_bound(training) == pytest.approx(7 / (every - norm))
    assert at_bound(training, norms=True) == pytest.approx(7 / every)


def test_scales_that_are_not_clipped_are_not_counted_as_lying_at_the_bound():
    training = train(WeightClipping(c=10.0), Company())
    with torch.no_grad():
        training.context.gan.critic.network.body.layers[1].weight.fill_(20)
    assert at_bound(training, c=10.0) == 0


def test_share_at_bounds_is_one_after_clipping_large_weights():
    training = train(WeightClipping(c=1e-6))
    training.train_step()
    # all weights of this critic are larger than 1e-6 at the start, but for a chance of about 1e-5
    # each
    assert share_at_bounds(training.context.gan.critic.parameters, 1e-6).item() > 0.99
