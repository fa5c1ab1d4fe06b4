"""The schema of a checkpoint's JSON files: the keys of each, and the values that a key may have."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

ValueCheck = Callable[[Any], bool]  # whether a value is allowed
PARTS = {"generator", "critic", "optim", "components"}  # each a file of tensors
LONGEST_WORD = 1000  # characters of a name or a version
DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LONGEST_SIDE = 1 << 16  # of one sample, which the networks will be built for
MOST_NUMBERS = 1 << 25  # of one sample
LARGEST_TABLE = 1 << 28  # numbers in the values of a label set: a gigabyte


def check_manifest(manifest: Any) -> None:
    """Raise ValueError unless `manifest` has the keys and values of a manifest and no others."""
    _check(manifest, MANIFEST_KEYS)


def check_state(state: Any, step: int | None = None) -> None:
    """Raise ValueError unless `state` has the keys and values of a state, of this step if given."""
    # fp16 alone has scales; the other three came after the first checkpoints
    _check(state, STATE_KEYS, optional={"row_step", "scales", "tensors", "recipe"})
    if step not in (None, state["step"]):
        raise ValueError(f"it is of step {state['step']}, the manifest of step {step}")


def check_parts(stems: Iterable[str]) -> None:
    """Raise ValueError unless these are the files of tensors that a checkpoint has."""
    if differing := sorted(set(stems) ^ PARTS):
        expected = ", ".join(sorted(PARTS))
        raise ValueError(
            f"a checkpoint has files for {expected}; missing or unknown: {', '.join(differing)}"
        )


def _check(
    value: Any, parts: Mapping[str, ValueCheck], optional: frozenset[str] | set[str] = frozenset()
) -> None:
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    if unknown := sorted(value.keys() - parts.keys()):
        raise ValueError(f"it has the unknown key {unknown[0][:LONGEST_WORD]!r}")
    if missing := sorted(parts.keys() - value.keys() - optional):
        raise ValueError(f"it lacks a part of a checkpoint: {missing[0]}")
    for key, each in value.items():
        if not parts[key](each):
            raise ValueError(f"its {key} is not a valid {key}")


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0  # a bool is an int too


def _word(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_WORD


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _anything(value: Any) -> bool:
    return True


def _shape(value: Any) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= 4:
        return False
    return all(map(_side, value)) and math.prod(value) <= MOST_NUMBERS


def _side(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LONGEST_SIDE


def _list(items: ValueCheck) -> ValueCheck:
    return lambda value: isinstance(value, list) and all(map(items, value))


def _table(keys: ValueCheck, values: ValueCheck) -> ValueCheck:
    def allows(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        return all(map(keys, value)) and all(map(values, value.values()))

    return allows


def _record(**parts: ValueCheck) -> ValueCheck:
    def allows(value: Any) -> bool:
        if not isinstance(value, dict) or value.keys() != parts.keys():
            return False
        return all(is_allowed(value[key]) for key, is_allowed in parts.items())

    return allows


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _label_set(value: Any) -> bool:
    """Return whether a value describes a label set, with the width of its values where it has any.

    The table of values is allocated before any tensor is read, so its size is limited.
    """
    named = {"name": _text, "classes": _list(_text)}
    if _record(**named)(value):
        return True
    is_wide = _record(**named, width=_count)(value)
    return is_wide and len(value["classes"]) * value["width"] <= LARGEST_TABLE


_STORED = {"component": _word, "distribution": _word, "version": _word}
_TYPES = _table(_text, _word)
_GROUPS = _list(_table(_word, _anything))
MANIFEST_KEYS: Mapping[str, ValueCheck] = {
    "format": _count,
    "kind": _word,
    "step": _count,
    "files": _table(_word, _count),
    "plugins": _table(_word, _record(**_STORED)),
    "versions": _table(lambda name: DISTRIBUTION.fullmatch(name) is not None, _word),
}
STATE_KEYS: Mapping[str, ValueCheck] = {
    "step": _count,
    "batches": _count,
    "attempt": _count,
    "seed": _count,
    "data": _text,
    "rows": _count,
    "row_step": _count,
    "shape": _shape,
    "label_sets": _list(_label_set),
    "scales": _table(lambda role: role in ("generator", "critic"), _table(_word, _number)),
    "optimizers": _record(generator=_GROUPS, critic=_GROUPS),
    "components": _table(
        _word, _record(**_STORED, state_version=_count, state=_table(_text, _anything))
    ),
    "tensors": _record(**dict.fromkeys(sorted(PARTS), _TYPES)),
    "recipe": _table(_text, _anything),
}
