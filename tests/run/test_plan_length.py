"""Runs planned by minutes: how many steps fit, and that the run is that of the same `--steps`."""

import json

import pytest
from attrs import evolve
from support.tables import every_row
from support.two_goes import checksums

from gancore import Run, UsageError, compose
from gancore.recipe.settings import Settings
from gancore.run.plan_length import Speed, seconds_of, steps_within

WORDS = {"sprites.count": 48, "dcgan.width": 4, "dcgan-critic.width": 4, "normal.dim": 4}
QUICK = {"batch": 8, "size": "16"}
MINUTES = 0.03  # of which a fifth goes into measuring
STEP = Speed(step=1.0, row=0.0, picture=0.0, grid=0.0, save=0.0, epochs=1.0)


def made(**settings):
    """Compose a run with an average of weights, which measured steps would move."""
    return compose(settings={**QUICK, **settings}, options=WORDS, reg=["ema"])


@every_row(
    ("parts", "settings", "steps"),
    [
        ({}, {}, 97),  # 3 % of 100 seconds are a reserve
        ({"row": 1.0}, {"log_every": 1}, 48),
        ({"picture": 1.0}, {"sample_every": 1}, 48),
        ({"picture": 1.0}, {"sample_epochs": 1}, 48),  # of an epoch a step
        ({"picture": 1.0}, {}, 87),  # ten in a run
        ({"picture": 20.0}, {}, 4),  # one a step in a shorter run
        ({"save": 1.0}, {"save_every": 1}, 47),  # and two at its ends
        ({"grid": 1.0}, {}, 92),  # before and after it, and of steps 1, 2 and 5
        ({"step": 0.001}, {}, 97_000),
        ({"step": 0.00011}, {}, 881_000),  # three digits
        ({"step": 1000.0}, {}, 1),
    ],
)
def test_as_many_steps_fit_as_leave_time_for_rows_pictures_and_checkpoints(parts, settings, steps):
    speed = evolve(STEP, **parts)
    found = Settings(**settings)
    assert steps_within(100.0, speed, found) == steps
    assert steps == 1 or seconds_of(steps, speed, found) <= 97


def test_a_run_that_takes_longer_than_planned_to_begin_still_makes_a_step():
    assert steps_within(-5.0, STEP, Settings()) == 1


def test_a_run_planned_by_minutes_has_the_bits_of_one_of_as_many_steps(tmp_path):
    planned = Run.start(made(epochs=3), tmp_path / "planned", minutes=MINUTES).fit(progress=False)
    settings = planned.composition.settings
    assert settings.epochs == 0
    assert planned.training.step == settings.steps >= 1
    given = Run.start(made(steps=settings.steps), tmp_path / "given").fit(progress=False)
    assert checksums(planned) == checksums(given)
    recipes = [(tmp_path / name / "recipe.toml").read_text() for name in ("planned", "given")]
    assert recipes[0] == recipes[1]


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_minutes_that_are_no_time_are_refused(tmp_path, minutes):
    with pytest.raises(UsageError, match="minutes") as caught:
        Run.start(made(), tmp_path / "r", minutes=minutes)
    assert caught.value.where.startswith("--minutes")
    assert not (tmp_path / "r").exists()


@every_row(
    ("words", "expected"),
    [
        (["--steps", "3"], ["--minutes and --steps both give", "--minutes 1, --steps 3"]),
        (["--epochs", "3"], ["--minutes and --epochs both give", "leave out"]),
        (["--resume", "r"], ["--minutes plans a new run", "--steps N"]),
    ],
)
def test_minutes_beside_another_length_are_refused(gan_here, words, expected):
    said = gan_here("run", "--minutes", "1", *words, check=2).stderr
    assert all(part in said for part in expected), said


def test_a_dry_run_and_a_run_say_that_the_steps_follow_from_minutes(gan_here, tmp_path):
    words = ["run", "--minutes", MINUTES, "--batch", 8, "--size", 16, "--sprites.count", 48]
    words += ["--dcgan.width", 4, "--dcgan-critic.width", 4]
    origins = json.loads(gan_here(*words, "--dry-run", "--json").stdout)["origins"]
    assert origins["run.steps"].startswith(f"--minutes {MINUTES}: ")
    assert origins["run.steps"].endswith(" a step measured here")
    said = gan_here(*words, "--out", "r").stderr
    assert f"measuring the speed of this machine, to plan --minutes {MINUTES}" in said
    assert f" (--minutes {MINUTES}: " in said


@pytest.mark.slow
def test_processes_of_one_run_plan_the_same_length(gan, tmp_path):
    words = ["--batch", 8, "--size", 16, "--sprites.count", 48, "--dcgan.width", 4]
    gan("run", "--minutes", 0.1, "--nproc", 2, *words, "--dcgan-critic.width", 4, "--out", "r")
    rows = (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()
    recipe = (tmp_path / "r" / "recipe.toml").read_text()
    assert f"steps = {json.loads(rows[-1])['step']}\n" in recipe
