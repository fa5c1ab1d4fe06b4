"""The kernel distance: the unbiased MMD² with a cubic kernel, as KID has it, on offline features.

KID is this distance on the features of Inception-v3. On other features its values are no KIDs.
"""

import torch
from torch import Tensor

from gan_plugin_metrics.against_reals import AgainstReals, beside_deviation
from gancore import Progress, component, hookimpl

SUBSETS = 100
SUBSET = 1000  # rows of a subset
NOTHING = 1e-12  # a smaller deviation is rounding error: the reals are all equal


def cubic_sums(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of k(x_i, y_j) over all pairs, and over i = j, for k = (xᵀy/d + 1)³."""
    d = x.shape[1]
    total = x.new_zeros(())
    for block in x.split(1024):
        total += (block @ y.T).div_(d).add_(1).pow_(3).sum()
    m = min(len(x), len(y))
    diagonal = ((x[:m] * y[:m]).sum(1) / d + 1).pow(3).sum()
    return total, diagonal


def kernel_distance(x: Tensor, y: Tensor) -> Tensor:
    """Return the unbiased MMD² of rows `[n, d]` and `[m, d]` with k = (xᵀy/d + 1)³, in float64.

    Σ_{i≠j} k(x_i, x_j)/(n(n-1)), plus the same of y, minus 2 times the mean of k(x_i, y_j) over all
    pairs. It is 0 on average for equal distributions, and sometimes negative.
    """
    x = x.double()
    y = y.double()
    within = x.new_zeros(())
    for rows in (x, y):
        total, diagonal = cubic_sums(rows, rows)
        within += (total - diagonal) / (len(rows) * (len(rows) - 1))
    between, _ = cubic_sums(x, y)
    return within - 2 * between / (len(x) * len(y))


def kernel_distance_of_subsets(
    x: Tensor, y: Tensor, rng: torch.Generator, subsets: int = SUBSETS, size: int = SUBSET
) -> Tensor:
    """Return the distances `[subsets]` of random subsets of equal size, without repetition in one.

    Their mean is KID as the common programs report it. The subsets overlap, so the standard
    deviation of the distances over √subsets is no error of that mean: see `halves_deviation`.
    """
    size = min(size, len(x), len(y))
    found = []
    for _ in range(subsets):
        some = x[torch.randperm(len(x), generator=rng)[:size]]
        others = y[torch.randperm(len(y), generator=rng)[:size]]
        found.append(kernel_distance(some, others))
    return torch.stack(found)


def halves_deviation(x: Tensor, y: Tensor, rng: torch.Generator, splits: int = 10) -> Tensor:
    """Return the standard error of `kernel_distance(x, y)`, from disjoint halves of both sets.

    The two halves of a split share no row, so the difference a - b of their distances has twice the
    variance of one, and the whole sets have half of the variance of a half: the root of the mean of
    (a - b)²/4 over the splits. For equal distributions they have a quarter, and the error is
    overstated by √2.
    """
    squares = []
    for _ in range(splits):
        one, other = x[torch.randperm(len(x), generator=rng)].chunk(2)
        first, second = y[torch.randperm(len(y), generator=rng)].chunk(2)
        gap = kernel_distance(one, first) - kernel_distance(other, second)
        squares.append(gap.square() / 4)
    return torch.stack(squares).mean().sqrt()


@component(
    source="Bińkowski et al., ICLR 2018, arXiv:1801.01401, section 4",
    known_as={
        "polynomial-mmd": "",
        "kid": "It has KID's formula but not the features of Inception-v3, so its values are no "
        "KIDs. For KID, a plugin publishes Inception-v3 in the group gancore.features.",
    },
)
class KernelDistance(AgainstReals):
    """Measure the kernel distance between features of samples and of reals: the formula of KID.

    squared = mean k(x_i, x_j) + mean k(y_i, y_j) over i ≠ j, minus 2·mean k(x_i, y_j), with the
    kernel k(x, y) = (xᵀy/d + 1)³ over n samples and n reals, d features, in float64. The estimate
    has no bias, unlike a Fréchet distance: 0 on average for equal distributions, and sometimes
    negative, so it is the better one for small sets. It is not KID, whose features come from an
    Inception network.

    `floor-deviation` is its standard deviation between two disjoint halves of 2n reals (10 splits),
    and `z` = squared/floor-deviation; above about 3 the distributions differ. Logs `squared`,
    `floor-deviation`, `z` (left out if all reals are equal) and `images`, the n used: half of the
    data if it holds less than 2n. Raises DataError for fewer than 4 reals.
    """

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        reference = self.reference_for(progress, kernel_distance)
        return beside_deviation(reference, progress.samples(self.images)[0])
