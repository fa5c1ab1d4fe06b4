"""The norms of the examples, which depend on the class and on the latent."""

import subprocess
import sys

import pytest
import torch
from support.examples import example
from support.paths import EXAMPLES
from support.tables import every_row

from gancore import CompositionError, GanError, Run, compose
from gancore.testing import check_component, some_data, train
from gancore.tools.verify_resume import verify

CONDITIONAL = str(EXAMPLES / "conditional_norm.py")
MODULATED = str(EXAMPLES / "self_modulation.py")
conditional_norm = example("conditional_norm")
self_modulation = example("self_modulation")

SIZES = {"sprites.count": 24, "dcgan.width": 4, "dcgan-critic.width": 4}
SETTINGS = {"batch": 8, "size": "16", "steps": 2, "device": "cpu"}
CHOSEN = [{"norm": CONDITIONAL}, {"gen_norm": MODULATED}]
SHAPES = [(8, 6), (8, 6, 5), (8, 6, 5, 3), (8, 6, 2, 3, 4)]


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def conditional(classes=3, column=0):
    return conditional_norm.ConditionalBatchNorm(6, classes, column, 1e-5, 0.1)


def labels_of(*numbers):
    return torch.tensor(numbers)[:, None]


def test_the_conditional_norm_conforms():
    check_component(conditional_norm.ConditionalNorm)


@every_row("shape", SHAPES)
def test_with_equal_gains_and_shifts_it_is_batch_norm(shape):
    maps = random(*shape)
    plain = torch.nn.functional.batch_norm(maps, None, None, training=True)
    assert torch.allclose(conditional()(maps, labels_of(*[0, 1] * 4)), plain, atol=1e-6)


def test_each_sample_has_the_gain_and_the_shift_of_its_class():
    norm = conditional()
    plain = norm(random(3, 6, 5), labels_of(0, 1, 2))
    with torch.no_grad():
        norm.gain[1] = 2.0
        norm.shift[2] = 5.0
    made = norm(random(3, 6, 5), labels_of(0, 1, 2))
    assert torch.allclose(made, torch.stack([plain[0], 2 * plain[1], plain[2] + 5]), atol=1e-6)


def test_the_class_is_read_from_the_chosen_label_set():
    data = some_data(classes=(3, 2))
    norms = [
        module
        for module in train(
            conditional_norm.ConditionalNorm(labels="set1"), data=data
        ).context.gan.generator.network.modules()
        if isinstance(module, conditional_norm.ConditionalBatchNorm)
    ]
    assert [(norm.column, len(norm.gain)) for norm in norms] == [(1, 2)]


def test_a_label_set_that_does_not_exist_is_refused():
    with pytest.raises(CompositionError, match="no label set is called 'colour'"):
        train(conditional_norm.ConditionalNorm(labels="colour"))


def test_outside_training_no_sample_depends_on_another():
    norm = conditional()
    norm(random(8, 6, 5), labels_of(*[0] * 8))
    maps = random(8, 6, 5, seed=1)
    labels = labels_of(*[0, 1, 2, 0] * 2)
    norm.eval()
    assert torch.equal(norm(maps, labels)[:2], norm(maps[:2], labels[:2]))


@every_row("shape", SHAPES)
def test_self_modulation_with_weights_of_zero_is_batch_norm(shape):
    norm = self_modulation.SelfModulatedNorm(6, 3, 4, 1e-5, 0.1)
    for weight in norm.modulate.parameters():
        torch.nn.init.zeros_(weight)
    maps = random(*shape)
    plain = torch.nn.functional.batch_norm(maps, None, None, training=True)
    made = norm(maps, torch.empty(8, 0, dtype=torch.int64), random(8, 3))
    assert torch.allclose(made, plain, atol=1e-6)


def test_the_output_of_self_modulation_depends_on_the_style():
    # so many hidden units that no row of the style meets only idle ones
    norm = self_modulation.SelfModulatedNorm(6, 3, 64, 1e-5, 0.1)
    style = random(8, 3).requires_grad_()
    norm(random(8, 6, 5), torch.empty(8, 0, dtype=torch.int64), style).square().sum().backward()
    assert style.grad.abs().amax(1).min() > 0


@every_row("slots", CHOSEN)
@every_row("gen", [{}, {"gen": "colorpicker"}, {"gen": "progressive"}, {"gen": "mlp"}])
def test_each_generator_trains_with_the_norms_that_the_examples_add(slots, gen, tmp_path):
    chosen = compose(**slots, **gen, settings=SETTINGS, options={"sprites.count": 24})
    assert Run.start(chosen, tmp_path / "run").fit(progress=False).training.step == 2


@pytest.mark.slow
@every_row("slots", CHOSEN)
@every_row("precision", ["fp32", "bf16"])
def test_they_resume_to_the_same_bits(slots, precision, tmp_path):
    settings = {**SETTINGS, "precision": precision}
    verdict = verify(compose(**slots, settings=settings, options=SIZES), 2, tmp_path)
    assert verdict.differences == ()


def test_the_command_of_the_example_trains_and_samples_by_class(tmp_path):
    run = tmp_path / "run"
    small = ["--sprites.count", "24", "--dcgan.width", "4", "--dcgan-critic.width", "4"]
    words = ["--norm", CONDITIONAL, "--size", "16", "--batch", "8", "--steps", "2", *small]
    for command in (
        ["run", *words, "--out", str(run), "--device", "cpu"],
        [
            *("sample", str(run), "-o", str(tmp_path / "made.png"), "-n", "4"),
            *("--plugin", CONDITIONAL, "--labels", "fire"),
        ],
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "gancore", *command], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        # which is said of a run whose samples do not depend on them
        assert "--labels has no effect" not in ended.stderr
    assert (tmp_path / "made.png").exists()


@every_row(
    ("slots", "message"),
    [
        (
            {"norm": CONDITIONAL, "data": "gaussian", "gen": "mlp"},
            "gain and shift are given by the",
        ),
        ({"critic_norm": MODULATED}, "needs a style, but the critic passes none"),
    ],
)
def test_what_they_cannot_serve_is_refused_with_what_fits(slots, message, tmp_path):
    settings = {"batch": 8, "steps": 2, "device": "cpu"}
    with pytest.raises(GanError, match=message) as caught:
        Run.start(compose(**slots, settings=settings), tmp_path / "run")
    assert "norm" in caught.value.fix
