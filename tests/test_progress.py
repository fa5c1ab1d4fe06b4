"""What a metric or a picture is given, and when."""

import pytest
import torch

from gancore import Progress, compose
from gancore.run.directory import read_rows
from gancore.run.run import Run
from gancore.testing import train

OPTIONS = {"mlp.hidden": (4,), "mlp-critic.hidden": (4,)}


def start(folder, **settings):
    settings = {"batch": 4, "save-every": 3, **settings}
    composed = compose(data="mixture", gen="mlp", critic="mlp-critic", options=OPTIONS, settings=settings)
    return Run.start(composed, folder)


def test_what_is_due_every_so_many_steps_is_due_once_in_each_span_of_rows():
    game = train().game
    due = [Progress(game, step, 0.0, step - 3, False).due(5) for step in range(3, 31, 3)]
    assert due == [step // 5 > (step - 3) // 5 for step in range(3, 31, 3)]
    assert sum(due) == 6


@pytest.mark.parametrize("drawing", [True, False])
def test_what_is_due_every_0_steps_is_due_when_the_run_draws(drawing):
    assert Progress(train().game, 7, 0.0, 6, drawing).due(0) is drawing


def test_samples_are_those_made_of_the_latents():
    progress = Progress(train().game, 0, 0.0)
    images, labels = progress.samples(5)
    made = progress.make(progress.latents(5), labels)
    assert torch.equal(images, made.images)


def test_a_run_draws_each_so_many_epochs(tmp_path):
    start(tmp_path / "r", **{"steps": 0, "epochs": 0}).fit()
    composed = compose(
        data="gaussian", gen="mlp", critic="mlp-critic", settings={"epochs": 4, "batch": 256, "sample-epochs": 2},
        options={**OPTIONS, "gaussian.count": 1024},
    )  # fmt: skip
    run = Run.start(composed, tmp_path / "epochs").fit()
    drawn = sorted(path.stem for path in (tmp_path / "epochs" / "samples").glob("*.png"))
    assert run.training.step == 16
    assert [int(name.rpartition("-")[2]) for name in drawn if name != "final"] == [8, 16]


def test_each_drawing_has_a_row(tmp_path):
    start(tmp_path / "r", steps=10, **{"log-every": 4, "sample-every": 3}).fit()
    assert [row["step"] for row in read_rows(tmp_path / "r")] == [3, 4, 6, 8, 9, 10]


def test_the_row_before_is_remembered_across_a_resume(tmp_path):
    start(tmp_path / "r", steps=6, **{"log-every": 2}).fit()
    run = Run.resume(tmp_path / "r")
    assert run._progress((0.0, 0.0)).before == 6
