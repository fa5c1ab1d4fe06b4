"""Facts about instance noise."""

import torch

from gan_plugin_instance_noise import InstanceNoise
from gancore.testing import check_component, some_batch, train

torch.set_num_threads(1)

IMAGES = (
    torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
)  # n = 12288 elements


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_instance_noise_conforms():
    check_component(InstanceNoise)


def test_sigma_falls_linearly_to_zero_and_stays_there():
    noise = InstanceNoise(sigma=0.2, anneal=100)
    assert [noise.sigma_at(step) for step in (0, 50, 100, 1000)] == [0.2, 0.1, 0.0, 0.0]


def test_sigma_is_constant_without_annealing():
    assert InstanceNoise(sigma=0.2).sigma_at(10**9) == 0.2


def test_after_annealing_the_view_is_the_very_tensor_given():
    assert InstanceNoise(anneal=100).critic_view(IMAGES, 100, rng()) is IMAGES


def test_zero_sigma_gives_the_very_tensor():
    assert InstanceNoise(sigma=0).critic_view(IMAGES, 0, rng()) is IMAGES


def test_noise_has_the_stated_standard_deviation():
    noise = InstanceNoise(sigma=0.3).critic_view(IMAGES, 0, rng()) - IMAGES
    # the standard error of a normal sample's standard deviation is sigma/√(2n)
    assert abs(noise.std() - 0.3) < 4 * 0.3 / (2 * IMAGES.numel()) ** 0.5


def test_noise_has_mean_zero():
    noise = InstanceNoise(sigma=0.3).critic_view(IMAGES, 0, rng()) - IMAGES
    assert abs(noise.mean()) < 4 * 0.3 / IMAGES.numel() ** 0.5


def test_noise_is_not_clamped_to_the_image_range():
    assert InstanceNoise(sigma=0.5).critic_view(torch.ones_like(IMAGES), 0, rng()).max() > 1


def test_gradient_passes_unchanged():
    images = IMAGES.clone().requires_grad_()
    InstanceNoise().critic_view(images, 0, rng()).sum().backward()
    assert torch.equal(images.grad, torch.ones_like(IMAGES))


def test_bfloat16_images_stay_bfloat16():
    assert InstanceNoise().critic_view(IMAGES.bfloat16(), 0, rng()).dtype is torch.bfloat16


def test_same_numbers_give_the_same_noise():
    noise = InstanceNoise()
    assert torch.equal(noise.critic_view(IMAGES, 0, rng(7)), noise.critic_view(IMAGES, 0, rng(7)))


def test_real_and_fake_views_get_independent_noise():
    batch = some_batch(train(InstanceNoise()))
    noises = [(side.view - side.images).detach().flatten() for side in (batch.real, batch.fake)]
    correlation = torch.corrcoef(torch.stack(noises))[0, 1]
    assert (
        abs(correlation) < 4 / noises[0].numel() ** 0.5
    )  # of n independent pairs: standard error 1/√n


def test_two_steps_get_different_noise():
    training = train(InstanceNoise())
    noises = [
        batch.real.view - batch.real.images
        for batch in (some_batch(training, step=step) for step in (0, 1))
    ]
    assert not torch.equal(*noises)


def test_zero_sigma_changes_no_bit_of_training():
    one, other = train(InstanceNoise(sigma=0)), train()
    for training in (one, other):
        for _ in range(3):
            training.train_step()
    weights = other.context.gan.critic.state_dict()
    assert all(
        torch.equal(each, weights[name])
        for name, each in one.context.gan.critic.state_dict().items()
    )
