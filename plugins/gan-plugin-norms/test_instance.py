from functools import cache

import pytest
import torch
from support.tables import every_row
from torch import nn
from torch.nn.functional import instance_norm, layer_norm

from gan_plugin_norms.instance import InstanceNorm
from gancore import CompositionError
from gancore.testing import check_component, some_data, train


@cache
def plan():
    return train().context.plan


def norm(channels=6, **options):
    return InstanceNorm(**options).make_norm(channels, "critic", plan())


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_instance_norm_conforms():
    check_component(InstanceNorm)


@every_row("shape", [(8, 6), (8, 6, 1, 1), (1, 6, 1, 1), (8, 6, 5, 3)])
def test_the_shape_is_kept_whether_or_not_there_are_pixels(shape):
    assert norm()(random(*shape)).shape == shape


def test_each_channel_of_each_sample_has_the_shift_as_its_mean_and_the_scale_squared_as_its_variance():
    layer, scale, shift = norm(), torch.arange(1.0, 7), torch.arange(6.0)
    layer.load_state_dict({"weight": scale, "bias": shift})
    made = layer(5 + 2 * random(8, 6, 16, 16)).flatten(2)  # [N, C, H·W]
    assert (made.mean(2) - shift).abs().max() < 2e-5  # float32 sums of 256 numbers up to 30
    # eps/var with var above 2 takes off 5e-6
    assert (made.var(2, unbiased=False) / scale**2 - 1).abs().max() < 1e-5


def test_the_result_is_that_of_torch():
    maps = random(8, 6, 5, 3)
    assert torch.allclose(norm(eps=0.5)(maps), instance_norm(maps, eps=0.5), atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 1, 1)])
def test_a_layer_without_pixels_is_normalised_over_its_channels(shape):
    maps = random(*shape)
    assert torch.allclose(norm()(maps), layer_norm(maps, maps.shape[1:]), atol=1e-6)


def test_a_sample_without_pixels_still_depends_on_its_input():
    one, other = norm()(random(2, 6))
    assert not torch.allclose(one, other)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 5, 3)])
def test_the_output_of_a_sample_depends_on_no_neighbour(shape):
    images = random(*shape).requires_grad_()
    norm()(images)[0].square().sum().backward()
    assert images.grad[1:].abs().max() == 0


def test_the_output_does_not_change_when_a_channel_is_scaled_and_shifted():
    maps = random(4, 6, 5, 3).double()
    scale, shift = 1 + random(4, 6, 1, 1).double().abs(), random(4, 6, 1, 1, seed=1).double()
    layer = norm(eps=1e-12).double()
    assert torch.allclose(layer(scale * maps + shift), layer(maps), atol=1e-9)


def test_eps_is_added_to_the_variance():
    maps = random(8, 6, 5, 3)
    mean, variance = maps.mean((2, 3), True), maps.var((2, 3), unbiased=False, keepdim=True)
    assert torch.allclose(norm(eps=3.0)(maps), (maps - mean) / (variance + 3).sqrt(), atol=1e-6)


def test_scale_and_shift_are_one_number_a_channel():
    assert [list(weight.shape) for weight in norm(6).parameters()] == [[6], [6]]


@pytest.mark.parametrize(
    ("role", "fix"), [("critic", "--critic-norm layer"), ("generator", "--gen-norm layer")]
)
def test_points_are_refused_with_a_way_out(role, fix):
    plan = train(data=some_data((2,), ())).context.plan
    with pytest.raises(CompositionError, match=fix):
        InstanceNorm().make_norm(6, role, plan)


def test_make_norm_serves_both_players():
    gan = train(InstanceNorm()).context.gan
    for player in (gan.generator, gan.critic):
        assert sum(isinstance(module, nn.GroupNorm) for module in player.network.modules()) == 1
