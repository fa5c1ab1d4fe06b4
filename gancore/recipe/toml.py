"""Recipes: TOML files that state a composition, its options and the run's settings.

extends = "painting"            # another recipe, by name or file, whose choices come first
gen  = "painter"                # one component for a slot
reg  = ["my-trick"]             # any number for `cond`, `reg`, `metric`, `track`, `without`

[run]                           # settings of the run
steps = 500

[my-trick]                      # options of a component
sigma = 0.2

[about]                         # for people: what it shows, where it comes from
source = "Me, 2026"

[small]                         # what `--small` changes, in the form of a recipe; also [compat]
run = { steps = 20 }

[when."data.labels"]            # what is chosen too for data with this tag, one of TAGS_OF_DATA
cond = ["my-condition"]

[sweep.arms.weak]               # what one arm of `gan sweep` changes, in the form of a recipe
my-trick = { sigma = 0.1 }

[study.arms.weak]               # likewise, of `gan study`
my-trick = { sigma = 0.1 }
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from gancore.errors import UsageError, did_you_mean
from gancore.plugins.slots import SLOTS, filled_by, holds_several, hyphened
from gancore.recipe.options import Given
from gancore.recipe.rules import TAGS_OF_DATA

RECIPE_FORMAT = 1
VARIANTS = ("small", "compat")
LARGEST_RECIPE = 1 << 20  # bytes
# finds the keys of a line, because tomllib keeps no line numbers; the quantifiers are possessive
# (`++`), so that a long line is not tried again with every shorter match
WORD = r"""(?:[\w-]++|"[^"]*"|'[^']*')"""
KEY = re.compile(
    rf"(?:^\s*+(?P<opening>\[*+)|[{{,])\s*+(?P<path>{WORD}(?:\s*+\.\s*+{WORD})*+)\s*+[]=]"
)
ELSEWHERE = dict.fromkeys(
    ("include", "import", "variables"), 'extends = "NAME"; there are no variables'
)


@frozen
class Layer:
    """One origin of choices: a recipe file, the command line, or the defaults of a component.

    `when` holds further choices of a recipe by the tag of the data that they are made for.
    """

    origin: str
    slots: Mapping[str, Given] = field(factory=dict)
    options: Mapping[str, Mapping[str, Given]] = field(factory=dict)
    of_recipe: bool = False
    when: Mapping[str, Layer] = field(factory=dict)

    def names(self, slot: str) -> list[str]:
        """List the components that this layer chooses for a slot, however many the slot holds."""
        value = self.slots[slot].value if slot in self.slots else []
        names = [value] if isinstance(value, str) else value
        return list(map(hyphened, names))

    def option_values(self) -> dict[str, dict[str, Any]]:
        """Return the options by table and name, without their origins."""
        values: dict[str, dict[str, Any]] = {}
        for table, options in self.options.items():
            values[table] = {name: given.value for name, given in options.items()}
        return values

    def all_names(self) -> list[str]:
        """List the components that this layer chooses for any slot."""
        names = []
        for slot in self.slots:
            names += self.names(slot)
        return names


@frozen
class Recipe:
    """A recipe file: its layer, the recipe it extends, its variants, and its other tables."""

    name: str
    layer: Layer
    extends: str = ""
    variants: Mapping[str, Layer] = field(factory=dict)
    about: Mapping[str, Any] = field(factory=dict)
    sweep: Mapping[str, Any] = field(factory=dict)
    study: Mapping[str, Any] = field(factory=dict)
    summary: str = ""


def layer_of(
    origin: str, content: Mapping[str, Any], where: Callable[..., str] = lambda *words: ""
) -> Layer:
    """Sort the content of a recipe into slots and options.

    Raises UsageError for an unknown key, or for a slot whose value is no name or list of names.
    """
    slots: dict[str, Given] = {}
    options: dict[str, dict[str, Given]] = {}
    for written, value in content.items():
        place = where("", written) or origin
        key = hyphened(written)
        if key == "format":
            _check_format(value, place)
        elif isinstance(value, Mapping):
            # an empty table too, which is refused like a full one where nothing reads it
            table = options.setdefault(key, {})
            for word, each in value.items():
                given = Given(each, where(written, word) or origin)
                put(table, f"{key}.", word, given)
        elif key in SLOTS:
            _check_names(key, value, place)
            for slot in filled_by(key):
                slots[slot] = Given(value, place)
        elif key == "run":
            raise UsageError(f"run is {value!r}, but must be a table", where=place, fix="[run]")
        else:
            known = [*SLOTS, "run", "format", "extends"]
            fix = ELSEWHERE.get(key) or did_you_mean(key, known) or f"one of {', '.join(known)}"
            raise UsageError(f"a recipe has no key {written!r}", where=place, fix=fix, unknown=key)
    return Layer(origin, slots, options)


def put(table: dict[str, Given], label: str, word: str, given: Given) -> None:
    """Enter an option under its hyphened name. Raises UsageError where it is given twice."""
    name = hyphened(word)
    if name in table:
        raise UsageError(f"{label}{name} is given twice", where=given.where, fix="give it once")
    table[name] = given


def _check_format(value: Any, place: str) -> None:
    if value != RECIPE_FORMAT:
        raise UsageError(
            f"the recipe has format {value!r}; this gancore reads {RECIPE_FORMAT}",
            where=place,
            fix="upgrade gancore",
        )


def _check_names(key: str, value: Any, place: str) -> None:
    names = value if isinstance(value, list) and holds_several(key) else [value]
    if not all(isinstance(name, str) and name for name in names):
        wanted = "a name or a list of names" if holds_several(key) else "one name"
        raise UsageError(
            f"{key} is {value!r}, but must be {wanted}", where=place, fix=f'{key} = "NAME"'
        )


def read_recipe(path: Path, label: str = "") -> Recipe:
    """Read a recipe file. Raises UsageError where it is missing, too large, or no recipe."""
    label = label or str(path)
    text = _read(path, label)
    try:
        content = tomllib.loads(f"{text}\n")  # a fault at the very end has a line and a column then
        # messages show values: a number of 4300 digits, or lists nested without end, fails here
        repr(content)
    except (ValueError, RecursionError) as error:
        what = str(error).partition("; use ")[0]
        where = ":".join([label, *re.findall(r"\d+", what.partition(" (at ")[2])])
        raise UsageError(
            f"recipe {label} is no TOML: {what}", where=where, fix="fix that line"
        ) from None
    at = _places(text, label)
    extends = content.pop("extends", "")
    if not isinstance(extends, str):
        raise UsageError(
            f"extends is {extends!r}, but must be a name",
            where=at("extends"),
            fix='extends = "NAME"',
        )
    # taken out of the content, the rest of which is slots and options
    tables = {}
    for key in ("about", "sweep", "study", "when", *VARIANTS):
        if key not in content:
            continue
        table = content.pop(key)
        if not isinstance(table, dict):
            raise UsageError(
                f"{key} is {table!r}, but must be a table", where=at(key), fix=f"[{key}]"
            )
        tables[key] = table
    when = _conditional_layers(tables.get("when", {}), label, at)
    layer = evolve(layer_of(label, content, at), of_recipe=True, when=when)
    variants = {}
    for key in VARIANTS:
        if key in tables:
            variants[key] = layer_of(f"{label}, [{key}]", tables[key], partial(at, key))
    first = text.partition("\n")[0]
    return Recipe(
        name=label.removeprefix("recipe "),
        layer=layer,
        extends=extends,
        variants=variants,
        about=tables.get("about", {}),
        sweep=tables.get("sweep", {}),
        study=tables.get("study", {}),
        summary=first.removeprefix("#").strip() if first.startswith("#") else "",
    )


def _conditional_layers(
    tables: Mapping[str, Any], label: str, at: Callable[..., str]
) -> dict[str, Layer]:
    """Read the `[when."TAG"]` tables. Raises UsageError for what is no tag of data, or no table."""
    layers = {}
    for tag, content in tables.items():
        if tag not in TAGS_OF_DATA:
            fix = did_you_mean(tag, TAGS_OF_DATA) or f"one of {', '.join(TAGS_OF_DATA)}"
            raise UsageError(f"no data has the tag {tag!r}", where=at("when", tag), fix=fix)
        if not isinstance(content, dict):
            what = f"when.{tag} is {content!r}, but must be a table"
            raise UsageError(what, where=at("when", tag), fix=f'[when."{tag}"]')
        origin = f'{label}, [when."{tag}"]'
        layers[tag] = layer_of(origin, content, partial(at, "when", tag))
    return layers


def _read(path: Path, label: str) -> str:
    try:
        # asked before it is opened, which would wait for the other end of a FIFO
        if not os.path.isfile(path):
            exists = os.path.exists(path)
            raise ValueError("it is a folder or device" if exists else "there is no such file")
        with path.open("rb") as file:
            raw = file.read(LARGEST_RECIPE + 1)
        if len(raw) > LARGEST_RECIPE:
            raise ValueError("it is larger than 1 MiB")
        return raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        what = f"recipe {label} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UsageError(what, where=label, fix="name a TOML file, saved as UTF-8") from None


def _places(text: str, label: str) -> Callable[..., str]:
    """Return a function from the words of a key's path to its place, e.g. `pokemon.toml:14:1`."""
    places: dict[str, str] = {}
    table = line_key = ""
    for number, line in enumerate(text.split("\n"), 1):
        for found in KEY.finditer(line):
            path = re.sub(r"[\s\"']", "", found["path"])
            if found["opening"] is None:  # a key within braces, after the first of its line
                path = line_key + path
            elif found["opening"] == "":  # the first key of a line
                path = table + path
                line_key = f"{path}."
            else:  # the header of a table, with `[` or `[[`
                table = f"{path}."
                line_key = ""
            # the first of a table given several times, as in `[[name]]`
            places.setdefault(path, f"{label}:{number}:{found.start('path') + 1}")
    return lambda *words: places.get(".".join(filter(None, words)), label)
