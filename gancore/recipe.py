"""Recipes: TOML files that state a composition, its options and the run's settings.

extends = "painting"            # another recipe, by name or file, whose choices come first
gen  = "painter"                # one component for a slot
reg  = ["my-trick"]             # any number for `cond`, `reg`, `metric`, `track`, `without`

[run]                           # settings of the run
steps = 500

[my-trick]                      # options of a component
sigma = 0.2

[about]                         # for people: what it shows, where it comes from; nothing is decided by it
source = "Me, 2026"

[small]                         # what `--small` changes, in the form of a recipe; `[compat]` likewise
run = { steps = 20 }

[sweep.arms.weak]               # what one arm of `gan sweep` changes, in the form of a recipe
my-trick = { sigma = 0.1 }
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import field, frozen

from gancore.errors import UsageError, did_you_mean
from gancore.options import Given

# one component each: slot → (kind, players it serves)
BOTH = frozenset({"generator", "critic"})
ONE_OF: dict[str, tuple[str, frozenset[str]]] = {
    "data": ("data", BOTH),
    "gen": ("gen", BOTH),
    "critic": ("critic", BOTH),
    "upsample": ("upsample", BOTH),
    "gen-norm": ("norm", frozenset({"generator"})),
    "critic-norm": ("norm", frozenset({"critic"})),
    "loss": ("loss", BOTH),
    "gen-optim": ("optim", frozenset({"generator"})),
    "critic-optim": ("optim", frozenset({"critic"})),
    "schedule": ("schedule", BOTH),
    "latent": ("latent", BOTH),
    "init": ("init", BOTH),
}
ANY = ("cond", "reg", "metric", "track")
WITHOUT = "without"  # names that a recipe or another component asked for and that are left out
LISTS = (*ANY, WITHOUT)
SHORTHANDS = {"norm": ("gen-norm", "critic-norm"), "optim": ("gen-optim", "critic-optim")}
KINDS = tuple(dict.fromkeys([kind for kind, _ in ONE_OF.values()] + list(ANY)))
IN_WORDS = {
    "gen": "generator",
    "upsample": "upsampler",
    "optim": "optimizer",
    "init": "initializer",
    "cond": "conditioning",
    "reg": "regularizer",
    "track": "tracker",
}
FORMAT = 1
DEFAULT = "default"  # the recipe that fills every slot that nobody else filled
VARIANTS = ("small", "compat")
LARGEST = 1 << 20  # bytes


@frozen
class Layer:
    """One origin of choices: a recipe file, the command line, or what a component asks for."""

    origin: str
    slots: Mapping[str, Given] = field(factory=dict)
    options: Mapping[str, Mapping[str, Given]] = field(factory=dict)

    def names(self, slot: str) -> list[str]:
        """List the components that this layer chooses for a slot, however many the slot holds."""
        value = self.slots[slot].value if slot in self.slots else []
        return [value] if isinstance(value, str) else list(value)


@frozen
class Recipe:
    """A recipe file: its own layer, the recipe it extends, its variants, and what it says for people and sweeps."""

    name: str
    layer: Layer
    extends: str = ""
    variants: Mapping[str, Layer] = field(factory=dict)
    about: Mapping[str, Any] = field(factory=dict)
    sweep: Mapping[str, Any] = field(factory=dict)
    summary: str = ""


def layer_of(
    origin: str, content: Mapping[str, Any], where: Callable[[str, str], str] = lambda table, key: ""
) -> Layer:
    """Sort the content of a recipe into slots and options.

    Raises UsageError for an unknown key, or for a slot whose value is no name or list of names.
    """
    slots: dict[str, Given] = {}
    options: dict[str, dict[str, Given]] = {}
    for key, value in content.items():
        place = where("", key) or origin
        if key == "format":
            _check_format(value, place)
        elif isinstance(value, Mapping):
            options[key] = {name: Given(each, where(key, name) or origin) for name, each in value.items()}
        elif key in ONE_OF or key in LISTS or key in SHORTHANDS:
            _check_names(key, value, place)
            for slot in SHORTHANDS.get(key, (key,)):
                slots[slot] = Given(value, place)
        elif key == "run":
            raise UsageError(f"run is {value!r}, but must be a table", where=place, mend="[run]")
        else:
            known = [*ONE_OF, *SHORTHANDS, *LISTS, "run", "format", "extends"]
            raise UsageError(
                f"a recipe has no key {key!r}",
                where=place,
                mend=did_you_mean(key, known) or f"one of {', '.join(known)}",
            )
    return Layer(origin, slots, options)


def _check_format(value: Any, place: str) -> None:
    if value != FORMAT:
        raise UsageError(
            f"the recipe has format {value!r}; this gancore reads {FORMAT}", where=place, mend="upgrade gancore"
        )


def _check_names(key: str, value: Any, place: str) -> None:
    names = value if isinstance(value, list) and key in LISTS else [value]
    if not all(isinstance(name, str) and name for name in names):
        wanted = "a name or a list of names" if key in LISTS else "one name"
        raise UsageError(f"{key} is {value!r}, but must be {wanted}", where=place, mend=f'{key} = "NAME"')


def read_recipe(path: Path, label: str = "") -> Recipe:
    """Read a recipe file. Raises UsageError where it is missing, too large, no UTF-8, no TOML, or no recipe."""
    label = label or str(path)
    text = _read(path, label)
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"recipe {label} is no TOML: {error}", where=label, mend="mend that line") from None
    extends = content.pop("extends", "")
    if not isinstance(extends, str):
        raise UsageError(f"extends is {extends!r}, but must be a name", where=label, mend='extends = "NAME"')
    tables = {key: content.pop(key) for key in ("about", "sweep", *VARIANTS) if key in content}
    for key, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{key} is {table!r}, but must be a table", where=label, mend=f"[{key}]")
    first = text.partition("\n")[0]
    return Recipe(
        name=label.removeprefix("recipe "),
        layer=layer_of(label, content, partial(_locate, text, label)),
        extends=extends,
        variants={key: layer_of(f"{label}, [{key}]", tables[key]) for key in VARIANTS if key in tables},
        about=tables.get("about", {}),
        sweep=tables.get("sweep", {}),
        summary=first.removeprefix("#").strip() if first.startswith("#") else "",
    )


def _read(path: Path, label: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(
            f"recipe {label} cannot be read: {error.strerror}", where="--recipe", mend="name a TOML file"
        ) from None
    if len(raw) > LARGEST:
        raise UsageError(f"recipe {label} is larger than 1 MiB", where="--recipe", mend="name a TOML file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"recipe {label} is no TOML: {error}", where=label, mend="save it as UTF-8") from None


def _locate(text: str, label: str, table: str, key: str) -> str:
    """Find the line of a key, for messages: `pokemon.toml, line 14, [my-trick]`."""
    current, named = "", re.compile(rf"\s*(\[?)\s*[\"']?{re.escape(key)}[\"']?\s*(=|\.|\])")
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*[\"']?([^\]\"']+)[\"']?\s*\]", line):
            current = header[1].strip()
        if named.match(line) and (current == table or (not table and current == key)):
            return f"{label}, line {number}" + (f", [{table}]" if table else "")
    return label
