"""Repeat: train on a few samples alone, to see whether a composition can learn them at all."""

from hashlib import blake2b

import torch
from attrs import frozen
from torch import Tensor

from gancore import CompositionError, LabelSet, StoredData, component, hookimpl, option


@frozen(eq=False)
class Repeated:
    """A few stored samples in turn, `count` in an epoch: sample i is number i mod m of the m kept."""

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
        return self.kept.labels[torch.randint(self.count, (n,), generator=rng) % len(self.kept)]

    def fingerprint(self) -> str:
        return blake2b(f"repeat {self.count} {self.kept.fingerprint()}".encode(), digest_size=16).hexdigest()


def renumber(labels: Tensor, label_sets: tuple[LabelSet, ...]) -> tuple[Tensor, tuple[LabelSet, ...]]:
    """Number the classes that occur in `labels [m, L]` from 0, in the order they had; their names go with them."""
    columns, sets = [], []
    for column, each in zip(labels.T, label_sets, strict=True):
        present, numbers = column.unique(return_inverse=True)  # sorted
        columns.append(numbers)
        sets.append(LabelSet(each.name, tuple(each.classes[k] for k in present.tolist())))
    return torch.stack(columns, 1) if columns else labels, tuple(sets)


@component(
    source="Leguay, github.com/BenoitLeguay/GAN_IconClass: a test on one repeated image (drawn with replacement)",
)
class Repeat:
    """Choose a few samples of the data without replacement and show them again and again.

    An epoch is `count` samples: sample i is the (i mod images)-th chosen. Labels `[n, L]` are renumbered to the
    classes that occur among the chosen, which keep their names, so two images may have one class between them: another
    seed chooses others. Data drawn fresh is drawn once and kept. Values and shapes are those of the data. Raises
    CompositionError where the data, or an epoch, holds fewer samples than are asked for.
    """

    images: int = option(1, ge=1, help="different samples to show")
    count: int = option(1000, ge=1, help="samples of an epoch, at least as many as there are images")
    seed: int = option(0, ge=0, help="which samples are chosen follows from it; not the seed of the run")

    @hookimpl
    def adapt_data(self, data):
        for held, what, fix in (
            (len(data), "the data hold", f"--repeat.images {len(data)}"),
            (self.count, "an epoch shows", f"--repeat.count {self.images}"),
        ):
            if held < self.images:
                raise CompositionError(
                    f"{what} {held} samples, fewer than the {self.images} to repeat", where="repeat.images", fix=fix
                )
        rng = torch.Generator().manual_seed(self.seed)
        samples, labels = data.take(torch.randperm(len(data), generator=rng)[: self.images], rng)
        return Repeated(StoredData(samples, *renumber(labels, data.label_sets)), self.count)
