"""Read, compare and restore the state of components.

A component's state is a dict by field name of the values that its `state()` fields hold, or what
its own `state_dict()` returns. `nested.py` says how such a dict is stored.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from reprlib import repr as shortly
from typing import TYPE_CHECKING, Any

from attrs import evolve

from gancore.errors import CheckpointError, PluginError
from gancore.plugins.component import has_state, info_of, state_fields
from gancore.run.checkpoint.compare import Tensors, own, refuse_stored
from gancore.run.checkpoint.nested import copied, flatten, same, unflatten
from gancore.run.listing import shortened

if TYPE_CHECKING:
    from gancore.plugins.calling import Component, Hooks

States = dict[str, dict[str, Any]]  # by the component's name


def component_state(hooks: Hooks) -> tuple[Tensors, dict[str, Any]]:
    """Return the state of all components: tensors named `COMPONENT/NAME`, and JSON by component.

    Raises PluginError for a value that cannot be stored.
    """
    tensors: Tensors = {}
    components: dict[str, Any] = {}
    for each in hooks.chosen:
        if not has_state(each.component):
            continue
        own_tensors, values = _flattened(each, state_of(each))
        for key, tensor in own_tensors.items():
            tensors[f"{each.name}/{key}"] = tensor
        components[each.name] = {
            "component": each.component_name,
            "distribution": each.distribution,
            "version": each.version,
            "state_version": info_of(each.component).state_version,
            "state": values,
        }
    return tensors, components


def state_of(each: Component) -> dict[str, Any]:
    """Return one component's state.

    Raises PluginError where its `state_dict()` fails or returns no dict.
    """
    if not hasattr(each.component, "state_dict"):
        return {name: getattr(each.component, name) for name in state_fields(type(each.component))}
    try:
        state = each.component.state_dict()
    except Exception as error:
        raise _not_storable(
            each, f"state_dict() failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(state, dict):
        raise _not_storable(each, f"state_dict() returned {shortly(state)}, not a dict")
    return state


def _flattened(each: Component, state: Mapping[str, Any]) -> tuple[Tensors, dict[str, Any]]:
    try:
        return flatten(state)
    except ValueError as error:
        raise _not_storable(each, str(error)) from None


def _not_storable(each: Component, why: str) -> PluginError:
    return PluginError(
        f"{each.name} cannot be saved: {why}",
        where=_origin(each),
        fix="keep tensors, finite numbers, text, lists and text-keyed dicts in state(); "
        "anything else in cached(), or define state_dict() and load_state_dict()",
    )


def _origin(each: Component) -> str:
    return f"{each.distribution} {each.version}" if each.distribution else each.chosen_by


def set_state(component: Any, state: Mapping[str, Any]) -> None:
    """Give a component copies of these values."""
    # The state that was read is used more than once, on a trial copy of the component first, so no
    # component may keep or change its values.
    values = copied(state)
    if hasattr(component, "load_state_dict"):
        component.load_state_dict(values)
        return
    for name, value in values.items():
        setattr(component, name, value)


def expect_owners(hooks: Hooks, tensors: Tensors, components: Mapping[str, Any]) -> None:
    """Raise CheckpointError for stored state of a component that is not chosen, or has none now."""
    known = {each.name for each in hooks.chosen if has_state(each.component)}
    stray = [name for name in components if name not in known]
    for name in tensors:
        owner = name.partition("/")[0]
        if owner not in known:
            stray.append(name)
    refuse_stored("state of components", [f"unexpected {name}" for name in stray])


def expect_components(hooks: Hooks, tensors: Tensors, components: Mapping[str, Any]) -> States:
    """Return the stored states of all components after checking that each takes its own.

    No component is changed. Raises CheckpointError where a state is missing, of a version that
    cannot be read, or not taken.
    """
    states = stored_states(hooks, tensors, components)
    for each in hooks.chosen:
        if each.name in states:
            _expect_taken(each, states[each.name])
    return states


def load_components(hooks: Hooks, tensors: Tensors, components: Mapping[str, Any]) -> None:
    """Restore all components.

    Raises CheckpointError where `expect_components` does; then none is changed.
    """
    set_states(hooks, expect_components(hooks, tensors, components))


def stored_states(hooks: Hooks, tensors: Tensors, components: Mapping[str, Any]) -> States:
    """Return the stored state of every component that has one, in its present form."""
    states: States = {}
    for each in hooks.chosen:
        if has_state(each.component):
            states[each.name] = _stored(each, tensors, components)
    return states


def set_states(hooks: Hooks, states: States) -> None:
    """Give every component its state."""
    for each in hooks.chosen:
        if each.name in states:
            set_state(each.component, states[each.name])


def _stored(each: Component, tensors: Tensors, components: Mapping[str, Any]) -> dict[str, Any]:
    """Return a component's stored state in its present form."""
    if each.name not in components:
        raise CheckpointError(
            f"the checkpoint holds no state of {each.name}", fix="resume with the run's own recipe"
        )
    stored = components[each.name]
    try:
        state = unflatten(own(each.name, tensors), stored["state"])
    except ValueError as error:
        raise _not_taken(each, str(error)) from error
    version = info_of(each.component).state_version
    if stored["state_version"] == version:
        return state
    migrate = getattr(each.component, "migrate", None)
    if migrate is None:
        raise CheckpointError(
            f"{each.name} stored version {stored['state_version']} "
            f"of its state, but now reads version {version}",
            where=(
                f"{stored['distribution']} {stored['version']} then, "
                f"{each.distribution} {each.version} now"
            ),
            fix=f"install {stored['distribution']} {stored['version']}",
        )
    try:
        migrated = migrate(state, stored["state_version"])
    except Exception as error:
        raise _not_taken(each, f"migrate() failed: {type(error).__name__}: {error}") from error
    if not isinstance(migrated, dict):
        raise _not_taken(each, f"migrate() returned {shortly(migrated)}, not a dict")
    return migrated


def _expect_taken(each: Component, state: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless a copy of a component, given a state, has exactly that state.

    Fields are compared by name alone. `load_state_dict()` is a plugin's own code and may fail, or
    forget something.
    """
    if not hasattr(each.component, "load_state_dict"):
        _expect_keys(each, state, dict.fromkeys(state_fields(type(each.component))), "it")
        return
    # a copy, since nothing may be changed before all that is stored was compared
    trial = evolve(each, component=copy.deepcopy(each.component))
    try:
        set_state(trial.component, state)
    except Exception as error:
        raise _not_taken(
            each, f"load_state_dict() failed: {type(error).__name__}: {error}"
        ) from error
    found = state_of(trial)
    _expect_keys(each, state, found, "load_state_dict()")
    changed = [f"changed {key}" for key in state if not same(state[key], found[key])]
    if changed:
        raise _not_taken(each, f"load_state_dict() has {shortened(changed, ', ')}")


def _expect_keys(
    each: Component, stored: Mapping[str, Any], found: Mapping[str, Any], who: str
) -> None:
    trouble = [f"lost {key}" for key in stored if key not in found]
    trouble += [f"added {key}" for key in found if key not in stored]
    if trouble:
        raise _not_taken(each, f"{who} has {shortened(trouble, ', ')}")


def _not_taken(each: Component, why: str) -> CheckpointError:
    fix = "resume with the recipe and the plugins that the run was trained with"
    return CheckpointError(
        f"{each.name} does not take its stored state: {why}", where=_origin(each), fix=fix
    )
