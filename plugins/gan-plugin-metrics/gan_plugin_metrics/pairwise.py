"""Euclidean distances between the rows of two sets, fast and exact where rows are nearly equal."""

from collections.abc import Iterator

import torch
from torch import Tensor

CLOSE = 1e-9  # squared distance over squared norms; by matmul it is then wrong by 1e-6 of itself
AT_ONCE = 1 << 23  # numbers in a block of differences: 64 MiB


def distances(x: Tensor, y: Tensor) -> Tensor:
    """Return ‖x_i - y_j‖ `[n, m]` of rows `[n, d]` and `[m, d]`, in float64.

    Computed as ‖x‖² + ‖y‖² - 2·x·y by one matmul, which is many times as fast as differences but
    cannot see how close two close rows are. Such pairs are computed again from their difference, so
    that equal rows have a distance of exactly 0.
    """
    x = x.double()
    y = y.double()
    centre = y.mean(0)  # smaller norms leave more digits to the differences
    around_x = x - centre
    around_y = y - centre
    norms = around_x.square().sum(1)[:, None] + around_y.square().sum(1)
    squares = torch.addmm(norms, around_x, around_y.T, alpha=-2)
    again = (squares < CLOSE * norms).nonzero()
    # all pairs are close where a generator has collapsed, hence in blocks
    for rows in again.split(max(1, AT_ONCE // x.shape[1])):
        i, j = rows.unbind(1)
        squares[i, j] = (x[i] - y[j]).square().sum(1)
    return squares.clamp_min_(0).sqrt_()


def in_blocks(x: Tensor, y: Tensor, rows: int = 1024) -> Iterator[tuple[slice, Tensor]]:
    """Yield rows of x as a slice, and their distances `[rows, m]` to all rows of y."""
    for start in range(0, len(x), rows):
        part = slice(start, min(start + rows, len(x)))
        yield part, distances(x[part], y)


def nearest_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return each row's distance `[n]` to its nearest row of y `[m, d]`."""
    return torch.cat([block.min(1).values for _, block in in_blocks(x, y)])


def kth_neighbours(x: Tensor, k: int) -> Tensor:
    """Return each row's distance `[n]` to its k-th nearest other row, itself left out.

    Raises ValueError for k rows or fewer.
    """
    if len(x) <= k:
        raise ValueError(f"{len(x)} rows have no {k}-th neighbour")
    found = []
    for part, block in in_blocks(x, x):
        # a row is not its own neighbour, but an equal one elsewhere is
        block[torch.arange(len(block)), torch.arange(part.start, part.stop)] = torch.inf
        found.append(block.topk(k, largest=False).values[:, -1])
    return torch.cat(found)
