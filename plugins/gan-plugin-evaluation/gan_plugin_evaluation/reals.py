"""The reals that samples are compared with: which, how many, and what they score themselves."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

import platformdirs
import torch
from attrs import field, frozen
from torch import Tensor

from gan_plugin_evaluation.hold_out import HoldOut
from gan_plugin_metrics.extractors import Extractor, extract_all
from gancore import Composition, Data, DataError, UsageError, open_data, progress_bar

VERSION = 1  # raise it when a figure changes: kept floors are then not found
SPLITS = 10
LEAST = 12  # reals, of which six are compared with six
MOST_TRAINING = 20_000  # items that samples are compared with, to find copies


@frozen(eq=False)
class Pools:
    """The data that a generator was trained on, and, where there are some, data it never saw.

    - `train`: what it was trained on; None where that is not known to be any of the data at hand.
    - `held`: what it was not trained on.
    """

    train: Data
    held: Data | None = None

    @property
    def split(self) -> str:
        """`held-out`, or `train` where only training data are at hand."""
        return "train" if self.held is None else "held-out"

    @property
    def reals(self) -> Data:
        """The data to compare samples with."""
        return self.train if self.held is None else self.held


def open_own(composition: Composition) -> Pools:
    """Open the data of a run, and the part that `hold-out` kept from it."""
    train = open_data(composition)
    for each in composition.chosen:
        if isinstance(each.component, HoldOut):
            return Pools(train, each.component.held)
    return Pools(train)


def pools_of(own: Pools | None, against: Data | None, train: Data | None) -> Pools:
    """Choose what to compare with: data that were not trained on, where there are some.

    `own` is what a run was trained on, `train` what the user says that stored samples came from.
    Data of which nothing is known count as training data: then copies are looked for in them.
    Raises UsageError where nothing is given.
    """
    trained = train or (own.train if own else None)
    if against is None and own is not None:
        return Pools(own.train, own.held)
    if against is None:
        raise UsageError(
            "stored samples are compared with data, but none are named",
            where="--against",
            fix="--against NAME|PATH, e.g. --against sprites",
        )
    if trained is None or trained.fingerprint() == against.fingerprint():
        return Pools(against)
    return Pools(trained, against)


def draw(data: Data, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Take n different items `[n, *shape]` and their labels `[n, L]`, or all there are."""
    rng = torch.Generator().manual_seed(seed)
    return data.take(torch.randperm(len(data), generator=rng)[:n], rng)


def count_for(data: Data, n: int) -> int:
    """Return how many samples can be compared with as many reals, and these with as many others."""
    if len(data) < LEAST:
        raise DataError(
            f"halves of the data are compared, which needs {LEAST} samples, "
            f"but the data hold {len(data)}",
            where="--against",
            fix="more data",
        )
    return min(n, len(data) // 2)


@frozen(eq=False)
class Space:
    """A space of features: an extractor, and the scale of the reals in it."""

    extractor: Extractor
    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, extractor: Extractor, samples: Tensor) -> tuple["Space", Tensor]:
        """Fit the scale to reals `[N, *shape]`; also return their features `[N, d]`."""
        found = extract_all(extractor, samples)
        mean = torch.zeros(found.shape[1], dtype=torch.float64)
        deviation = torch.ones_like(mean)
        if extractor.standardise:
            mean = found.mean(0)
            deviation = found.std(0)
            deviation = deviation.where(deviation > 1e-6, 1)  # a constant feature stays 0
        space = cls(extractor, mean, deviation)
        return space, space.scaled(found)

    def scaled(self, features: Tensor) -> Tensor:
        """Return features in units of the reals' deviations."""
        return (features - self.mean) / self.deviation

    def of_samples(self, samples: Tensor) -> Tensor:
        """Return features `[N, d]` of samples `[N, *shape]`."""
        return self.scaled(extract_all(self.extractor, samples))


@frozen(eq=False)
class Floors:
    """The figures of reals against other reals: the mean over splits, and its deviation."""

    means: dict[str, float] = field(factory=dict)
    deviations: dict[str, float] = field(factory=dict)


Measure = Callable[[Tensor, Tensor], dict[str, float]]


def floors_of(reals: Tensor, measure: Measure, space: Space) -> Floors:
    """Measure disjoint halves of reals `[2n, d]` against each other, over 10 splits.

    The result is kept in the user's cache folder under a digest of the features.
    """
    path = place_of(reals, space)
    if (kept := read(path)) is not None:
        return kept
    rows = []
    for one, other in progress_bar(halves(reals), SPLITS, "comparing reals with reals, splits"):
        rows.append(measure(one, other))
    table = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    found = Floors(
        {name: float(values.mean()) for name, values in table.items()},
        {name: float(values.std()) for name, values in table.items()},
    )
    keep(path, found)
    return found


def halves(reals: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield random splits of reals `[2n, d]` into two disjoint halves `[n, d]`."""
    rng = torch.Generator().manual_seed(1)
    n = len(reals) // 2
    for _ in range(SPLITS):
        order = torch.randperm(len(reals), generator=rng)
        yield reals[order[:n]], reals[order[n : 2 * n]]


# ── kept in the user's cache folder ───────────────────────────────────────────────────────────────


def place_of(reals: Tensor, space: Space) -> Path:
    """Return the file of the floors of these features of these reals."""
    digest = sha256(repr((VERSION, SPLITS, space.extractor.sha256, tuple(reals.shape))).encode())
    digest.update(reals.contiguous().numpy().tobytes())
    return platformdirs.user_cache_path("gancore") / "floors" / f"{digest.hexdigest()}.json"


def read(path: Path) -> Floors | None:
    """Read kept floors; None where there are no intact ones."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Floors(dict(found["means"]), dict(found["deviations"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # they are measured again


def keep(path: Path, floors: Floors) -> None:
    """Write floors; do without the file where that fails."""
    content = json.dumps({"means": floors.means, "deviations": floors.deviations})
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(content)
        os.replace(file.name, path)
