"""Snapshots of trainings: pass them through the form of a checkpoint, and compare their bits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import load, save

from gancore.plugins.calling import Hooks
from gancore.run.checkpoint.component_state import component_state, load_components
from gancore.run.checkpoint.state import Snapshot, capture, restore
from gancore.testing.trainings import chosen_of

PLAYER_FILES = ("generator", "critic", "optim")  # the parts of a snapshot that no component owns


def copy_state(source: Any, target: Any) -> None:
    """Give one component the state of another of its class, as a resumed run does.

    Raises PluginError for state that cannot be stored, CheckpointError for state that is not taken.
    """
    tensors, components = component_state(Hooks([chosen_of(source)]))
    stored = through_files(Snapshot({"components": tensors}, components))
    load_components(Hooks([chosen_of(target)]), stored.files["components"], stored.state)


def through_files(snapshot: Snapshot) -> Snapshot:
    """Pass a snapshot through safetensors and JSON, as a checkpoint would."""
    files = {}
    for name, tensors in snapshot.files.items():
        # safetensors stores no strides
        contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
        files[name] = load(save(contiguous))
    return Snapshot(files, json.loads(json.dumps(snapshot.state, allow_nan=False)))


def assert_equal(one: Snapshot, other: Snapshot, what: str = "two snapshots differ") -> None:
    """Assert that two snapshots hold the same bits."""
    # as JSON holds them: there a tuple is a list, and every key a text
    state = json.loads(json.dumps(one.state))
    other_state = json.loads(json.dumps(other.state))
    assert state == other_state, f"{what} (in the JSON state)"
    for part in one.files:
        found = first_difference(one, other, [part])
        assert not found, f"{what} ({found})"


def first_difference(one: Snapshot, other: Snapshot, parts: Sequence[str] = PLAYER_FILES) -> str:
    """Name the first tensor of these parts whose bits differ, as `part: name`; '' if none does."""
    for part in parts:
        tensors = one.files[part]
        others = other.files[part]
        if tensors.keys() != others.keys():
            return f"{part} holds other names"
        for name, tensor in tensors.items():
            if not torch.equal(tensor, others[name]):
                return f"{part}: {name}"
    return ""


__all__ = [
    "PLAYER_FILES",
    "Snapshot",
    "assert_equal",
    "capture",
    "copy_state",
    "first_difference",
    "restore",
    "through_files",
]
