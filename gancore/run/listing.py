"""Shorten lists for messages."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5  # items that are named


def shortened(items: Sequence[str], separator: str = "; ") -> str:
    """Join the first five items, and say how many more there are.

    >>> shortened(["a", "b", "c", "d", "e", "f", "g"], ", ")
    'a, b, c, d, e and 2 more'
    """
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{separator.join(items[:SHOWN])}{more}"
