"""Compare a run's recipe with the one recorded in its checkpoint, when the run is resumed."""

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
from gancore.run.listing import shortened

NOT_FIXED = {"format", WITHOUT}  # keys of a recipe that choose nothing


def fixed_part(composition: Composition) -> dict[str, Any]:
    """Return the part of a resolved recipe that may not change, as JSON.

    The location of files may change. An option that is an absolute path is left out, because the
    fingerprint of the data covers the content of the files, and a component file goes by its name
    alone.
    """
    found: dict[str, Any] = {}
    for key, value in composition.recipe().items():
        if isinstance(value, dict):
            free = RESUMABLE if key == "run" else ()
            options = {name: each for name, each in value.items() if name not in free}
            found[key] = {name: each for name, each in options.items() if not _is_path(each)}
        elif holds_several(key):
            found[key] = [_without_folder(name) for name in value]
        elif key not in NOT_FIXED:
            found[key] = _without_folder(value)
    return found


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and os.path.isabs(os.path.expanduser(value))


def _without_folder(name: str) -> str:
    """Remove the folder from the name of a component file, `again=/some/where/file.py:Class`."""
    alias, equals, wanted = name.rpartition("=")
    return f"{alias}{equals}{Path(wanted).name}" if _is_path(wanted) else name


def expect_recipe(
    composition: Composition, state: Mapping[str, Any], where: str, *, changed_data: bool
) -> None:
    """Raise UsageError where a run's recipe differs from that in `state`, that of its checkpoint.

    `changed_data` allows other options of the data.
    """
    changes = recipe_changes(composition, state, changed_data=changed_data)
    if changes:
        raise UsageError(
            f"the recipe was changed since the run was trained: {shortened(changes)}",
            where=where,
            fix="put it back, or start a new run with the changed recipe: gan run --recipe FILE",
        )


def recipe_changes(
    composition: Composition, state: Mapping[str, Any], *, changed_data: bool = False
) -> list[str]:
    """List where the recipe differs from the one in the state of a checkpoint:

    `run.seed is 7, not 0`.
    """
    # older checkpoints record the seed alone
    then = state.get("recipe", {"run": {"seed": state["seed"]}})
    now = fixed_part(composition)
    free = set()
    if changed_data:
        free = {each.name for each in composition.chosen if each.kind == "data"}
    defaults = _defaults(composition)
    changes = []
    for name, was, found in _pairs(then, now):
        if was == found or name.partition(".")[0] in free:
            continue
        is_new = was is None and found == defaults.get(name)  # the plugin has more options now
        is_gone = found is None and "." in name  # the plugin no longer has the option
        is_recorded = "recipe" in state or was is not None
        if is_recorded and not is_new and not is_gone:
            changes.append(f"{name} is {_shown(found)}, not {_shown(was)}")
    return changes


def _pairs(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, value then and value now of every choice and option; None where there is none."""
    for key in dict.fromkeys((*now, *then)):
        was = then.get(key)
        found = now.get(key)
        if not isinstance(was, dict) and not isinstance(found, dict):
            yield key, was, found
            continue
        options_then = was if isinstance(was, dict) else {}
        options_now = found if isinstance(found, dict) else {}
        for name in dict.fromkeys((*options_now, *options_then)):
            yield f"{key}.{name}", options_then.get(name), options_now.get(name)


def _defaults(composition: Composition) -> dict[str, Any]:
    """Return the default of every option that the recipe has, by `table.option`."""
    tables: dict[str, type] = {"run": Settings}
    for each in composition.chosen:
        tables[each.name] = type(each.component)
    defaults: dict[str, Any] = {}
    for table, owner in tables.items():
        values = plain({name: option.default for name, option in options_of(owner).items()})
        for name, value in values.items():
            defaults[f"{table}.{name}"] = value
    return defaults


def _shown(value: Any) -> str:
    return "none" if value is None else shortly(value)
