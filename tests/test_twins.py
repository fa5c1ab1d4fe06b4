"""Composing costs no bit: composed runs reach the very weights of loops written by hand."""

import importlib.util
from pathlib import Path

import pytest
import torch

from gancore import compose
from gancore.run.run import open_data, prepare
from gancore.runtime import Runtime

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def twin(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "loss", "steps"), [("plain_dcgan", "bce", 50), ("plain_wgan_gp", "wgan-gp", 12)])
def test_a_composed_run_reaches_the_bits_of_its_twin(name, loss, steps):
    widths = {"dcgan.width": 8, "dcgan-critic.width": 8, "sprites.count": 200}
    composition = compose(loss=loss, options=widths, settings={"batch": 16})
    data = open_data(composition)
    training = prepare(composition, data, Runtime(torch.device("cpu")))
    for _ in range(steps):
        training.advance()
    generator, body, score = twin(name).train(data.samples, steps, batch=16, width=8, log=None)
    gan = training.game.gan
    for composed, plain in (
        (gan.generator.network, generator), (gan.critic.network.body, body), (gan.critic.network.score, score),
    ):  # fmt: skip
        pairs = zip(composed.state_dict().values(), plain.state_dict().values(), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("name", ["plain_dcgan", "plain_wgan_gp"])
def test_a_twin_is_plain_and_short(name):
    text = (EXAMPLES / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 120
    assert "import gancore" not in text
    assert "from gancore" not in text
