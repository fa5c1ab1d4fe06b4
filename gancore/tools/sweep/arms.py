"""Reads the arms of a sweep, from a recipe's `[sweep]` table or from `--vary` flags."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gancore.errors import UsageError
from gancore.plugins.slots import SLOTS, WITHOUT, filled_by, holds_several, hyphened
from gancore.recipe.compose import layers_below, recipe_layers
from gancore.recipe.options import Given, Text
from gancore.recipe.toml import Layer, layer_of

ARM_ORIGIN = "arm "  # the origin of a recipe's arm starts with this
VARY_ORIGIN = "--vary "
SWEEP_KEYS = {"arms": dict, "seeds": int, "figures": list, "claims": list}
MOST_SEEDS = 1000


def arms_of_recipe(
    sweep: Mapping[str, Any], base: Sequence[Layer], variants: Sequence[str]
) -> dict[str, list[Layer]]:
    """Return the layers of each arm of a `[sweep]` table.

    These are the layers of the recipe that the arm extends, then `base`, then the arm's own
    choices. Raises UsageError for a table that is malformed or has no arms.
    """
    _check_table(sweep)
    return layers_of_arms(sweep["arms"], base, variants, "sweep")


def layers_of_arms(
    arms: Mapping[str, Mapping[str, Any]],
    base: Sequence[Layer],
    variants: Sequence[str],
    table: str,
) -> dict[str, list[Layer]]:
    """Return the layers of each arm: of the recipe it extends, then `base`, then its own choices.

    `table` is that of the recipe, for messages. Raises UsageError for an `extends` that is no name.
    """
    found = {}
    for name, content in arms.items():
        extends = content.get("extends", "")
        if not isinstance(extends, str):
            raise UsageError(
                f"the `extends` of arm {name} is not the name of a recipe",
                where=f"[{table}.arms.{name}]",
                fix='extends = "NAME"',
            )
        own = dict(content)
        own.pop("extends", None)
        inherited = recipe_layers(extends, variants) if "extends" in content else []
        found[name] = [*inherited, *base, layer_of(f"{ARM_ORIGIN}{name}", own)]
    return found


def _check_table(sweep: Mapping[str, Any]) -> None:
    """Raise UsageError for a `[sweep]` table with missing arms, unknown keys or wrong types."""
    arms = sweep.get("arms")
    if not isinstance(arms, dict) or not arms:
        raise _no_arms()
    for arm in arms.values():
        if not isinstance(arm, dict):
            raise _no_arms()
    for key, value in sweep.items():
        if key not in SWEEP_KEYS or not isinstance(value, SWEEP_KEYS[key]):
            known = ", ".join(f"{name} ({kind.__name__})" for name, kind in SWEEP_KEYS.items())
            raise UsageError(f"sweep.{key} = {value!r} is not valid", fix=f"one of {known}")
    seeds_fit = 1 <= sweep.get("seeds", 1) <= MOST_SEEDS
    figures_fit = all(isinstance(name, str) for name in sweep.get("figures", []))
    if not seeds_fit or not figures_fit:
        raise UsageError(
            "the seeds or figures of the sweep are not valid",
            where="[sweep]",
            fix=f"seeds = 1 to {MOST_SEEDS}, figures = names",
        )


def _no_arms() -> UsageError:
    return UsageError(
        "the recipe has no [sweep.arms.NAME] table", fix="name a sweep, or --vary KEY=A,B"
    )


def arms_of_words(
    vary: Sequence[str], base: Sequence[Layer], words: Layer
) -> dict[str, list[Layer]]:
    """Return the layers of each arm of `--vary KEY=A,B` flags: every combination of their values.

    KEY is a slot, a setting or `component.option`. For a slot that takes several components, join
    them with `+`; `none` stands for no component. The value replaces what `base`, the recipe below
    it and `words` chose for such a slot. Separate values that contain commas with semicolons.
    Raises UsageError for a flag without values, and for a key that is given twice.
    """
    keys = [hyphened(word.partition("=")[0]) for word in vary]
    for key in keys:
        if keys.count(key) > 1:
            what = f"{key} is varied twice"
            raise UsageError(what, where="--vary", fix="give all its values at once")
    choices = [list(_values_of(word)) for word in vary]
    arms = {}
    for combination in itertools.product(*choices):
        name = ",".join(f"{key}={value}" for key, value in combination)
        layers = [*base]
        for key, value in combination:
            layers.append(_vary_layer(key, value, [*layers_below(base), *base, words]))
        arms[name] = layers
    return arms


def _values_of(word: str) -> Iterator[tuple[str, str]]:
    """Yield (key, value) for each value of one `KEY=A,B`."""
    key, _, values = word.partition("=")
    parts = values.split(";" if ";" in values else ",")
    if not key or not all(parts):
        raise UsageError(f"{word!r} varies nothing", where=f"--vary {word}", fix="--vary KEY=A,B")
    for value in parts:
        yield hyphened(key), value


def _vary_layer(key: str, value: str, below: Sequence[Layer]) -> Layer:
    """Return the layer that sets one key to one value, over the layers below it."""
    where = f"{VARY_ORIGIN}{key}={value}"
    if holds_several(key):
        names = [] if value == "none" else list(map(hyphened, value.split("+")))
        slots = {key: Given(names, where)}
        # the lists of layers add up, so what is to be replaced has to be left out by name
        replaced = []
        for layer in below:
            replaced += [name for name in layer.names(key) if name not in names]
        if replaced:
            slots[WITHOUT] = Given(replaced, where)
        return Layer(where, slots)
    if key in SLOTS:
        return Layer(where, {slot: Given(value, where) for slot in filled_by(key)})
    table, dot, name = key.rpartition(".")
    return Layer(where, {}, {table if dot else "run": {name: Given(Text(value), where)}})
