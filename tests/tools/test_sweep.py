"""A sweep trains what is missing, and says of a claim no more than the seeds do."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from support.tables import every_row

from gancore import UsageError, compose
from gancore.recipe.options import Text
from gancore.recipe.toml import Layer, layer_of
from gancore.tools import sweep

TINY = layer_of(
    "test",
    {
        "data": "mixture", "gen": "mlp", "critic": "mlp-critic", "run": {"steps": 3, "batch": 4, "log-every": 1},
        "mlp": {"hidden": [4]}, "mlp-critic": {"hidden": [4]},
    },
)  # fmt: skip


def plan(folder, *vary, seeds=1, base=TINY):
    return sweep.plan_trials(
        sweep.arms_of_words(vary, [base], Layer("words")),
        Layer("words"),
        seeds,
        folder,
        lambda _: True,
    )


def carry_out(trials):
    with ThreadPoolExecutor(1) as pool:
        return {trial.folder: failure for trial, failure in sweep.train_all(trials, pool)}


# ── arms ──────────────────────────────────────────────────────────────────────────────────────────


def test_several_varied_keys_make_every_combination():
    arms = sweep.arms_of_words(["latent.dim=1,2", "loss=bce,wgan"], [], Layer("words"))
    assert list(arms) == [
        f"latent.dim={dim},loss={loss}" for dim in (1, 2) for loss in ("bce", "wgan")
    ]


def test_values_that_hold_commas_are_parted_by_semicolons():
    assert list(sweep.arms_of_words(["dcgan.widths=8,4;4,4"], [], Layer("words"))) == [
        "dcgan.widths=8,4",
        "dcgan.widths=4,4",
    ]


def test_a_varied_folder_is_read_by_the_reader_that_fits(gan, tmp_path):
    for colour in ("red", "blue"):
        (tmp_path / colour).mkdir()
        Image.new("RGB", (8, 8), colour).save(tmp_path / colour / "one.png")
    words = [
        "--steps",
        1,
        "--batch",
        2,
        "--size",
        8,
        "--dcgan.width",
        2,
        "--dcgan-critic.width",
        2,
        "--seeds",
        1,
    ]
    done = gan(
        "sweep",
        "--vary",
        f"data={tmp_path / 'red'},{tmp_path / 'blue'}",
        "--out",
        tmp_path / "s",
        *words,
    )
    assert len(json.loads((tmp_path / "s" / "sweep.json").read_text())["figures"]) == 2, done.stderr


def test_a_varied_key_is_a_slot_a_setting_an_option_or_a_list_of_components():
    (layers,) = sweep.arms_of_words(
        ["norm=none", "batch=8", "adam.lr=1e-3", "reg=dropout+repeat"], [], Layer("words")
    ).values()
    slots = {slot: given.value for layer in layers for slot, given in layer.slots.items()}
    left_out = slots.pop("without")  # what the default chose
    assert slots == {"gen-norm": "none", "critic-norm": "none", "reg": ["dropout", "repeat"]}
    assert left_out == compose().recipe()["reg"]
    assert layers[1].options["run"]["batch"].value == Text("8")
    assert layers[2].options["adam"]["lr"].value == Text("1e-3")


def test_none_of_a_list_chooses_no_component():
    (layers,) = sweep.arms_of_words(["reg=none"], [], Layer("words")).values()
    assert layers[0].slots["reg"].value == []


@every_row("word", ["dcgan.width", "dcgan.width=", "=4", "width=4,,8"])
def test_a_word_that_varies_nothing_is_refused(word):
    with pytest.raises(UsageError, match="varies nothing"):
        sweep.arms_of_words([word], [], Layer("words"))


def test_an_arm_lies_above_the_sweep_which_lies_above_what_the_arm_extends():
    base = layer_of("sweep", {"run": {"steps": 7}})
    arms = sweep.arms_of_recipe({"arms": {"a": {"extends": "default", "loss": "wgan"}}}, [base], ())
    origins = [layer.origin for layer in arms["a"]]
    assert origins == ["recipe base", "recipe default", "sweep", "arm a"]


@every_row("table", [{}, {"arms": {}}, {"arms": {"a": 1}}])
def test_a_sweep_without_arms_is_refused(table):
    with pytest.raises(UsageError, match="no .sweep.arms.NAME. table"):
        sweep.arms_of_recipe(table, [], ())


def test_a_list_that_is_varied_replaces_what_the_base_chose():
    base = layer_of("base", {"reg": ["dropout", "repeat"]})
    arms = sweep.arms_of_words(["reg=none,repeat"], [base], Layer("words"))
    trials = sweep.plan_trials(arms, Layer("words"), 1, Path("x"), lambda _: False)
    assert [each.recipe.get("reg", []) for each in trials] == [[], ["repeat"]]


@every_row(
    ("vary", "flags", "what"),
    [
        (["batch=4,4.0"], {}, "must be a whole number"),
        (["batch=4", "batch=8"], {}, "varied twice"),
        (["adam.lr=1e-3,0.001"], {}, "the same run"),
        (["adam.lr=1e-3,1e-4"], {"adam": {"lr": 1e-3}}, "is varied by arm"),
        (["loss=bce,wgan"], {"loss": "bce"}, "is varied by arm"),
        (["seed=1,2"], {}, "sets the seeds of its runs"),
        (["batch=4,8"], {"run": {"seed": 3}}, "sets the seeds of its runs"),
    ],
)
def test_a_sweep_whose_arms_would_be_alike_is_refused(vary, flags, what):
    words = layer_of("words", flags)
    with pytest.raises(UsageError, match=what):
        sweep.plan_trials(
            sweep.arms_of_words(vary, [TINY], words), words, 1, Path("x"), lambda _: False
        )


@every_row("more", [{"seeds": "x"}, {"seedz": 3}, {"figures": "a/b"}, {"claims": "none"}])
def test_a_sweep_table_that_says_what_no_sweep_knows_is_refused(more):
    with pytest.raises(UsageError, match="is not valid"):
        sweep.arms_of_recipe({"arms": {"a": {}}, **more}, [], ())


# ── training ──────────────────────────────────────────────────────────────────────────────────────


def test_a_half_done_sweep_trains_only_what_is_missing(tmp_path):
    trials = plan(tmp_path, "adam.lr=1e-3,1e-4", seeds=2)
    assert carry_out(trials[:1]) == {trials[0].folder: ""}
    before = (trials[0].folder / "metrics.jsonl").stat().st_mtime_ns
    assert carry_out(plan(tmp_path, "adam.lr=1e-3,1e-4", seeds=2)) == {
        trial.folder: "" for trial in trials
    }
    assert (trials[0].folder / "metrics.jsonl").stat().st_mtime_ns == before
    table = sweep.tabulate(trials, {})
    assert {arm: list(seeds) for arm, seeds in table.items()} == {
        "adam.lr=1e-3": [0, 1],
        "adam.lr=1e-4": [0, 1],
    }
    picture = sweep.comparison_picture(trials)
    assert picture.size == (2 * 326 + 6, 2 * 344 + 6)


def test_arms_share_their_seeds(tmp_path):
    trials = plan(tmp_path, "adam.lr=1e-3,1e-4", seeds=3)
    assert [trial.recipe["run"]["seed"] for trial in trials] == [0, 1, 2] * 2


def test_a_folder_of_another_run_is_not_taken_for_an_arm(tmp_path):
    carry_out(plan(tmp_path, "adam.lr=1e-3"))
    (layers,) = sweep.arms_of_words(["adam.lr=1e-3"], [TINY], Layer("words")).values()
    longer = layer_of("test", {"run": {"steps": 9}})
    with pytest.raises(UsageError, match=r"another run: \[run\] differs"):
        sweep.plan_trials(
            {"adam.lr=1e-3": [*layers, longer]}, Layer("words"), 1, tmp_path, lambda _: True
        )
    other = layer_of("test", {"mlp": {"hidden": [5]}})
    with pytest.raises(UsageError, match=r"another run: \[mlp\] differs"):
        sweep.plan_trials(
            {"adam.lr=1e-3": [TINY, other]}, Layer("words"), 1, tmp_path, lambda _: True
        )


def test_an_arm_that_fails_is_told_and_harms_no_other(tmp_path):
    trials = plan(tmp_path, "adam.lr=1e30,1e-3")
    failures = carry_out(trials)
    assert (
        "no longer finite" in failures[trials[0].folder] or "became" in failures[trials[0].folder]
    )
    assert failures[trials[1].folder] == ""
    table = sweep.tabulate(trials, {folder: why for folder, why in failures.items() if why})
    assert list(table["adam.lr=1e30"]) == []
    assert list(table["adam.lr=1e-3"]) == [0]


def test_the_time_left_follows_from_what_all_runs_have_done_since_the_start():
    assert sweep.time_left([0.0, 0.0], [1.0, 0.0], 60) == 60
    assert (
        sweep.time_left([1.0, 0.5, 0.0], [1.0, 1.0, 0.0], 10) == 20
    )  # what was there before took no time
    assert sweep.time_left([0.0, 0.0], [0.0, 0.0], 60) is None
    assert sweep.time_left([0.0], [1.0], 60) == 0


def test_the_share_of_a_run_is_that_of_its_newest_whole_row(tmp_path):
    (trial,) = plan(tmp_path, "adam.lr=1e-3")
    assert sweep.share_of(trial) == 0
    trial.folder.mkdir(parents=True)
    half = trial.recipe["run"]["steps"] / 2
    rows = [json.dumps({"step": 0}), json.dumps({"step": int(half)}), '{"step": 10']
    (trial.folder / "metrics.jsonl").write_text("\n".join(rows))
    assert sweep.share_of(trial) == int(half) / (2 * half)
    (trial.folder / "samples").mkdir()
    (trial.folder / "samples" / "final.png").touch()
    assert sweep.share_of(trial) == 1


def test_a_signal_ends_a_sweep_with_the_words_to_go_on_and_leaves_nothing_behind(tmp_path):
    words = [
        "--data",
        "mixture",
        "--gen",
        "mlp",
        "--critic",
        "mlp-critic",
        "--steps",
        "1000000",
        "--save-every",
        "5",
    ]
    command = [
        sys.executable,
        "-m",
        "gancore",
        "sweep",
        "--vary",
        "adam.lr=1e-3,1e-4",
        "--out",
        "s",
        *words,
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    begun = tmp_path / "s" / "adam.lr=1e-3" / "seed-0" / "samples" / "step-000000010.png"
    while not begun.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[1]  # which ends when the last process closes the pipe
    assert process.returncode == 143, told
    assert "stopped; what has been saved is kept: repeat the command to continue" in told
    for word in ("Traceback", "leaked", "semaphore", "error"):
        assert word not in told


def test_the_sweep_command_writes_a_table_a_record_and_a_picture(gan, tmp_path):
    words = [
        "--data",
        "mixture",
        "--gen",
        "mlp",
        "--critic",
        "mlp-critic",
        "--steps",
        "3",
        "--batch",
        "4",
    ]
    done = gan(
        "sweep",
        "--vary",
        "adam.lr=1e-3,1e-4",
        "--seeds",
        1,
        "--out",
        tmp_path / "s",
        "--figures",
        "critic/total",
        *words,
    )
    assert "| arm | seeds | seconds/step | critic/total |" in done.stdout
    assert json.loads((tmp_path / "s" / "sweep.json").read_text())["figures"].keys() == {
        "adam.lr=1e-3",
        "adam.lr=1e-4",
    }
    assert (tmp_path / "s" / "sweep.md").read_text() == done.stdout
    Image.open(tmp_path / "s" / "comparison.png").verify()


def test_a_sweep_that_is_killed_leaves_no_process_training(tmp_path):
    words = ["--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic", "--steps", "1000000"]
    command = [
        sys.executable,
        "-m",
        "gancore",
        "sweep",
        "--vary",
        "batch=4",
        "--seeds",
        "1",
        "--out",
        tmp_path / "s",
    ]
    sweeping = subprocess.Popen(
        [*command, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    lock = tmp_path / "s" / "batch=4" / "seed-0" / "lock"
    while not lock.exists() or not lock.read_text():
        assert sweeping.poll() is None
        time.sleep(0.1)
    worker = int(lock.read_text().split()[0])
    assert worker != sweeping.pid
    sweeping.kill()
    sweeping.wait()
    while is_alive(worker):  # within a second or two; the suite's own limit ends a test that hangs
        time.sleep(0.1)


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


# ── figures and claims ────────────────────────────────────────────────────────────────────────────


def test_the_final_figure_is_the_mean_of_the_last_five_values_it_has():
    rows = [
        {"step": n, "seconds": float(n), **({"a/b": float(n)} if n % 2 else {})}
        for n in range(1, 21)
    ]
    assert sweep.final_figures(rows)["a/b"] == (11 + 13 + 15 + 17 + 19) / 5


def test_seconds_of_a_step_are_the_median_and_pass_over_a_resume():
    rows = [
        {"step": 10, "seconds": 1.0},
        {"step": 20, "seconds": 3.0},
        {"step": 30, "seconds": 0.5},
        {"step": 40, "seconds": 3.5},
    ]
    assert sweep.final_figures(rows)["seconds/step"] == 0.25


def test_the_deviation_of_one_seed_is_unknown():
    mean, deviation = sweep.mean_and_deviation([2.0])
    assert mean == 2.0
    assert math.isnan(deviation)
