import pytest
import torch
from torch.nn.functional import layer_norm

from gan_plugin_norms.layer import LayerNorm
from gancore.testing import check_component, train


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_layer_norm_conforms():
    check_component(LayerNorm)


def test_layer_norm_equals_the_textbook_form_over_channels_and_pixels():
    maps = random(4, 6, 5, 3)
    assert torch.allclose(
        LayerNorm().make_norm(6)(maps), layer_norm(maps, [6, 5, 3], eps=1e-5), atol=1e-6
    )


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 5), (4, 6, 5, 3)])
def test_the_shape_is_kept(shape):
    assert LayerNorm().make_norm(6)(random(*shape)).shape == shape


def test_each_sample_gets_mean_zero_and_variance_one():
    made = LayerNorm().make_norm(6)(3 + 2 * random(4, 6, 5, 3)).flatten(1)
    assert made.mean(1).abs().max() < 1e-6  # float32 sums of 90 numbers of size 1
    assert (
        made.var(1, unbiased=False) - 1
    ).abs().max() < 1e-5  # var/(var + eps) with var near 4: 2.5e-6 too small


def test_a_sample_does_not_depend_on_its_neighbours():
    norm, maps = LayerNorm().make_norm(6), random(4, 6, 5, 3)
    others = torch.cat([maps[:1], random(3, 6, 5, 3, seed=1)])
    assert torch.equal(norm(maps)[0], norm(others)[0])


def test_scaling_and_shifting_a_sample_changes_nothing():
    norm, maps = LayerNorm(eps=1e-12).make_norm(6), random(4, 6, 5, 3)
    scale = torch.tensor([0.5, 1, 2, 8]).view(4, 1, 1, 1)
    # a shift by 3 loses up to two bits of float32 where the scale is 0.5: a few times 2⁻²³ · 3/0.5
    assert torch.allclose(norm(scale * maps + 3), norm(maps), atol=1e-5)


def test_scale_and_shift_are_one_number_a_channel():
    assert [tuple(weight.shape) for weight in LayerNorm().make_norm(6).parameters()] == [(6,), (6,)]


def test_make_norm_serves_both_players():
    gan = train(LayerNorm()).context.gan
    for player in (gan.generator, gan.critic):
        assert [
            m.num_groups for m in player.network.modules() if isinstance(m, torch.nn.GroupNorm)
        ] == [1]
