"""`gan recipes`: the recipes that installed distributions publish."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from shlex import quote
from typing import Any

import click
from attrs import evolve

from gancore.cli.console import clean, show_table
from gancore.errors import UsageError, did_you_mean
from gancore.plugins.slots import SHORT_FORMS, holds_several
from gancore.recipe import lookup
from gancore.recipe.compose import BASE, layers_below, layers_where_installed, pick
from gancore.recipe.options import show
from gancore.recipe.rules import TAGS_OF_DATA
from gancore.recipe.toml import Layer, Recipe, layer_of, read_recipe


@click.command()
@click.argument("name", required=False)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a list of objects: name summary file extends about variants when arms.",
)
def recipes(name: str | None, as_json: bool) -> None:
    """List the installed recipes, or show NAME: its source, what it is for, its flags."""
    files = lookup.recipe_files()
    name = name and lookup.recipe_name(name)
    if name is not None and name not in files and not name.endswith(".toml"):
        near = did_you_mean(name, files) or f"`gan recipes` lists the {len(files)} there are"
        raise UsageError(f"no recipe is called {name!r}", fix=near)
    chain = lookup.recipe_chain(name) if name is not None else []
    found = chain[-1:]  # the recipe itself is the last, after those that it extends
    if not chain:
        for key, path in files.items():
            found.append(read_recipe(path, f"recipe {key}"))
    if as_json:
        # a recipe given as a file is not among the installed ones: its name is the path
        objects = [as_object(each, str(files.get(each.name, each.name))) for each in found]
        click.echo(json.dumps(objects, indent=1, default=str))  # TOML has dates, JSON has none
    elif not chain:
        show_table(("recipe", "summary"), [(each.name, each.summary) for each in found])
    else:
        for line in explain(chain):
            click.echo(clean(line))


def as_object(recipe: Recipe, file: str) -> dict[str, object]:
    """Return a JSON-serialisable description of a recipe."""
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "file": file,
        "extends": recipe.extends,
        "about": dict(recipe.about),
        "variants": sorted(recipe.variants),
        "when": list(recipe.layer.when),
        "arms": list(arms_of(recipe)),
    }


def arms_of(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Return the arms of a recipe's sweep by name. Raises UsageError where they are no tables."""
    arms = recipe.sweep.get("arms", {})
    if not isinstance(arms, dict) or not all(isinstance(arm, dict) for arm in arms.values()):
        raise UsageError(
            "an arm of the sweep is no table", where=recipe.name, fix="[sweep.arms.NAME]"
        )
    return arms


def explain(chain: list[Recipe]) -> Iterator[str]:
    """Yield the lines that describe a recipe, with what it inherits."""
    recipe = chain[-1]
    yield f"{recipe.name}: {recipe.summary}"
    yield ""
    about: dict[str, Any] = {}
    for each in chain:
        about |= each.about
    for key, value in about.items():
        for line in value if isinstance(value, list) else [value]:
            yield f"{key}: {line}"
    yield ""
    if recipe.study:
        yield f"gan study {quote(recipe.name)}"
    if recipe.sweep:
        yield f"gan sweep {quote(recipe.name)}"
    else:
        yield f"gan run --recipe {quote(recipe.name)}"
        # the same run without the recipe: what one copies to change a part of it
        layers = [each.layer for each in chain]
        words = flags(without_the_replaced(layers))
        if layers_below(layers) == layers_where_installed(BASE):
            words.insert(0, f"--recipe {BASE}")
        yield f"gan run {' '.join(words)}"
    variants: set[str] = set()
    for each in chain:
        variants.update(each.variants)
    for variant in sorted(variants):
        layers = [each.variants[variant] for each in chain if variant in each.variants]
        yield f"--{variant} adds: {' '.join(flags(layers))}"
    for each in chain:
        for tag, layer in each.layer.when.items():
            yield f"for {TAGS_OF_DATA[tag]} it adds: {' '.join(flags([layer]))}"
    for arm, content in arms_of(recipe).items():
        changes = dict(content)
        base = changes.pop("extends", None)  # no slot or setting, so no flag of its own
        words = flags([layer_of(f"arm {arm}", changes)])
        if base is not None:
            words.insert(0, f"--recipe {quote(str(base))}")
        yield f"arm {arm}: {' '.join(words)}"


def without_the_replaced(layers: list[Layer]) -> list[Layer]:
    """Leave out the options of components that a higher layer replaced, which no flag may set."""
    # another recipe lies below this one, which may replace its choices
    whole = [*layers_below(layers), *layers]
    replaced: set[str] = set()
    for layer in whole:
        replaced.update(layer.all_names())
    for each in pick(whole):
        replaced.discard(each.wanted)
    return [_without_tables(layer, replaced) for layer in layers]


def _without_tables(layer: Layer, names: set[str]) -> Layer:
    kept = dict(layer.options)
    for table in names & kept.keys():
        del kept[table]
    return evolve(layer, options=kept)


def flags(layers: Iterable[Layer]) -> list[str]:
    """Return the flags for these layers, the highest winning, quoted for a shell."""
    slots: dict[str, list[str]] = {}
    options: dict[str, str] = {}
    for layer in layers:
        for slot in layer.slots:
            below = slots.get(slot, []) if holds_several(slot) else []
            slots[slot] = [*below, *layer.names(slot)]
        for table, values in layer.options.items():
            for key, given in values.items():
                # the table [run] holds the settings, which have flags without a component's name
                flag = f"--{key}" if table == "run" else f"--{table}.{key}"
                options[flag] = show(given.value)
    shorten(slots)
    words: list[str] = []
    for slot, names in slots.items():
        # a recipe and the one it extends may choose the same component; twice is refused as flags
        words += [f"--{slot} {quote(name)}" for name in dict.fromkeys(names)]
    for flag, value in options.items():
        # a flag without a value counts as `true`, and a yes-or-no setting takes none
        words.append(quote(flag) if value == "true" else f"{quote(flag)} {quote(value)}")
    return words


def shorten(slots: dict[str, list[str]]) -> None:
    """Replace slots with the same choice by the short form that fills them all: `--norm`."""
    for short, long in SHORT_FORMS.items():
        choice = slots.get(long[0])
        if choice is None or any(slots.get(slot) != choice for slot in long):
            continue
        for slot in long:
            del slots[slot]
        slots[short] = choice
