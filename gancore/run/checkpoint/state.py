"""Everything that moves in a training, as tensors by name and JSON values, and back."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from reprlib import repr as shortly
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from gancore.errors import CheckpointError, PluginError
from gancore.plugins.component import info_of
from gancore.plugins.slots import ROLES
from gancore.run.checkpoint.compare import Tensors, compare, own, refuse_stored
from gancore.run.checkpoint.optimizer_state import expect_optimizer, load_optimizer, optimizer_tensors, settings_of

if TYPE_CHECKING:
    from gancore.plugins.calling import Component, Hooks
    from gancore.train.loop import Training

STORED = {
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool,
}  # fmt: skip


@frozen
class Snapshot:
    """`files` maps a file's stem (generator, critic, optim, components) to its tensors; `state` is the rest."""

    files: Mapping[str, Tensors]
    state: Mapping[str, Any] = field(factory=dict)


def capture(training: Training) -> Snapshot:
    """Copy out everything that moves. Raises PluginError for component state that cannot be stored."""
    gan = training.context.gan
    optim: Tensors = {}
    groups: dict[str, list[dict[str, Any]]] = {}
    for role in ROLES:
        optim |= {f"{role}/{name}": tensor for name, tensor in optimizer_tensors(gan.player(role)).items()}
        groups[role] = [settings_of(group) for group in gan.player(role).optimizer.param_groups]
    tensors, components = component_state(training.context.hooks)
    files = {
        "generator": gan.generator.state_dict(),
        "critic": gan.critic.state_dict(),
        "optim": optim,
        "components": tensors,
    }
    copies = {name: {key: _copy(tensor) for key, tensor in part.items()} for name, part in files.items()}
    scales = {role: scaler.state_dict() for role, scaler in training.context.runtime.scalers.items()}
    state = {
        "step": training.step,
        "batches": training.batches,
        "optimizers": groups,
        "components": components,
        **({"scales": scales} if scales else {}),
    }
    return Snapshot(copies, state)


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)  # as files hold them, whatever the layout


def expect_fit(training: Training, snapshot: Snapshot) -> None:
    """Compare everything stored with this training, which stays as it is: names, shapes and types of all parts.

    Raises CheckpointError naming what is missing, unexpected or different.
    """
    gan, files, hooks = training.context.gan, snapshot.files, training.context.hooks
    stray = [name for name in files["optim"] if name.partition("/")[0] not in ROLES]
    refuse_stored("optim", [f"unexpected {name}" for name in stray])
    for role in ROLES:
        compare(role, gan.player(role).state_dict(), files[role])
        expect_optimizer(role, gan.player(role), own(role, files["optim"]), snapshot.state["optimizers"][role])
    _expect_owners(hooks, files["components"], snapshot.state["components"])
    _expect_taken(hooks, states_of(hooks, files["components"], snapshot.state["components"]))


def _expect_owners(hooks: Hooks, tensors: Tensors, components: Mapping[str, Any]) -> None:
    """Raise CheckpointError for the state of a component that is not chosen, or that has none now."""
    known = {each.name for each in hooks.chosen if hasattr(each.component, "load_state")}
    stray = [name for name in components if name not in known]
    stray += [name for name in tensors if name.partition("/")[0] not in known]
    refuse_stored("state of components", [f"unexpected {name}" for name in stray])


def restore(training: Training, snapshot: Snapshot) -> None:
    """Put everything back. Raises CheckpointError, before anything is changed, where `expect_fit` does."""
    gan, files = training.context.gan, snapshot.files
    expect_fit(training, snapshot)
    give_states(
        training.context.hooks, states_of(training.context.hooks, files["components"], snapshot.state["components"])
    )
    for role in ROLES:
        gan.player(role).load_state_dict(files[role])
        load_optimizer(gan.player(role), own(role, files["optim"]), snapshot.state["optimizers"][role])
    for name, scaler in training.context.runtime.scalers.items():
        if scale := snapshot.state.get("scales", {}).get(name):
            scaler.load_state_dict(scale)
    training.step, training.batches = snapshot.state["step"], snapshot.state["batches"]


def restore_generator(training: Training, snapshot: Snapshot, *, whole: bool) -> None:
    """Put the generator back, and the components that are there: enough to draw samples.

    Unless the generator is `whole`, networks that components added to it are left out. The critic is built only where
    a component does not take its state without. Raises CheckpointError where something does not fit.
    """
    generator, hooks = training.context.gan.generator, training.context.hooks
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
        _ = training.context.gan.critic  # built now: the component may have taken part in that
        load_components(*parts)
    generator.load_state_dict(stored)
    training.step, training.batches = snapshot.state["step"], snapshot.state["batches"]


def component_state(hooks: Hooks) -> tuple[Tensors, dict[str, Any]]:
    """Ask every component for its `state()`. Raises PluginError naming what cannot be stored."""
    tensors: Tensors = {}
    components: dict[str, Any] = {}
    for each in hooks.chosen:
        if not hasattr(each.component, "state"):
            continue
        state = state_of(each)
        tensors |= {f"{each.name}/{key}": value for key, value in state.items() if isinstance(value, Tensor)}
        components[each.name] = {
            "component": each.component_name,
            "distribution": each.distribution,
            "version": each.version,
            "state_version": info_of(each.component).state_version,
            "state": {key: value for key, value in state.items() if not isinstance(value, Tensor)},
        }
    return tensors, components


def state_of(each: Component) -> dict[str, Any]:
    """Ask one component for its state. Raises PluginError where it fails or gives what cannot be stored."""
    try:
        state = each.component.state()
    except Exception as error:
        raise _unfit(each, f"state() failed: {type(error).__name__}: {error}") from error
    if not isinstance(state, dict):
        raise _unfit(each, f"state() gave {shortly(state)}, no dict")
    for key, value in state.items():
        if not isinstance(value, Tensor):
            _refuse(each, {key: value}, "state")
        elif not isinstance(key, str):
            raise _unfit(each, f"state holds a tensor under {key!r}, no text")
        elif value.dtype not in STORED or value.layout is not torch.strided or value.device.type == "meta":
            raise _unfit(each, f"state.{key} is a tensor of {value.dtype}, {value.layout}, on {value.device}")
    return state


def _refuse(each: Component, value: Any, path: str) -> None:
    """Raise PluginError unless a value survives JSON unchanged."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _unfit(each, f"{path} holds the key {key!r}, no text")
            _refuse(each, item, f"{path}.{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            _refuse(each, item, f"{path}[{place}]")
    elif not (
        value is None
        or isinstance(value, str | bool)
        or (isinstance(value, int) and abs(value) < 2**63)
        or (isinstance(value, float) and math.isfinite(value))
    ):
        raise _unfit(each, f"{path} is {shortly(value)}")


def _unfit(each: Component, why: str) -> PluginError:
    fix = "state() may return tensors, and JSON values of finite numbers, text, lists and text-keyed tables"
    return PluginError(f"{each.name} cannot be saved: {why}", where=_origin(each), fix=fix)


def _origin(each: Component) -> str:
    return f"{each.distribution} {each.version}" if each.distribution else each.chosen_by


def load_components(hooks: Hooks, tensors: Tensors, components: Mapping[str, Any]) -> None:
    """Give every component its state back, once a copy of each has taken it.

    Raises CheckpointError where one is missing, of a version that nobody can read, or not taken; then none is changed.
    """
    states = states_of(hooks, tensors, components)
    _expect_taken(hooks, states)
    give_states(hooks, states)


def states_of(hooks: Hooks, tensors: Tensors, components: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the stored state of every component that takes one, in its present form, by the component's name."""
    return {
        each.name: _stored(each, tensors, components) for each in hooks.chosen if hasattr(each.component, "load_state")
    }


def _expect_taken(hooks: Hooks, states: Mapping[str, dict[str, Any]]) -> None:
    for each in hooks.chosen:
        if each.name in states:
            _take(evolve(each, component=copy.deepcopy(each.component)), states[each.name])


def give_states(hooks: Hooks, states: Mapping[str, dict[str, Any]]) -> None:
    """Give every component its state."""
    for each in hooks.chosen:
        if each.name in states:
            each.component.load_state(_copied(states[each.name]))


def _stored(each: Component, tensors: Tensors, components: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component's stored state in its present form."""
    if each.name not in components:
        raise CheckpointError(f"the checkpoint holds no state of {each.name}", fix="resume with the run's own recipe")
    stored, version = components[each.name], info_of(each.component).state_version
    state = {**stored["state"], **own(each.name, tensors)}
    if stored["state_version"] == version:
        return state
    migrate = getattr(each.component, "migrate", None)
    if migrate is None:
        raise CheckpointError(
            f"{each.name} stored its state in form {stored['state_version']}, but now reads form {version}",
            where=f"{stored['distribution']} {stored['version']} then, {each.distribution} {each.version} now",
            fix=f"install {stored['distribution']} {stored['version']}",
        )
    try:
        migrated: dict[str, Any] = migrate(_copied(state), stored["state_version"])
    except Exception as error:
        raise _untaken(each, f"migrate() failed: {type(error).__name__}: {error}") from error
    return migrated


def _take(each: Component, state: dict[str, Any]) -> None:
    """Let a component take a state and ask for it again. Raises CheckpointError where that is not what it was given."""
    try:
        each.component.load_state(_copied(state))
    except Exception as error:
        raise _untaken(each, f"load_state() failed: {type(error).__name__}: {error}") from error
    found = state_of(each)
    trouble = [f"lost {key}" for key, value in state.items() if key not in found and not _empty(value)]
    trouble += [f"added {key}" for key, value in found.items() if key not in state and not _empty(value)]
    trouble += [f"changed {key}" for key in state if key in found and not _equal(state[key], found[key])]
    if trouble:
        raise _untaken(each, f"load_state() has {', '.join(trouble[:5])}")


def _untaken(each: Component, why: str) -> CheckpointError:
    fix = "resume with the recipe and the plugins that the run was trained with"
    return CheckpointError(f"{each.name} does not take its stored state: {why}", where=_origin(each), fix=fix)


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.clone() if isinstance(value, Tensor) else copy.deepcopy(value) for key, value in state.items()}


def _empty(value: Any) -> bool:
    return value.numel() == 0 if isinstance(value, Tensor) else not value and not isinstance(value, int | float)


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return type(one) is type(other) and bool(one == other)
    alike = one.shape == other.shape and one.dtype == other.dtype
    return alike and torch.equal(one.nan_to_num(), other.cpu().nan_to_num())
