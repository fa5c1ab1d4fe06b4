"""Check the header of a safetensors file before the library parses it.

The library (0.8) accepts repeated names (the last wins), unknown keys, names like `../../x` and
headers of any number of tensors. A file that passes here names each tensor once, and its tensors
fill it to the last byte.
"""

from __future__ import annotations

import math
import re
from reprlib import repr as shortly
from typing import Any

from gancore.run import strict_json

BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
# The library takes headers of up to 100 MB; one of 19 MiB, of 300,000 empty tensors, keeps it busy
# for seconds.
LARGEST_HEADER = 8 << 20  # bytes
MOST_TENSORS = 1 << 16
MOST_NOTES = 16
LONGEST_NAME = 256
HIGHEST_RANK = 8
LARGEST_DIMENSION = (1 << 31) - 1
METADATA = "__metadata__"
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.\-]*"
TENSOR_NAME = re.compile(rf"{_PART}(/{_PART})*")


def is_plain(name: str) -> bool:
    """Whether a tensor may have this name in a file."""
    return (
        len(name) <= LONGEST_NAME and ".." not in name and TENSOR_NAME.fullmatch(name) is not None
    )


def check(content: bytes) -> dict[str, str]:
    """Return type and shape of each tensor by name, e.g. `F32[64, 3]`.

    Raises ValueError, saying what is wrong, unless `content` is a safetensors file as `writer.py`
    writes them.
    """
    length = int.from_bytes(content[:8], "little")
    # the shortest file is eight bytes of length and an empty header, {}
    if len(content) < 10 or not 2 <= length <= min(LARGEST_HEADER, len(content) - 8):
        raise ValueError("the length of its header is wrong")
    raw = content[8 : 8 + length]
    if not raw.startswith(b"{"):
        raise ValueError("its header does not begin with {")
    entries: dict[str, Any] = strict_json.parse(raw)
    _check_metadata(entries.pop(METADATA, {}))
    if len(entries) > MOST_TENSORS:
        raise ValueError(f"it holds {len(entries):,} tensors, more than {MOST_TENSORS:,}")
    types: dict[str, str] = {}
    end = 0
    for name, entry in entries.items():
        if not is_plain(name):
            raise ValueError(f"{shortly(name)} is no name of a tensor")
        # each begins where the one before ends, so there is no hole and no overlap
        begin = end
        end = _end_of(name, entry, begin)
        data = slice(8 + length + begin, 8 + length + end)
        if entry["dtype"] == "BOOL" and content[data].strip(b"\0\1"):
            raise ValueError(f"{name} holds truth values that are neither 0 nor 1")
        types[name] = f"{entry['dtype']}{entry['shape']}"
    if end != len(content) - 8 - length:
        raise ValueError("its tensors do not end where the file ends")
    return types


def _check_metadata(notes: Any) -> None:
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise ValueError(f"its {METADATA} is not an object of texts")
    if len(notes) > MOST_NOTES:
        raise ValueError(f"its {METADATA} has more than {MOST_NOTES} entries")


def _end_of(name: str, entry: Any, begin: int) -> int:
    """Check a tensor that must begin at `begin`, and return its end, in bytes after the header."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} has not the keys dtype, shape, data_offsets")
    dtype = entry["dtype"]
    shape = entry["shape"]
    offsets = entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BYTES:
        raise ValueError(f"{name} is of type {shortly(dtype)}, which is none of {', '.join(BYTES)}")
    if not _are_sizes(shape, LARGEST_DIMENSION) or len(shape) > HIGHEST_RANK:
        raise ValueError(f"{name} has no valid shape")
    # torch refuses it even when it is empty
    if math.prod(max(1, side) for side in shape) * BYTES[dtype] >= 1 << 63:
        raise ValueError(f"{name} has a shape beyond any memory")
    size = math.prod(shape) * BYTES[dtype]
    if not _are_sizes(offsets, 1 << 63) or offsets != [begin, begin + size]:
        raise ValueError(f"{name} lies at {shortly(offsets)}, not at [{begin}, {begin + size}]")
    return begin + size


def _are_sizes(value: Any, most: int) -> bool:
    # `type() is int`, since True is an instance of int
    return isinstance(value, list) and all(
        type(each) is int and 0 <= each <= most for each in value
    )
