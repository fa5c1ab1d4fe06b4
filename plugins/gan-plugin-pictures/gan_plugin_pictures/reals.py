"""Sheets of samples and reals: side by side, and each sample with the reals most like it."""

from collections.abc import Iterable

import torch
from torch import Tensor

from gan_plugin_pictures.sheet import IMAGES, save_sheet
from gancore import Progress, component, hookimpl, option


def nearest(samples: Tensor, parts: Iterable[Tensor], count: int) -> Tensor:
    """Find the `count` reals nearest to each sample `[N, C, H, W]`, nearest first; `[N, count, C, H, W]`.

    `parts` are reals `[n, C, H, W]`, of which one part at a time is held. Of equally near reals the earlier wins;
    where there are fewer than `count`, all are returned.
    """
    best = samples.new_empty(len(samples), 0)  # distances
    found = samples.new_empty(len(samples), 0, *samples.shape[1:])
    for reals in parts:
        # by differences: by products, the distance of an image to itself would not come out as 0
        far = torch.cdist(samples.flatten(1), reals.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
        near, which = (each[:, :count] for each in far.sort(dim=1, stable=True))
        best, order = (each[:, :count] for each in torch.cat([best, near], 1).sort(dim=1, stable=True))
        found = torch.cat([found, reals[which]], 1)[torch.arange(len(samples))[:, None], order]
    return found


@component(source="Leguay, GAN_IconClass, github.com/BenoitLeguay/GAN_IconClass: a grid of each", rules=[IMAGES])
class Reals:
    """Draw samples on the left and reals on the right, with a gap between.

    Each sample has the labels of the real in its place, and the reals stay the same for the whole run. Pictures go to
    `samples/reals/`; where the data is not at hand there are none.
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
        samples = torch.cat([samples, white[len(samples) :]])  # where a component chose among them, fewer are left
        left, gap, right = (each.unflatten(0, (self.rows, self.columns)) for each in (samples, white, reals))
        save_sheet(torch.cat([left, gap[:, :1], right], 1), progress, folder, "reals")


@component(source="Goodfellow et al., NeurIPS 2014, arXiv:1406.2661, figure 2", rules=[IMAGES])
class NearestReals:
    """Draw beside each sample the training images nearest to it, to show whether it was learnt by heart.

    A row is a sample, then its neighbours, nearest first, by the Euclidean distance of their pixels. At most `search`
    reals are looked through, evenly spread over the data and the same at every step. A shifted or recoloured copy is
    far by this measure. Pictures go to `samples/nearest-reals/`; where the data is not at hand there are none.
    """

    images: int = option(8, ge=1, help="samples, one a row")
    neighbours: int = option(3, ge=1, help="reals beside each sample")
    search: int = option(2000, ge=1, help="most reals looked through at each drawing")

    @hookimpl
    def draw(self, progress, folder):
        if progress.context.data is None:
            return
        samples, _ = progress.samples(self.images)
        found = nearest(samples, self.reals(progress), self.neighbours)
        save_sheet(torch.cat([samples[:, None], found], 1), progress, folder, "nearest-reals")

    def reals(self, progress: Progress) -> Iterable[Tensor]:
        """Yield the reals looked through, `[n, C, H, W]` with n at most the batch size."""
        data, streams = progress.context.data, progress.context.streams
        count = min(self.search, len(data))
        places = torch.arange(count) * len(data) // count
        for part, indices in enumerate(places.split(progress.plan.batch)):
            yield data.take(indices, streams.generator("component/nearest-reals", part))[0]
