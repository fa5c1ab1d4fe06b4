"""Every technique for classes, views and comparisons trains as a run, and resumes to its bits."""

import pytest
from support.two_goes import checksums, in_two_goes

from gancore import Run, compose

COND = "projection tac adc multi-hinge contragan reacgan infogan ssgan-rotation".split()  # noqa: SIM905
REG = [
    "diffaugment",
    "ada",
    "apa",
    "diffusion-noise",
    "instance-selection",
    "cr",
    "bcr",
    "zcr",
    "lecam",
    "top-k",
    "feature-matching",
    "mode-seeking",
]
EARLY = {  # so that twenty steps show it
    "ada": {"ada.start": 0.5, "ada.speed": 1.0},
    "apa": {"apa.start": 0.5, "apa.speed": 1.0},
    "diffusion-noise": {"diffusion-noise.speed": 1.0},
    "lecam": {"lecam.start": 5},
    "top-k": {"top-k.every": 5, "top-k.decay": 0.8},
}
STEPS = 20


def composed(name, precision="fp32"):
    kind = "cond" if name in COND else "reg"
    options = {"sprites.count": 64, "dcgan.width": 8, "dcgan-critic.width": 8}
    settings = {"size": "16", "batch": 8, "steps": STEPS, "sample_every": STEPS}
    settings |= {"device": "cpu", "precision": precision, "log_every": 5}
    return compose(
        data="sprites",
        options=options | EARLY.get(name, {}),
        settings=settings,
        **{kind: [name]},
    )


@pytest.mark.slow
def test_a_run_in_two_goes_ends_with_the_bits_of_one(tmp_path):
    offenders = []
    for name in [*COND, *REG]:
        whole = Run.start(composed(name), tmp_path / name / "whole").fit(progress=False)
        if checksums(whole) != checksums(in_two_goes(composed(name), tmp_path / name / "halves")):
            offenders.append(name)
    assert not offenders


@pytest.mark.slow
def test_half_precision_stays_finite(tmp_path):
    offenders = []
    for name in [*COND, *REG]:
        run = Run.start(composed(name, "bf16"), tmp_path / name)
        for _ in range(2):
            figures = run.training.train_step()
            if not all(
                value.isfinite() for value in figures.values() if hasattr(value, "isfinite")
            ):
                offenders.append(name)
    assert not offenders
