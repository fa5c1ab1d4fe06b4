"""Instance selection: train on the denser part of the data alone."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from gancore import Data, Subset, cached, component, hookimpl, option, progress_bar

SIDE = 16  # pixels: larger images are averaged down to it
CHUNK = 256  # samples read at once


def embed(data: Data) -> tuple[Tensor, Tensor]:
    """Return all samples as rows `[M, P]`, float64, and their labels `[M, L]`.

    Images are averaged down to at most 16×16 pixels.
    """
    rng = torch.Generator().manual_seed(0)
    parts = torch.arange(len(data)).split(CHUNK)
    rows = []
    labels = []
    for indices in progress_bar(parts, len(data), "reading samples for instance selection", CHUNK):
        samples, found = data.take(indices, rng)
        labels.append(found)
        if samples.dim() == 4:
            sides = tuple(min(side, SIDE) for side in samples.shape[2:])
            samples = adaptive_avg_pool2d(samples, sides)
        rows.append(samples.flatten(1).double())
    return torch.cat(rows), torch.cat(labels)


def log_density(rows: Tensor, dimensions: int) -> Tensor:
    """Return the log density `[M]`, up to a constant, of rows `[M, P]` under a normal distribution.

    It is fitted to the rows' first principal components, at most `dimensions` of them.
    """
    centred = rows - rows.mean(0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(rows))  # ascending
    # directions in which nothing varies say nothing
    varying = int((variances > 1e-9 * variances[-1].clamp(min=1e-300)).sum())
    used = min(dimensions, varying)
    if not used:
        return torch.zeros(len(rows), dtype=rows.dtype)
    scores = centred @ directions[:, -used:]
    return -(scores.square() / variances[-used:]).sum(1) / 2


@component(
    source="DeVries, Drozdzal and Taylor, NeurIPS 2020, arXiv:2007.15255, section 3",
)
class InstanceSelection:
    """Train on the samples of the data that lie where they are dense, and drop the others.

    A normal distribution is fitted to the samples' first principal components, of images averaged
    down to at most 16×16 pixels, and the share `keep` of the samples with the largest density is
    kept: ⌈keep·M⌉ of M, of equal ones the first. Fewer odd samples make a small generator's task
    easier, at the cost of variety. The source embeds images by a pretrained classifier. The data
    are read once before the run. With keep 1 they are the data themselves.

    All other components see the samples that were kept, metrics included. Logs `kept` and
    `dropped`, the numbers of samples, and for labelled data `dropped/CLASS`, the share of each
    class of the first label set that was dropped: rare classes may suffer.
    """

    keep: float = option(0.5, gt=0, le=1, help="share of the samples that is kept")
    dimensions: int = option(64, ge=1, help="principal components of the density")
    counts: dict[str, float] = cached(factory=dict)  # figures of the selection

    @hookimpl(trylast=True)  # of the data that other components have changed
    def adapt_data(self, data):
        if self.keep == 1:
            self.counts = {"kept": len(data), "dropped": 0}
            return None
        rows, labels = embed(data)
        density = log_density(rows, self.dimensions)
        count = -int(-len(data) * self.keep // 1)
        order = density.sort(descending=True, stable=True).indices
        chosen = order[:count].sort().values
        self.counts = {"kept": count, "dropped": len(data) - count}
        if data.label_sets:
            classes = data.label_sets[0].classes
            self.counts |= dropped_of_classes(classes, labels[:, 0], labels[chosen, 0])
        return Subset(data, chosen, labels[chosen])

    @hookimpl
    def measure(self):
        return dict(self.counts)


def dropped_of_classes(classes, labels: Tensor, left: Tensor) -> dict[str, float]:
    """Return the share that was dropped of each class that there is, by `dropped/CLASS`.

    `labels [M]` are those of all samples, `left [n]` those of the samples that were kept.
    """
    before = labels.bincount(minlength=len(classes)).tolist()
    after = left.bincount(minlength=len(classes)).tolist()
    shares = {}
    for name, there, kept in zip(classes, before, after, strict=True):
        if there:
            shares[f"dropped/{name}"] = 1 - kept / there
    return shares
