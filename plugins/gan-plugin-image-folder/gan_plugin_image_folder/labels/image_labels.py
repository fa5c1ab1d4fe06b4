"""The labels of images, as arrays: there may be a million of them."""

from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np

from gan_plugin_image_folder.file_index import FileIndex
from gancore import LabelSet


class ClassNumbers(NamedTuple):
    """L label sets, and the class of each file in each of them, int64 `[n, L]`."""

    sets: tuple[LabelSet, ...]
    numbers: np.ndarray


class ImageLabels(NamedTuple):
    """The N files to decode, L label sets, and the class of each file in each set, int64 `[N, L]`.

    A class of -1 belongs to a file that has the suffix of an image but cannot be decoded.
    """

    files: FileIndex
    sets: tuple[LabelSet, ...]
    numbers: np.ndarray
    notes: Sequence[str] = ()
    final: bool = False  # a file says that there are no labels, so class folders are not tried

    def select(self, wanted: np.ndarray) -> "ImageLabels":
        """Return the labels of the files where the mask `wanted`, bool `[N]`, is true."""
        return self._replace(files=self.files.select(wanted), numbers=self.numbers[wanted])

    def without(self, names: Container[str]) -> ClassNumbers:
        """Return the classes of all files except those named."""
        if not names:
            return ClassNumbers(self.sets, self.numbers)
        kept = [name not in names for name in self.files]
        return ClassNumbers(self.sets, self.numbers[kept])


def unlabelled(files: FileIndex, notes: Sequence[str] = ()) -> ImageLabels:
    """Return files without any label set."""
    return ImageLabels(files, (), np.empty((len(files), 0), np.int64), notes)
