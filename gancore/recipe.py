"""Recipes: TOML files that state a composition, its options and the run's settings.

gen  = "painter"                # one component for a slot
reg  = ["my-trick"]             # any number for `cond`, `reg`, `metric`, `track`, `without`

[run]                           # settings of the run
steps = 500

[my-trick]                      # options of a component
sigma = 0.2
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
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
LARGEST = 1 << 20  # bytes


@frozen
class Layer:
    """One origin of choices: a recipe file, the command line, or what a component asks for."""

    origin: str
    slots: Mapping[str, Given] = field(factory=dict)
    options: Mapping[str, Mapping[str, Given]] = field(factory=dict)


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
            known = [*ONE_OF, *SHORTHANDS, *LISTS, "run", "format"]
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


def read_recipe(path: Path, label: str = "") -> Layer:
    """Read a recipe file. Raises UsageError where it is missing, too large, no UTF-8, or no TOML."""
    label = label or str(path)
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
        text = raw.decode("utf-8-sig")
        content = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"recipe {label} is no TOML: {error}", where=label, mend="mend that line") from None
    return layer_of(label, content, lambda table, key: _locate(text, label, table, key))


def _locate(text: str, label: str, table: str, key: str) -> str:
    """Find the line of a key, for messages: `pokemon.toml, line 14, [my-trick]`."""
    current, named = "", re.compile(rf"\s*(\[?)\s*[\"']?{re.escape(key)}[\"']?\s*(=|\.|\])")
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*[\"']?([^\]\"']+)[\"']?\s*\]", line):
            current = header[1].strip()
        if named.match(line) and (current == table or (not table and current == key)):
            return f"{label}, line {number}" + (f", [{table}]" if table else "")
    return label
