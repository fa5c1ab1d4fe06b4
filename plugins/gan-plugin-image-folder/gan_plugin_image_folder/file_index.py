"""A compact index of many files: a million names in one block of bytes, not a million objects."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np

from gan_plugin_image_folder.names import decode_name, encode_name


class FileIndex(Sequence[str]):
    """Names of N files below a folder, sorted by their bytes, with `/` between folders.

    `encoded` holds the bytes of all names without a separator. `offsets`, int64 `[N + 1]`, says
    where each name begins and the last one ends. `stamps`, int64 `[N, 3]`, holds size in bytes,
    mtime and ctime in nanoseconds of each file; -1 where they cannot be read.
    """

    def __init__(self, encoded: bytes | bytearray, offsets: np.ndarray, stamps: np.ndarray) -> None:
        self.encoded = encoded
        self.offsets = offsets
        self.stamps = stamps

    def __len__(self) -> int:
        return len(self.stamps)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        index = range(len(self))[index]  # raises IndexError, and counts from the end below 0
        return decode_name(self.encoded[self.offsets[index] : self.offsets[index + 1]])

    def __iter__(self) -> Iterator[str]:
        # A memoryview yields plain integers: faster than numpy's scalars.
        for begin, end in pairwise(memoryview(self.offsets)):
            yield decode_name(self.encoded[begin:end])

    def __repr__(self) -> str:
        return repr(list(self))

    @property
    def slash_count(self) -> int:
        """The number of `/` in all names together."""
        return self.encoded.count(b"/")

    def span_of(self, folder: str) -> range:
        """Return the indices of the files below a folder: adjacent, since names are sorted."""
        prefix = encode_name(folder)
        first = bisect_left(self, prefix + b"/", key=encode_name)
        # "0" is the byte after "/", so that everything below the folder sorts before it.
        return range(first, bisect_left(self, prefix + b"0", first, key=encode_name))

    def select(self, wanted: np.ndarray) -> "FileIndex":
        """Return the index of the files where the mask `wanted`, bool `[N]`, is true."""
        if wanted.all():
            return self
        lengths = np.diff(self.offsets)
        # The mask of files becomes one of letters, so that no name is decoded.
        letters = np.frombuffer(self.encoded, np.uint8)[np.repeat(wanted, lengths)]
        offsets = np.concatenate([[0], lengths[wanted].cumsum()]).astype(np.int64)
        return FileIndex(letters.tobytes(), offsets, self.stamps[wanted])
