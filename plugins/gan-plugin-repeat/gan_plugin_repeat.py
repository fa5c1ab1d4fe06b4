"""Repeat: train on a few samples alone, to test whether a composition can overfit them."""

from hashlib import blake2b

import torch
from attrs import frozen
from torch import Tensor

from gancore import CompositionError, LabelSet, StoredData, component, hookimpl, option


@frozen(eq=False)
class Repeated:
    """A data set of `count` samples, of which sample i is number i mod m of m stored ones."""

    kept: StoredData
    count: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.kept.shape

    @property
    def label_sets(self) -> tuple[LabelSet, ...]:
        return self.kept.label_sets

    def __len__(self) -> int:
        return self.count

    def take(self, indices: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        return self.kept.take(indices % len(self.kept), rng)

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor:
        indices = torch.randint(self.count, (n,), generator=rng)
        return self.kept.labels[indices % len(self.kept)]

    def fingerprint(self) -> str:
        content = f"repeat {self.count} {self.kept.fingerprint()}"
        return blake2b(content.encode(), digest_size=16).hexdigest()


def renumber(
    labels: Tensor, label_sets: tuple[LabelSet, ...]
) -> tuple[Tensor, tuple[LabelSet, ...]]:
    """Number the classes that occur in `labels [m, L]` from 0, and drop all other classes."""
    columns = []
    sets = []
    for column, each in zip(labels.T, label_sets, strict=True):
        present, numbers = column.unique(return_inverse=True)  # sorted
        columns.append(numbers)
        names = tuple(each.classes[k] for k in present.tolist())
        values = None if each.values is None else each.values[present]
        sets.append(LabelSet(each.name, names, values))
    return torch.stack(columns, 1) if columns else labels, tuple(sets)


@component(
    source=(
        "Leguay, github.com/BenoitLeguay/GAN_IconClass: "
        "a test on one repeated image (drawn with replacement)"
    ),
)
class Repeat:
    """Train on a few samples, drawn once from the data without replacement and repeated.

    An epoch is `count` samples: sample i is the (i mod images)-th drawn. Labels `[n, L]` are
    renumbered to the classes that occur among the drawn samples and keep their names, so two images
    may have one class in common (another seed draws other images). Generated data is drawn once and
    kept. Values and shapes are those of the data. Raises CompositionError where the data, or an
    epoch, has fewer than `images` samples.
    """

    images: int = option(1, ge=1, help="number of different samples")
    count: int = option(1000, ge=1, help="samples in an epoch, at least `images`")
    seed: int = option(
        0, ge=0, help="seed of the choice of samples, independent of the seed of the run"
    )

    @hookimpl
    def adapt_data(self, data):
        self.require_samples(len(data), "the data hold", f"--repeat.images {len(data)}")
        self.require_samples(self.count, "an epoch shows", f"--repeat.count {self.images}")
        rng = torch.Generator().manual_seed(self.seed)
        indices = torch.randperm(len(data), generator=rng)[: self.images]
        samples, labels = data.take(indices, rng)
        return Repeated(StoredData(samples, *renumber(labels, data.label_sets)), self.count)

    def require_samples(self, count, what, fix):
        """Raise CompositionError if `count` is less than the number of samples to repeat."""
        if count < self.images:
            raise CompositionError(
                f"{what} {count} samples, fewer than the {self.images} to repeat",
                where="repeat.images",
                fix=fix,
            )
