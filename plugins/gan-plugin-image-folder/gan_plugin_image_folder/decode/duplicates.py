"""Find images with the same pixels by the digests of their pixels."""

from typing import NamedTuple

import numpy as np


class DuplicateGroups(NamedTuple):
    """Files grouped by equal pixels.

    `firsts`, int64 `[groups]`, is the first file of each group; `groups`, int64 `[n]`, the group of
    each file.
    """

    firsts: np.ndarray
    groups: np.ndarray


def group_duplicates(digests: np.ndarray) -> DuplicateGroups | None:
    """Group files by digest, uint8 `[n, 16]`, in the order of first files; None if all differ.

    By sorting arrays: a dictionary of a million digests would take far more memory.
    """
    high, low = digests.view(np.uint64).T
    # Where the first halves all differ, the digests do: this spares the common case the rest.
    if np.diff(np.sort(high)).all():
        return None
    order = np.lexsort((low, high))  # stable: equal digests are adjacent, in their own order
    starts_group = np.ones(len(order), bool)
    starts_group[1:] = (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)
    firsts = order[starts_group]
    # Groups come in the order of digests so far; number them by their first files.
    rank_of_first = np.argsort(np.argsort(firsts))
    groups = np.empty_like(order)
    groups[order] = rank_of_first[np.cumsum(starts_group) - 1]
    return DuplicateGroups(np.sort(firsts), groups)
