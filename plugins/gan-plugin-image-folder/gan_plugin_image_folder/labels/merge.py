"""Merge the labels of images with the same pixels. By arrays: there may be a million files."""

import numpy as np

from gan_plugin_image_folder.decode.duplicates import DuplicateGroups
from gan_plugin_image_folder.labels.image_labels import ClassNumbers
from gancore import LabelSet


def merge_labels(
    classes: ClassNumbers, duplicates: DuplicateGroups | None, all_classes: bool
) -> tuple[np.ndarray, tuple[LabelSet, ...]]:
    """Return labels int64 `[M, L]` of M images, each of which may be several files, and their sets.

    An image has the first class of its files. With `all_classes` a further set `…-2` holds its
    second class, or `none` for images with a single one, and so on. Classes without an image are
    dropped.
    """
    count = len(classes.numbers) if duplicates is None else len(duplicates.firsts)
    columns = [np.empty((count, 0), np.int64)]
    sets = []
    for label_set, column in zip(classes.sets, classes.numbers.T, strict=True):
        ranked = column[:, None] if duplicates is None else rank_classes(column, duplicates)
        for rank in range(ranked.shape[1] if all_classes else 1):
            numbers, used = renumber(ranked[:, rank], none_first=rank > 0)
            columns.append(numbers[:, None])
            names = [label_set.classes[number] for number in used]
            if rank == 0:
                sets.append(LabelSet(label_set.name, tuple(names)))
            else:
                sets.append(LabelSet(f"{label_set.name}-{rank + 1}", ("none", *names)))
    return np.concatenate(columns, 1), tuple(sets)


def renumber(column: np.ndarray, none_first: bool) -> tuple[np.ndarray, np.ndarray]:
    """Number the classes that occur in a column from 0; return the numbers and these classes.

    With `none_first` they count from 1, and -1 becomes 0.
    """
    has_class = column >= 0
    used, numbers = np.unique(column[has_class], return_inverse=True)
    renumbered = np.zeros(len(column), np.int64)
    renumbered[has_class] = numbers + int(none_first)
    return renumbered, used


def rank_classes(column: np.ndarray, duplicates: DuplicateGroups) -> np.ndarray:
    """Return the different classes of each image's files in order, int64 `[M, most]`.

    -1 fills the rows of images with fewer classes.
    """
    # One number for each pair (image, class); of equal pairs the first file counts.
    pairs = duplicates.groups * (column.max() + 1) + column
    first_files = np.sort(np.unique(pairs, return_index=True)[1])
    by_image = np.argsort(duplicates.groups[first_files], kind="stable")
    first_files = first_files[by_image]
    images = duplicates.groups[first_files]
    # The files of an image are adjacent: their rank is the distance to the first of them.
    rank = np.arange(len(images)) - np.searchsorted(images, images)
    ranked = np.full((len(duplicates.firsts), rank.max() + 1), -1)
    ranked[images, rank] = column[first_files]
    return ranked


def count_contradictions(classes: ClassNumbers, duplicates: DuplicateGroups | None) -> int:
    """Count the images whose files have different labels."""
    if duplicates is None:
        return 0
    first_file = duplicates.firsts[duplicates.groups]
    differ = (classes.numbers != classes.numbers[first_file]).any(1)
    return len(np.unique(duplicates.groups[differ]))
