"""How numbers lie in memory: the layout changes no mathematics, and networks that do not bear it keep their own."""

import pytest
import torch
from attrs import evolve
from torch import nn

from gancore import Settings, UsageError, component, compose, hookimpl
from gancore.run.device import choose_runtime, lay_out
from gancore.run.run import Run, open_data, prepare
from gancore.runtime import Runtime
from gancore.testing import some_data, train

SMALL = {"sprites.count": 96, "dcgan.width": 8, "dcgan-critic.width": 8}
CPU = torch.device("cpu")


class Doubles:
    """Data whose images are float64."""

    def __init__(self, data):
        self.data = data

    def __getattr__(self, name):
        return getattr(self.data, name)

    def __len__(self):
        return len(self.data)

    def take(self, indices, rng):
        samples, labels = self.data.take(indices, rng)
        return samples.double(), labels


@pytest.fixture
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("loss", ["bce", "wgan-gp"])
def test_channels_last_reaches_the_weights_of_channels_first_in_float64(loss):
    settings = {"batch": 8, "size": "16"}
    composition = compose(gen="dcgan", loss=loss, optim="sgd", settings=settings, options={**SMALL, "sgd.lr": 1e-3})
    data = Doubles(open_data(composition))
    found = []
    for layout in (False, True):
        training = prepare(composition, data, Runtime(CPU, channels_last=layout))
        assert training.game.runtime.channels_last == layout
        for _ in range(3):
            training.advance()
        found.append({**training.game.gan.generator.state_dict(), **training.game.gan.critic.state_dict()})
    gaps = [(found[0][name] - found[1][name]).abs().max().item() for name in found[0]]
    assert max(gaps) < 1e-13
    assert max(gaps) > 0  # the sums were made in another order: the layout was indeed another


def test_weights_and_batches_lie_with_their_channels_last():
    composition = compose(gen="dcgan", loss="bce", settings={"batch": 32, "size": "16"}, options=SMALL)
    training = prepare(composition, open_data(composition), choose_runtime(composition.settings))
    maps = [weight for weight in training.game.gan.critic.parameters if weight.dim() == 4 and min(weight.shape) > 1]
    assert maps
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in maps)
    assert training.reals(0)()[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("batch", "layout", "expected"), [(32, "auto", True), (31, "auto", False), (4, "true", True)])
def test_auto_takes_channels_last_where_it_was_measured_to_pay(batch, layout, expected):
    assert choose_runtime(Settings(batch=batch, device="cpu", channels_last=layout)).channels_last == expected


@component(source="a test")
class Viewing:
    """A critic that reads its maps in the order of memory."""

    @hookimpl
    def make_critic(self, plan):
        return View(plan)


class View(nn.Module):
    def __init__(self, plan):
        super().__init__()
        self.convolution = nn.Conv2d(plan.critic_shape[0], 4, 3)

    def forward(self, images, labels):
        return self.convolution(images).view(len(images), -1)


def test_a_critic_that_views_maps_keeps_its_layout_where_auto_is_asked_and_refuses_where_it_is_not():
    training = train(Viewing(), data=some_data())
    gan, plan = training.game.gan, training.game.plan
    wanted = evolve(training.game.runtime, channels_last=True)
    assert not lay_out(gan, plan, wanted, "auto").channels_last
    assert all(weight.is_contiguous() for weight in gan.critic.parameters)
    with pytest.raises(UsageError, match="does not bear channels last"):
        lay_out(gan, plan, wanted, "true")


def test_networks_without_convolutions_stay_as_they_are():
    composition = compose(data="mixture", gen="mlp", critic="mlp-critic", loss="bce", settings={"batch": 64})
    training = prepare(composition, open_data(composition), choose_runtime(composition.settings))
    assert not training.game.runtime.channels_last


def test_a_run_with_channels_last_resumes_to_the_same_bits(tmp_path):
    settings = {"batch": 32, "size": "16", "steps": 6, "save_every": 3}
    chosen = {"gen": "dcgan", "loss": "bce", "options": SMALL}
    whole = Run.start(compose(**chosen, settings=settings), tmp_path / "whole").fit()
    begun = Run.start(compose(**chosen, settings=settings), tmp_path / "begun")
    for row in begun.steps():
        assert row is None or row["step"] == begun.training.step
        begun.stop_after_step = begun.training.step == 3
    resumed = Run.resume(tmp_path / "begun")
    assert resumed.training.step == 3
    resumed.fit()
    for role in ("generator", "critic"):
        pairs = [run.training.game.gan.player(role).state_dict().values() for run in (whole, resumed)]
        assert all(torch.equal(*pair) for pair in zip(*pairs, strict=True))


def test_a_step_yields_its_row_or_none(tmp_path):
    settings = {"batch": 4, "steps": 5, "log_every": 2, "sample_every": 5}
    run = Run.start(compose(data="mixture", gen="mlp", critic="mlp-critic", settings=settings), tmp_path / "run")
    assert [row and row["step"] for row in run.steps()] == [None, 2, None, 4, 5]
