"""Composing changes nothing: composed runs reach the weights of loops written by hand."""

import importlib.util

import pytest
import torch
from attrs import evolve
from support.paths import EXAMPLES

from gancore import compose
from gancore.train.data import open_data
from gancore.train.loop import Training


def twin(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pairs(name, loss, steps, prepare_data=lambda data: data):
    """Every tensor of a composed run beside that of its twin."""
    widths = {"dcgan.width": 8, "dcgan-critic.width": 8, "sprites.count": 200}
    composition = compose(recipe="base", loss=loss, options=widths, settings={"batch": 16})
    data = open_data(composition)
    training = Training.of(composition, prepare_data(data))
    for _ in range(steps):
        training.train_step()
    generator, body, score = twin(name).train(data.samples, steps, batch=16, width=8, log=None)
    gan = training.context.gan
    for composed, plain in (
        (gan.generator.network, generator), (gan.critic.network.body, body), (gan.critic.network.score, score),
    ):  # fmt: skip
        yield from zip(composed.state_dict().values(), plain.state_dict().values(), strict=True)


def test_a_composed_run_reaches_the_bits_of_its_twin():
    assert all(torch.equal(*pair) for pair in pairs("plain_dcgan", "bce", 50))


@pytest.mark.usefixtures("float64")
def test_a_composed_run_whose_slopes_are_summed_in_another_order_reaches_its_twin_in_float64():
    def double(data):
        return evolve(data, samples=data.samples.double().div(127.5).sub(1.0))

    found = list(pairs("plain_wgan_gp", "wgan-gp", 12, double))
    # sixty critic updates and twelve of the generator, each off by some 1e-16 of a weight
    assert all((one - other).abs().max() <= 1e-12 * other.abs().max() for one, other in found)
    assert {one.dtype for one, _ in found if one.is_floating_point()} == {torch.double}


@pytest.mark.parametrize("name", ["plain_dcgan", "plain_wgan_gp"])
def test_a_twin_is_plain_and_short(name):
    text = (EXAMPLES / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 120
    assert "import gancore" not in text
    assert "from gancore" not in text
