"""Decoded images: what is known of them, where they are put, and how a run takes them."""

from collections.abc import Sequence
from hashlib import blake2b
from math import prod
from typing import NamedTuple, Protocol

import numpy as np
import torch
from attrs import define
from torch import Tensor

from gan_plugin_image_folder.picture import Colour
from gancore import DataError, StoredData

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
    """The usable files in order: names, digests of their decoded bytes, and what to say about them."""

    names: list[str]
    digests: list[str]
    lines: list[str]


class Images(NamedTuple):
    """Decoded images uint8 `[M, C, H, W]`, in memory or mapped from a file, and the files they are from."""

    samples: Tensor | np.ndarray
    about: About

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Return for each image its digest, and the files that hold it: several where equal ones are kept once."""
        names, digests, _ = self.about
        if len(self.samples) == len(names):
            return digests, [[name] for name in names]
        groups: dict[str, list[str]] = {}
        for name, digest in zip(names, digests, strict=True):
            groups.setdefault(digest, []).append(name)
        return list(groups), list(groups.values())


class Store(Protocol):
    """Where decoded images go, in order; left without `keep`, they are dropped."""

    def __enter__(self) -> "Store": ...

    def __exit__(self, *error: object) -> None: ...

    def add(self, rows: np.ndarray) -> None:
        """Append images uint8 `[n, C, H, W]`."""

    def keep(self, about: About) -> Images:
        """Return all that were added."""


class Memory:
    """Images held in memory: room for `count` of them. Raises DataError where there is not enough."""

    def __init__(self, count: int, form: Form) -> None:
        try:
            self.samples, self.used = torch.empty(count, *form, dtype=torch.uint8), 0
        except RuntimeError:
            gigabytes = count * prod(form) / 1e9
            what = f"{count} images of {'×'.join(map(str, form))} take {gigabytes:.1f} GB, more than there is"
            mend = "--image-folder.cache file, --size with fewer pixels, or fewer images"
            raise DataError(what, where="image-folder.path", mend=mend) from None

    def __enter__(self) -> "Memory":
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the memory to whoever holds the images."""

    def add(self, rows: np.ndarray) -> None:
        self.samples[self.used : self.used + len(rows)] = torch.from_numpy(rows)
        self.used += len(rows)

    def keep(self, about: About) -> Images:
        return Images(self.samples[: self.used], about)


@define(eq=False)
class Hashed(StoredData):
    """Images whose bytes were hashed when they were decoded: `digests`, one an image.

    The fingerprint is made of these, so that it costs no second pass and is the same in memory and on disk.
    """

    digests: Sequence[str] = ()

    def fingerprint(self) -> str:
        digest = blake2b(repr((self.shape, self.label_sets)).encode(), digest_size=16)
        digest.update("".join(self.digests).encode())
        digest.update(self.labels.contiguous().numpy().tobytes())
        return digest.hexdigest()


@define(eq=False)
class Mapped(Hashed):
    """Images in a read-only mapped array; torch takes none, so the rows are gathered before they become a tensor."""

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.from_numpy(self.samples[indices.numpy()])
        return rows.float().div_(127.5).sub_(1.0), self.labels[indices]
