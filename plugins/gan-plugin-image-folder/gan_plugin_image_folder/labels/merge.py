"""The classes of images, of which each may be several files: by arrays, for there may be a million of them."""

from typing import NamedTuple

import numpy as np

from gan_plugin_image_folder.decode.decoded import Equal
from gancore import LabelSet


class Classes(NamedTuple):
    """The L label sets, and the class of each file in each of them as int64 `[n, L]`."""

    sets: tuple[LabelSet, ...]
    of: np.ndarray


def numbers_of(classes: Classes, equal: Equal | None, all_classes: bool) -> tuple[np.ndarray, tuple[LabelSet, ...]]:
    """Return labels int64 `[M, L]` of M images, each of which may be several files, and the sets of their columns.

    An image has the first class of its files. With all classes, a further set `…-2` holds its second, with the class
    `none` for images that have one alone, and so on.
    """
    columns, sets = [np.empty((len(classes.of if equal is None else equal.firsts), 0), np.int64)], []
    for each, column in zip(classes.sets, classes.of.T, strict=True):
        ranked = column[:, None] if equal is None else by_rank(column, equal)
        for rank in range(ranked.shape[1] if all_classes else 1):
            held = ranked[:, rank] >= 0
            present, numbers = np.unique(ranked[held, rank], return_inverse=True)
            none = ("none",) if rank else ()
            columns.append(np.zeros((len(ranked), 1), np.int64))
            columns[-1][held, 0] = numbers + len(none)
            names = (*none, *(each.classes[k] for k in present))
            sets.append(LabelSet(f"{each.name}-{rank + 1}" if rank else each.name, names))
    return np.concatenate(columns, 1), tuple(sets)


def by_rank(column: np.ndarray, equal: Equal) -> np.ndarray:
    """Return the different classes of each image's files in their order, int64 `[M, most]`, -1 where there are less."""
    pairs = equal.groups * (column.max() + 1) + column
    places = np.sort(np.unique(pairs, return_index=True)[1])
    places = places[np.argsort(equal.groups[places], kind="stable")]
    images = equal.groups[places]
    rank = np.arange(len(images)) - np.searchsorted(images, images)
    ranked = np.full((len(equal.firsts), rank.max() + 1), -1)
    ranked[images, rank] = column[places]
    return ranked


def count_contradicted(classes: Classes, equal: Equal | None) -> int:
    """Count the different images whose files have different labels."""
    if equal is None:
        return 0
    differ = (classes.of != classes.of[equal.firsts[equal.groups]]).any(1)
    return len(np.unique(equal.groups[differ]))
