"""Off is off: what is not chosen, or is chosen at its neutral option, changes no bit."""

import pytest
import torch
from support.tables import every_row

from gancore import compose
from gancore.train.loop import Training

SMALL = {"sprites.count": 32, "dcgan.width": 4, "dcgan-critic.width": 4, "latent.dim": 4}


def weights_after(steps=20, **more):
    options = {**SMALL, **more.pop("options", {})}
    composition = compose(options=options, settings={"batch": 8, "size": "16"}, **more)
    training = Training.of(composition)
    for _ in range(steps):
        training.train_step()
    gan = training.context.gan
    return [*gan.generator.parameters, *gan.critic.parameters]


@pytest.fixture(scope="module")
def plain():
    return weights_after()


@every_row(
    ("reg", "options"),
    [
        ("instance-noise", {"instance-noise.sigma": 0.0}),
        ("experience-replay", {"experience-replay.share": 0.0}),
        ("weight-clipping", {"weight-clipping.c": 1e9}),
    ],
)
def test_a_component_at_its_neutral_option_changes_no_bit(plain, reg, options):
    assert all(map(torch.equal, plain, weights_after(reg=[reg], options=options)))


def test_a_penalty_of_weight_0_changes_no_bit():
    norm = {"critic_norm": "layer"}
    off = weights_after(reg=["gradient-penalty"], options={"gradient-penalty.weight": 0.0}, **norm)
    assert all(map(torch.equal, weights_after(**norm), off))
