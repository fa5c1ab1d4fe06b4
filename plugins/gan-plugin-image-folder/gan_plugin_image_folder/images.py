"""Decoded images: what is known of them, and where they are put."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gan_plugin_image_folder.picture import Colour

if TYPE_CHECKING:
    from torch import Tensor

Form = tuple[int, int, int]  # channels, height, width


def digest_of(pixels: np.ndarray) -> str:
    """Digest one image's bytes with BLAKE2b."""
    return blake2b(pixels, digest_size=16).hexdigest()


class How(NamedTuple):
    """What the user wants of the images; `once` keeps one of those with the same pixels."""

    size: tuple[int, int] | None  # height, width
    channels: int | None
    fit: str
    background: Colour
    bad_images: str
    once: bool


class About(NamedTuple):
    """The usable files in order: names, digests of their decoded bytes; what to say of them; why others are not."""

    names: list[str]
    digests: list[str]
    lines: list[str]
    faults: dict[str, str]


class Images(NamedTuple):
    """Decoded images uint8 `[M, C, H, W]`, in memory or mapped from a file, and the files they are from."""

    samples: Tensor | np.ndarray
    about: About

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return for each image its digest, and the files that hold it: several where equal ones are kept once."""
        names, digests, *_ = self.about
        if len(self.samples) == len(names):
            return digests, [[name] for name in names]
        groups: dict[str, list[str]] = {}
        for name, digest in zip(names, digests, strict=True):
            groups.setdefault(digest, []).append(name)
        return list(groups), list(groups.values())


class Store(Protocol):
    """Where decoded images go, in order; left without `keep`, they are dropped."""

    def __enter__(self) -> Store: ...

    def __exit__(self, *error: object) -> None: ...

    def add(self, rows: np.ndarray) -> None:
        """Append images uint8 `[n, C, H, W]`."""

    def keep(self, about: About) -> Images:
        """Return all that were added."""
