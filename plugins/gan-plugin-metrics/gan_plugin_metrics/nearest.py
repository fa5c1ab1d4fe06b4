"""Nearest-neighbour distance of samples to the reals, and coverage of the reals."""

import torch

from gancore import cached, component, hookimpl, option

BLOCK = 64  # samples compared at once, to bound memory


def nearest(samples, reals):
    """Return each sample's mean absolute difference to its nearest real, and that real's index."""
    sums = []
    indices = []
    for part in samples.split(BLOCK):
        least = torch.cdist(part, reals, p=1).min(1)
        sums.append(least.values)
        indices.append(least.indices)
    return torch.cat(sums) / samples.shape[1], torch.cat(indices)


def nearest_other(reals):
    """Return each real's mean absolute difference to the nearest other one, and its index."""
    sums = []
    indices = []
    for start in range(0, len(reals), BLOCK):
        part = reals[start : start + BLOCK]
        distances = torch.cdist(part, reals, p=1)
        distances[torch.arange(len(part)), torch.arange(start, start + len(part))] = torch.inf
        least = distances.min(1)
        sums.append(least.values)
        indices.append(least.indices)
    return torch.cat(sums) / reals.shape[1], torch.cat(indices)


@component(
    source=(
        "Leguay, GAN_IconClass: can it learn one image? "
        "Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675"
    ),
    known_as={"memorization": "", "memorisation": ""},
)
class Nearest:
    """Measure the distance of samples to their nearest reals, and the share of reals they cover.

    The distance is the mean absolute difference over all values of a sample, in units of the range
    [-1, 1]. `error` is its mean over samples, 0 for copies of the data. `label-error` compares a
    sample only with reals of the same labels: on two images with two labels it is small only if
    each label produces its own image. It is left out if a label occurs on no real drawn. `share` is
    the share of distinct reals that are nearest to at least one sample. On a large data set a small
    error means memorisation; on a single image (`--reg repeat`) it shows that the networks can
    learn at all.

    The distinct reals among themselves say what to expect: `ratio` is the median distance of a
    sample to its nearest real, divided by that of a real to the nearest other one (left out if that
    is 0, or for a single real); new samples of the data have about 1, copies 0. `floor-share` is
    the share of distinct reals that are nearest to at least one other.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    images: int = option(256, ge=1, help="number of samples, and of draws from the data")
    floor: tuple[float, float] | None = cached()  # median distance of reals, and their share

    @hookimpl
    def measure(self, progress):
        if not progress.due(self.every):
            return None
        samples, labels = progress.samples(self.images)
        reals, real_labels = progress.reals(self.images)
        # The same image may be drawn several times, and counts once. Labels and images are compared
        # together: one image with two labels counts twice.
        known = torch.cat([real_labels.double(), reals.flatten(1).double()], 1).unique(dim=0)
        real_labels, reals = known.tensor_split([labels.shape[1]], 1)
        samples = samples.flatten(1).double()
        errors, which = nearest(samples, reals)
        figures = {"error": float(errors.mean()), "share": len(which.unique()) / len(reals)}
        figures |= self.beside_floor(float(errors.median()), reals)
        if labels.shape[1]:
            matched = self.within(samples, labels, reals, real_labels)
            if len(matched) == len(samples):  # fewer where a label occurs on no real
                figures["label-error"] = float(matched.mean())
        return figures

    def beside_floor(self, median, reals):
        """Return the figures that compare samples with reals among themselves."""
        if len(reals) < 2:
            return {}
        if self.floor is None:  # the reals are the same at every step
            distances, which = nearest_other(reals)
            self.floor = float(distances.median()), len(which.unique()) / len(reals)
        usual, share = self.floor
        figures = {"floor-share": share}
        return {**figures, "ratio": median / usual} if usual > 0 else figures

    def within(self, samples, labels, reals, real_labels):
        """Return each sample's distance to its nearest real of the same labels, if there is one."""
        errors = [samples.new_empty(0)]  # cat() refuses an empty list
        for wanted in labels.unique(dim=0):
            there = (real_labels == wanted).all(1)
            if there.any():
                made = (labels == wanted).all(1)
                errors.append(nearest(samples[made], reals[there])[0])
        return torch.cat(errors)
