"""Decoded images: what is known of them, and where they are put."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gan_plugin_image_folder.decode.image_file import Colour

if TYPE_CHECKING:
    from torch import Tensor

Form = tuple[int, int, int]  # channels, height, width


def digest_of(pixels: np.ndarray) -> bytes:
    """Digest one image's bytes with BLAKE2b, to 16 bytes."""
    return blake2b(pixels, digest_size=16).digest()


class How(NamedTuple):
    """What the user wants of the images; `once` keeps one of those with the same pixels."""

    size: tuple[int, int] | None  # height, width
    channels: int | None
    fit: str
    background: Colour
    bad_images: str
    once: bool


class About(NamedTuple):
    """Digests of the usable files in order, uint8 `[n, 16]`, of decoded bytes; what to say; why others are no use."""

    digests: np.ndarray
    lines: list[str]
    faults: dict[str, str]


class Images(NamedTuple):
    """Decoded images uint8 `[M, C, H, W]`, in memory or mapped from a file, and what is known of them."""

    samples: Tensor | np.ndarray
    about: About


class Equal(NamedTuple):
    """Which files are equal: the first of each group, int64 `[groups]`, and the group of each file, int64 `[n]`."""

    firsts: np.ndarray
    groups: np.ndarray


def equal_ones(digests: np.ndarray) -> Equal | None:
    """Group files by their digests, uint8 `[n, 16]`, in the order of their first files; None if all are different."""
    high, low = digests.view(np.uint64).T
    if np.diff(np.sort(high)).all():
        return None
    order = np.lexsort((low, high))  # equal ones side by side, in their own order
    fresh = np.ones(len(order), bool)
    fresh[1:] = (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)
    firsts = order[fresh]
    numbers = np.argsort(np.argsort(firsts))
    groups = np.empty_like(order)
    groups[order] = numbers[np.cumsum(fresh) - 1]
    return Equal(np.sort(firsts), groups)


class Store(Protocol):
    """Where decoded images go, in order; left without `keep`, they are dropped.

    `made` are the images where another process has decoded them meanwhile.
    """

    made: Images | None

    def __enter__(self) -> Store: ...

    def __exit__(self, *error: object) -> None: ...

    def add(self, rows: np.ndarray) -> None:
        """Append images uint8 `[n, C, H, W]`."""

    def keep(self, about: About) -> Images:
        """Return all that were added."""
