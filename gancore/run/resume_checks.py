"""What of a recipe may not change while a run is trained: recorded in its checkpoints, compared on resume."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from reprlib import repr as shortly
from typing import Any

from gancore.errors import UsageError
from gancore.plugins.component import options_of
from gancore.plugins.slots import WITHOUT, holds_several
from gancore.recipe.compose import Composition, plain
from gancore.recipe.settings import RESUMABLE, Settings

SHOWN = 5  # changes that are named
NOT_FIXED = {"format", WITHOUT}  # keys of a recipe that choose nothing


def fixed_part(composition: Composition) -> dict[str, Any]:
    """Return the part of a resolved recipe that may not change, as JSON.

    Where files lie may change: an option that is an absolute path is left out, for the data's fingerprint tells what
    is in them, and a component file goes by its name.
    """
    found: dict[str, Any] = {}
    for key, value in composition.recipe().items():
        if isinstance(value, dict):
            found[key] = {
                name: each
                for name, each in value.items()
                if not _is_path(each) and not (key == "run" and name in RESUMABLE)
            }
        elif key not in NOT_FIXED:
            found[key] = [_placeless(name) for name in value] if holds_several(key) else _placeless(value)
    return found


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and os.path.isabs(os.path.expanduser(value))


def _placeless(name: str) -> str:
    """Leave the folder out of the name of a component file, `again=/where/ever/file.py:Class`."""
    alias, equals, wanted = name.rpartition("=")
    return f"{alias}{equals}{Path(wanted).name}" if _is_path(wanted) else name


def expect_recipe(composition: Composition, state: Mapping[str, Any], where: str, *, changed_data: bool) -> None:
    """Raise UsageError where a run's recipe is no longer the one of its checkpoint, whose `state` this is.

    `changed_data` allows other options of the data.
    """
    changes = recipe_changes(composition, state, changed_data=changed_data)
    if changes:
        more = f"; and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        raise UsageError(
            f"the recipe was changed since the run was trained: {'; '.join(changes[:SHOWN])}{more}",
            where=where,
            fix="put it back, or start a new run with the changed recipe: gan run --recipe FILE",
        )


def recipe_changes(composition: Composition, state: Mapping[str, Any], *, changed_data: bool = False) -> list[str]:
    """List what of the recipe is no longer as the state of a checkpoint records it: `run.seed is 7, not 0`."""
    then = state.get("recipe", {"run": {"seed": state["seed"]}})  # before recipes were recorded, seeds were
    now = fixed_part(composition)
    free = {each.name for each in composition.chosen if changed_data and each.kind == "data"}
    defaults = _defaults(composition)
    changes = []
    for name, was, found in _pairs(then, now):
        new = was is None and found == defaults.get(name)  # of a plugin that has more options now
        gone = found is None and "." in name  # of one that no longer has it
        known = "recipe" in state or was is not None
        if known and was != found and not new and not gone and name.partition(".")[0] not in free:
            changes.append(f"{name} is {_shown(found)}, not {_shown(was)}")
    return changes


def _pairs(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, value then and value now of every choice and option; None for what is not there."""
    for key in dict.fromkeys((*now, *then)):
        was, found = then.get(key), now.get(key)
        if not isinstance(was, dict) and not isinstance(found, dict):
            yield key, was, found
            continue
        was, found = (each if isinstance(each, dict) else {} for each in (was, found))
        for name in dict.fromkeys((*found, *was)):
            yield f"{key}.{name}", was.get(name), found.get(name)


def _defaults(composition: Composition) -> dict[str, Any]:
    """Return the default of every option that the recipe has, by `table.option`."""
    tables = {"run": Settings, **{each.name: type(each.component) for each in composition.chosen}}
    return {
        f"{table}.{name}": plain({name: option.default})[name]
        for table, owner in tables.items()
        for name, option in options_of(owner).items()
    }


def _shown(value: Any) -> str:
    return "none" if value is None else shortly(value)
