"""Runs that fail: numbers, memory, the disk, a component, a stall. Each ends with a sentence and
loses nothing.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.paths import EXAMPLE_COMPONENTS
from support.tables import every_row

from gancore import (
    CheckpointError,
    GanError,
    NumbersError,
    PluginError,
    Run,
    UsageError,
    compose,
    read_rows,
)
from gancore.recipe.toml import layer_of
from gancore.run import atomic, directory
from gancore.run.checkpoint import reader, writer
from gancore.run.metrics_log import MetricsLog
from gancore.train.loop import UPDATES

UNLUCKY = f"{EXAMPLE_COMPONENTS}:Unlucky"
POINTS = {"data": "mixture", "gen": "mlp", "critic": "mlp-critic"}
LEAN = {
    "mlp.hidden": [4],
    "mlp-critic.hidden": [4],
    "mixture.finite": 64,
    "n-critic.reuse-fakes": False,  # faults are told of the update of each player
}


def compose_unlucky(how="", *, steps=8, settings=None, **options):
    own = (
        {f"unlucky.{name}": value for name, value in {"how": how, **options}.items()} if how else {}
    )
    quick = {
        "batch": 4,
        "log_every": 1,
        "save_every": 2,
        "device": "cpu",
        "steps": steps,
        **(settings or {}),
    }
    return compose(**POINTS, reg=[UNLUCKY] if how else [], options={**LEAN, **own}, settings=quick)


def start(folder, how="", **more):
    return Run.start(compose_unlucky(how, **more), folder)


def steps(folder):
    return [int(path.name.removeprefix("step-")) for path in writer.steps(folder / "checkpoints")]


def sums(folder):
    return (writer.steps(folder / "checkpoints")[-1] / "SHA256SUMS").read_text()


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("how", "what", "last"),
    [
        ("term", r"critic's unlucky\.luck became nan at step 4", 2),
        ("gradient", r"critic's grad_norm became (nan|inf) at step 4", 2),
        ("weight", r"generator's .* became nan at step 4", 2),
    ],
)
def test_what_is_no_longer_finite_ends_the_run_within_its_step_and_is_named(
    tmp_path, how, what, last
):
    with pytest.raises(NumbersError, match=what) as ended:
        start(tmp_path / "r", how).fit()
    assert f"last checkpoint: step-{last:09d}" in ended.value.where
    assert steps(tmp_path / "r")[-1] == last
    assert reader.problem(writer.steps(tmp_path / "r" / "checkpoints")[-1]) == ""


def test_a_buffer_that_is_not_finite_is_never_saved(tmp_path):
    with pytest.raises(NumbersError, match="generator: .*running.* is no longer finite at step 4"):
        Run.start(
            compose(
                **{**POINTS, "gen-norm": "batch"},
                reg=[UNLUCKY],
                options={**LEAN, "unlucky.how": "buffer"},
                settings={"batch": 4, "save_every": 2, "steps": 8, "device": "cpu"},
            ),
            tmp_path / "r",
        ).fit()
    assert steps(tmp_path / "r")[-1] == 2


def test_the_post_mortem_holds_the_broken_weights_the_reals_and_a_report(tmp_path):
    with pytest.raises(NumbersError):
        start(tmp_path / "r", "weight").fit()
    kept = tmp_path / "r" / "failed" / "step-000000004"
    found = reader.read(kept)
    assert not all(tensor.isfinite().all() for tensor in found.snapshot.files["critic"].values())
    assert (kept / "batch.safetensors").stat().st_size > 4 * 2 * 4
    report = (kept / "report.txt").read_text()
    assert "became nan at step 4" in report
    assert "critic: learning rate" in report
    assert "numbers of body" in report
    assert "likely: an update took a weight out of range" in report
    assert 4 not in steps(tmp_path / "r")


def test_the_report_tells_a_broken_term_from_broken_weights(tmp_path):
    with pytest.raises(NumbersError):
        start(tmp_path / "r", "gradient", at=0, settings={"batch": 4}).fit()
    weights = (tmp_path / "r" / "failed" / "step-000000001" / "report.txt").read_text()
    assert "first module whose output is not finite: body" in weights


def test_a_run_rolls_back_with_other_numbers_and_ends_well(tmp_path):
    run = start(
        tmp_path / "r", "term", chance=0.5, at=5, settings={"rollbacks": 3, "seed": 11}
    ).fit()
    assert run.training.step == 8
    assert any("back to step 4 with other numbers, 1 of 3 times" in text for text in run.notes)
    rows = read_rows(tmp_path / "r")
    assert [row["step"] for row in rows] == list(range(1, 9))
    assert ["attempt" in row for row in rows] == [False] * 4 + [True] * 4
    assert (tmp_path / "r" / "failed" / "step-000000006" / "report.txt").exists()


def test_a_run_that_rolled_back_is_repeated_and_resumed_to_the_same_bits(tmp_path):
    unlucky = {"chance": 0.5, "at": 5}
    for name in "ab":
        start(
            tmp_path / name, "term", settings={"rollbacks": 3, "seed": 11}, steps=12, **unlucky
        ).fit()
    assert sums(tmp_path / "a") == sums(tmp_path / "b")
    first = start(
        tmp_path / "c", "term", settings={"rollbacks": 3, "seed": 11}, steps=12, **unlucky
    )

    def stop_at_step_7(row):
        first.stop_after_step = row["step"] == 7

    first.fit(on_row=stop_at_step_7)
    again = Run.resume(tmp_path / "c", files=lambda _: True).fit()
    assert again.training.context.streams.attempt == 1
    assert sums(tmp_path / "c") == sums(tmp_path / "a")


def test_a_run_gives_up_after_as_many_attempts_as_it_may_make(tmp_path):
    with pytest.raises(NumbersError, match="became nan"):
        start(tmp_path / "r", "term", settings={"rollbacks": 2}).fit()
    about = Run.resume(tmp_path / "r", files=lambda _: True)
    assert about.training.step == 2


def test_checks_and_policy_change_nothing_in_a_run_that_is_well(tmp_path):
    start(tmp_path / "a").fit()
    start(tmp_path / "b", settings={"rollbacks": 3, "log_every": 5}).fit()
    weights = [line for line in sums(tmp_path / "a").splitlines() if line.endswith(".safetensors")]
    assert weights == [
        line for line in sums(tmp_path / "b").splitlines() if line.endswith(".safetensors")
    ]


# ── components and memory ─────────────────────────────────────────────────────────────────────────


def test_a_component_that_raises_is_named_with_hook_and_step_and_its_traceback_kept(tmp_path):
    with pytest.raises(
        PluginError, match="unlucky failed in critic_fakes, step 3: KeyError: 'out of luck'"
    ) as ended:
        start(tmp_path / "r", "error").fit()
    assert str(tmp_path / "r") in ended.value.where
    kept = tmp_path / "r" / "failed" / "step-000000003" / "traceback.txt"
    assert (
        f"read {kept}; `gan run --resume {tmp_path / 'r'}` goes on from step-000000002"
        in ended.value.fix
    )
    assert 'raise KeyError("out of luck")' in kept.read_text()


def test_memory_that_ends_is_told_with_phase_batch_and_what_to_try(tmp_path):
    with pytest.raises(
        GanError, match=r"out of memory in the critic's update at step 3, with 4 samples of 2"
    ) as ended:
        start(tmp_path / "r", "memory").fit()
    assert "--batch 2" in ended.value.fix
    assert "GiB were used" in ended.value.what
    assert steps(tmp_path / "r")[-1] == 2
    Run.resume(tmp_path / "r", files=lambda _: True)


@every_row(
    ("name", "phase"),
    [("draw_samples", "the drawing of samples"), ("update_generator", "the generator's update")],
)
@every_row("kind", [MemoryError, torch.OutOfMemoryError])
def test_every_phase_that_runs_out_of_memory_is_named(tmp_path, monkeypatch, name, phase, kind):
    def fail(*_, **__):
        raise kind("no more")

    fail.__code__ = fail.__code__.replace(co_name=name)
    if name == "draw_samples":
        monkeypatch.setattr("gancore.run.samples.draw_samples", fail)
    else:
        monkeypatch.setitem(UPDATES, "generator", fail)
    with pytest.raises(GanError, match=f"out of memory in {phase}"):
        start(tmp_path / "r").fit()


# ── the disk ──────────────────────────────────────────────────────────────────────────────────────


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def break_between(monkeypatch, run, module, name, first, last):
    """Let a function fail while the run is between two steps."""
    whole = getattr(module, name)

    def act(*arguments, **more):
        return (full if first <= run.training.step <= last else whole)(*arguments, **more)

    monkeypatch.setattr(module, name, act)


def test_a_save_that_fails_is_told_and_tried_again(tmp_path, monkeypatch):
    run = start(tmp_path / "r")
    break_between(monkeypatch, run, atomic, "commit", 2, 4)
    run.fit()
    assert steps(tmp_path / "r") == [0, 6, 8]
    assert sum("training goes on" in text for text in run.notes) == 2
    assert not list((tmp_path / "r" / "checkpoints").glob(".tmp*"))


def test_a_third_save_that_fails_ends_the_run(tmp_path, monkeypatch):
    run = start(tmp_path / "r", steps=20)
    break_between(monkeypatch, run, atomic, "commit", 4, 99)
    with pytest.raises(
        CheckpointError, match="of step 8 was not saved: No space left on device"
    ) as ended:
        run.fit()
    assert "last checkpoint: step-000000002" in ended.value.where


@pytest.mark.parametrize("at", [0, 8])
def test_a_first_or_last_save_that_fails_ends_the_run(tmp_path, monkeypatch, at):
    run = start(tmp_path / "r")
    break_between(monkeypatch, run, atomic, "commit", at, at)
    with pytest.raises(CheckpointError, match=f"of step {at} was not saved"):
        run.fit()


def test_rows_wait_in_memory_while_the_disk_takes_none(tmp_path, monkeypatch):
    run = start(tmp_path / "r")
    break_between(monkeypatch, run, atomic, "append", 3, 5)
    run.fit()
    assert [row["step"] for row in read_rows(tmp_path / "r")] == list(range(1, 9))
    assert sum("rows of the log wait in memory" in text for text in run.notes) == 1
    assert 4 not in steps(tmp_path / "r")  # its rows were not on the disk


def test_a_row_is_never_in_the_log_in_part(tmp_path, monkeypatch):
    log = MetricsLog(tmp_path / "log", 0)
    log.write({"step": 1})

    def tear(descriptor, line):
        os.write(descriptor, line[:5])
        full()

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "append", tear)
        assert "No space left" in log.write({"step": 2})
        assert log.write({"step": 3}) == ""  # told once
        with pytest.raises(OSError, match="No space left"):
            log.sync()
        assert (tmp_path / "log").read_bytes() == b'{"step": 1}\n'
    log.sync()
    log.close()
    assert [json.loads(line)["step"] for line in (tmp_path / "log").read_text().splitlines()] == [
        1,
        2,
        3,
    ]


def test_a_log_that_takes_nothing_keeps_its_rows(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space left"):
        atomic.append(descriptor, b"{}\n")
    os.close(descriptor)


def test_pictures_that_cannot_be_written_do_not_stop_a_run(tmp_path, monkeypatch):
    run = start(tmp_path / "r")
    monkeypatch.setattr("gancore.run.samples.save_picture", full)
    with pytest.raises(GanError, match="samples of step 8 were not drawn: No space left on device"):
        run.fit()  # all is trained and saved, but who waits for the final picture must hear of it
    assert any(
        "samples of step 7 were not drawn: No space left on device" in text for text in run.notes
    )
    assert steps(tmp_path / "r")[-1] == 8


def test_too_little_room_for_two_checkpoints_is_told_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 100})())
    assert any("two checkpoints need" in text for text in start(tmp_path / "r").notes)


def test_a_file_size_limit_ends_the_run_with_a_sentence_and_the_last_checkpoint(tmp_path):
    command = [sys.executable, "-m", "gancore", "run", "--steps", "3", "--batch", "4", "--out", "r"]
    points = ["--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic"]
    done = subprocess.run(
        ["/bin/bash", "-c", 'ulimit -f 8; exec "$@"', "-", *command, *points],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "error: the checkpoint of step 0 was not saved: File too large" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["a file on the way", "a folder that takes nothing"])
def test_a_place_that_takes_no_files_is_refused_before_anything_is_built(tmp_path, gan_here, kind):
    if kind == "a file on the way":
        (tmp_path / "f").write_text("")
        out = tmp_path / "f" / "r"
    else:
        out = Path("/proc/1/r") if Path("/proc/1").is_dir() else pytest.skip("no /proc here")
    done = gan_here("run", "--out", out, "--size", "9999x2", check=2)
    assert "Traceback" not in done.stderr


def test_the_probe_names_the_folder_and_leaves_nothing(tmp_path):
    directory.probe(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    if Path("/proc/1").is_dir():
        with pytest.raises(UsageError, match="/proc/1/r cannot be made"):
            directory.probe(Path("/proc/1/r"))


# ── what is in the way ────────────────────────────────────────────────────────────────────────────


def test_overwriting_moves_the_old_run_aside(tmp_path):
    start(tmp_path / "r", steps=2).fit()
    before = sums(tmp_path / "r")
    for number in (1, 2):
        Run.start(compose_unlucky(steps=4), tmp_path / "r", overwrite=True).fit()
        assert (tmp_path / f"r.old-{number}").is_dir()
    assert sums(tmp_path / "r.old-1") == before


def test_changed_data_are_accepted_only_on_request(tmp_path):
    start(tmp_path / "r", steps=2).fit()
    recipe = tmp_path / "r" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("finite = 64", "finite = 65"))
    with pytest.raises(GanError, match="not what the run was trained on"):
        Run.resume(tmp_path / "r")
    longer = [layer_of("test", {"run": {"steps": 3}})]
    assert Run.resume(tmp_path / "r", longer, changed_data=True).fit().training.step == 3


# ── signals and stalls ────────────────────────────────────────────────────────────────────────────

TRAIN = [
    *(sys.executable, "-m", "gancore", "run", "--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic"),
    *("--batch", "4", "--log-every", "1", "--save-every", "1", "--keep", "1"),
]  # fmt: skip


def begin(tmp_path, *words, number=signal.SIGINT):
    process = subprocess.Popen(
        [*TRAIN, *words, "--out", tmp_path / "r"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    log = tmp_path / "r" / "metrics.jsonl"
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 2):
        time.sleep(0.02)
    return process


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["int", "term", "hup"],
)
def test_a_signal_while_every_step_is_saved_ends_the_run_saved(tmp_path, number, code):
    process = begin(tmp_path, "--steps", "1000000", number=number)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert f"gan run --resume {tmp_path / 'r'}" in errors
    (last,) = steps(tmp_path / "r")
    assert last == json.loads((tmp_path / "r" / "run.json").read_text())["step"]
    assert last == read_rows(tmp_path / "r")[-1]["step"]


def test_a_second_ctrl_c_stops_at_once_and_harms_nothing(tmp_path):
    still = ["--reg", UNLUCKY, "--unlucky.how", "still", "--unlucky.at", "5", "--steps", "100"]
    process = begin(tmp_path, *still)
    while not (tmp_path / "still").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)  # step 6 never ends
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert steps(tmp_path / "r") == [5]
    assert reader.problem(writer.steps(tmp_path / "r" / "checkpoints")[0]) == ""


def test_a_run_in_which_no_step_ends_is_ended_and_every_thread_told(tmp_path):
    still = ["--reg", UNLUCKY, "--unlucky.how", "still", "--unlucky.at", "3", "--steps", "100"]
    process = begin(tmp_path, *still, "--stall-timeout", "10")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "no step has ended for 10 seconds; the last was step 3" in errors
    assert "example_components.py" in (tmp_path / "r" / "stalled.txt").read_text()
    assert steps(tmp_path / "r") == [3]
