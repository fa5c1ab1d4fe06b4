"""The single-image test of the sources: shown one image again and again, a GAN learns to draw it."""

import pytest
import torch

from gancore import StoredData, compose
from gancore.train.data import open_data
from gancore.train.loop import Training
from gancore.train.sampling import draw_samples


def distance_after(steps, size="16", **slots):
    """Train on one creature and return the mean distance of 16 samples from it, in units of its own
    spread.
    """
    widths = {"dcgan.width": 16, "dcgan-critic.width": 16, "latent.dim": 8, "sprites.count": 1}
    composition = compose(
        recipe="base",
        options={**widths, **slots.pop("options", {})},
        settings={"batch": 16, "size": size},
        **slots,
    )
    data = open_data(composition)
    training = Training.of(composition, StoredData(data.samples))
    target, _ = data.take(torch.tensor([0]), torch.Generator())
    start = (draw_samples(training.context, 16, "test")[0] - target).square().mean().sqrt()
    for _ in range(steps):
        training.train_step()
    end = (draw_samples(training.context, 16, "test")[0] - target).square().mean().sqrt()
    return (start / target.std()).item(), (end / target.std()).item()


# Reached when written, one seed each: DCGAN 0.33 of the image's own standard deviation after 300
# steps, WGAN-GP 0.28 after 200 and 0.13 after 300. Without batch norm in the critic: a batch of one
# repeated image normalises to nothing, so that critic never sees the image, and the distance stays
# above 1.
DCGAN = {
    "loss": "bce",
    "critic_norm": "none",
    "reg": ["instance-noise"],
    "options": {"adam.lr": 1e-3},
}
WGAN_GP = {"loss": "wgan-gp", "options": {"adam.lr": 5e-4, "n-critic.critic": 2}}


@pytest.mark.parametrize(
    ("slots", "steps"), [(DCGAN, 300), (WGAN_GP, 200)], ids=["dcgan", "wgan-gp"]
)
def test_one_image_shown_again_and_again_is_reproduced(slots, steps):
    start, end = distance_after(steps, **slots)
    assert start > 0.9
    assert end < 0.5
