"""Decoded images as a run takes them: in memory, or mapped from a file."""

from __future__ import annotations

from binascii import hexlify
from hashlib import blake2b
from math import prod

import numpy as np
import torch
from attrs import define, field
from torch import Tensor

from gan_plugin_image_folder.images import About, Form, Images
from gancore import DataError, StoredData, expect_memory

SOME = 1 << 16  # digests that are written out at a time


class Memory:
    """Images held in memory: room for `count` of them. Raises DataError where there is not enough."""

    made = None

    def __init__(self, count: int, form: Form) -> None:
        gigabytes = count * prod(form) / 1e9
        what = f"{count} images of {'×'.join(map(str, form))}"
        fix = "--image-folder.cache file, --size with fewer pixels, or fewer images"
        expect_memory(count * prod(form), what, where="image-folder.path", fix=fix)
        try:
            self.samples, self.used = torch.empty(count, *form, dtype=torch.uint8), 0
        except RuntimeError:
            raise DataError(
                f"{what} take {gigabytes:.1f} GB, more than there is", where="image-folder.path", fix=fix
            ) from None

    def __enter__(self) -> Memory:
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
    """Images whose bytes were hashed when they were decoded: `digests` uint8 `[M, 16]`.

    The fingerprint is made of these, so that it costs no second pass and is the same in memory and on disk.
    """

    digests: np.ndarray = field(kw_only=True)

    def fingerprint(self) -> str:
        digest = blake2b(repr((self.shape, self.label_sets)).encode(), digest_size=16)
        for some in np.array_split(self.digests, len(self) // SOME + 1):
            digest.update(hexlify(some))
        digest.update(self.labels.contiguous().numpy())
        return digest.hexdigest()


@define(eq=False)
class Mapped(Hashed):
    """Images in a read-only mapped array; torch takes none, so the rows are gathered before they become a tensor."""

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.from_numpy(self.samples.take(indices.numpy(), axis=0))
        return rows.float().div_(127.5).sub_(1.0), self.labels.index_select(0, indices)
