"""Nested values as tensors by name and JSON, and back, bit for bit.

A value is a tensor, None, a truth value, a finite number, text, or a list or a dict with text keys
of such values. A tensor at the top keeps its key as its name and does not appear in the JSON. A
tensor further inside is named after its path, such as `weights/0.bias`, and the JSON has
`{"%tensor": NAME}` in its place. Text is stored with `%` doubled, so that no text of a user is
taken for that mark, and with lone surrogates written out, which JSON files may not hold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from reprlib import repr as shortly
from typing import Any

import torch
from torch import Tensor

from gancore.run import strict_json
from gancore.run.checkpoint.compare import Tensors
from gancore.run.checkpoint.tensor_table import escaped, unescaped

MARK = "%tensor"
MOST_LEVELS = 16  # levels of lists and dicts; a JSON file of a checkpoint may have 32 in all
# the types in `BYTES` of `safetensors_header.py`, which refuses a file with any other
STORED = {
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
}  # fmt: skip


def flatten(values: Mapping[str, Any], path: str = "state") -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors of `values` by name, and the rest as JSON.

    Raises ValueError for what cannot be stored, with its place in `values`; messages begin with
    `path`.
    """
    tensors: Tensors = {}
    rest: dict[str, Any] = {}
    for key, value in values.items():
        if not isinstance(value, Tensor):
            rest[key] = value
            continue
        _check_key(key, path)
        _check_tensor(value, f"{path}.{key}")
        tensors[key] = value
    # Only now are those inside lists and dicts named: a tensor at the top must keep its key, and
    # they give way where a name is taken.
    return tensors, _flatten_dict(rest, tensors, path, "", 0)


def _flatten_value(value: Any, tensors: Tensors, path: str, name: str, depth: int) -> Any:
    if depth > MOST_LEVELS:
        raise ValueError(f"{path} is nested deeper than {MOST_LEVELS} levels")
    if isinstance(value, Tensor):
        _check_tensor(value, path)
        while name in tensors:  # {"a/b": …} and {"a": {"b": …}} have the same path
            name += "_"
        tensors[name] = value
        return {MARK: escaped(name)}
    # `type() is`, since a subclass would come back as a plain dict or list
    if type(value) is dict:
        return _flatten_dict(value, tensors, path, f"{name}/", depth)
    if type(value) is list:
        items = []
        for place, item in enumerate(value):
            at = f"{path}[{place}]"
            items.append(_flatten_value(item, tensors, at, f"{name}/{place}", depth + 1))
        return items
    if isinstance(value, str):
        return escaped(value)
    if _is_plain(value):
        return value
    raise ValueError(f"{path} is {shortly(value)}")


def _flatten_dict(
    value: Mapping[str, Any], tensors: Tensors, path: str, prefix: str, depth: int
) -> dict[str, Any]:
    found = {}
    for key, item in value.items():
        _check_key(key, path)
        at = f"{path}.{key}"
        found[escaped(key)] = _flatten_value(item, tensors, at, f"{prefix}{key}", depth + 1)
    return found


def _is_plain(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -strict_json.INTEGER_LIMIT <= value < strict_json.INTEGER_LIMIT
    return isinstance(value, float) and math.isfinite(value)


def _check_key(key: Any, path: str) -> None:
    if not isinstance(key, str):
        raise ValueError(f"{path} holds the key {shortly(key)}, which is not text")


def _check_tensor(tensor: Tensor, path: str) -> None:
    if (
        tensor.dtype not in STORED
        or tensor.layout is not torch.strided
        or tensor.device.type == "meta"
    ):
        raise ValueError(
            f"{path} is a tensor of {tensor.dtype}, {tensor.layout}, on {tensor.device}"
        )


def unflatten(tensors: Tensors, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that `flatten` was given.

    Raises ValueError for what it cannot have returned.
    """
    left = dict(tensors)
    values = _unflatten_dict(stored, left)
    if clash := values.keys() & left.keys():
        raise ValueError(f"{shortly(min(clash))} is stored twice")
    return values | left


def _unflatten(value: Any, left: Tensors) -> Any:
    """Return a value with its tensors, which are taken out of `left`."""
    if isinstance(value, str):
        return unescaped(value)
    if isinstance(value, list):
        return [_unflatten(item, left) for item in value]
    if not isinstance(value, dict):
        return value
    if MARK not in value:
        return _unflatten_dict(value, left)
    name = unescaped(value[MARK]) if isinstance(value[MARK], str) else ""
    if len(value) > 1 or name not in left:
        raise ValueError(f"there is no tensor {shortly(value[MARK])}")
    return left.pop(name)


def _unflatten_dict(stored: Mapping[str, Any], left: Tensors) -> dict[str, Any]:
    found = {}
    for key, item in stored.items():
        found[unescaped(key)] = _unflatten(item, left)
    return found


def copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return copies of all values, with tensors on the device where they are."""
    return {key: _copied(value) for key, value in values.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return copied(value)
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value


def same(one: Any, other: Any) -> bool:
    """Return whether two values have the same types and the same bits."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        return torch.equal(_bytes(one), _bytes(other))
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one.hex() == other.hex()  # 0.0 equals -0.0, but is not the same
    return bool(one == other)


def _bytes(tensor: Tensor) -> Tensor:
    # compared as bytes, nan is the same as nan, and 0.0 is not the same as -0.0
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
