"""Capture the state of a training as tensors by name and JSON values, and restore it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from attrs import field, frozen
from torch import Tensor

from gancore.errors import CheckpointError
from gancore.plugins.slots import ROLES
from gancore.run.checkpoint.compare import Tensors, compare, own, refuse_stored
from gancore.run.checkpoint.component_state import (
    States,
    component_state,
    expect_components,
    expect_owners,
    load_components,
    set_states,
)
from gancore.run.checkpoint.optimizer_state import (
    expect_optimizer,
    load_optimizer,
    optimizer_tensors,
    settings_of,
)
from gancore.train.plan import LabelSet

if TYPE_CHECKING:
    from gancore.train.loop import Training


@frozen
class Snapshot:
    """The state of a training: tensors by file, as in `schema.PARTS`, and the rest as JSON."""

    files: Mapping[str, Tensors]
    state: Mapping[str, Any] = field(factory=dict)


def describe_label_set(labels: LabelSet) -> dict[str, Any]:
    """Return a label set for a checkpoint's JSON: of its values the width alone.

    The networks that use the values keep them in a buffer (`gancore.Values`).
    """
    described: dict[str, Any] = {"name": labels.name, "classes": list(labels.classes)}
    if labels.values is not None:
        described["width"] = labels.values.shape[1]
    return described


def stored_label_set(described: Mapping[str, Any]) -> LabelSet:
    """Return the label set that a checkpoint describes, with zeros for its values."""
    classes = tuple(described["classes"])
    values = None
    if "width" in described:
        values = torch.zeros(len(classes), described["width"])
    return LabelSet(described["name"], classes, values)


def capture(training: Training) -> Snapshot:
    """Copy the state of a training.

    Raises PluginError for component state that cannot be stored.
    """
    gan = training.context.gan
    optim: Tensors = {}
    groups: dict[str, list[dict[str, Any]]] = {}
    for role in ROLES:
        player = gan.player(role)
        for name, tensor in optimizer_tensors(player).items():
            optim[f"{role}/{name}"] = tensor
        groups[role] = [settings_of(group) for group in player.optimizer.param_groups]
    tensors, components = component_state(training.context.hooks)
    files = {
        "generator": gan.generator.state_dict(),
        "critic": gan.critic.state_dict(),
        "optim": optim,
        "components": tensors,
    }
    copies = {name: _copies(part) for name, part in files.items()}
    state = {
        "step": training.step,
        "batches": training.batches,
        "optimizers": groups,
        "components": components,
    }
    scalers = training.context.runtime.scalers
    if scalers:  # of fp16 alone
        state["scales"] = {role: scaler.state_dict() for role, scaler in scalers.items()}
    return Snapshot(copies, state)


def _copies(tensors: Tensors) -> Tensors:
    return {key: _copy(tensor) for key, tensor in tensors.items()}


def _copy(tensor: Tensor) -> Tensor:
    # files hold contiguous tensors, whatever the layout in memory is
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def expect_loadable(training: Training, snapshot: Snapshot) -> States:
    """Compare names, shapes and types of everything stored with those of this training.

    Return the states of the components. Raises CheckpointError naming what is missing, unexpected
    or different.
    """
    gan = training.context.gan
    hooks = training.context.hooks
    files = snapshot.files
    components = snapshot.state["components"]
    unexpected = []
    for name in files["optim"]:
        role = name.partition("/")[0]
        if role not in ROLES:
            unexpected.append(f"unexpected {name}")
    refuse_stored("optim", unexpected)
    for role in ROLES:
        player = gan.player(role)
        compare(role, player.state_dict(), files[role])
        expect_optimizer(
            role, player, own(role, files["optim"]), snapshot.state["optimizers"][role]
        )
    expect_owners(hooks, files["components"], components)
    return expect_components(hooks, files["components"], components)


def restore(training: Training, snapshot: Snapshot) -> None:
    """Restore everything.

    Raises CheckpointError, before anything is changed, where `expect_loadable` does.
    """
    gan = training.context.gan
    files = snapshot.files
    set_states(training.context.hooks, expect_loadable(training, snapshot))
    for role in ROLES:
        gan.player(role).load_state_dict(files[role])
        load_optimizer(
            gan.player(role), own(role, files["optim"]), snapshot.state["optimizers"][role]
        )
    for name, scaler in training.context.runtime.scalers.items():
        if scale := snapshot.state.get("scales", {}).get(name):
            scaler.load_state_dict(scale)
    training.step = snapshot.state["step"]
    training.batches = snapshot.state["batches"]


def restore_generator(training: Training, snapshot: Snapshot, *, whole: bool) -> None:
    """Restore the generator and the components that are chosen: enough to draw samples.

    Unless the generator is `whole`, networks that components added to it are left out. The critic
    is built only where a component does not take its state without it. Raises CheckpointError where
    something does not fit.
    """
    generator = training.context.gan.generator
    hooks = training.context.hooks
    stored = snapshot.files["generator"]
    if not whole:
        stored = {name: each for name, each in stored.items() if not name.startswith("extras.")}
    compare("generator", generator.state_dict(), stored)
    parts = hooks, snapshot.files["components"], snapshot.state["components"]
    try:
        load_components(*parts)
    except CheckpointError:
        if not whole:
            raise
        _ = training.context.gan.critic  # builds it; the component may take part in that
        load_components(*parts)
    generator.load_state_dict(stored)
    training.step = snapshot.state["step"]
    training.batches = snapshot.state["batches"]
