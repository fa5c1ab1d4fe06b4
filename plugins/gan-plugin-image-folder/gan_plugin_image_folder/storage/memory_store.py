"""Store decoded images in memory."""

from __future__ import annotations

from math import prod

import numpy as np
import torch

from gan_plugin_image_folder.decode.decoded import DecodedImages, DecodeSummary, Shape
from gancore import DataError, expect_memory


class MemoryStore:
    """A tensor with room for `count` images. Raises DataError where memory does not suffice."""

    existing: DecodedImages | None = None

    def __init__(self, count: int, shape: Shape) -> None:
        size = count * prod(shape)
        what = f"{count} images of {'×'.join(map(str, shape))}"
        where = "image-folder.path"
        fix = "--image-folder.cache file, --size with fewer pixels, or fewer images"
        expect_memory(size, what, where=where, fix=fix)
        try:
            self.samples = torch.empty(count, *shape, dtype=torch.uint8)
        except RuntimeError:  # a limit of the process, which expect_memory does not know
            what = f"{what} take {size / 1e9:.1f} GB, more than is available"
            raise DataError(what, where=where, fix=fix) from None
        self.used = 0

    def __enter__(self) -> MemoryStore:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing: the memory is freed with the last reference to it."""

    def append(self, images: np.ndarray) -> None:
        end = self.used + len(images)
        self.samples[self.used : end] = torch.from_numpy(images)
        self.used = end

    def finish(self, summary: DecodeSummary) -> DecodedImages:
        return DecodedImages(self.samples[: self.used], summary)
