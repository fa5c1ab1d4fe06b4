"""Many files in little memory: a million names as one block of bytes, not as a million objects."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np


def spelt(name: str) -> bytes:
    """Return the bytes of a name, which are the same in every locale."""
    return name.encode("utf-8", "surrogateescape")


def told(name: bytes | bytearray) -> str:
    """Return the name that is spelt so."""
    return name.decode("utf-8", "surrogateescape")


class Files(Sequence[str]):
    """Names of files, in the order of their bytes, with `/` between folders.

    `spelling` is all names on end; `bounds`, int64 `[N + 1]`, is where each begins and the last ends; `stamps`, int64
    `[N, 3]`, the bytes of each file and the times of its last changes (mtime, ctime) in nanoseconds, -1 without any.
    """

    def __init__(self, spelling: bytes | bytearray, bounds: np.ndarray, stamps: np.ndarray) -> None:
        self.spelling, self.bounds, self.stamps = spelling, bounds, stamps

    def __len__(self) -> int:
        return len(self.stamps)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[each] for each in range(len(self))[place]]
        begin = range(len(self))[place]
        return told(self.spelling[self.bounds[begin] : self.bounds[begin + 1]])

    def __iter__(self) -> Iterator[str]:
        for begin, end in pairwise(memoryview(self.bounds)):
            yield told(self.spelling[begin:end])

    def __repr__(self) -> str:
        return repr(list(self))

    @property
    def slashes(self) -> int:
        """Count the `/` in all names together."""
        return self.spelling.count(b"/")

    def below(self, folder: str) -> range:
        """Return the places of the files in a folder: they lie side by side."""
        first = bisect_left(self, spelt(folder) + b"/", key=spelt)
        return range(first, bisect_left(self, spelt(folder) + b"0", first, key=spelt))  # 0 comes next to /

    def only(self, wanted: np.ndarray) -> "Files":
        """Return the files that are wanted, bool `[N]`."""
        if wanted.all():
            return self
        lengths = np.diff(self.bounds)
        letters = np.frombuffer(self.spelling, np.uint8)[np.repeat(wanted, lengths)]
        bounds = np.concatenate([[0], lengths[wanted].cumsum()]).astype(np.int64)
        return Files(letters.tobytes(), bounds, self.stamps[wanted])
