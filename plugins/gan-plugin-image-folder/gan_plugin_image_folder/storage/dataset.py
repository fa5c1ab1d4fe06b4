"""Datasets of decoded images, from which a run draws batches."""

from binascii import hexlify
from hashlib import blake2b

import numpy as np
import torch
from attrs import define, field
from torch import Tensor

from gancore import StoredData

CHUNK = 1 << 16  # digests that are hashed at a time


@define(eq=False)
class HashedData(StoredData):
    """Images in memory, with the digests of their pixels from decoding, uint8 `[M, 16]`.

    The fingerprint is made of these: it needs no second pass over the pixels, and is the same for
    images in memory and in a cache file.
    """

    digests: np.ndarray = field(kw_only=True)

    def fingerprint(self) -> str:
        digest = blake2b(repr((self.shape, self.label_sets)).encode(), digest_size=16)
        for chunk in np.array_split(self.digests, len(self) // CHUNK + 1):
            digest.update(hexlify(chunk))  # as text: runs have recorded this fingerprint
        digest.update(self.labels.contiguous().numpy())
        return digest.hexdigest()


@define(eq=False)
class MappedData(HashedData):
    """Images in a read-only array that is mapped from a cache file."""

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        # Gathering makes a copy: torch has no tensor of read-only memory.
        rows = torch.from_numpy(self.samples.take(indices.numpy(), axis=0))
        return rows.float().div_(127.5).sub_(1.0), self.labels.index_select(0, indices)
