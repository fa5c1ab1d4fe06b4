import pytest
import torch

from gan_plugin_norms.batch import BatchNorm
from gancore.testing import check_component, some_data, train


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_batch_norm_conforms():
    check_component(BatchNorm)


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 5), (8, 6, 5, 3)])
def test_the_shape_is_kept_whether_or_not_there_are_pixels(shape):
    assert BatchNorm().make_norm(6)(random(*shape)).shape == shape


def test_batch_norm_serves_points():
    train(BatchNorm(), data=some_data((2,), ())).train_step()


def test_training_output_has_the_shift_as_its_mean_and_the_scale_squared_as_its_variance():
    norm = BatchNorm().make_norm(6)
    scale, shift = torch.arange(1.0, 7), torch.arange(6.0)
    norm.load_state_dict(norm.state_dict() | {"weight": scale, "bias": shift})
    made = norm(5 + 2 * random(8, 6, 5, 3)).transpose(0, 1).flatten(1)  # [C, N·H·W]
    assert (made.mean(1) - shift).abs().max() < 1e-5  # float32 sums of 120 numbers up to 20
    assert (
        made.var(1, unbiased=False) / scale**2 - 1
    ).abs().max() < 1e-5  # eps/var with var near 4: 2.5e-6 too small


def test_the_output_of_a_sample_depends_on_its_neighbours():
    images = random(4, 6, 5, 3).requires_grad_()
    BatchNorm().make_norm(6)(images)[0].square().sum().backward()
    assert images.grad[1:].abs().amax((1, 2, 3)).min() > 1e-3


def test_the_output_of_a_sample_depends_on_no_neighbour_in_evaluation():
    images, norm = random(4, 6, 5, 3).requires_grad_(), BatchNorm().make_norm(6).eval()
    norm(images)[0].square().sum().backward()
    assert images.grad[1:].abs().max() == 0


def test_momentum_is_the_share_of_the_new_batch():
    norm, maps = BatchNorm(momentum=0.25).make_norm(6), random(8, 6, 5, 3)
    norm(maps)
    assert torch.allclose(
        norm.running_mean, 0.25 * maps.mean((0, 2, 3)), atol=1e-6
    )  # the running mean began at 0


def test_eps_is_added_to_the_variance():
    norm, maps = BatchNorm(eps=3.0).make_norm(6), random(8, 6, 5, 3)
    mean, variance = maps.mean((0, 2, 3), True), maps.var((0, 2, 3), unbiased=False, keepdim=True)
    assert torch.allclose(norm(maps), (maps - mean) / (variance + 3).sqrt(), atol=1e-6)


def test_make_norm_serves_both_players():
    gan = train(BatchNorm()).context.gan
    for player in (gan.generator, gan.critic):
        assert (
            sum(isinstance(module, torch.nn.BatchNorm2d) for module in player.network.modules())
            == 1
        )
