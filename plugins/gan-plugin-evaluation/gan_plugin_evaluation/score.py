"""Evaluate samples: open them and the data, measure, and keep what was measured with what."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen
from torch import Tensor

from gan_plugin_evaluation.reals import Pools, count_for, open_own, pools_of
from gan_plugin_evaluation.sources import Samples, Subject, open_runs, open_stored
from gan_plugin_evaluation.yardstick import REALS, Yardstick
from gancore import Data, DataError, Run, UsageError, open_data

DEFAULT_FEATURES = "randconv"
FEWEST = 6  # samples, which have a fifth neighbour
SHARES_OF_REALS = ("precision", "recall", "density", "coverage", "class-accuracy")
Source = Run | Tensor | str | Path


@frozen(kw_only=True)
class Setup:
    """How to evaluate.

    - `n`: samples, and reals, to compare; fewer where there are fewer.
    - `features`: the name of an installed extractor; `weights`: a file for one that needs it.
    - `seed`: of the samples, and of the choice of reals.
    - `size`: (height, width) of images in the data; None for those of the run, or their own.
    - `device`: where a run draws its samples; `files`: component files of it that may be executed.
    """

    n: int = 2000
    features: str = DEFAULT_FEATURES
    weights: Path | None = None
    seed: int = 0
    size: tuple[int, int] | None = None
    device: str = "auto"
    files: tuple[str, ...] = ()


@frozen(eq=False)
class Evaluation:
    """What one set of samples scores, beside what real data and null generators score.

    - `name`: of the samples; `figures`: theirs by name.
    - `rows`: the figures of reals against reals, and of each null generator.
    - `floors`: for each distance and share, the mean and standard deviation over splits of reals.
    - `features`: `id` and `sha256` of the features, `width` their number; `known_as`: names that
      distances of these features alone have.
    - `n`: samples, and reals, compared; `split`: `held-out`, or `train` where the generator saw the
      reals; `seed`; `step` and `weights` of a run.
    - `data`: the fingerprint of the reals' data; `folder`: of a run.
    - `notes`: sentences about the circumstances.
    """

    name: str
    figures: dict[str, float]
    rows: dict[str, dict[str, float]]
    floors: dict[str, tuple[float, float]]
    features: dict[str, str]
    width: int
    n: int
    split: str
    seed: int
    data: str
    step: int | None = None
    weights: str = "raw"
    folder: Path | None = None
    notes: tuple[str, ...] = ()
    known_as: Mapping[str, str] = field(factory=dict)

    def records(self) -> list[dict[str, Any]]:
        """Return a record for each figure, as `evaluation.json` holds them."""
        reals = self.rows[REALS]
        about = {
            "n_real": self.n,
            "n_fake": self.n,
            "features": self.features,
            "protocol": "gan eval 1",
            "seed": self.seed,
            "step": self.step,
            "weights": self.weights,
            "split": self.split,
            "data": self.data,
        }
        found = []
        for name, value in self.figures.items():
            floor, deviation = self.floors.get(name, (reals.get(name), None))
            ratio = self.ratio(name, value)
            measured = {"value": value, "floor": floor, "floor_sd": deviation, "ratio": ratio}
            found.append({"metric": name, **measured, **about})
        return found

    def ratio(self, name: str, value: float) -> float | None:
        """Return a figure over that of reals, where that is meaningful."""
        if f"{name}-ratio" in self.figures:
            return self.figures[f"{name}-ratio"]
        real = self.rows[REALS].get(name)
        return value / real if name in SHARES_OF_REALS and real else None


def evaluate(
    source: Source, against: Data | str | Path | None = None, *,
    train: Data | str | Path | None = None, setup: Setup | None = None, **changes: Any,
) -> Evaluation:  # fmt: skip
    """Evaluate a run, samples `[N, *shape]` in memory, or those of a folder or file.

    `against` are the data to compare with, by default those of the run; `train` are the data that
    stored samples were trained on, where those are others. `changes` are fields of `Setup`, e.g.
    `n=500`. Raises UsageError for something that is not there, DataError for data and samples that
    cannot be compared.
    """
    setup = evolve(setup or Setup(), **changes)
    return evaluate_all([source], against, train=train, setup=setup)[0]


def evaluate_all(
    sources: Sequence[Source], against: Data | str | Path | None, *,
    train: Data | str | Path | None, setup: Setup,
) -> list[Evaluation]:  # fmt: skip
    """Evaluate several sets of samples with the same reals."""
    runs = open_runs(sources, device=setup.device, files=setup.files)
    size = setup.size or size_of(runs)
    pools = pools_of(own_data(runs, against), opened(against, size), opened(train, size))
    subjects = [*runs, *open_stored(sources, pools.reals)]
    expect_shapes(runs, pools)
    n = count_for(pools.reals, setup.n)
    drawn = [subject.draw(n, setup.seed) for subject in subjects]
    fewest = least_of(subjects, drawn)
    notes = notes_on_number(setup.n, n, fewest, pools)
    n = min(n, fewest)
    yardstick = Yardstick.of(pools, n, setup.features, setup.seed, setup.weights)
    rows = {REALS: yardstick.real_figures(), **yardstick.null_rows()}
    found = []
    for subject, samples in zip(subjects, drawn, strict=True):
        found.append(evaluation_of(subject, cut(samples, n), yardstick, rows, notes))
    return found


def least_of(subjects: Sequence[Subject], drawn: Sequence[Samples]) -> int:
    """Return the smallest number of samples. Raises DataError for too few, or numbers like NaN."""
    for subject, samples in zip(subjects, drawn, strict=True):
        count = len(samples.images)
        if count < FEWEST:
            what = f"{count} samples are too few to compare"
            fix = f"at least {FEWEST}, and better {Setup().n}"
            raise DataError(what, where=subject.name, fix=fix)
        if not samples.images.isfinite().all():
            what = "some samples hold numbers that are not finite"
            raise DataError(what, where=subject.name, fix="an earlier checkpoint of the run")
    return min(len(each.images) for each in drawn)


def cut(samples: Samples, n: int) -> Samples:
    """Return the first n samples."""
    labels = None if samples.labels is None else samples.labels[:n]
    return Samples(samples.images[:n], labels)


def evaluation_of(
    subject: Subject, samples: Samples, yardstick: Yardstick,
    rows: dict[str, dict[str, float]], notes: tuple[str, ...],
) -> Evaluation:  # fmt: skip
    """Measure the samples of one subject."""
    floors = yardstick.floors
    return Evaluation(
        name=subject.name,
        figures=yardstick.figures(samples),
        rows=rows,
        floors={name: (floors.means[name], floors.deviations[name]) for name in floors.means},
        features={
            "id": yardstick.space.extractor.id,
            "sha256": yardstick.space.extractor.sha256,
        },
        width=yardstick.width,
        n=yardstick.n,
        split=yardstick.pools.split,
        seed=yardstick.seed,
        data=yardstick.pools.reals.fingerprint(),
        step=subject.step,
        weights=subject.weights,
        folder=subject.folder,
        notes=(*subject.notes, *notes),
        known_as=yardstick.space.extractor.known_as,
    )


# ── the data ──────────────────────────────────────────────────────────────────────────────────────


def opened(source: Data | str | Path | None, size: tuple[int, int] | None) -> Data | None:
    """Open data by name or path; None and opened data are returned as they are."""
    return open_data(source, size=size) if isinstance(source, str | Path) else source


def size_of(runs: Sequence[Subject]) -> tuple[int, int] | None:
    """Return (height, width) of the images of the first run; None where there are none."""
    for run in runs:
        if len(run.shape) == 3:
            return run.shape[1], run.shape[2]
    return None


def own_data(runs: Sequence[Subject], against: Data | str | Path | None) -> Pools | None:
    """Open the data that runs were trained on. Raises UsageError where these are different ones."""
    own = None
    for run in runs:
        if run.composition is None:
            continue
        found = open_own(run.composition)
        if own is not None and found.train.fingerprint() != own.train.fingerprint():
            raise UsageError(
                "these runs were trained on different data, and copies are looked for in one",
                where="gan eval",
                fix="evaluate them one by one",
            )
        own = found
    return own


def expect_shapes(runs: Sequence[Subject], pools: Pools) -> None:
    """Raise UsageError where samples of a run do not have the shape of the reals."""
    wanted = tuple(pools.reals.shape)
    for run in runs:
        if tuple(run.shape) != wanted:
            raise UsageError(
                f"samples of {run.name} have shape {tuple(run.shape)}, the data {wanted}",
                where="--against",
                fix="data of the same number of channels and axes",
            )


def notes_on_number(asked: int, possible: int, there: int, pools: Pools) -> tuple[str, ...]:
    """Say where fewer samples are compared than were asked for."""
    n = min(possible, there)
    if n == asked:
        return ()
    reason = f"there are {there} samples"
    if possible <= there:
        reason = f"the data hold {len(pools.reals)} samples, and as many others are compared, too"
    return (f"n is {n}, not {asked}: {reason}",)
