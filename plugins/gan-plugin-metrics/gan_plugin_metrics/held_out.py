"""Critic scores of reals that are held out of the training."""

import torch
from attrs import field, frozen
from torch import Tensor

from gancore import Data, DataError, LabelSet, Progress, Subset, cached, component, hookimpl, option

LEAST = 10  # samples of the data


@frozen(eq=False)
class TrainingPart(Subset):
    """The part of some data that a run trains on, beside the part `held` that no training sees.

    A component that divides data returns one, so that those behind it need not divide it again.
    """

    held: Subset = field(kw_only=True, repr=False)


@component(
    source="Karras et al., NeurIPS 2020, arXiv:2006.06676, section 3 and eq. 1 (r_v)",
    known_as={"validation-scores": ""},
)
class HeldOut:
    """Hold a share of the reals out of the training, and compare the critic's scores on them.

    Logs the critic's mean scores `train` on reals it is trained on, `held-out` on those held out,
    `fake` on samples, and `gap` = (train - held-out)/(train - fake), left out where train ≤ fake. A
    critic that generalises has a gap near 0; at 1 new reals score as low as fakes, and the critic
    has memorised its data. The critic is in evaluation mode and is given images without the views
    of training. The run trains on fewer reals, so it is not the run that it would be without; the
    choice depends on the number of reals alone. Beside `--reg hold-out` the reals that it holds out
    are used, and no more are held: `share` then has no effect. Logs nothing where another component
    renumbers the classes. Raises DataError for fewer than 10 reals to divide.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    share: float = option(0.1, gt=0, le=0.5, help="share of the reals that is held out")
    images: int = option(256, ge=2, help="reals of each kind, and samples, to compare at most")
    held: tuple[Tensor, Tensor] | None = cached()
    label_sets: tuple[LabelSet, ...] = cached(())

    @hookimpl(tryfirst=True)  # before a component repeats samples, whose copies are not new
    def adapt_data(self, data: Data) -> Subset | None:
        rng = torch.Generator().manual_seed(0)
        self.label_sets = data.label_sets
        if isinstance(data, TrainingPart):
            # drawn, for the samples may be sorted by class
            places = torch.randperm(len(data.held), generator=rng)[: self.images]
            self.held = data.held.take(places, rng)
            return None
        if len(data) < LEAST:
            raise DataError(
                f"held-out divides the data, which needs {LEAST} samples, "
                f"but the data hold {len(data)}",
                where="metric held-out",
                fix="more data, or leave it out: --without held-out",
            )
        order = torch.randperm(len(data), generator=rng)
        held = order[: max(2, round(self.share * len(data)))]
        self.held = data.take(held[: self.images], rng)
        return Subset(data, order[len(held) :])

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, Tensor] | None:
        if not progress.due(self.every) or self.held is None:
            return None
        if self.label_sets != progress.plan.label_sets:
            return None
        sides = {
            "train": progress.reals(self.images),
            "held-out": self.held,
            "fake": progress.samples(self.images),
        }
        found = {side: progress.judge(*given).score.mean() for side, given in sides.items()}
        apart = found["train"] - found["fake"]
        if apart > 0:
            found["gap"] = (found["train"] - found["held-out"]) / apart
        return found
