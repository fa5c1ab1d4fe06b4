"""What a metric or a picture is given, and when."""

import itertools

import pytest
import torch

from gancore import Progress, compose
from gancore.run.directory import read_rows
from gancore.run.display import PlainLines
from gancore.run.loop import Run
from gancore.testing import train
from gancore.tools.verify_resume import differences

OPTIONS = {"mlp.hidden": (4,), "mlp-critic.hidden": (4,)}


def start(folder, **settings):
    settings = {"batch": 4, "save-every": 3, **settings}
    composed = compose(
        data="mixture", gen="mlp", critic="mlp-critic", options=OPTIONS, settings=settings
    )
    return Run.start(composed, folder)


def test_what_is_due_every_so_many_steps_is_due_once_in_each_span_of_rows():
    context = train().context
    due = [Progress(context, step, 0.0, step - 3, False).due(5) for step in range(3, 31, 3)]
    assert due == [step // 5 > (step - 3) // 5 for step in range(3, 31, 3)]
    assert sum(due) == 6


@pytest.mark.parametrize("drawing", [True, False])
def test_what_is_due_every_0_steps_is_due_when_the_run_draws(drawing):
    assert Progress(train().context, 7, 0.0, 6, drawing).due(0) is drawing


def test_samples_are_those_made_of_the_latents():
    progress = Progress(train().context, 0, 0.0)
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
    assert [int(name.rpartition("-")[2]) for name in drawn if name != "final"] == [0, 8, 16]


def test_each_drawing_has_a_row(tmp_path):
    start(tmp_path / "r", steps=10, **{"log-every": 4, "sample-every": 3}).fit()
    assert [row["step"] for row in read_rows(tmp_path / "r")] == [3, 4, 6, 8, 9, 10]


def test_the_row_before_is_remembered_across_a_resume(tmp_path):
    start(tmp_path / "r", steps=6, **{"log-every": 2}).fit()
    assert Run.resume(tmp_path / "r").checkpoints.row_step == 6


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────


def drawn(folder):
    return sorted(
        path.stem.removeprefix("step-").lstrip("0") or "0"
        for path in (folder / "samples").glob("*.png")
    )


def stop_after(run, step):
    """Train until after a step, as a signal would end it."""

    def stop(done):
        run.stop_after_step = done.number >= step

    return run.fit(on_step=stop)


def test_a_run_draws_at_its_start_and_often_at_first(tmp_path):
    start(tmp_path / "r", steps=120, **{"save-every": 100}).fit()
    expected = {0, 1, 2, 5, 10, *range(12, 121, 12)}
    assert drawn(tmp_path / "r") == sorted(["final", *map(str, expected)])


def test_a_run_that_is_stopped_leaves_a_picture_of_where_it_is_until_it_goes_on(tmp_path):
    run = stop_after(start(tmp_path / "parts" / "run", steps=60), 4)
    assert drawn(run.folder) == ["0", "1", "2", "stopped"]
    picture = (run.folder / "samples" / "stopped.png").read_bytes()
    run.draw_samples("again")
    assert (run.folder / "samples" / "again.png").read_bytes() == picture
    (run.folder / "samples" / "again.png").unlink()
    Run.resume(run.folder).fit()
    start(tmp_path / "whole" / "run", steps=60).fit()
    assert differences(tmp_path / "whole" / "run", run.folder) == []
    assert "stopped" not in drawn(run.folder)


def test_early_pictures_make_no_row(tmp_path):
    start(tmp_path / "r", steps=40, **{"log-every": 40}).fit()
    assert drawn(tmp_path / "r")[:3] == ["0", "1", "12"]
    assert [row["step"] for row in read_rows(tmp_path / "r")] == list(range(4, 41, 4))


def test_a_chosen_distance_between_grids_is_kept_after_the_first(tmp_path):
    start(tmp_path / "r", steps=20, **{"sample-every": 7}).fit()
    assert drawn(tmp_path / "r") == ["0", "14", "7", "final"]


def test_early_pictures_change_no_bit_of_training(tmp_path):
    often, rarely = (tmp_path / name / "run" for name in ("often", "rarely"))
    start(often, steps=60).fit()
    start(rarely, steps=60, **{"sample-every": 6}).fit()
    assert {"1", "2", "5"} <= set(drawn(often)) - set(drawn(rarely))
    sums = [path.name for path in (often / "checkpoints").iterdir() if path.is_dir()]
    assert len(sums) == 3
    for name in sums:
        one, other = (
            (folder / "checkpoints" / name / "SHA256SUMS").read_bytes()
            for folder in (often, rarely)
        )
        assert one == other


# ── what is shown ─────────────────────────────────────────────────────────────────────────────────


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def lines_of(run, seconds_a_step):
    """Train to the end with steps that seem to take so many seconds; return the plain lines, by
    their step.
    """
    clock, lines = Clock(), []
    display = PlainLines([], run.share, lines.append, clock)

    def on_step(step):
        clock.now += seconds_a_step
        display.on_step(step)

    run.fit(on_row=display.on_row, on_step=on_step, progress=False)
    return lines, [int(line.split()[1]) for line in lines]


def test_a_quick_run_shows_about_twenty_plain_lines(tmp_path):
    _, steps = lines_of(start(tmp_path / "r", steps=200, **{"log-every": 1}), 0.001)
    assert steps == [1, *range(10, 201, 10)]


def test_a_slow_run_shows_a_line_each_half_minute_at_first_and_rarer_later(tmp_path):
    lines, steps = lines_of(
        start(tmp_path / "r", steps=400, **{"log-every": 400, "sample-every": 400}), 10
    )
    assert steps[:5] == [
        3,
        6,
        9,
        12,
        15,
    ]  # at 30 s, 60 s, …: without a row, so that there is a speed and no losses
    assert lines[0].startswith("step 3  ")
    assert "images/s" in lines[0]
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps[:-1])]
    assert gaps[0] == 3
    assert gaps[-1] > 30  # minutes apart, after an hour
    assert gaps == sorted(gaps)


def test_fit_shows_progress_and_notes_unless_it_is_not_wanted(tmp_path, capsys):
    run = start(tmp_path / "shown", steps=3)
    run.notes.append("a remark with \x1b in it")
    run.fit()
    said = capsys.readouterr()
    assert said.out == ""
    assert "note: a remark with \\x1b in it\n" in said.err
    assert "step 3  critic " in said.err
    start(tmp_path / "quiet", steps=3).fit(progress=False)
    assert capsys.readouterr() == ("", "")


def test_fit_shows_nothing_and_trains_where_there_is_no_stderr(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    assert start(tmp_path / "r", steps=3).fit().training.step == 3


def test_a_run_names_itself_shortly(tmp_path):
    run = start(tmp_path / "r", steps=3)
    assert repr(run) == f"<Run {tmp_path / 'r'}: step 0 of 3>"
    run.fit(progress=False)
    assert repr(run) == f"<Run {tmp_path / 'r'}: step 3 of 3>"
