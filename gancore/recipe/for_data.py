"""Compose again, once the data is open, with what recipes choose for such data."""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve

from gancore.errors import UsageError
from gancore.plugins.calling import Hooks
from gancore.recipe.compose import Composition
from gancore.recipe.rules import TAGS_OF_DATA


def fit_to_data(composition: Composition, tags: Collection[str]) -> Composition:
    """Return a composition with what its recipes choose for data with these tags.

    The component that has opened the data stays as it is. A note tells which choices differ, or why
    none does, where those of the user do not go with them. The composition itself is returned where
    nothing changes.
    """
    fitting = [tag for tag in TAGS_OF_DATA if tag in composition.fitted_tags.intersection(tags)]
    if not fitting or composition.resolve_for is None:
        return composition
    kind = " and ".join(TAGS_OF_DATA[tag] for tag in fitting)
    try:
        found = composition.resolve_for(tags=fitting)
    except UsageError as error:
        note = f"what the recipe chooses for {kind} is left out: {error.what}"
        return evolve(composition, notes=(*composition.notes, note))
    if found.recipe() == composition.recipe():
        return composition
    opened = {each.name: each for each in composition.chosen if each.kind == "data"}
    chosen = tuple(opened.get(each.name, each) for each in found.chosen)
    note = f"for {kind} the recipe chooses {_differences(found, composition)}; your own flags win"
    return evolve(found, chosen=chosen, hooks=Hooks(chosen), notes=(*found.notes, note))


def _differences(found: Composition, before: Composition) -> str:
    """Say which slots hold something else, and which components have other options."""
    changes = []
    for slot, names in found.slots.items():
        earlier = before.slots.get(slot, ())
        if names != earlier:
            changes.append(f"{slot} {', '.join(names)} in place of {', '.join(earlier) or 'none'}")
    return "; ".join(changes) or "other options"
