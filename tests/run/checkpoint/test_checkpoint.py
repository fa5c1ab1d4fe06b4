"""A checkpoint is complete or absent, verified when read, and gives back the same bits."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.example_components import Average, Encoder
from support.fault_injection_disk import reseal, snapshot
from support.tables import every_row

from gancore import CheckpointError, PluginError, Run, component, compose, hookimpl, state
from gancore.recipe.toml import layer_of
from gancore.run import atomic, directory
from gancore.run.checkpoint import reader, verified, writer
from gancore.run.checkpoint.compare import compare
from gancore.run.checkpoint.nested import STORED, flatten, same, unflatten
from gancore.run.checkpoint.state import capture, restore
from gancore.testing import assert_equal, check_exact_resume, train


def snapshot_of(training, **more):
    captured = capture(training)
    return evolve(captured, state={**snapshot(0).state, **captured.state, **more})


@pytest.fixture
def saved(tmp_path):
    training = train(Average())
    training.train_step()
    return training, writer.write(tmp_path, snapshot_of(training), {})


def test_what_is_written_is_read_back_bit_for_bit(saved):
    training, folder = saved
    assert_equal(snapshot_of(training), reader.read(folder).snapshot)


def test_a_checkpoint_holds_the_files_that_the_format_names(saved):
    _, folder = saved
    files = {
        "generator.safetensors",
        "critic.safetensors",
        "optim.safetensors",
        "components.safetensors",
    }
    assert {path.name for path in folder.iterdir()} == files | {
        "state.json",
        "manifest.json",
        "SHA256SUMS",
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format"], manifest["kind"], manifest["step"]) == (1, "gancore-checkpoint", 1)
    assert folder.name == "step-000000001"
    assert (folder.parent / "latest").read_text() == "step-000000001\n"


def test_the_sums_verify_without_gancore(saved):
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=saved[1], check=True)


def test_equal_trainings_write_equal_bytes(tmp_path):
    sums = []
    for name in ("a", "b"):
        training = train(Average())
        training.train_step()
        (tmp_path / name).mkdir()
        sums.append(
            (writer.write(tmp_path / name, snapshot_of(training), {}) / "SHA256SUMS").read_bytes()
        )
    assert sums[0] == sums[1]


@every_row(
    "name",
    ["generator.safetensors", "optim.safetensors", "state.json", "manifest.json", "SHA256SUMS"],
)
def test_any_flipped_byte_is_noticed_and_named(saved, name):
    path = saved[1] / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged|cannot be read"):
        reader.read(saved[1])


@every_row("name", ["critic.safetensors", "state.json", "SHA256SUMS"])
def test_a_missing_file_is_noticed_and_named(saved, name):
    (saved[1] / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        reader.read(saved[1])


def test_a_link_in_place_of_a_file_is_not_followed(saved):
    path = saved[1] / "state.json"
    elsewhere = saved[1].parent / "elsewhere.json"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(CheckpointError, match="state.json"):
        reader.read(saved[1])


def test_the_newest_that_verifies_is_taken_and_the_damage_is_told(saved):
    training, first = saved
    training.train_step()
    second = writer.write(first.parent, snapshot_of(training), {})
    (second / "critic.safetensors").write_bytes(b"torn")
    found, warnings = reader.newest(first.parent)
    assert found.folder == first
    assert len(warnings) == 1
    assert warnings[0].startswith(
        "step-000000002: critic.safetensors is damaged (it has 4 bytes, not "
    )


def test_an_intact_checkpoint_of_the_same_step_is_kept(saved):
    training, folder = saved
    before = os.stat(folder).st_ino
    assert writer.write(folder.parent, snapshot_of(training), {}) == folder
    assert os.stat(folder).st_ino == before


def test_a_damaged_checkpoint_of_the_same_step_is_replaced(saved):
    training, folder = saved
    (folder / "state.json").write_text("{}")
    writer.write(folder.parent, snapshot_of(training), {})
    assert not reader.problem(folder)


def test_pruning_keeps_the_newest_and_sweeps_what_crashes_left(saved):
    training, first = saved
    (first.parent / ".tmp-step-000000009-1-00").mkdir()
    for _ in range(3):
        training.train_step()
        writer.write(first.parent, snapshot_of(training), {})
    writer.prune(first.parent, 2)
    left = sorted(path.name for path in first.parent.iterdir())
    assert left == ["latest", "step-000000003", "step-000000004"]


@pytest.mark.parametrize("operation", ["write_new", "commit"])
def test_a_save_that_fails_leaves_the_old_checkpoint_and_nothing_else(
    saved, monkeypatch, operation
):
    training, first = saved
    training.train_step()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, operation, fail)
    with pytest.raises(CheckpointError, match="step 2 was not saved: No space left on device"):
        writer.write(first.parent, snapshot_of(training), {})
    assert sorted(path.name for path in first.parent.iterdir()) == ["latest", first.name]
    assert not reader.problem(first)


# ── formats ───────────────────────────────────────────────────────────────────────────────────────


def test_a_newer_format_is_refused_with_both_numbers(saved, monkeypatch):
    training, folder = saved
    monkeypatch.setattr(writer, "CHECKPOINT_FORMAT", 2)
    training.train_step()
    newer = writer.write(folder.parent, snapshot_of(training), {})
    monkeypatch.setattr(writer, "CHECKPOINT_FORMAT", 1)
    with pytest.raises(CheckpointError, match=r"a newer gancore \(format 2\); this one reads 1"):
        reader.read(newer)


@pytest.fixture
def ancient(tmp_path):
    """A checkpoint as format 0 might have had it: with another name for the counter of batches."""
    folder = writer.write(tmp_path / "checkpoints", snapshot(1), {})
    state, manifest = (
        json.loads((folder / name).read_text()) for name in ("state.json", "manifest.json")
    )
    state["shown"] = state.pop("batches")
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 0}))
    reseal(folder)
    return folder


def test_an_older_format_without_a_migration_is_refused_with_both_numbers(ancient):
    with pytest.raises(CheckpointError, match=r"an older gancore \(format 0\); this one reads 1"):
        reader.read(ancient)


def test_an_older_format_is_migrated_in_memory_and_its_files_stay_as_they_are(ancient, monkeypatch):
    def rename(old):
        state = dict(old.state)
        return evolve(old, state={**state, "batches": state.pop("shown")} | {"shown": None})

    def rename_well(old):
        return evolve(
            old,
            state={("batches" if key == "shown" else key): each for key, each in old.state.items()},
        )

    before = {path.name: path.read_bytes() for path in ancient.iterdir()}
    monkeypatch.setitem(verified.MIGRATIONS, 0, rename_well)
    assert_equal(reader.read(ancient).snapshot, snapshot(1))
    assert {path.name: path.read_bytes() for path in ancient.iterdir()} == before
    monkeypatch.setitem(verified.MIGRATIONS, 0, rename)
    with pytest.raises(CheckpointError, match="unknown key 'shown'"):
        reader.read(ancient)


# ── keeping ───────────────────────────────────────────────────────────────────────────────────────


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def keep(folder, steps, **how):
    """Save and prune at each of some steps; return the steps that are left."""
    for step in steps:
        writer.write(folder, snapshot(step), {})
        writer.prune(folder, **how)
    return [verified.step_of(path) for path in writer.steps(folder)]


def test_the_first_checkpoint_of_each_stretch_is_kept_for_good(tmp_path):
    assert keep(tmp_path / "c", range(0, 28, 3), keep=2, every=10) == [0, 12, 21, 24, 27]


def test_a_run_keeps_what_it_is_told_to(tmp_path, gan_here):
    tiny = "--data mixture --gen mlp --critic mlp-critic --batch 4 --save-every 1 --keep 1 --keep-every 3"
    gan_here("run", *tiny.split(), "--steps", "5", "--out", "r")
    gan_here("run", "--resume", "r", "--steps", "8", "--keep-every", "4")
    left = [verified.step_of(path) for path in writer.steps(tmp_path / "r" / "checkpoints")]
    assert left == [0, 5, 8]  # 5 is the first from 4 on: what is between 4 and 5 had gone before


def test_without_keep_every_the_newest_are_kept(tmp_path):
    assert keep(tmp_path / "c", range(6), keep=2) == [4, 5]


def test_a_sound_checkpoint_stays_until_a_newer_one_is_sound(tmp_path):
    folder = tmp_path / "c"
    keep(folder, [1], keep=1)
    for step in (2, 3):
        (writer.write(folder, snapshot(step), {}) / "state.json").write_bytes(b"")
        writer.prune(folder, 1)
    assert names(folder) == ["latest", "step-000000001", "step-000000003"]
    assert keep(folder, [4], keep=1) == [4]


@every_row("content", [None, b"", b"step-000000009\n", b"\xff" * 99, "folder", "fifo", "link"])
def test_latest_is_only_a_hint_whatever_becomes_of_it(tmp_path, content):
    folder = tmp_path / "c"
    writer.write(folder, snapshot(1), {})
    hint = folder / "latest"
    hint.unlink()
    outside = tmp_path / "outside"
    outside.write_text("mine")
    if content == "folder":
        hint.mkdir()
    elif content == "fifo":
        os.mkfifo(hint)
    elif content == "link":
        hint.symlink_to(outside)
    elif content is not None:
        hint.write_bytes(content)
    found, warnings = reader.newest(folder)
    assert (found.snapshot.state["step"], warnings) == (1, [])
    assert keep(folder, [2], keep=1) == [2]
    assert content == "folder" or hint.read_text() == "step-000000002\n"
    assert outside.read_text() == "mine"


def test_what_belongs_to_no_checkpoint_is_told_and_never_opened(saved):
    _, folder = saved
    os.mkfifo(folder / "notes.txt")  # opening it would wait for ever
    (folder / ".DS_Store").write_bytes(b"of a desktop")
    found = reader.read(folder)
    assert found.notes == ["step-000000001 holds files that do not belong to it: notes.txt"]


def test_a_checkpoints_folder_that_vanished_is_made_again(tmp_path):
    assert keep(tmp_path / "c", [1], keep=1) == [1]
    shutil.rmtree(tmp_path / "c")
    assert keep(tmp_path / "c", [2], keep=1) == [2]


@every_row(
    ("state", "what"),
    [
        pytest.param({"seed": float("nan")}, "not JSON compliant", id="nan"),
        pytest.param({"seed": object()}, "not JSON serializable", id="object"),
        pytest.param({"seed": 1 << 63}, "beyond 64 bits", id="wide"),
        pytest.param({"mood": "good"}, "unknown key 'mood'", id="unknown"),
        pytest.param({"data": "x" * (17 << 20)}, "state.json would have", id="large"),
    ],
)
def test_what_could_not_be_read_again_is_not_saved(tmp_path, state, what):
    with pytest.raises(CheckpointError, match=f"step 1 was not saved: .*{what}") as caught:
        writer.write(tmp_path / "c", snapshot(1, **state), {})
    assert caught.value.fix.startswith("let state() hold tensors")  # no space would help
    assert names(tmp_path / "c") == []


def test_tensors_that_could_not_be_read_again_are_not_saved(tmp_path):
    odd = evolve(
        snapshot(1),
        files={**snapshot(1).files, "critic": {"weight": torch.zeros(2, dtype=torch.complex64)}},
    )
    with pytest.raises(CheckpointError, match="weight is of type 'C64'"):
        writer.write(tmp_path / "c", odd, {})


def test_a_checkpoint_is_readable_by_whoever_may_read_the_run_and_writable_by_nobody_else(tmp_path):
    for mode, wanted in ((0o755, 0o755), (0o700, 0o700), (0o777, 0o775)):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        assert writer.write(folder, snapshot(1), {}).stat().st_mode & 0o777 == wanted


# ── gan checkpoint ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def run(tmp_path):
    """A run that keeps some checkpoints for good, with four of them."""
    folder = tmp_path / "run"
    directory.create(folder, {"run": {"keep-every": 10}})
    for step in (0, 6, 12, 18):
        writer.write(folder / "checkpoints", snapshot(step), {})
    return folder


def test_checkpoints_are_listed_with_step_size_versions_and_what_is_kept_for_good(run, gan_here):
    rows = json.loads(gan_here("checkpoint", "list", "run", "--json").stdout)
    assert [(row["step"], row["for_good"], row["problem"]) for row in rows] == [
        (0, True, ""), (6, False, ""), (12, True, ""), (18, False, ""),
    ]  # fmt: skip
    size = sum(path.stat().st_size for path in (run / "checkpoints" / "step-000000000").iterdir())
    assert rows[0]["bytes"] == size
    assert rows[0]["versions"]["torch"] == torch.__version__
    table = gan_here("checkpoint", "list", "run").stdout.splitlines()
    assert len(table) == 5
    assert "for good" in table[1]


def test_sound_checkpoints_verify(run, gan_here):
    assert gan_here("checkpoint", "verify", "run").stdout.count("is sound") == 4
    one = run / "checkpoints" / "step-000000006"
    assert json.loads(gan_here("checkpoint", "verify", one, "--json").stdout) == [
        {"name": "step-000000006", "faults": [], "notes": [], "sound": True}
    ]


def test_every_damaged_file_is_named_and_the_exit_code_is_1(run, gan_here):
    damaged = run / "checkpoints" / "step-000000006"
    (damaged / "critic.safetensors").write_bytes(b"torn")
    (damaged / "optim.safetensors").unlink()
    done = gan_here("checkpoint", "verify", "run", check=1)
    assert "step-000000006: critic.safetensors is damaged (it has 4 bytes" in done.stdout
    assert "step-000000006: optim.safetensors cannot be read: No such file" in done.stdout
    assert "1 of 4 checkpoints cannot be used: step-000000006" in done.stderr
    found = json.loads(gan_here("checkpoint", "verify", damaged, "--json", check=1).stdout)
    assert (found[0]["sound"], len(found[0]["faults"])) == (False, 2)
    (damaged / "SHA256SUMS").write_text("no sums")
    assert "SHA256SUMS is damaged" in gan_here("checkpoint", "list", "run").stdout


def test_pruning_leaves_the_newest_what_is_kept_for_good_and_what_is_sound(run, gan_here):
    done = gan_here("checkpoint", "prune", "run", "--keep", "1")
    assert done.stdout == "step-000000006\n"
    assert "1 removed, 3 left" in done.stderr
    (run / "checkpoints" / "step-000000018" / "state.json").write_bytes(b"")
    directory.write_recipe(run, {})
    assert gan_here("checkpoint", "prune", "run", "--keep", "1").stdout == "step-000000000\n"
    assert names(run / "checkpoints") == ["latest", "step-000000012", "step-000000018"]


def test_a_run_that_trains_is_not_pruned(run, gan_here):
    with directory.locked(run):
        assert (
            "in use by process"
            in gan_here("checkpoint", "prune", "run", "--keep", "1", check=1).stderr
        )
    assert len(writer.steps(run / "checkpoints")) == 4


@every_row(
    ("words", "what"),
    [
        (["list", "nowhere"], "is no run"),
        (["verify", "nowhere"], "is no run"),
        (["prune", "run"], "--keep"),
        (["prune", "run", "--keep", "0"], "--keep"),
        (["lst", "run"], "lst"),
    ],
)
def test_a_wrong_word_about_checkpoints_is_refused(run, gan_here, words, what):
    assert what in gan_here("checkpoint", *words, check=2).stderr


def test_a_run_without_checkpoint_says_so(tmp_path, gan_here):
    directory.create(tmp_path / "run", {})
    assert "has no checkpoint yet" in gan_here("checkpoint", "list", "run", check=2).stderr


def test_checkpoints_are_listed_verified_and_pruned_without_torch(run):
    code = """
import sys
sys.modules["torch"] = sys.modules["safetensors"] = None
from gancore.cli import main
for words in (["list"], ["verify"], ["prune", "--keep", "1"]):
    try:
        main(["checkpoint", words[0], sys.argv[1], *words[1:]])
    except SystemExit as ended:
        assert ended.code == 0, words
"""
    done = subprocess.run(
        [sys.executable, "-c", code, run], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "step-000000006"), done.stderr


# ── what a checkpoint holds ───────────────────────────────────────────────────────────────────────


def test_optimiser_state_is_named_after_its_weight(saved):
    names = reader.read(saved[1]).snapshot.files["optim"]
    assert "critic/score.weight/momentum_buffer" in names


def test_weights_of_another_composition_are_refused_before_anything_changes():
    small, large = train(), train(Encoder())
    before = capture(small)
    with pytest.raises(CheckpointError, match=r"unexpected extras\.encoder"):
        restore(small, capture(large))
    assert_equal(before, capture(small))


def test_a_difference_in_shape_is_named_with_both_shapes():
    with pytest.raises(CheckpointError, match=r"w is \(\[3\].*not \(\[2\]"):
        compare("critic", {"w": torch.zeros(2)}, {"w": torch.zeros(3)})


@every_row("value", [float("nan"), {1: 2}, {1, 2}, object(), 1j, (1, 2)])
def test_state_that_json_cannot_hold_is_refused_with_its_path(value):
    @component(source="a test")
    class Odd:
        """Have state that cannot be kept."""

        buffer: list = state(factory=lambda: [0, value])

        @hookimpl
        def before_step(self):
            return None

    with pytest.raises(PluginError, match=r"state\.buffer\[1\]"):
        capture(train(Odd()))


# ── any state ─────────────────────────────────────────────────────────────────────────────────────


@component(source="a test")
class Anything:
    """Keep whatever a test puts here."""

    kept: dict = state(factory=dict)
    other: object = state()

    @hookimpl
    def before_step(self):
        return None


def tensor_of(dtype, shape, content):
    """Make a tensor of any bits, of which truth values may have two."""
    size = torch.Size(shape).numel()
    if dtype is torch.bool:
        return torch.tensor(
            [bool(content[place % len(content)] % 2) for place in range(size)]
        ).reshape(shape)
    count = size * torch.empty((), dtype=dtype).element_size()
    raw = bytes(content[place % len(content)] for place in range(count))
    return (
        torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)
        if size
        else torch.empty(shape, dtype=dtype)
    )


ANY_TEXT = st.text(st.characters() | st.sampled_from("%/._\udcff\ud800")) | st.sampled_from(
    ["%tensor", "a/0", "%%"]
)
TENSORS = st.builds(
    tensor_of,
    st.sampled_from(sorted(STORED, key=str)),
    st.lists(st.integers(0, 3), max_size=3),
    st.binary(min_size=1, max_size=40),
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | ANY_TEXT
)
VALUES = st.recursive(
    PLAIN | TENSORS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(ANY_TEXT, inside, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(ANY_TEXT, VALUES, max_size=3), VALUES)
def test_any_nesting_of_what_a_field_may_hold_survives_a_checkpoint_bit_for_bit(
    tmp_path, kept, other
):
    training, again = train(first := Anything()), train(second := Anything())
    first.kept = kept
    first.other = other
    folder = writer.write(tmp_path, snapshot_of(training), {})
    restore(again, reader.read(folder).snapshot)
    shutil.rmtree(folder)
    assert same(second.kept, kept)
    assert same(second.other, other)


@settings(deadline=None)
@given(st.dictionaries(ANY_TEXT, VALUES, max_size=4))
def test_flattening_can_be_undone_without_a_file_too(values):
    tensors, rest = flatten(values)
    assert same(unflatten(tensors, json.loads(json.dumps(rest))), values)


@pytest.mark.parametrize(
    ("tensors", "stored"),
    [
        ({}, {"a": {"%tensor": "b"}}),
        ({}, {"a": {"%tensor": 3}}),
        ({}, {"a": {"%tensor": ["b"]}}),
        ({"b": torch.ones(1)}, {"a": {"%tensor": "b", "more": 1}}),
        ({"b": torch.ones(1)}, {"a": [{"%tensor": "b"}, {"%tensor": "b"}]}),
        ({"b": torch.ones(1)}, {"b": 1}),
        ({}, {"a": "50 %"}),
        ({}, {"%": 1}),
    ],
)
def test_a_state_that_nobody_can_have_stored_is_refused(tensors, stored):
    with pytest.raises(ValueError, match="tensor|stored twice|not an escaped name"):
        unflatten(tensors, stored)


def test_a_restored_component_shares_no_value_with_what_was_read():
    first = Anything()
    first.kept = {"a": [torch.ones(2)]}
    stored = snapshot_of(train(first))
    training = train(second := Anything())
    restore(training, stored)
    second.kept["a"][0].zero_()
    second.kept["a"].append(3)
    restore(training, stored)
    assert same(second.kept, {"a": [torch.ones(2)]})


NAMES = [
    "golden retriever", "a, b", "a=b", "", "..", "/", "a/../b", "100 %", "%u00e9", "%%udcff", "Füchse", "text.0",
    "line\nline", "nul\0", "x" * 5000, "no utf-8 \udcff", "plain", "\u202e",
]  # fmt: skip


def test_tensors_may_be_kept_under_any_text(tmp_path):
    @component(source="a test")
    class Odd:
        """Keep a number by each name of the user's data."""

        shares: dict = state(factory=dict)

        @hookimpl
        def before_step(self):
            self.shares = {name: torch.tensor([float(place)]) for place, name in enumerate(NAMES)}

    training = train(Odd())
    training.train_step()
    before = snapshot_of(training)
    folder = writer.write(tmp_path, before, {})
    assert not verified.faults(folder)
    found = reader.read(folder).snapshot
    assert_equal(before, found)
    again = train(Odd())
    restore(again, found)
    assert_equal(before, snapshot_of(again))


def test_weights_and_their_moments_may_have_any_name(tmp_path):
    whole = snapshot(1)
    weights = {
        f"heads.{name}.weight": torch.full((2,), float(place)) for place, name in enumerate(NAMES)
    }
    moments = {f"critic/{name}/exp_avg": weight for name, weight in weights.items()}
    odd = evolve(whole, files={**whole.files, "critic": weights, "optim": moments})
    assert_equal(odd, reader.read(writer.write(tmp_path, odd, {})).snapshot)


def test_a_run_on_classes_with_spaces_is_saved_and_gone_on_with(tmp_path):
    for place, name in enumerate(("golden retriever", "poodle, toy", "a=b", "100 %")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(4):
            picture = Image.effect_noise((16, 16), 40 + 20 * place + number).convert("RGB")
            picture.save(tmp_path / "pets" / name / f"{number}.png")
    run = Run.start(
        compose(
            data="image-folder", metric=["recognition"], reg=["ema"], track=["doctor"],
            options={
                "image-folder.path": str(tmp_path / "pets"), "dcgan.width": 4, "dcgan-critic.width": 4,
                "recognition.epochs": 1, "recognition.every": 1, "recognition.images": 8, "recognition.reals": 8,
            },
            settings={"steps": 2, "batch": 4, "log_every": 1, "size": "16"},
        ),
        tmp_path / "run",
    )  # fmt: skip
    run.fit()
    assert "recognition/share/golden retriever" in directory.read_rows(tmp_path / "run")[-1]
    resumed = Run.resume(tmp_path / "run", [layer_of("x", {"run": {"steps": 3}})])
    assert resumed.training.step == 2
    resumed.fit()


@every_row("make", [list, lambda: [Average()], lambda: [Encoder()]])
def test_a_training_put_back_goes_on_with_the_same_bits(make):
    check_exact_resume(make)


def test_no_time_host_or_path_is_in_a_checkpoint(saved):
    content = b"".join(path.read_bytes() for path in Path(saved[1]).iterdir())
    assert str(saved[1]).encode() not in content
    assert os.uname().nodename.encode() not in content or len(os.uname().nodename) < 6
