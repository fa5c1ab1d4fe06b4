"""The schema of a checkpoint's JSON files: the keys of each, and the values that a key may have."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Check = Callable[[Any], bool]  # whether a value is allowed
PARTS = {"generator", "critic", "optim", "components"}  # each a file of tensors
LONGEST_WORD = 1000  # characters of a name or a version
DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LONGEST_SIDE = 1 << 16  # of one sample, which the networks will be built for
MOST_NUMBERS = 1 << 25  # of one sample


def check_manifest(manifest: Any) -> None:
    """Raise ValueError unless `manifest` has the keys and values of a manifest and no others."""
    _check(manifest, MANIFEST)


def check_state(state: Any, step: int | None = None) -> None:
    """Raise ValueError unless `state` has the keys and values of a state, of this step if given."""
    _check(state, STATE, optional={"row_step", "scales", "tensors", "recipe"})
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
    value: Any, parts: Mapping[str, Check], optional: frozenset[str] | set[str] = frozenset()
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


def _list(items: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(items, value))


def _table(keys: Check, values: Check) -> Check:
    return lambda value: (
        isinstance(value, dict) and all(keys(key) and values(each) for key, each in value.items())
    )


def _record(**parts: Check) -> Check:
    return lambda value: (
        isinstance(value, dict)
        and value.keys() == parts.keys()
        and all(parts[key](value[key]) for key in parts)
    )


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


_STORED = {"component": _word, "distribution": _word, "version": _word}
_TYPES = _table(_text, _word)
_GROUPS = _list(_table(_word, _anything))
MANIFEST: Mapping[str, Check] = {
    "format": _count,
    "kind": _word,
    "step": _count,
    "files": _table(_word, _count),
    "plugins": _table(_word, _record(**_STORED)),
    "versions": _table(lambda name: DISTRIBUTION.fullmatch(name) is not None, _word),
}
STATE: Mapping[str, Check] = {
    "step": _count,
    "batches": _count,
    "attempt": _count,
    "seed": _count,
    "data": _text,
    "rows": _count,
    "row_step": _count,
    "shape": _shape,
    "label_sets": _list(_record(name=_text, classes=_list(_text))),
    "scales": _table(lambda role: role in ("generator", "critic"), _table(_word, _number)),
    "optimizers": _record(generator=_GROUPS, critic=_GROUPS),
    "components": _table(
        _word, _record(**_STORED, state_version=_count, state=_table(_text, _anything))
    ),
    "tensors": _record(**dict.fromkeys(sorted(PARTS), _TYPES)),
    "recipe": _table(_text, _anything),
}
