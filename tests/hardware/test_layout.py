"""How numbers lie in memory: the layout changes no mathematics, and networks that do not bear it
keep their own.
"""

import pytest
import torch
from attrs import evolve
from support.tables import every_row
from support.train_in_processes import Doubles
from torch import nn

from gancore import Settings, UsageError, component, compose, hookimpl
from gancore.hardware import device
from gancore.hardware.device import (
    choose_runtime,
    choose_scalers,
    data_on_device,
    precision_note,
    saves_time,
)
from gancore.hardware.layout import use_channels_last
from gancore.run.loop import Run
from gancore.run.prepare import prepare
from gancore.testing import some_data, train
from gancore.train.data import open_data
from gancore.train.precision import Runtime

SMALL = {"sprites.count": 96, "dcgan.width": 8, "dcgan-critic.width": 8}
CPU = torch.device("cpu")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("loss", ["bce", "wgan-gp"])
def test_channels_last_reaches_the_weights_of_channels_first_in_float64(loss):
    settings = {"batch": 8, "size": "16"}
    composition = compose(
        gen="dcgan", loss=loss, optim="sgd", settings=settings, options={**SMALL, "sgd.lr": 1e-3}
    )
    data = Doubles(open_data(composition))
    found = []
    for layout in (False, True):
        training = prepare(composition, data, Runtime(CPU, channels_last=layout))
        assert training.context.runtime.channels_last == layout
        for _ in range(3):
            training.train_step()
        found.append(
            {
                **training.context.gan.generator.state_dict(),
                **training.context.gan.critic.state_dict(),
            }
        )
    gaps = [(found[0][name] - found[1][name]).abs().max().item() for name in found[0]]
    assert max(gaps) < 1e-13
    assert max(gaps) > 0  # the sums were made in another order: the layout was indeed another


def test_weights_and_batches_lie_with_their_channels_last():
    composition = compose(
        gen="dcgan", loss="bce", settings={"batch": 32, "size": "16"}, options=SMALL
    )
    training = prepare(composition, open_data(composition), choose_runtime(composition.settings))
    maps = [
        weight
        for weight in training.context.gan.critic.parameters
        if weight.dim() == 4 and min(weight.shape) > 1
    ]
    assert maps
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in maps)
    assert training.reals(0)()[0].is_contiguous(memory_format=torch.channels_last)


@every_row(
    ("batch", "layout", "expected"), [(32, "auto", True), (31, "auto", False), (4, "true", True)]
)
def test_auto_takes_channels_last_where_it_was_measured_to_pay(batch, layout, expected):
    assert (
        choose_runtime(Settings(batch=batch, device="cpu", channels_last=layout)).channels_last
        == expected
    )


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
    gan, plan = training.context.gan, training.context.plan
    wanted = evolve(training.context.runtime, channels_last=True)
    assert not use_channels_last(gan, plan, wanted, "auto").channels_last
    assert all(weight.is_contiguous() for weight in gan.critic.parameters)
    with pytest.raises(UsageError, match="does not work with channels last"):
        use_channels_last(gan, plan, wanted, "true")


def test_networks_without_convolutions_stay_as_they_are():
    composition = compose(
        data="mixture", gen="mlp", critic="mlp-critic", loss="bce", settings={"batch": 64}
    )
    training = prepare(composition, open_data(composition), choose_runtime(composition.settings))
    assert not training.context.runtime.channels_last


def test_a_run_with_channels_last_resumes_to_the_same_bits(tmp_path):
    settings = {"batch": 32, "size": "16", "steps": 6, "save_every": 3}
    chosen = {"gen": "dcgan", "loss": "bce", "options": SMALL}
    whole = Run.start(compose(**chosen, settings=settings), tmp_path / "whole").fit()
    begun = Run.start(compose(**chosen, settings=settings), tmp_path / "begun")

    def stop_at_step_3(step):
        begun.stop_after_step = step.number == 3

    begun.fit(on_step=stop_at_step_3)
    resumed = Run.resume(tmp_path / "begun")
    assert resumed.training.step == 3
    resumed.fit()
    for role in ("generator", "critic"):
        pairs = [
            run.training.context.gan.player(role).state_dict().values() for run in (whole, resumed)
        ]
        assert all(torch.equal(*pair) for pair in zip(*pairs, strict=True))


def test_a_row_is_passed_on_before_the_step_that_it_belongs_to(tmp_path):
    settings = {"batch": 4, "steps": 5, "log_every": 2, "sample_every": 5}
    run = Run.start(
        compose(data="mixture", gen="mlp", critic="mlp-critic", settings=settings), tmp_path / "run"
    )
    calls = []
    run.fit(
        on_row=lambda row: calls.append(f"row {row['step']}"),
        on_step=lambda step: calls.append(
            f"step {step.number}: {step.share:.1f}, {step.images} images"
        ),
    )
    steps = [f"step {number}: {number / 5:.1f}, {4 * number} images" for number in range(1, 6)]
    assert calls == [steps[0], "row 2", steps[1], steps[2], "row 4", steps[3], "row 5", steps[4]]


# ── precision ─────────────────────────────────────────────────────────────────────────────────────


def composed(precision, **settings):
    options = {**SMALL, "sprites.count": 32}
    settings = {"batch": 4, "size": "16", "device": "cpu", "precision": precision, **settings}
    return compose(recipe="base", gen="dcgan", loss="wgan-gp", settings=settings, options=options)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_keeps_weights_and_figures_whole(precision):
    composition = composed(precision)
    training = prepare(composition, open_data(composition), choose_runtime(composition.settings))
    figures = training.train_step()
    gan = training.context.gan
    assert all(
        weight.dtype == torch.float32
        for weight in (*gan.generator.parameters, *gan.critic.parameters)
    )
    assert all(value.dtype == torch.float32 and value.isfinite() for value in figures.values())


def test_an_fp16_gradient_that_overflows_moves_nothing_and_halves_the_scale():
    composition = composed("fp16")
    training = prepare(composition, open_data(composition), choose_runtime(composition.settings))
    scaler, gan = torch.amp.GradScaler("cpu", init_scale=2.0**127), training.context.gan
    training.context.runtime.scalers["critic"] = scaler
    before = [weight.clone() for weight in gan.critic.parameters]
    figures = training.train_step()
    assert scaler.get_scale() < 2.0**127
    assert figures["critic/grad_norm"] == 0
    assert all(torch.equal(*pair) for pair in zip(before, gan.critic.parameters, strict=True))


def test_unscaled_gradients_of_fp16_are_those_of_fp32_up_to_its_digits():
    norms = []
    for precision in ("fp32", "fp16"):
        composition = composed(precision)
        training = prepare(
            composition, open_data(composition), choose_runtime(composition.settings)
        )
        norms.append(training.train_step()["critic/grad_norm"].item())
    assert norms[1] == pytest.approx(norms[0], rel=0.02)
    assert norms[0] != norms[1]


def test_a_run_in_fp16_resumes_with_its_scale(tmp_path):
    whole = Run.start(composed("fp16", steps=4), tmp_path / "whole").fit()
    begun = Run.start(composed("fp16", steps=4), tmp_path / "begun")

    def stop_at_step_2(step):
        begun.training.context.runtime.scalers["critic"]._scale.fill_(512.0)
        begun.stop_after_step = step.number == 2

    begun.fit(on_step=stop_at_step_2)
    resumed = Run.resume(tmp_path / "begun")
    assert resumed.training.context.runtime.scalers["critic"].get_scale() == 512.0
    resumed.fit()
    scales = [
        run.training.context.runtime.scalers["generator"].get_scale() for run in (whole, resumed)
    ]
    assert scales[0] == scales[1]


def test_tf32_is_refused_where_there_is_none():
    with pytest.raises(UsageError, match="tf32 needs a CUDA device"):
        choose_scalers(CPU, "tf32")


@every_row(
    ("precision", "vendor", "flags", "saves"),
    [
        ("bf16", "GenuineIntel", "avx512f avx512_bf16 amx_bf16 amx_tile", True),
        ("bf16", "GenuineIntel", "avx512f avx512_bf16", False),
        ("bf16", "AuthenticAMD", "avx512f avx512_bf16", True),
        ("bf16", "AuthenticAMD", "avx512f", False),
        ("fp16", "AuthenticAMD", "avx512f avx512_bf16", False),
        ("fp16", "GenuineIntel", "avx512f amx_bf16", False),
        ("fp16", "GenuineIntel", "avx512f amx_fp16", True),
    ],
)
def test_half_precision_that_saves_nothing_is_told(precision, vendor, flags, saves, monkeypatch):
    monkeypatch.setattr(device, "cpu_facts", lambda: {"vendor_id": vendor, "flags": flags})
    told = precision_note(Runtime(CPU, precision))
    assert told == [] if saves else f"has no amx_{precision}" in told[0]


def test_where_the_processor_is_unknown_half_precision_is_told(monkeypatch):
    monkeypatch.setattr(device, "cpu_facts", dict)
    assert not saves_time("bf16")
    assert not precision_note(Runtime(CPU))


def test_data_of_a_run_on_the_processor_stay_where_they_are():
    data = some_data()
    assert data_on_device(data, Runtime(CPU)) is data


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch's compiler, about tensors of its own
def test_compiled_networks_reach_the_weights_of_plain_ones():
    found = []
    for mode in ("none", "default"):
        composition = composed("fp32", compile=mode)
        training = prepare(
            composition, open_data(composition), choose_runtime(composition.settings)
        )
        for _ in range(2):
            training.train_step()
        found.append(training.context.gan.critic.state_dict())
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-3) for name in found[0])
