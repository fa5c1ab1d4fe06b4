"""Facts about FastGAN's networks."""

import pytest
import torch
from support.tables import every_row
from torch import nn
from torch.nn import functional

from gan_plugin_networks.fastgan import Excitation, FastGAN, FastGANCritic, quarter
from gancore import CompositionError, compose
from gancore.testing import (
    StandIn,
    StandInLoss,
    check_component,
    some_batch,
    some_data,
    terms,
    train,
)
from gancore.train.loop import Training

SMALL = {"width": 4, "limit": 8}
NO_LABELS = torch.empty(2, 0, dtype=torch.int64)


def training(*components, shape=(3, 32, 32)):
    """A tiny training of components on images without labels."""
    data = some_data(shape, (), 8)
    return train(*components, data=data, batch=2, stand_ins=[StandIn(dim=3), StandInLoss()])


def test_fastgan_conforms():
    # noise is drawn by each process for its own rows, by design
    check_component(FastGAN, **SMALL, without=["processes"])
    check_component(FastGAN, **SMALL, noise=False)


def test_fastgan_critic_conforms():
    check_component(FastGANCritic, **SMALL)


@every_row("size", [(8, 8), (28, 28), (48, 32), (17, 30), (64, 64), (6, 6)])
def test_every_size_is_exact_and_trains(size):
    one = training(FastGAN(**SMALL), FastGANCritic(**SMALL), shape=(3, *size))
    made = one.context.gan.generator.network(torch.randn(2, 3), NO_LABELS)
    assert made.shape == (2, 3, *size)
    assert one.train_step()["critic/fast-gan-critic/reconstruction"].isfinite()


def test_excitation_gives_factors_between_0_and_1_and_halves_where_its_weights_are_0():
    layer = Excitation(3, 5)
    factors = layer(torch.randn(2, 3, 8, 8))
    assert factors.shape == (2, 5, 1, 1)
    assert (factors > 0).all()
    assert (factors < 1).all()
    nn.init.zeros_(layer.layers[3].weight)
    assert (layer(torch.randn(2, 3, 8, 8)) == 0.5).all()


@every_row(
    ("size", "reach", "count"), [(32, 4, 1), (32, 2, 2), (32, 0, 0), (64, 4, 1), (128, 4, 2)]
)
def test_maps_excite_those_that_are_so_many_doublings_larger(size, reach, count):
    gan = training(FastGAN(**SMALL, reach=reach), shape=(3, size, size)).context.gan
    assert len(gan.generator.network.excitations) == count


def test_the_score_has_a_column_for_each_patch():
    gan = training(FastGANCritic(**SMALL)).context.gan
    assert gan.critic.network(torch.randn(2, 3, 32, 32), NO_LABELS).score.shape == (2, 25)


def test_quarters_are_those_of_the_image():
    images = torch.arange(16.0).view(1, 1, 4, 4)
    found = torch.cat([quarter(images, number) for number in range(4)]).flatten().sort()[0]
    assert torch.equal(found, torch.arange(16.0))
    assert torch.equal(quarter(images, 1)[0, 0], torch.tensor([[2.0, 3], [6, 7]]))


def test_the_decoders_term_is_the_mean_error_of_reals_whole_and_in_part():
    critic = FastGANCritic(**SMALL, reconstruct=0.5)
    batch = some_batch(training(critic), step=2)
    for decoder in batch.gan.critic.extras.values():
        for weight in decoder[-2].parameters():  # both decode to 0
            nn.init.zeros_(weight)
    real = batch.real.view
    whole = functional.adaptive_avg_pool2d(real, 32).abs().mean()
    part = functional.adaptive_avg_pool2d(real[..., 16:, :16], 16).abs().mean()
    found = terms(critic, "critic_terms", batch)["reconstruction"]
    # at step 2, the third quarter is decoded
    assert found.item() == pytest.approx(0.5 * (whole + part).item(), rel=1e-5)


def test_without_weight_there_are_no_decoders():
    one = training(FastGANCritic(**SMALL, reconstruct=0))
    assert not one.context.gan.critic.extras
    assert not any("reconstruction" in name for name in one.train_step())


def test_the_decoders_train_with_the_critic_and_no_gradient_of_fakes_reaches_them():
    one = training(FastGANCritic(**SMALL))
    extras = one.context.gan.critic.extras
    before = {name: each.clone() for name, each in extras.state_dict().items()}
    one.train_step()
    assert any(not torch.equal(each, before[name]) for name, each in extras.state_dict().items())


def test_points_are_refused():
    slots = {"gen": "fastgan", "data": "gaussian", "settings": {"batch": 4, "device": "cpu"}}
    with pytest.raises(CompositionError, match="its networks excite and decode maps"):
        Training.of(compose(**slots))
