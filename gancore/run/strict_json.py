"""Parse JSON strictly: refuse what the standard parser would silently change or expand."""

from __future__ import annotations

import json
import math
from typing import Any

MOST_JSON_LEVELS = 32  # of lists and objects
INTEGER_LIMIT = 1 << 63  # whole numbers below it, and from its negative on, have 64 bits


def parse(raw: bytes) -> Any:
    """Parse JSON in UTF-8.

    Raises ValueError for a byte order mark, repeated keys, NaN and infinities (written or by
    overflow), whole numbers beyond 64 bits, text with lone surrogates, and nesting beyond 32
    levels.
    """
    try:
        value = json.loads(
            raw.decode(),
            object_pairs_hook=_pairs,
            parse_constant=_constant,
            parse_int=_whole,
            parse_float=_real,
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MOST_JSON_LEVELS} levels") from None
    _check_depth_and_text(value)
    return value


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    # the standard parser would keep the last of them
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("a key is repeated")
    return found


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is not a number")


def _whole(digits: str) -> int:
    # check the length first: parsing a million digits takes minutes
    if len(digits) > 20 or not -INTEGER_LIMIT <= int(digits) < INTEGER_LIMIT:
        raise ValueError(f"the whole number {digits[:20]} is beyond 64 bits")
    return int(digits)


def _real(digits: str) -> float:
    if not math.isfinite(float(digits)):
        raise ValueError(f"the number {digits[:20]} is too large")
    return float(digits)


def _check_depth_and_text(value: Any) -> None:

    level = [value]
    for _ in range(MOST_JSON_LEVELS + 1):
        for text in level:
            if isinstance(text, str):
                text.encode()  # raises UnicodeEncodeError, a ValueError, for lone surrogates
        below: list[Any] = []
        for each in level:
            if isinstance(each, list):
                below += each
            elif isinstance(each, dict):
                below += each.keys()
                below += each.values()
        level = below
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MOST_JSON_LEVELS} levels")
