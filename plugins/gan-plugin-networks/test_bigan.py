"""Facts about BiGAN."""

import math

import pytest
import torch
from support.tables import every_row
from torch import nn

from gan_plugin_networks.bigan import ENCODER, JOINT, BiGAN, Encoder
from gancore import CompositionError, Run, component, compose, hookimpl
from gancore.testing import check_component, some_batch, some_data, terms, train

SMALL = {"width": 8, "encoder_width": 4}


def training(*others, data=None, **options):
    """A tiny training with the loss, and it."""
    loss = BiGAN(**{**SMALL, **options})
    return train(loss, *others, data=data), loss


def all_terms(role, **options):
    one, loss = training(**options)
    gan = one.context.gan
    for weight in gan.critic.extras[JOINT].both[-1].parameters():  # all joint scores are 0
        nn.init.zeros_(weight)
    return terms(loss, f"{role}_terms", some_batch(one, role))


def test_bigan_conforms():
    check_component(BiGAN, **SMALL)
    check_component(BiGAN, **SMALL, unary=0.0, data=some_data((2,), ()))


@every_row("role", ["critic", "generator"])
def test_each_term_is_ln_2_at_scores_of_zero(role):
    found = all_terms(role, unary=0.0)
    assert set(found) == {"real", "fake"}
    assert [each.item() for each in found.values()] == pytest.approx([math.log(2)] * 2)


def test_terms_of_samples_alone_have_their_weight():
    one, loss = training(unary=0.5)
    batch = some_batch(one)
    found = terms(loss, "critic_terms", batch)
    softplus = nn.functional.softplus
    wanted = [0.5 * softplus(-batch.real.score).mean(), 0.5 * softplus(batch.fake.score).mean()]
    assert torch.allclose(
        torch.stack([found["unary-real"], found["unary-fake"]]), torch.stack(wanted)
    )


def test_the_generators_update_trains_the_encoder_and_the_critics_does_not():
    one, loss = training()
    encoder = one.context.gan.generator.extras[ENCODER]
    for role, reached in (("critic", False), ("generator", True)):
        total = sum(terms(loss, f"{role}_terms", some_batch(one, role)).values())
        found = torch.autograd.grad(total, list(encoder.parameters()), allow_unused=True)
        assert [each is not None for each in found] == [reached] * len(found)


@every_row("shape", [(3, 16, 16), (1, 28, 28), (3, 17, 30), (2, 32), (1, 8, 8, 8), (2,), (3, 6, 6)])
def test_the_encoder_takes_samples_of_any_shape(shape):
    assert Encoder(shape, 5, 4)(torch.randn(2, *shape)).shape == (2, 5)


@component(source="a test")
class Replaces:
    """Put other fakes in the place of those just made."""

    @hookimpl
    def critic_fakes(self, images, labels):
        return images.flip(0), labels.flip(0)


def test_replaced_fakes_are_paired_with_no_latent_of_other_fakes():
    # a pair of a replaced fake and None would fail
    one, _ = training(Replaces())
    assert one.train_step()["critic/bi-gan/fake"].isfinite()


def test_packs_are_refused():
    with pytest.raises(CompositionError, match="it pairs each sample with its latent"):
        compose(loss="bigan", reg=["pacgan"], settings={"device": "cpu"})


def test_a_run_logs_and_draws_reconstructions(tmp_path):
    options = {"dcgan.width": 4, "dcgan-critic.width": 4, "sprites.count": 24, "bigan.width": 8}
    settings = {"batch": 8, "size": "16", "steps": 2, "device": "cpu", "log_every": 1}
    run = Run.start(compose(loss="bigan", options=options, settings=settings), tmp_path / "run")
    rows = []
    run.fit(on_row=rows.append, progress=False)
    assert 0 <= rows[-1]["bigan/reconstruction"] <= 2
    assert list((tmp_path / "run" / "samples" / "bigan").glob("step-*.png"))
