"""Facts about what TensorBoard is given."""

import json
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from gan_plugin_tensorboard import TensorBoard
from gancore import Progress, UsageError
from gancore.testing import check_component, copy_state, train

torch.set_num_threads(1)


def write_rows(run, steps):
    (run / "samples").mkdir(parents=True, exist_ok=True)
    (run / "recipe.toml").write_text("format = 1\n")
    rows = [{"step": step, "epoch": step / 10, "critic/total": 2.0 * step} for step in steps]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def draw(board, run, step, name=""):
    Image.new("L", (6, 4), step).save(run / "samples" / (name or f"step-{step:09d}.png"))
    board.draw(Progress(GAME, step, 0.0), run / "samples")


def events(run):
    """What TensorBoard shows of a run."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(run / "tensorboard"))
    return found.Reload()


def steps_of(found, tag="critic/total"):
    return [each.step for each in found.Scalars(tag)]


GAME = train().context


@pytest.fixture
def board():
    pytest.importorskip("tensorboard")
    return TensorBoard()


def test_tensorboard_conforms(board):
    check_component(TensorBoard)


def test_without_the_package_it_cannot_be_chosen(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UsageError) as caught:
        TensorBoard()
    assert caught.value.fix == "pip install tensorboard"


def test_every_figure_is_a_curve_under_its_own_name(board, tmp_path):
    write_rows(tmp_path, [10, 20])
    draw(board, tmp_path, 20)
    found = events(tmp_path)
    assert sorted(found.Tags()["scalars"]) == ["critic/total", "epoch"]
    assert [(each.step, each.value) for each in found.Scalars("critic/total")] == [
        (10, 20.0),
        (20, 40.0),
    ]


def test_grid_is_a_picture_at_its_step(board, tmp_path):
    write_rows(tmp_path, [20])
    draw(board, tmp_path, 20)
    (image,) = events(tmp_path).Images("samples")
    assert (image.step, image.width, image.height) == (20, 6, 4)


def test_no_row_is_written_twice(board, tmp_path):
    write_rows(tmp_path, [10, 20])
    draw(board, tmp_path, 20)
    write_rows(tmp_path, [10, 20, 30, 40])
    draw(board, tmp_path, 40)
    draw(board, tmp_path, 40, "final.png")
    found = events(tmp_path)
    assert steps_of(found) == [10, 20, 30, 40]
    assert [image.step for image in found.Images("samples")] == [20, 40]


def test_a_last_picture_without_number_is_shown(board, tmp_path):
    write_rows(tmp_path, [7])
    draw(board, tmp_path, 7, "final.png")
    assert events(tmp_path).Images("samples")[0].step == 7


def test_what_a_lost_run_wrote_after_its_checkpoint_is_forgotten(board, tmp_path):
    write_rows(tmp_path, [10, 20])
    draw(board, tmp_path, 20)
    resumed = TensorBoard()
    copy_state(board, resumed)
    write_rows(tmp_path, [10, 20, 30, 40])
    draw(board, tmp_path, 40)
    time.sleep(1)  # TensorBoard reads event files in the order of the seconds in their names
    write_rows(tmp_path, [10, 20, 30, 50])
    draw(resumed, tmp_path, 50)
    found = events(tmp_path)
    assert steps_of(found) == [10, 20, 30, 50]
    assert [image.step for image in found.Images("samples")] == [20, 50]


def test_grey_grids_become_three_channels(board, tmp_path):
    from gan_plugin_tensorboard import grid

    write_rows(tmp_path, [9])
    draw(board, tmp_path, 9)
    assert np.array_equal(grid(Progress(GAME, 9, 0.0), tmp_path / "samples"), np.full((4, 6, 3), 9))


def test_a_session_writes_one_event_file_however_often_it_draws(board, tmp_path):
    write_rows(tmp_path, range(10, 310, 10))
    for step in range(10, 310, 10):
        draw(board, tmp_path, step)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    assert steps_of(events(tmp_path)) == list(range(10, 310, 10))


def test_rows_already_written_are_not_read_again(board, tmp_path):
    write_rows(tmp_path, [10])
    draw(board, tmp_path, 10)
    log = tmp_path / "metrics.jsonl"
    row = json.dumps({"step": 20, "critic/total": 40.0})
    log.write_text("x" * (len(log.read_text()) - 1) + f"\n{row}\n")  # what was read is not needed
    draw(board, tmp_path, 20)
    assert steps_of(events(tmp_path)) == [10, 20]


def test_a_drawing_that_failed_is_made_up_for_by_the_next(board, tmp_path):
    write_rows(tmp_path, [10, 20])
    draw(board, tmp_path, 10)
    with pytest.raises(FileNotFoundError):  # no grid is there
        board.draw(Progress(GAME, 20, 0.0), tmp_path / "samples")
    draw(board, tmp_path, 20)
    assert steps_of(events(tmp_path)) == [10, 20]
