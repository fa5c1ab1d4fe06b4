"""Memorisation: whether samples lie nearer to the training data than to data never trained on."""

from typing import NamedTuple

import torch
from torch import Tensor

from gan_plugin_metrics.pairwise import kth_neighbours, nearest_distances

COPY = 0.3  # of the median distance between neighbours in the data: nearer than that is a copy
INFLATED = 1.15  # measured deviation of the share under the null, over the binomial one


class Memorised(NamedTuple):
    """How many samples are copies of training items, and by which test that was found.

    - `share`: ½ for a generator that memorised nothing, 1 for one that only copies.
    - `copied`: the estimated share of copies among the samples, in [0, 1].
    - `limit`: `share` above this is no chance (4 standard deviations of it).
    """

    share: float
    copied: float
    limit: float

    @property
    def found(self) -> bool:
        """Whether the samples hold more copies than chance explains."""
        return self.share > self.limit


def memorised(
    nearest_train: Tensor, nearest_held: Tensor, train: int, held: int, reach: float = torch.inf
) -> Memorised:
    """Compare each sample's distance `[n]` to the nearest training item and held-out item.

    Of sets of equal size a sample of an independent generator is as often nearer to the one as to
    the other; ties count half. `share` is the share of samples that are nearer to the training
    data. A larger training set is nearer by chance, in T/(T+H) of the cases, so for sizes T ≠ H the
    share is rescaled to ½ for that chance. A copy is nearer always: q copies give ½ + q/2.

    Samples farther than `reach` from both are counted as chance has it. Far from all data, noise
    say, they all have one and the same nearest item, on whichever side that lies.

    Source: evidence of Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675, as a share.
    """
    chance = train / (train + held)
    nearer = (nearest_held - nearest_train).sign().add(1).div(2)
    far = torch.minimum(nearest_train, nearest_held) > reach
    excess = (nearer.masked_fill(far, chance).mean().item() - chance) / (1 - chance)
    deviation = INFLATED * (chance / (1 - chance) / len(nearest_train)) ** 0.5 / 2
    return Memorised(0.5 + excess / 2, min(1.0, max(0.0, excess)), 0.5 + 4 * deviation)


class Closeness(NamedTuple):
    """How close samples come to the training data, in units of the data's own closeness.

    - `quantile`: the 5 % quantile of d(sample, training)/median d(training, training).
    - `copied`: the share of samples nearer than 0.3, less that of the data itself, in [0, 1].
    """

    quantile: float
    copied: float

    @property
    def found(self) -> bool:
        """Whether one sample of twenty is nearer than the data ever comes to itself."""
        return self.quantile < COPY and self.copied > 0.02


def closeness(nearest_train: Tensor, train: Tensor) -> Closeness | None:
    """Judge samples by their distances `[n]` to the training items `[T, d]`, without other data.

    The unit is the median distance of a distinct training item to its nearest other one. None for
    fewer than two distinct ones: they have no unit.
    """
    train = train.unique(dim=0)  # an image in the folders of both its classes is no copy of itself
    if len(train) < 2:
        return None
    own = kth_neighbours(train, 1)
    unit = own.median()
    ratios = nearest_train / unit
    copied = (ratios < COPY).double().mean() - (own / unit < COPY).double().mean()
    return Closeness(ratios.quantile(0.05).item(), copied.clamp_min(0).item())


def nearest_with_flips(features: Tensor, flipped: Tensor | None, others: Tensor) -> Tensor:
    """Return each sample's distance `[n]` to the nearest of `others`, itself or mirrored.

    A training run that mirrors its images teaches the generator mirrored copies.
    """
    found = nearest_distances(features, others)
    if flipped is None:
        return found
    return torch.minimum(found, nearest_distances(flipped, others))
