"""Every network of a paper, and what belongs to it, trains as a run and resumes to its bits."""

import pytest
from support.two_goes import checksums, in_two_goes

from gancore import Run, compose

STEPS = 12

CHOSEN = {  # by slot; options by component
    "resnet": {"gen": "resnet"},
    "biggan-lite": {"gen": "biggan-lite"},
    "r3gan": {"gen": "r3gan"},
    "fastgan": {"gen": "fastgan"},
    "stylegan2-lite": {"gen": "stylegan2-lite", "reg": ["path-length"]},
    "self-attention": {"reg": ["self-attention"], "self-attention.size": 8},
    "bigan": {"loss": "bigan"},
    "conditional-batch": {"norm": "conditional-batch"},
    "self-modulation": {"gen-norm": "self-modulation"},
    "pixel": {"gen-norm": "pixel"},
    "bilinear": {"upsample": "bilinear"},
    "icnr": {"upsample": "pixel-shuffle", "pixel-shuffle.icnr": True, "pixel-shuffle.blur": True},
    "minibatch-stddev": {"reg": ["minibatch-stddev"]},
    "pacgan": {"reg": ["pacgan"]},
}
WIDTHS = ("dcgan", "dcgan-critic", "resnet", "resnet-critic", "biggan-lite", "r3gan", "r3gan-critic",
          "fastgan", "fastgan-critic", "stylegan2-lite", "stylegan2-lite-critic")  # fmt: skip


def composed(choices, precision="fp32"):
    slots = {name.replace("-", "_"): each for name, each in choices.items() if "." not in name}
    options = {name: each for name, each in choices.items() if "." in name}
    settings = {"size": "16", "batch": 8, "steps": STEPS, "device": "cpu", "precision": precision}
    settings |= {"sample_every": STEPS, "log_every": 4}
    plain = compose(**slots, options=options, settings=settings)
    there = {each.name for each in plain.chosen}
    options |= {f"{name}.width": 4 for name in WIDTHS if name in there}
    return compose(**slots, options={**options, "sprites.count": 32}, settings=settings)


@pytest.mark.slow
def test_a_run_in_two_goes_ends_with_the_bits_of_one(tmp_path):
    offenders = []
    for name, choices in CHOSEN.items():
        whole = Run.start(composed(choices), tmp_path / name / "whole").fit(progress=False)
        if checksums(whole) != checksums(
            in_two_goes(composed(choices), tmp_path / name / "halves")
        ):
            offenders.append(name)
    assert not offenders


@pytest.mark.slow
def test_half_precision_stays_finite(tmp_path):
    offenders = []
    for name, choices in CHOSEN.items():
        run = Run.start(composed(choices, "bf16"), tmp_path / name)
        tensors = [each for each in run.training.train_step().values() if hasattr(each, "isfinite")]
        if not all(each.isfinite().all() for each in tensors):
            offenders.append(name)
    assert not offenders


@pytest.mark.slow
def test_the_command_of_a_network_trains_and_draws_samples(gan_here, tmp_path):
    small = ["--stylegan2-lite.width", "4", "--stylegan2-lite-critic.width", "4"]
    words = ["--gen", "stylegan2-lite", "--reg", "path-length", "--sprites.count", "32", *small]
    shape = ["--data", "sprites", "--size", "16", "--steps", "20", "--batch", "8"]
    gan_here("run", *words, *shape, "--out", str(tmp_path / "r"), "--device", "cpu")
    gan_here("sample", str(tmp_path / "r"), "-o", str(tmp_path / "made.png"), "-n", "4")
    assert (tmp_path / "made.png").exists()
