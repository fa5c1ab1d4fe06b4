"""A run on disk: what it leaves, how it ends, and that resuming it gives the same bits."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from attrs import evolve
from PIL import Image
from support.fault_injection_disk import reseal
from support.paths import EXAMPLE_COMPONENTS
from support.tables import every_row

from gancore import CheckpointError, DataError, GanError, NumbersError, Run, UsageError, compose
from gancore.recipe.compose import read_settings
from gancore.recipe.toml import layer_of
from gancore.run import directory
from gancore.run.checkpoint import reader, writer
from gancore.run.directory import read_rows, rows_in
from gancore.run.finite import check_finite
from gancore.run.metrics_log import MetricsLog

SMALL = {"sprites.count": 48, "dcgan.width": 4, "dcgan-critic.width": 4, "normal.dim": 4}
QUICK = {"batch": 8, "log_every": 1, "save_every": 2, "size": "16"}


def start(out, *, steps=4, settings=None, options=None, **slots):
    small = SMALL if "data" not in slots else {}
    quick = {**QUICK, "size": "none"} if "data" in slots else QUICK
    made = compose(
        settings={**quick, "steps": steps, **(settings or {})},
        options={**small, **(options or {})},
        **slots,
    )
    return Run.start(made, out)


def newest(folder):
    found, _ = reader.newest(folder / "checkpoints")
    return found


def sums(folder):
    return (writer.steps(folder / "checkpoints")[-1] / "SHA256SUMS").read_bytes()


def test_a_run_leaves_recipe_metrics_checkpoints_and_samples(tmp_path):
    start(tmp_path / "r").fit()
    names = {path.name for path in (tmp_path / "r").iterdir()}
    assert names == {"recipe.toml", "run.json", "metrics.jsonl", "lock", "samples", "checkpoints"}
    assert (tmp_path / "r" / "samples" / "final.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [path.name for path in writer.steps(tmp_path / "r" / "checkpoints")] == [
        "step-000000000", "step-000000002", "step-000000004",
    ]  # fmt: skip


def test_every_row_names_step_time_speed_and_terms(tmp_path):
    start(tmp_path / "r", loss="bce").fit()
    rows = read_rows(tmp_path / "r")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert {
        "step",
        "epoch",
        "seconds",
        "images_per_second",
        "critic/bce/real",
        "critic/grad_norm",
    } <= rows[0].keys()


@every_row("slots", [{}, {"loss": "bce"}, {"loss": "wgan-gp", "reg": ["instance-noise"]}])
def test_a_resolved_recipe_composes_the_same_run(slots, tmp_path):
    run = start(tmp_path / "r", **slots)
    again = compose(recipe=tmp_path / "r" / "recipe.toml")
    assert again.recipe() == run.composition.recipe()


def test_a_longer_run_equals_a_shorter_one_resumed(tmp_path):
    start(tmp_path / "whole", steps=6).fit()
    start(tmp_path / "parts", steps=3).fit()
    for steps in (5, 6):
        Run.resume(tmp_path / "parts", [layer_of("x", {"run": {"steps": steps}})]).fit()
    assert sums(tmp_path / "whole") == sums(tmp_path / "parts")


def test_a_run_remembers_the_length_it_was_given_when_it_was_resumed(tmp_path):
    start(tmp_path / "r", steps=1).fit()
    longer = Run.resume(tmp_path / "r", [layer_of("x", {"run": {"steps": 5}})])

    def stop_at_step_3(row):
        longer.stop_after_step = row["step"] >= 3

    longer.fit(on_row=stop_at_step_3)
    assert Run.resume(tmp_path / "r").fit().training.step == 5


def test_saving_sampling_and_logging_change_nothing(tmp_path):
    own = {"without": ["doctor"]}  # which remembers the rows it was shown
    start(
        tmp_path / "a", settings={"save_every": 1, "sample_every": 1, "log_every": 1}, **own
    ).fit()
    start(
        tmp_path / "b", settings={"save_every": 9, "sample_every": 9, "log_every": 4}, **own
    ).fit()
    one, other = (newest(tmp_path / name).snapshot.files for name in "ab")
    for part in one:
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part])


def test_samples_of_one_checkpoint_are_the_same_bytes(tmp_path):
    start(tmp_path / "r").fit()
    before = (tmp_path / "r" / "samples" / "final.png").read_bytes()
    Run.load(tmp_path / "r").draw_samples("again")
    assert (tmp_path / "r" / "samples" / "again.png").read_bytes() == before


def test_sampling_needs_no_data(tmp_path):
    start(tmp_path / "r").fit()
    opened = Run.load(tmp_path / "r")
    assert opened.training.context.data is None
    images, labels = opened.sample(5)
    assert images.shape == (5, 3, 16, 16)
    assert labels.shape == (5, 2)


def test_epochs_set_the_length(tmp_path):
    run = start(tmp_path / "r", settings={"epochs": 2}).fit()
    assert run.training.step == 12  # 48 images in batches of 8, twice


def test_zero_steps_build_save_and_end(tmp_path):
    start(tmp_path / "r", steps=0).fit()
    assert newest(tmp_path / "r").snapshot.state["step"] == 0


def test_a_run_is_not_started_over_another(tmp_path):
    start(tmp_path / "r", steps=0)
    with pytest.raises(UsageError, match="already holds a run"):
        start(tmp_path / "r", steps=0)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(UsageError, match="not empty"):
        start(tmp_path, steps=0)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "r").write_text("a thesis")
    with pytest.raises(UsageError, match="is a file"):
        start(tmp_path / "r", steps=0)
    assert (tmp_path / "r").read_text() == "a thesis"


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    run = start(tmp_path / "r", steps=0)
    with torch.no_grad():
        run.training.context.gan.critic.parameters[0][0] = torch.inf
    with pytest.raises(NumbersError, match=r"critic: body.* is no longer finite at step 0"):
        run.fit()
    assert writer.steps(tmp_path / "r" / "checkpoints") == []


def test_a_batch_that_a_norm_cannot_take_ends_the_run_with_a_sentence(tmp_path):
    with pytest.raises(GanError, match="step 0 failed: ValueError"):
        start(
            tmp_path / "r", data="mixture", settings={"batch": 1, "size": "none"}, norm="batch"
        ).fit()


def test_a_sealed_checkpoint_that_lacks_its_parts_is_refused(tmp_path):
    start(tmp_path / "r", steps=1).fit()
    folder = writer.steps(tmp_path / "r" / "checkpoints")[-1]
    (folder / "state.json").write_text("{}")
    reseal(folder)
    with pytest.raises(CheckpointError, match="lacks a part"):
        reader.read(folder)


def test_resuming_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is no run"):
        Run.resume(tmp_path)


def test_resuming_may_not_change_what_is_computed(tmp_path):
    start(tmp_path / "r", steps=1).fit()
    with pytest.raises(UsageError, match="batch cannot change"):
        Run.resume(tmp_path / "r", [layer_of("x", {"run": {"batch": 4}})])
    with pytest.raises(UsageError, match="gen cannot change"):
        Run.resume(tmp_path / "r", [layer_of("x", {"gen": "dcgan"})])


def test_resuming_with_other_data_is_refused(tmp_path):
    start(tmp_path / "r", steps=1).fit()
    recipe = tmp_path / "r" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("count = 48", "count = 49"))
    with pytest.raises(DataError, match="not what the run was trained on"):
        Run.resume(tmp_path / "r")


def test_a_run_without_checkpoint_starts_at_step_0(tmp_path):
    start(tmp_path / "r", steps=2)
    assert Run.resume(tmp_path / "r").training.step == 0


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(tmp_path):
    start(tmp_path / "r", steps=1).fit()
    for path in (tmp_path / "r" / "checkpoints").glob("*/state.json"):
        path.write_text("{}")
    with pytest.raises(CheckpointError, match="no checkpoint .* is intact"):
        Run.resume(tmp_path / "r")


def test_a_damaged_newest_checkpoint_is_passed_over_and_told(tmp_path):
    start(tmp_path / "r").fit()
    newest_folder = writer.steps(tmp_path / "r" / "checkpoints")[-1]
    whole = sums(tmp_path / "r")
    (newest_folder / "critic.safetensors").write_bytes(b"")
    run = Run.resume(tmp_path / "r")
    assert run.training.step == 2
    assert any("damaged" in text for text in run.notes)
    run.fit()
    assert sums(tmp_path / "r") == whole


def test_a_resumed_log_holds_no_step_twice(tmp_path):
    start(tmp_path / "r", steps=3).fit()
    log = tmp_path / "r" / "metrics.jsonl"
    with log.open("ab") as file:
        file.write(b'{"step": 4, "lost": true}\n{"step": 5, "torn')
    Run.resume(tmp_path / "r", [layer_of("x", {"run": {"steps": 5}})]).fit()
    assert [row["step"] for row in rows_in(log)] == [1, 2, 3, 4, 5]
    assert "lost" not in log.read_text()


def test_a_torn_last_line_is_ignored_by_readers(tmp_path):
    path = tmp_path / "m.jsonl"
    log = MetricsLog(path, 0)
    log.write({"step": 1})
    log.close()
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole + whole[:end])
        assert rows_in(path) == [{"step": 1}]


def test_two_processes_may_not_train_one_run(tmp_path):
    run = start(tmp_path / "r", steps=1)
    with (
        directory.locked(tmp_path / "r"),
        pytest.raises(GanError, match=f"in use by process {os.getpid()}"),
    ):
        run.fit()


def test_a_term_that_is_no_longer_finite_ends_the_run_and_is_named(tmp_path):
    with pytest.raises(NumbersError, match=r"the \w+'s .* became (nan|inf|-inf) at step \d+"):
        start(tmp_path / "r", steps=60, options={"adam.lr": 1e30}).fit()
    assert newest(tmp_path / "r") is not None


def test_the_first_wrong_term_is_named_before_the_total():
    figures = {
        "critic/total": torch.tensor(torch.nan),
        "critic/gp/penalty": torch.tensor(torch.inf),
    }
    with pytest.raises(NumbersError, match=r"the critic's gp\.penalty became inf at step 3"):
        check_finite(figures, 3)


def test_a_component_may_measure_record_draw_and_stop(tmp_path):
    run = start(
        tmp_path / "r", steps=9, reg=[f"{EXAMPLE_COMPONENTS}:Diary"], options={"diary.until": 3}
    ).fit()
    rows = read_rows(tmp_path / "r")
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert rows[0]["diary/spread"] > 0
    assert any("it was long enough" in text for text in run.notes)
    assert "step 2: row 2 was written" in run.notes
    assert (tmp_path / "r" / "samples" / "drawn-3.txt").exists()
    (diary,) = [each.component for each in run.composition.chosen if each.name == "diary"]
    assert [event for event in diary.happened if event[0] == "row"][-1] == ("row", 3)


def test_a_recipe_with_a_component_file_runs_only_if_the_user_names_it(tmp_path):
    average = {"reg": [f"{EXAMPLE_COMPONENTS}:Average"], "without": ["ema"]}
    start(tmp_path / "r", steps=2, **average).fit()
    with pytest.raises(UsageError, match="names a component file"):
        Run.resume(tmp_path / "r")
    longer = layer_of("x", {"run": {"steps": 4}})
    Run.resume(tmp_path / "r", [longer], lambda name: True).fit()
    start(tmp_path / "whole", steps=4, **average).fit()
    assert sums(tmp_path / "r") == sums(tmp_path / "whole")


COMMAND = [
    *(sys.executable, "-m", "gancore", "run", "--cond", "acgan", "--reg", "experience-replay"),
    *("--batch", "8", "--size", "16", "--save-every", "3", "--log-every", "1", "--sprites.count", "48"),
    *("--dcgan.width", "4", "--dcgan-critic.width", "4"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_after_its_step_saved_and_resumable(tmp_path, number, code):
    process = subprocess.Popen(
        [*COMMAND, "--steps", "100000", "--out", str(tmp_path / "r")],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            number, signal.SIG_DFL
        ),  # a suite run in the background ignores Ctrl-C
    )
    while not (tmp_path / "r" / "metrics.jsonl").exists() or not rows_in(
        tmp_path / "r" / "metrics.jsonl"
    ):
        time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"--resume {tmp_path / 'r'}" in errors
    state = newest(tmp_path / "r").snapshot.state
    assert state["step"] == json.loads((tmp_path / "r" / "run.json").read_text())["step"] > 0


def test_a_stretch_without_reals_does_not_end_a_run_by_epochs_but_a_schedule_without_any_does(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("gancore.run.loop.STEPS_WITHOUT_REALS", 5)
    points = {"data": "mixture", "gen": "mlp", "critic": "mlp-critic"}
    by_epochs = {"epochs": 1, "batch": 4096}
    boosted = {"boosted.generator-chance": 1.0, "boosted.critic-chance": 0.0, "boosted.length": 3}
    with pytest.raises(UsageError, match="shows no reals, so epochs never end"):
        start(
            tmp_path / "boosted", settings=by_epochs, schedule="boosted", options=boosted, **points
        ).fit()
    none = {"n-critic.critic": 0, "n-critic.pretrain": 1}
    with pytest.raises(UsageError, match="shows no reals, so epochs never end"):
        start(tmp_path / "none", settings=by_epochs, options=none, **points).fit()
    monkeypatch.setattr("gancore.run.loop.STEPS_WITHOUT_REALS", 200)
    sometimes = {"boosted.generator-chance": 0.1, "boosted.critic-chance": 0.0, "boosted.length": 3}
    run = start(
        tmp_path / "some", settings=by_epochs, schedule="boosted", options=sometimes, **points
    ).fit()
    assert run.training.epoch >= 1


# ── what a run's recipe says on resume ────────────────────────────────────────────────────────────


def edit(folder, old, new):
    recipe = folder / "recipe.toml"
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new))


EDITS = {
    "run.seed is 7, not 0": ("seed = 0\ndevice", "seed = 7\ndevice"),
    "run.batch is 4, not 8": ("batch = 8", "batch = 4"),
    "adam.lr is 0.5, not 0.0002": ("lr = 0.0002", "lr = 0.5"),
    "track is ['doctor', 'curves'], not ['doctor']": ('"doctor",', '"doctor", "curves",'),
    "dcgan.activation is 'leaky', not 'relu'": ('activation = "relu"', 'activation = "leaky"'),
}


@pytest.fixture(scope="module")
def of_one_step(tmp_path_factory):
    return start(tmp_path_factory.mktemp("one") / "r", steps=1).fit().folder


@pytest.fixture
def edited(of_one_step, tmp_path):
    return Path(shutil.copytree(of_one_step, tmp_path / "r"))


@every_row("what", EDITS)
def test_a_recipe_edited_by_hand_is_not_gone_on_with(edited, what):
    edit(edited, *EDITS[what])
    with pytest.raises(UsageError, match=re.escape(what)) as error:
        Run.resume(edited)
    assert error.value.where == str(edited / "recipe.toml")


def test_what_a_command_line_may_change_may_be_edited_too(edited):
    edit(edited, "save-every = 2", "save-every = 3")
    edit(edited, "steps = 1", "steps = 2")
    assert Run.resume(edited).fit().training.step == 2


def test_an_option_that_a_plugin_had_not_then_may_have_its_default(edited):
    folder = writer.steps(edited / "checkpoints")[-1]
    state = json.loads((folder / "state.json").read_text())
    del state["recipe"]["adam"]["beta2"]
    state["recipe"]["adam"]["gone"] = 1
    (folder / "state.json").write_text(json.dumps(state))
    reseal(folder)
    assert Run.resume(edited).training.step == 1
    edit(edited, "beta2 = 0.999", "beta2 = 0.9")
    with pytest.raises(UsageError, match=re.escape("adam.beta2 is 0.9, not none")):
        Run.resume(edited)


def test_samples_of_an_edited_recipe_come_with_a_note(edited):
    edit(edited, "seed = 0\ndevice", "seed = 7\ndevice")
    assert any("run.seed is 7, not 0" in note for note in Run.load(edited).notes)


def test_a_run_folder_and_its_data_may_be_moved(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(4):
            Image.effect_noise((16, 16), 40 + number).convert("RGB").save(
                tmp_path / "pets" / name / f"{number}.png"
            )
    small = {"dcgan.width": 4, "dcgan-critic.width": 4, "image-folder.path": str(tmp_path / "pets")}
    made = compose(data="image-folder", options=small, settings={**QUICK, "steps": 1})
    Run.start(made, tmp_path / "r").fit()
    (tmp_path / "pets").rename(tmp_path / "animals")
    edit(tmp_path / "r", str(tmp_path / "pets"), str(tmp_path / "animals"))
    assert Run.resume(tmp_path / "r").training.step == 1


# ── how long ──────────────────────────────────────────────────────────────────────────────────────


@every_row(
    ("lower", "higher", "steps", "epochs"),
    [
        ({"epochs": 9}, {"steps": 2}, 2, 0),
        ({"steps": 9}, {"epochs": 2}, 9, 2),
        ({"steps": 9, "epochs": 9}, {"steps": 2}, 2, 0),
        ({"epochs": 9}, {"steps": 2, "epochs": 3}, 2, 3),
        ({"steps": 9}, {"epochs": 0}, 9, 0),
        ({"epochs": 9}, {}, 1000, 9),
    ],
)
def test_the_highest_layer_that_speaks_of_the_length_settles_it(lower, higher, steps, epochs):
    layers = [layer_of("a recipe", {"run": lower}), layer_of("the user", {"run": higher})]
    settings, origins = read_settings(layers)
    assert (settings.steps, settings.epochs) == (steps, epochs)
    if "steps" in higher and "epochs" not in higher:
        assert origins["run.epochs"] == "the user"


def test_a_run_of_epochs_goes_on_for_steps_where_the_user_says_so(tmp_path):
    run = start(tmp_path / "r", settings={"epochs": 1}).fit()
    longer = Run.resume(tmp_path / "r", [layer_of("x", {"run": {"steps": run.training.step + 1}})])
    assert longer.composition.settings.epochs == 0
    assert longer.fit().training.step == run.training.step + 1


# ── gan checkpoint verify RUN ─────────────────────────────────────────────────────────────────────


def spoil(folder, change):
    """Change the newest checkpoint through our own writer, so that sums and list of tensors are
    right.
    """
    old = writer.steps(folder / "checkpoints")[-1]
    found = reader.read(old)
    files = {name: dict(tensors) for name, tensors in found.snapshot.files.items()}
    change(files)
    shutil.rmtree(old)
    writer.write(
        folder / "checkpoints", evolve(found.snapshot, files=files), found.manifest["plugins"]
    )


MOMENT = "critic/score.weight/exp_avg"
SPOILT = {
    "score.weight/exp_avg is ([1, 128], torch.int32)": lambda files: files["optim"].update(
        {MOMENT: files["optim"][MOMENT].int()}
    ),
    "score.weight/exp_avg is ([128, 1], torch.float32)": lambda files: files["optim"].update(
        {MOMENT: files["optim"][MOMENT].T.contiguous()}
    ),
    "missing score.weight/exp_avg; unexpected score.weight/average": lambda files: files[
        "optim"
    ].update({"critic/score.weight/average": files["optim"].pop(MOMENT)}),
    "unexpected stranger/weights": lambda files: files["components"].update(
        {"stranger/weights": torch.zeros(1)}
    ),
    "missing score.weight": lambda files: files["critic"].pop("score.weight"),
}


def test_verify_compares_the_checkpoints_of_a_run_with_what_it_trains(
    of_one_step, tmp_path, gan_here
):
    for place, (what, change) in enumerate(SPOILT.items()):
        folder = Path(shutil.copytree(of_one_step, tmp_path / f"r{place}"))
        spoil(folder, change)
        done = gan_here("checkpoint", "verify", folder, check=1)
        assert what in done.stdout
        assert "step-000000000 is sound" in done.stdout
        with pytest.raises(CheckpointError, match=re.escape(what)):
            Run.resume(folder)


def test_verify_tells_of_an_edited_recipe(edited, gan_here):
    edit(edited, "seed = 0\ndevice", "seed = 7\ndevice")
    assert "run.seed is 7, not 0" in gan_here("checkpoint", "verify", edited, check=1).stdout


# ── opened for samples ────────────────────────────────────────────────────────────────────────────


def test_a_run_opened_for_samples_has_no_optimiser_and_builds_its_critic_when_asked(of_one_step):
    opened = Run.load(of_one_step)
    gan = opened.training.context.gan
    images, _ = opened.sample(2, seed=1)
    assert "critic" not in vars(gan)
    assert not hasattr(gan.generator, "optimizer")
    stored = newest(of_one_step).snapshot.files
    assert gan.critic.state_dict().keys() == stored["critic"].keys()
    assert all(
        torch.equal(weight, stored["critic"][name])
        for name, weight in gan.critic.state_dict().items()
    )
    assert torch.equal(opened.sample(2, seed=1)[0], images)
