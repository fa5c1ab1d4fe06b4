"""A checkpoint is complete or absent, verified when read, and gives back the same bits."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from attrs import evolve
from companions import Average, Encoder

from gancore import CheckpointError, PluginError, component, hookimpl, memory
from gancore.run import checkpoint
from gancore.run.snapshot import capture, compare, restore
from gancore.testing import assert_equal, check_exact_resume, train


def snapshot_of(training, **more):
    snapshot = capture(training)
    return evolve(snapshot, state={**snapshot.state, **more})


@pytest.fixture
def saved(tmp_path):
    training = train(Average())
    training.advance()
    return training, checkpoint.write(tmp_path, snapshot_of(training), {})


def test_what_is_written_is_read_back_bit_for_bit(saved):
    training, folder = saved
    assert_equal(capture(training), checkpoint.read(folder).snapshot)


def test_a_checkpoint_holds_the_files_that_the_format_names(saved):
    _, folder = saved
    files = {"generator.safetensors", "critic.safetensors", "optim.safetensors", "components.safetensors"}
    assert {path.name for path in folder.iterdir()} == files | {"state.json", "manifest.json", "SHA256SUMS"}
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
        training.advance()
        (tmp_path / name).mkdir()
        sums.append((checkpoint.write(tmp_path / name, snapshot_of(training), {}) / "SHA256SUMS").read_bytes())
    assert sums[0] == sums[1]


@pytest.mark.parametrize(
    "name", ["generator.safetensors", "optim.safetensors", "state.json", "manifest.json", "SHA256SUMS"]
)
def test_any_flipped_byte_is_noticed_and_named(saved, name):
    path = saved[1] / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged|cannot be read"):
        checkpoint.read(saved[1])


@pytest.mark.parametrize("name", ["critic.safetensors", "state.json", "SHA256SUMS"])
def test_a_missing_file_is_noticed_and_named(saved, name):
    (saved[1] / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        checkpoint.read(saved[1])


def test_a_link_in_place_of_a_file_is_not_followed(saved):
    path = saved[1] / "state.json"
    elsewhere = saved[1].parent / "elsewhere.json"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(CheckpointError, match="state.json"):
        checkpoint.read(saved[1])


def test_the_newest_that_verifies_is_taken_and_the_damage_is_told(saved):
    training, first = saved
    training.advance()
    second = checkpoint.write(first.parent, snapshot_of(training), {})
    (second / "critic.safetensors").write_bytes(b"torn")
    found, warnings = checkpoint.newest(first.parent)
    assert found.folder == first
    assert warnings == ["step-000000002: critic.safetensors is damaged (its SHA-256 differs)"]


def test_an_intact_checkpoint_of_the_same_step_is_kept(saved):
    training, folder = saved
    before = os.stat(folder).st_ino
    assert checkpoint.write(folder.parent, snapshot_of(training), {}) == folder
    assert os.stat(folder).st_ino == before


def test_a_damaged_checkpoint_of_the_same_step_is_replaced(saved):
    training, folder = saved
    (folder / "state.json").write_text("{}")
    checkpoint.write(folder.parent, snapshot_of(training), {})
    assert not checkpoint.problem(folder)


def test_pruning_keeps_the_newest_and_sweeps_what_crashes_left(saved):
    training, first = saved
    (first.parent / ".tmp-step-000000009-1-00").mkdir()
    for _ in range(3):
        training.advance()
        checkpoint.write(first.parent, snapshot_of(training), {})
    checkpoint.prune(first.parent, 2)
    left = sorted(path.name for path in first.parent.iterdir())
    assert left == ["latest", "step-000000003", "step-000000004"]


@pytest.mark.parametrize("operation", ["write_new", "commit"])
def test_a_save_that_fails_leaves_the_old_checkpoint_and_nothing_else(saved, monkeypatch, operation):
    training, first = saved
    training.advance()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint._fs, operation, fail)
    with pytest.raises(CheckpointError, match="step 2 was not saved: No space left on device"):
        checkpoint.write(first.parent, snapshot_of(training), {})
    assert sorted(path.name for path in first.parent.iterdir()) == ["latest", first.name]
    assert not checkpoint.problem(first)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"a": 1, "a": 2}', "repeated"),
        ('{"a": NaN}', "NaN"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_json_is_read_as_strictly_as_it_was_written(text, what):
    with pytest.raises(CheckpointError, match=what):
        checkpoint.parse_json(text.encode(), "state.json")


def test_a_newer_format_is_refused_with_both_numbers(saved, monkeypatch):
    training, folder = saved
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    training.advance()
    newer = checkpoint.write(folder.parent, snapshot_of(training), {})
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    with pytest.raises(CheckpointError, match="format 2; this gancore reads 1"):
        checkpoint.read(newer)


def test_optimiser_state_is_named_after_its_weight(saved):
    names = checkpoint.read(saved[1]).snapshot.files["optim"]
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


@pytest.mark.parametrize("value", [float("nan"), {1: 2}, {1, 2}, object(), 1j, (1, 2)])
def test_state_that_json_cannot_hold_is_refused_with_its_path(value):
    @component(source="a test")
    class Odd:
        """Have state that cannot be kept."""

        buffer: list = memory(factory=list)

        @hookimpl
        def before_step(self):
            return None

        def state(self):
            return {"buffer": [0, value]}

        def load_state(self, state):
            pass

    with pytest.raises(PluginError, match=r"state\.buffer\[1\]"):
        capture(train(Odd()))


@pytest.mark.parametrize("make", [list, lambda: [Average()], lambda: [Encoder()]])
def test_a_training_put_back_goes_on_with_the_same_bits(make):
    check_exact_resume(make)


def test_no_time_host_or_path_is_in_a_checkpoint(saved):
    content = b"".join(path.read_bytes() for path in Path(saved[1]).iterdir())
    assert str(saved[1]).encode() not in content
    assert os.uname().nodename.encode() not in content or len(os.uname().nodename) < 6
