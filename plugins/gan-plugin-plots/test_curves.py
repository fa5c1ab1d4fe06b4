"""Facts about curves."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.tables import every_row

from gan_plugin_plots.curves import Curves, curves, replace
from gan_plugin_plots.series import CURVES, PANELS, Series, moving_mean, outline, panels, window_of
from gancore import UsageError
from gancore.testing import check_component


def make_run(folder, rows=30, **more):
    """A run's folder with a row every ten steps."""
    (folder / "samples").mkdir(parents=True)
    (folder / "recipe.toml").write_text("format = 1\n")
    figures = {
        "critic/total": 1.0,
        "generator/total": 2.0,
        "critic/bce/real": 0.5,
        "critic/score_real": 0.1,
        **more,
    }
    lines = [json.dumps({"step": 10 * i + 10, "epoch": 0.1 * i, **figures}) for i in range(rows)]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def ask(*words):
    return CliRunner().invoke(curves, [str(word) for word in words])


def test_curves_conform():
    check_component(Curves)


def test_mean_of_a_window_covers_exactly_its_rows():
    steps = np.arange(10.0, 101, 10)
    # of rows ten steps apart: three each, and fewer at the beginning
    found = moving_mean(steps, steps, 30)
    assert found.tolist() == [10, 15, *range(20, 91, 10)]


def test_a_window_of_one_step_shows_the_rows_themselves():
    values = np.array([3.0, -1.0, 4.0])
    assert moving_mean(np.array([1.0, 2.0, 3.0]), values, 1).tolist() == values.tolist()


def test_a_window_longer_than_the_run_ends_at_the_mean_of_all():
    assert moving_mean(np.arange(1.0, 5), np.array([1.0, 2.0, 3.0, 6.0]), 1000)[-1] == 3


def test_a_spike_leaves_no_trace_once_it_left_the_window():
    values = np.array([1e20, 0.5, 0.5, 0.5])
    assert moving_mean(np.arange(4.0), values, 2)[2:].tolist() == [0.5, 0.5]


def test_rows_are_averaged_by_steps_and_not_by_number():
    assert moving_mean(np.array([1.0, 100.0, 101.0]), np.array([9.0, 1.0, 3.0]), 50).tolist() == [
        9,
        1,
        2,
    ]


def test_every_panel_holds_figures_of_one_kind():
    names = [
        "epoch", "critic/total", "critic/bce/real", "critic/score_real", "generator/score_fake",
        "generator/total",
        "critic/acgan/accuracy-real", "critic-accuracy/real", "fid/fid", "critic/grad_norm",
    ]  # fmt: skip
    assert panels(names) == {
        "totals": ["critic/total", "generator/total"],
        "scores": ["critic/score_real", "generator/score_fake"],
        "accuracies": ["critic/acgan/accuracy-real", "critic-accuracy/real"],
        "fid": ["fid/fid"],
        "critic": ["critic/grad_norm"],
    }


def test_figures_of_some_rows_only_are_found():
    series = Series().add([{"step": 1, "a/b": 1}, {"step": 2, "a/b": 1, "fid/fid": 3}])
    assert list(series.names) == ["a/b", "fid/fid"]
    assert [list(each) for each in series.points["fid/fid"]] == [[2], [3]]


@every_row(("steps", "window"), [(0, 1), (5, 1), (800, 80), (10_000, 1000), (200_000, 1000)])
def test_the_window_is_a_tenth_of_the_run_and_1000_steps_at_most(steps, window):
    assert window_of(steps) == window


def test_a_run_of_800_steps_shows_its_last_values(tmp_path):
    run = make_run(tmp_path / "run", rows=80)
    Curves().draw(run / "samples")
    assert "run: mean of the last 80 steps" in (run / "curves.svg").read_text()


def test_a_log_of_3000_figures_gives_a_picture_of_few_panels_that_says_so(tmp_path):
    figures = {f"flow/{number}": 1.0 for number in range(1500)} | {
        f"other{number}/x": 1.0 for number in range(1500)
    }
    run = make_run(tmp_path / "run", rows=3, **figures)
    Curves().draw(run / "samples")
    text = (run / "curves.svg").read_text()
    assert f"flow: {CURVES} of 1500 figures" in text
    shown = Series().add([{"step": 1, **figures}]).shown()
    assert len(shown) == PANELS and max(map(len, shown.values())) == CURVES


def test_a_long_curve_is_drawn_by_the_smallest_and_largest_of_each_stretch():
    values = np.zeros(100_000)
    values[77_777], values[11] = 9, -9
    steps, thin = outline(np.arange(100_000.0), values)
    assert len(thin) <= 2000 and (thin.min(), thin.max()) == (-9, 9)
    assert (np.diff(steps) >= 0).all() and (steps[0], steps[-1]) == (0, 99_999)


def test_rows_already_drawn_are_not_read_again_and_the_picture_is_that_of_the_whole_log(tmp_path):
    run, tracker = make_run(tmp_path / "run"), Curves(window=50)
    tracker.draw(run / "samples")
    log = run / "metrics.jsonl"
    old = log.read_bytes()
    row = {"step": 310, "critic/total": 7.0}
    # what was read is not needed
    log.write_bytes(b"x" * (len(old) - 1) + b"\n" + json.dumps(row).encode() + b"\n")
    tracker.draw(run / "samples")
    log.write_bytes(old + json.dumps(row).encode() + b"\n")
    assert ask(run, "-o", tmp_path / "run.svg", "--window", 50).exit_code == 0
    assert (run / "curves.svg").read_bytes() == (tmp_path / "run.svg").read_bytes()


def test_a_run_without_rows_gets_no_picture(tmp_path):
    run = make_run(tmp_path / "run", rows=0)
    Curves().draw(run / "samples")
    assert not (run / "curves.png").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full to stand for a full disk")
def test_a_full_disk_leaves_no_part_of_a_picture_and_the_one_that_was_there(tmp_path):
    (tmp_path / "c.png").write_bytes(b"old")
    (tmp_path / ".c.png.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        replace(tmp_path / "c.png", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["c.png"]
    assert (tmp_path / "c.png").read_bytes() == b"old"


def test_the_run_gets_both_pictures(tmp_path):
    run = make_run(tmp_path / "run")
    Curves(window=70).draw(run / "samples")
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "run: mean of the last 70 steps" in (run / "curves.svg").read_text()
    assert not list(run.glob(".*"))


@pytest.mark.parametrize("name", ["c.png", "c.svg"])
def test_same_rows_give_the_same_bytes(tmp_path, name):
    run, pictures = make_run(tmp_path / "run"), []
    for folder in ("one", "other"):
        assert ask(run, "-o", tmp_path / folder / name).exit_code == 0
        pictures.append((tmp_path / folder / name).read_bytes())
    assert pictures[0] == pictures[1]


def test_figures_that_are_named_have_a_panel_each(tmp_path):
    run, out = make_run(tmp_path / "run"), tmp_path / "c.svg"
    result = ask(run, "-o", out, "--figures", "critic/bce/real,epoch")
    assert result.output == f"2 panels of 30 rows in {out}\n"
    text = out.read_text()
    assert "critic/bce/real" in text and "critic/total" not in text


def test_names_that_look_like_formulas_are_drawn_as_they_are(tmp_path):
    run, out = make_run(tmp_path / "a$^$b", **{"x/$y$_{": 1.0}), tmp_path / "c.svg"
    assert ask(run, "-o", out).exit_code == 0
    assert "a$^$b: mean" in out.read_text()


def test_a_single_row_can_be_drawn(tmp_path):
    assert ask(make_run(tmp_path / "run", rows=1), "-o", tmp_path / "c.png").exit_code == 0


def test_a_figure_in_some_rows_only_is_drawn(tmp_path):
    run, out = make_run(tmp_path / "run"), tmp_path / "c.svg"
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 400, "fid/fid": 3.0}\n')
    assert ask(run, "-o", out).exit_code == 0
    assert "fid/fid" in out.read_text()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--figures", "critic/totl"], "no row has a figure 'critic/totl'"),
        (["-o", "c.jpg"], "'c.jpg' is neither a .png nor a .svg"),
        (["-o", "."], "'.' is neither a .png nor a .svg"),
        (["-o", ""], "'.' is neither a .png nor a .svg"),
        (["-o", "recipe.toml/c.png"], "cannot be written"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, monkeypatch, words, what):
    monkeypatch.chdir(make_run(tmp_path / "run"))
    error = ask(".", *words).exception
    assert isinstance(error, UsageError)
    assert what in error.what and error.fix


def test_rows_without_a_figure_to_draw_are_refused(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "metrics.jsonl").write_text('{"step": 1, "epoch": 0.5}\n')
    error = ask(run, "-o", tmp_path / "c.png").exception
    assert isinstance(error, UsageError) and error.fix == "--figures epoch"


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    assert isinstance(ask(tmp_path).exception, UsageError)
