"""Sheets of samples and reals: next to each other, and each sample with its nearest reals."""

from collections.abc import Iterable

import torch
from torch import Tensor

from gan_plugin_pictures.sheet import IMAGES, save_sheet
from gancore import Progress, component, hookimpl, option


def nearest(samples: Tensor, parts: Iterable[Tensor], count: int) -> Tensor:
    """Find the `count` reals nearest to each sample `[N, C, H, W]`; `[N, count, C, H, W]`.

    They are in ascending order of distance. `parts` yields reals `[n, C, H, W]`, one part at a time
    to bound memory. Ties go to the earlier real. If there are fewer reals than `count`, all are
    returned.
    """
    best = samples.new_empty(len(samples), 0)  # distances
    found = samples.new_empty(len(samples), 0, *samples.shape[1:])
    for reals in parts:
        # By matmul the distance of an image to itself would not come out as 0.
        exact = "donot_use_mm_for_euclid_dist"
        far = torch.cdist(samples.flatten(1), reals.flatten(1), compute_mode=exact)
        near, which = (each[:, :count] for each in far.sort(dim=1, stable=True))
        both = torch.cat([best, near], 1).sort(dim=1, stable=True)
        best, order = (each[:, :count] for each in both)
        found = torch.cat([found, reals[which]], 1)[torch.arange(len(samples))[:, None], order]
    return found


@component(
    source="Leguay, GAN_IconClass, github.com/BenoitLeguay/GAN_IconClass: a grid of each",
    rules=[IMAGES],
)
class Reals:
    """Draw samples on the left and reals on the right.

    Each sample has the labels of the real at its position, and the reals are the same throughout
    the run. Pictures are written to `samples/reals/`; there are none if the data is not available.
    """

    rows: int = option(8, ge=1, help="rows of images")
    columns: int = option(4, ge=1, help="samples in each row, and reals in each row")

    @hookimpl
    def draw(self, progress, folder):
        if progress.context.data is None:
            return
        reals, labels = progress.reals(self.rows * self.columns)
        samples, _ = progress.samples(len(reals), labels)
        white = torch.ones_like(reals)
        # A component may select among the samples; white fills up what it removed.
        samples = torch.cat([samples, white[len(samples) :]])
        sides = (samples, white, reals)
        left, gap, right = (each.unflatten(0, (self.rows, self.columns)) for each in sides)
        save_sheet(torch.cat([left, gap[:, :1], right], 1), progress, folder, "reals")


@component(source="Goodfellow et al., NeurIPS 2014, arXiv:1406.2661, figure 2", rules=[IMAGES])
class NearestReals:
    """Draw each sample next to the training images nearest to it, to show memorisation.

    A row is a sample and its neighbours, nearest first, by the Euclidean distance of their pixels.
    At most `search` reals are compared, evenly spaced in the data and the same at every step. A
    shifted or recoloured copy has a large distance. Pictures are written to
    `samples/nearest-reals/`; there are none if the data is not available.
    """

    images: int = option(8, ge=1, help="samples, one per row")
    neighbours: int = option(3, ge=1, help="reals beside each sample")
    search: int = option(2000, ge=1, help="maximum number of reals to compare with")

    @hookimpl
    def draw(self, progress, folder):
        if progress.context.data is None:
            return
        samples, _ = progress.samples(self.images)
        found = nearest(samples, self.reals(progress), self.neighbours)
        save_sheet(torch.cat([samples[:, None], found], 1), progress, folder, "nearest-reals")

    def reals(self, progress: Progress) -> Iterable[Tensor]:
        """Yield the reals to compare with, `[n, C, H, W]` with n at most the batch size."""
        data = progress.context.data
        streams = progress.context.streams
        count = min(self.search, len(data))
        places = torch.arange(count) * len(data) // count
        for part, indices in enumerate(places.split(progress.plan.batch)):
            yield data.take(indices, streams.generator("component/nearest-reals", part))[0]
