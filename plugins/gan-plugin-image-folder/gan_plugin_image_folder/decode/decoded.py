"""The values that decoding takes and returns, and the protocol of the stores it writes to."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor  # `gan data check` runs without torch

AREA = 64 * 64  # pixels of an image that two processor cores train in reasonable time

Shape = tuple[int, int, int]  # channels, height, width
Colour = tuple[int, ...]  # red, green, blue, 0 to 255
Faults = dict[str, str]  # name of a file: the reason why it cannot be used


def pixel_digest(pixels: np.ndarray) -> bytes:
    """Return the BLAKE2b digest of an image's bytes, 16 bytes long."""
    return blake2b(pixels, digest_size=16).digest()


class DecodeOptions(NamedTuple):
    """The options of image-folder that change decoded pixels."""

    size: tuple[int, int] | None  # height, width
    channels: int | None
    fit: str
    background: Colour
    bad_images: str
    unique: bool  # keep one of several images with the same pixels
    area: int = AREA  # pixels of an image at most, where no size is given and images are larger


class DecodeSummary(NamedTuple):
    """What decoding found: digests of the usable files' pixels, uint8 `[n, 16]`, notes, faults."""

    digests: np.ndarray
    notes: list[str]
    faults: Faults


class DecodedImages(NamedTuple):
    """Images as uint8 `[M, C, H, W]`, in memory or mapped from a file, and their summary."""

    samples: Tensor | np.ndarray
    summary: DecodeSummary


class ImageStore(Protocol):
    """A context manager that takes decoded images in order; without `finish` it drops them.

    `existing` holds the images where another process decoded them in the meantime.
    """

    existing: DecodedImages | None

    def __enter__(self) -> ImageStore: ...

    def __exit__(self, *error: object) -> None: ...

    def append(self, images: np.ndarray) -> None:
        """Append images uint8 `[n, C, H, W]`."""

    def finish(self, summary: DecodeSummary) -> DecodedImages:
        """Return all images that were appended."""
