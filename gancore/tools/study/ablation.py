"""The arms of an ablation: the composition without each of its components in turn."""

from __future__ import annotations

from collections.abc import Sequence

from gancore.plugins import discovery
from gancore.plugins.slots import SEVERAL, SINGLE, WITHOUT
from gancore.recipe.compose import BASE, Composition, layers_where_installed
from gancore.recipe.options import Given
from gancore.recipe.toml import Layer
from gancore.tools.sweep.arms import ARM_ORIGIN

OBSERVERS = ("metric", "track")  # slots whose components change no training
NOTHING = "none"  # name of the component that stands for no component, where a kind has one


def ablation_arms(composition: Composition) -> dict[str, Layer]:
    """Return one layer for each component that can be left out, by the name of its arm.

    A component of a slot for several is left out; that of a slot for one is replaced by `none`
    where the slot's kind has that, and else by the choice of the recipe `base`. Components that the
    recipe `base` chooses too stay, as do the data.
    """
    arms: dict[str, Layer] = {}
    for slot, names in composition.slots.items():
        if slot in SEVERAL and slot not in OBSERVERS:
            for name in names:
                origin = f"{ARM_ORIGIN}without {name}"
                arms[f"without-{name}"] = Layer(origin, {WITHOUT: Given([name], origin)})
        elif slot in SINGLE and slot != "data":
            plain = _plain_choice(slot, names[0])
            if plain:
                origin = f"{ARM_ORIGIN}{slot} {plain}"
                arms[f"{slot}-{plain}"] = Layer(origin, {slot: Given(plain, origin)})
    return arms


def _plain_choice(slot: str, chosen: str) -> str:
    """Return what stands in for the component of a slot for one, or '' if it is plain already."""
    kind = SINGLE[slot].kind
    if chosen != NOTHING and discovery_has(kind, NOTHING):
        return NOTHING
    names = choices_of(slot, layers_where_installed(BASE))
    plain = names[-1] if names else ""
    return "" if plain == chosen or chosen == NOTHING else plain


def discovery_has(kind: str, name: str) -> bool:
    """Return whether a component of a kind is installed under a name."""
    return any(row.kind == kind and row.name == name for row in discovery.installed())


def choices_of(slot: str, layers: Sequence[Layer]) -> list[str]:
    """Return what layers choose for a slot for one, the highest last."""
    names: list[str] = []
    for layer in layers:
        names += layer.names(slot)
    return names
