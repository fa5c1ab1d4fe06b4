"""Real processes of `gan run`, killed at any moment: what they finished stays, and going on gives
the same bits.
"""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from itertools import count
from multiprocessing import get_context

import pytest
import torch
from support.tables import every_row

from gancore import CheckpointError, GanError, Run, compose
from gancore.cli import main
from gancore.plugins import discovery, loading
from gancore.recipe.toml import layer_of
from gancore.run import directory
from gancore.run.checkpoint import reader, verified, writer
from gancore.run.directory import read_rows, rows_in
from gancore.run.metrics_log import MetricsLog
from gancore.tools.verify_resume import differences, fit_until

WORDS = [
    *("--cond", "acgan", "--reg", "experience-replay", "--reg", "ema", "--schedule", "monitored"),
    *(
        "--track",
        "milestones",
        "--batch",
        "4",
        "--size",
        "16",
        "--device",
        "cpu",
        "--sprites.count",
        "32",
    ),
    *(
        "--dcgan.width",
        "2",
        "--dcgan-critic.width",
        "2",
        "--milestones.columns",
        "2",
        "--milestones.limit",
        "3",
    ),
    *("--experience-replay.capacity", "20", "--log-every", "1"),
]
OFTEN = ["--save-every", "1", "--keep", "1", "--sample-every", "3"]
PLAIN = {
    "data": "mixture",
    "gen": "mlp",
    "critic": "mlp-critic",
    "options": {"mixture.finite": 64, "mlp.hidden": [8]},
}
QUICK = {"batch": 4, "log_every": 1, "device": "cpu"}

pytestmark = pytest.mark.xdist_group("kills")  # they share one warm process


@pytest.fixture(scope="module")
def warm():
    """Return a starter of `gan …` in a process of its own that need not import torch first."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["gancore.run.loop", "torch._dynamo", "gancore.cli"])

    def start(*words):
        process = context.Process(target=main, args=(list(map(str, words)),))
        process.start()
        return process

    return start


def newest_step(folder):
    return max((int(path.name[5:]) for path in writer.steps(folder / "checkpoints")), default=-1)


def sums(folder):
    return (writer.steps(folder / "checkpoints")[-1] / "SHA256SUMS").read_bytes()


def in_plain(steps=4, **settings):
    return compose(**PLAIN, settings={**QUICK, "steps": steps, **settings})


# ── SIGKILL ───────────────────────────────────────────────────────────────────────────────────────

MOMENTS = {  # what is there at such a moment only
    "writing": "checkpoints/.tmp-step-*/*", "pruning": "checkpoints/.trash-*", "drawing": "samples/**/.*.tmp",
    "any": "nothing",
}  # fmt: skip
AT_MOST = 4  # steps that a process may live, so that the run does not end before its last kill


def kill(process, folder, update_id, dice):
    """Kill a process at a moment, or when it has saved some steps; return whether it was still
    alive.
    """
    until, delay = newest_step(folder) + dice.randint(1, AT_MOST), dice.uniform(0, 0.02)
    before = set(folder.glob(MOMENTS[update_id]))  # left by those killed earlier
    while (
        process.is_alive()
        and newest_step(folder) < until
        and not set(folder.glob(MOMENTS[update_id])) - before
    ):
        pass
    time.sleep(delay if update_id == "any" else 0)
    process.kill()
    process.join()
    return process.exitcode == -9


def kill_within_100_ms(command, dice):
    """Start a process as a shell does, and kill it in its first tenth of a second."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gancore", *command], stderr=subprocess.DEVNULL
    )
    time.sleep(dice.uniform(0, 0.1))
    process.kill()
    return process.wait() == -9


@pytest.mark.parametrize("kills", [pytest.param(8), pytest.param(50, marks=pytest.mark.slow)])
def test_a_run_killed_at_any_moment_ends_with_the_bits_of_one_that_was_not(warm, tmp_path, kills):
    whole, parts, dice = (
        tmp_path / "at-once" / "run",
        tmp_path / "killed" / "run",
        random.Random(kills),
    )
    steps = AT_MOST * kills + 32
    words = [*WORDS, *OFTEN, "--steps", steps]
    alone = warm("run", *words, "--out", whole)
    moments = ["at once", *[list(MOMENTS)[number % 4] for number in range(kills - 2)], "at once"]
    for update_id in moments:
        started = (parts / directory.RECIPE).exists()
        command = ["run", "--resume", parts] if started else ["run", *words, "--out", parts]
        if update_id == "at once":
            assert kill_within_100_ms(list(map(str, command)), dice)
        else:
            assert kill(warm(*command), parts, update_id, dice)
        assert not reader.newest(parts / "checkpoints")[1]  # whatever is there is whole
    last = warm("run", "--resume", parts)
    last.join()
    alone.join()
    assert (last.exitcode, alone.exitcode) == (0, 0)
    assert differences(whole, parts) == []
    assert sums(whole) == sums(parts)
    assert [
        path.name for path in (parts / "checkpoints").iterdir() if path.name.startswith(".")
    ] == []
    assert [row["step"] for row in read_rows(parts)] == list(range(1, steps + 1))


def test_a_run_that_was_killed_before_it_had_a_folder_for_checkpoints_goes_on(tmp_path):
    Run.start(in_plain(), tmp_path / "at-once" / "run").fit()
    Run.start(in_plain(), tmp_path / "killed" / "run")
    for name in directory.FOLDERS:
        (tmp_path / "killed" / "run" / name).rmdir()
    Run.resume(tmp_path / "killed" / "run").fit()
    assert differences(tmp_path / "at-once" / "run", tmp_path / "killed" / "run") == []


def test_a_run_that_was_killed_before_it_had_a_recipe_leaves_room_for_another(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / ".recipe.toml.tmp").write_text("format = 1\nda")
    assert Run.start(in_plain(1), tmp_path / "r").fit().training.step == 1


def test_a_second_process_is_refused_until_the_first_is_killed(warm, gan_here, tmp_path):
    first = warm("run", *WORDS, "--steps", 100_000, "--save-every", 2, "--out", tmp_path / "r")
    while newest_step(tmp_path / "r") < 2:
        time.sleep(0.01)
    refused = gan_here("run", "--resume", tmp_path / "r", check=1).stderr
    assert f"is in use by process {first.pid} on {socket.gethostname()}" in refused
    assert "note:" not in refused  # above all not that the process before was killed
    with pytest.raises(GanError, match="is in use by process"):
        Run.resume(tmp_path / "r")
    for words in (["--out", "r"], ["--out", "r", "--nproc", "2"], ["--out", "."]):
        refused = gan_here("run", *WORDS, "--steps", "1", "--overwrite", *words, check=1).stderr
        assert f"is in use by process {first.pid} on" in refused
    assert [path.name for path in tmp_path.iterdir()] == ["r"]  # nothing was moved
    assert first.is_alive()
    first.kill()
    first.join()
    step = newest_step(tmp_path / "r")
    done = gan_here("run", "--resume", tmp_path / "r", "--steps", step + 1)
    assert "ended without closing the run" in done.stderr
    assert f"it goes on from step {step}" in done.stderr
    assert "without closing" not in gan_here("run", "--resume", tmp_path / "r").stderr


def test_a_run_whose_folder_is_renamed_says_so_and_goes_on_where_it_gets_its_name_back(tmp_path):
    run = Run.start(in_plain(12, save_every=2, sample_every=3), tmp_path / "r")

    def rename(row):
        if row["step"] == 3:
            (tmp_path / "r").rename(tmp_path / "moved")
        if row["step"] == 7:
            assert [path.name for path in tmp_path.iterdir()] == [
                "moved"
            ]  # nothing was made in the old place
            (tmp_path / "moved").rename(tmp_path / "r")

    run.fit(on_row=rename)
    told = [note for note in run.notes if "was renamed" in note]
    moved = f"{tmp_path / 'r'} was renamed to {tmp_path / 'moved'} while it trained"
    again = "training goes on, and the next save tries again"
    assert told == [
        f"samples of step 3 were not drawn: {moved}",
        f"the checkpoint of step 4 was not saved: {moved}; {again}",
        f"samples of step 6 were not drawn: {moved}",
        f"the checkpoint of step 6 was not saved: {moved}; {again}",
    ]
    assert newest_step(tmp_path / "r") == 12
    assert [row["step"] for row in read_rows(tmp_path / "r")] == list(range(1, 13))


def test_a_run_whose_folder_stays_away_ends_with_its_new_place_and_what_to_do(tmp_path):
    run = Run.start(in_plain(20, save_every=2, sample_every=100), tmp_path / "r")

    def rename_at_step_3(row):
        if row["step"] == 3:
            (tmp_path / "r").rename(tmp_path / "moved")

    with pytest.raises(CheckpointError) as ended:
        run.fit(on_row=rename_at_step_3)
    assert run.training.step == 8
    assert f"was renamed to {tmp_path / 'moved'} while it trained" in ended.value.what
    assert ended.value.fix == "give the folder its name back, then --resume"
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]
    assert Run.resume(tmp_path / "moved").training.step == 2


def test_an_overwritten_folder_of_ended_runs_is_moved_aside_though_their_locks_are_there(tmp_path):
    Run.start(in_plain(1), tmp_path / "sweep" / "arm" / "seed-0").fit()
    assert (tmp_path / "sweep" / "arm" / "seed-0" / "lock").exists()
    Run.start(in_plain(1), tmp_path / "sweep", overwrite=True)
    assert (tmp_path / "sweep.old-1" / "arm").is_dir()


# ── readers beside a run ──────────────────────────────────────────────────────────────────────────


def test_readers_of_a_run_that_saves_every_step_and_keeps_one_checkpoint_never_fail(
    warm, gan_here, tmp_path
):
    run = tmp_path / "r"
    other = tmp_path / "other"
    Run.start(in_plain(1), other).fit()
    training = warm("run", *WORDS, *OFTEN, "--steps", 100_000, "--out", run)
    while newest_step(run) < 2:
        time.sleep(0.01)
    seen = set()
    for number in count():
        opened = Run.load(run)
        assert opened.notes == []
        assert opened.sample(2)[0].shape == (2, 3, 16, 16)
        assert read_rows(run)[-1]["step"] >= opened.training.step
        seen.add(opened.training.step)
        if number % 8 == 0:
            gan_here("sample", run, "-n", 2, "-o", "a.png")
            gan_here("curves", run)
            gan_here("diagnose", run)
            gan_here("compare", run, other, "--figures", "critic/total", "-o", "c.html")
        if number >= 16 and len(seen) > 8:
            break
    assert training.is_alive()
    training.kill()
    training.join()


def test_a_checkpoint_that_is_pruned_while_it_is_read_gives_way_to_the_newer_one(
    tmp_path, monkeypatch
):
    Run.start(in_plain(3, save_every=3), tmp_path / "r").fit()
    older, newer = writer.steps(tmp_path / "r" / "checkpoints")
    newer.rename(tmp_path / "newer")
    read, calls = verified.read_file, count()

    def read_late(*arguments, **more):
        if next(calls) == 3:
            (tmp_path / "newer").rename(newer)
            shutil.rmtree(older)
        return read(*arguments, **more)

    monkeypatch.setattr(verified, "read_file", read_late)
    found, warnings = reader.newest(tmp_path / "r" / "checkpoints")
    assert (found.snapshot.state["step"], warnings) == (3, [])


# ── the log ───────────────────────────────────────────────────────────────────────────────────────


def cuts(folder):
    """Yield the log cut at every byte of its last two rows, with the number of rows that are then
    whole.
    """
    path = folder / directory.METRICS
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for end in range(sum(map(len, lines[:-2])), len(whole) + 1):
        path.write_bytes(whole[:end])
        yield path, whole[:end].count(b"\n")
    path.write_bytes(whole)


def test_a_log_cut_at_any_byte_is_read_up_to_its_last_whole_row(tmp_path):
    Run.start(in_plain(4), tmp_path / "r").fit()
    for _, left in cuts(tmp_path / "r"):
        assert [row["step"] for row in read_rows(tmp_path / "r")] == list(range(1, left + 1))


def test_a_log_cut_at_any_byte_goes_on_without_a_torn_row_or_a_step_twice(tmp_path):
    Run.start(in_plain(4), tmp_path / "r").fit()
    for path, left in cuts(tmp_path / "r"):
        for rows in (3, 4):  # of the checkpoint that is gone back to
            content = path.read_bytes()
            log = MetricsLog(path, rows, rows)
            log.write({"step": rows + 1})
            log.close()
            kept = min(rows, left)
            assert [row["step"] for row in rows_in(path)] == [*range(1, kept + 1), rows + 1]
            assert len(log.notes) == (kept < rows)
            path.write_bytes(content)


@pytest.mark.parametrize("lost", ["all of it", "its last two rows and a half"])
def test_a_log_that_lacks_rows_of_the_checkpoint_is_told_and_no_step_is_in_it_twice(tmp_path, lost):
    Run.start(in_plain(8), tmp_path / "at-once" / "run").fit()
    parts = tmp_path / "in-two-goes" / "run"
    fit_until(Run.start(in_plain(8), parts), 4)
    path = parts / directory.METRICS
    if lost == "all of it":
        path.unlink()
    else:
        path.write_bytes(
            path.read_bytes()[: -len(path.read_bytes().splitlines(keepends=True)[-1]) * 5 // 2]
        )
    left = len(rows_in(path)) if path.exists() else 0
    told = f"metrics.jsonl holds {left} of the 4 rows up to step 4; the others are lost"
    assert fit_until(Run.resume(parts), 6).notes == [told]
    shutil.rmtree(
        writer.steps(parts / "checkpoints")[-1]
    )  # so that it goes back to step 4, with rows after it
    again = Run.resume(parts).fit()
    assert len(again.notes) == 1
    assert [row["step"] for row in read_rows(parts)] == [*range(1, left + 1), 5, 6, 7, 8]
    assert sums(parts) == sums(tmp_path / "at-once" / "run")


# ── what must not matter ──────────────────────────────────────────────────────────────────────────


def test_a_clock_that_goes_backwards_in_changing_time_zones_changes_nothing(tmp_path, monkeypatch):
    Run.start(in_plain(6), tmp_path / "at-once" / "run").fit()
    hours, real = count(1), time.gmtime

    def odd_time():
        os.environ["TZ"] = ("UTC", "Asia/Kathmandu", "America/St_Johns")[next(hours) % 3]
        time.tzset()
        return 1e9 - 3600 * next(hours)

    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(time, "time", odd_time)
    monkeypatch.setattr(time, "gmtime", lambda seconds=None: real(odd_time()))
    parts = tmp_path / "in-two-goes" / "run"
    fit_until(Run.start(in_plain(6), parts), 3)
    Run.resume(parts).fit()
    about = json.loads((parts / directory.ABOUT).read_text())
    monkeypatch.undo()
    time.tzset()
    assert about["ended"] < about["started"]  # the clock did go back
    assert differences(tmp_path / "at-once" / "run", parts) == []
    for half in (read_rows(parts)[:3], read_rows(parts)[3:]):
        seconds = [row["seconds"] for row in half]
        assert seconds == sorted(seconds) and seconds[0] >= 0


FIRST_PARTY = [row for row in discovery.installed() if row.distribution.startswith("gan-plugin-")]
OF_POINTS = {"modes", "scatter"}
LOOKING = {
    kind: [
        row.name
        for row in FIRST_PARTY
        # neither what ends a run, nor what needs data of its own or keeps some from the training
        if row.kind == kind and row.name not in {*OF_POINTS, "stop-when", "triples", "held-out"}
    ]
    for kind in ("metric", "track")
}
FEW = {"milestones.columns": 2, "recognition.reals": 40, "recognition.epochs": 1}


@pytest.mark.parametrize("points", [False, True])
def test_whatever_measures_and_draws_leaves_the_weights_as_they_were(tmp_path, points):
    if points:
        made, looking = PLAIN, {"metric": ["modes"], "track": ["scatter"]}
        few = made["options"]
    else:
        made, looking = {"gen": "colorpicker", "cond": ["acgan"]}, LOOKING
        few = {"sprites.count": 32, "colorpicker.width": 2, "dcgan-critic.width": 2}
    size = {} if points else {"size": "16"}
    settings = {**QUICK, **size, "steps": 4}
    base = {name: value for name, value in made.items() if name != "options"}
    blind = compose(
        **base,
        without=["doctor"],
        options=few,
        settings={**settings, "sample_every": 99, "log_every": 99},
    )
    images = {
        f"{name}.images": 12 for name in looking["metric"] if "images" in options_of_metric(name)
    }
    more = {
        key: value
        for key, value in FEW.items()
        if key.partition(".")[0] in sum(looking.values(), [])
    }
    seeing = compose(
        **base,
        **looking,
        options={**few, **images, **more},
        settings={**settings, "sample_every": 2},
    )
    one, other = (
        Run.start(each, tmp_path / name).fit()
        for each, name in ((blind, "blind"), (seeing, "seeing"))
    )
    files = [reader.newest(run.folder / "checkpoints")[0].snapshot.files for run in (one, other)]
    for part in ("generator", "critic", "optim"):
        assert files[0][part].keys() == files[1][part].keys()
        assert all(
            torch.equal(tensor, files[1][part][name]) for name, tensor in files[0][part].items()
        )


def options_of_metric(name):
    from gancore.plugins.component import options_of

    (row,) = [row for row in FIRST_PARTY if row.name == name]
    return options_of(loading.load(row))


# ── another machine, other versions ───────────────────────────────────────────────────────────────


def notes_of_resume(folder):
    """Return what a resume remarks beside that the run, which was trained for one step, has come to
    its end.
    """
    first, *others = sorted(
        Run.resume(folder).notes, key=lambda note: not note.startswith("nothing is left to train")
    )
    assert first.startswith("nothing is left to train")
    return others


def test_what_differs_from_the_process_before_is_noted_and_nothing_else_is(tmp_path, monkeypatch):
    Run.start(in_plain(1), tmp_path / "r").fit()
    assert notes_of_resume(tmp_path / "r") == []
    about = json.loads((tmp_path / "r" / directory.ABOUT).read_text())
    assert about["threads"] == torch.get_num_threads() and about["device"] == "cpu"
    other = {**about, "threads": 96, "device": "NVIDIA H200", "instructions": "NEON"}
    (tmp_path / "r" / directory.ABOUT).write_text(json.dumps(other))
    python = ".".join(map(str, sys.version_info[:3]))
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    assert notes_of_resume(tmp_path / "r") == [
        f"python was {python} then and is 3.99.0 now; the run may not be bit-exact",
        "device was NVIDIA H200 then and is cpu now; the run may not be bit-exact",
        f"threads was 96 then and is {torch.get_num_threads()} now; the run may not be bit-exact",
        f"instructions was NEON then and is {about['instructions']} now; the run may not be bit-exact",
    ]


@every_row("content", ["", "[1]", '{"started": 7, "ended"', "null"])
def test_a_run_without_a_readable_run_json_resumes_without_a_remark(tmp_path, content):
    Run.start(in_plain(1), tmp_path / "r").fit()
    (tmp_path / "r" / directory.ABOUT).write_text(content)
    assert notes_of_resume(tmp_path / "r") == []


def test_neither_device_nor_threads_are_sealed_in_a_checkpoint(tmp_path):
    run = Run.start(in_plain(1), tmp_path / "r").fit()
    sealed = b"".join(path.read_bytes() for path in run.folder.glob("checkpoints/step-*/*.json"))
    assert b"threads" not in sealed and b"instructions" not in sealed and b'"device"' not in sealed


def test_a_run_killed_twice_says_so_even_where_it_had_no_checkpoint(tmp_path):
    run = Run.start(in_plain(2), tmp_path / "r")
    directory.note_facts(run.folder, started=directory.now(), ended=None, step=0)
    (note,) = Run.resume(run.folder, [layer_of("x", {"run": {"steps": 1}})]).notes
    assert note.endswith("it goes on from step 0")
