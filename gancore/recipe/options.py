"""Convert given values to the types of options: strict for files, by type for typed text."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from attrs import frozen

from gancore.errors import UsageError, did_you_mean
from gancore.plugins.component import Option

WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Text(str):
    """A value typed on a command line, still to be read as its option's type."""


@frozen
class Given:
    """A value and where it came from, e.g. `command line` or `pokemon.toml, line 14`."""

    value: Any
    where: str


def read_options(
    owner: str, declared: Mapping[str, Option], given: Mapping[str, Given]
) -> dict[str, Any]:
    """Convert the values given for one component, or the run, into arguments of its class.

    Raises UsageError for an option that does not exist, has the wrong type, or lies out of range.
    """
    values = {}
    for name, each in given.items():
        option = declared.get(name)
        if option is None:
            known = ", ".join(declared) or "no options"
            fix = did_you_mean(name, declared) or f"it has {known}"
            raise UsageError(
                f"{owner} has no option {name!r}", where=each.where, fix=fix, unknown=name
            )
        values[option.name] = read_value(f"{owner}.{name}", option, each)
    return values


def read_value(label: str, option: Option, given: Given) -> Any:
    """Convert one value to the type of its option and check its range. Raises UsageError."""
    fix = f"a value {option.range}" if option.range else f"the default is {show(option.default)}"
    if isinstance(given.value, str) and "${" in given.value:
        fix = "there are no variables"
    try:
        value = convert(given.value, option.type)
    except ValueError as error:
        raise UsageError(
            f"{label} is {given.value!r}, but must be {error} ({option.help})",
            where=given.where,
            fix=fix,
        ) from None
    if not option.allows(value):
        raise UsageError(
            f"{label} is {show(value)}, but must be {option.range} ({option.help})",
            where=given.where,
            fix=f"the default is {show(option.default)}",
        )
    return value


def convert(value: Any, kind: Any) -> Any:
    """Convert a value to `kind`. Raises ValueError with what was wanted, in the user's words."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _convert_optional(value, kind)
    if origin is tuple:
        items = value
        if isinstance(value, Text):
            items = [Text(item.strip()) for item in value.split(",")]
        if not isinstance(items, list | tuple):
            raise ValueError("a list")
        item_kind = get_args(kind)[0]
        return tuple(convert(item, item_kind) for item in items)
    reader = {bool: _read_bool, int: _read_int, float: _read_float, str: _read_str}.get(kind)
    if reader is None:
        raise ValueError(f"of a type that options can have, not {kind}")
    return reader(value)


def _convert_optional(value: Any, kind: Any) -> Any:
    if value is None or (isinstance(value, str) and value.lower() == "none"):
        return None
    others = [each for each in get_args(kind) if each is not type(None)]
    return convert(value, others[0])


def _read_bool(value: Any) -> bool:
    # in a recipe, "true" is a text and refused: TOML has true and false of its own
    if isinstance(value, Text) and value.lower() in WORDS:
        return WORDS[value.lower()]
    if isinstance(value, bool):
        return value
    raise ValueError("true or false")


def _read_int(value: Any) -> int:
    try:
        number = int(value) if isinstance(value, Text) else value
    except ValueError:
        raise ValueError("a whole number") from None
    # for Python, True is an int
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError("a whole number")
    if abs(number) >= 2**63:
        raise ValueError("a whole number of at most 63 bits")
    return number


def _read_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Text):
        raise ValueError("a number")
    try:
        number = float(value)
    except OverflowError:  # of a whole number beyond the largest float
        number = math.inf
    except ValueError:
        raise ValueError("a number") from None
    if not math.isfinite(number):
        raise ValueError("a finite number")
    if math.copysign(1, number) < 0 == number:  # less than 0 was meant, but underflowed
        raise ValueError("0 without a sign, or a number that is not 0")
    return number


def _read_str(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("text")
    return str(value)


def show(value: Any) -> str:
    """Write a value as a person would type it."""
    if isinstance(value, tuple | list):
        return ",".join(map(show, value))
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        # six digits, unless they are another number
        return short if float(short) == value else str(value)
    return str(value)
