"""The yardstick of one evaluation: reals, features, floors; and all figures of a set of samples."""

from pathlib import Path

import torch
from attrs import field, frozen
from torch import Tensor

from gan_plugin_evaluation.copies import CopyTest, repeated_items, spaces_for
from gan_plugin_evaluation.reals import Floors, Pools, Space, draw, floors_of
from gan_plugin_evaluation.rows import COPIED, null_samples
from gan_plugin_evaluation.sources import Samples
from gan_plugin_metrics.classifier import Classifier, classifier_of
from gan_plugin_metrics.distances import frechet, sliced_wasserstein
from gan_plugin_metrics.extractors import open_extractor
from gan_plugin_metrics.kernel import kernel_distance
from gan_plugin_metrics.labelled import class_figures
from gan_plugin_metrics.neighbours import NEIGHBOURS, SHARES, prdc
from gan_plugin_metrics.recognition import LEAST
from gan_plugin_metrics.ssim import mean_similarity
from gancore import progress_bar

NOTHING = 1e-12  # a smaller floor is rounding error: the reals are all equal
ALIGNED = 0.1  # similarity of reals below which the pairs of an unaligned set say nothing
PAIRS = 500
MOST_CLASSES = 100
REALS = "real against real"


def measure(reals: Tensor, fakes: Tensor) -> dict[str, float]:
    """Return the figures of features `[n, d]` of samples among those of as many reals."""
    found = {
        "fd": float(frechet(fakes, reals)),
        "kd": float(kernel_distance(fakes, reals)),
        "sw": float(sliced_wasserstein(fakes, reals)),
    }
    shares = prdc(reals, fakes, min(NEIGHBOURS, len(reals) - 1))
    return found | dict(zip(SHARES, shares.tolist(), strict=True))


@frozen(eq=False)
class Yardstick:
    """What samples are measured with. Two evaluations can be compared if these are the same.

    - `pools`: the data; `n`: how many samples and reals; `seed`: of the choice of reals.
    - `images`, `labels`: 2n reals `[2n, *shape]`, `[2n, L]`; `features`: theirs, `[2n, d]`.
    """

    pools: Pools
    n: int
    seed: int
    images: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)
    space: Space
    features: Tensor = field(repr=False)
    floors: Floors
    copies: CopyTest
    classifier: Classifier | None
    similarity: float | None  # of pairs of reals

    @classmethod
    def of(
        cls, pools: Pools, n: int, features: str, seed: int, weights: Path | None
    ) -> "Yardstick":
        """Draw the reals and measure what they score themselves."""
        images, labels = draw(pools.reals, 2 * n, seed)
        extractor = open_extractor(features, pools.train, weights=weights)
        space, found = Space.of(extractor, images)
        floors = floors_of(found, measure, space)
        copies = CopyTest.of(pools, spaces_for(pools, space, images), seed)
        classifier = classifier_for(pools)
        similarity = None
        if images.dim() == 4:
            similarity = mean_similarity(images, torch.Generator().manual_seed(0), PAIRS)
        return cls(
            pools, n, seed, images, labels, space, found, floors, copies, classifier, similarity
        )

    @property
    def width(self) -> int:
        """The number of features."""
        return self.features.shape[1]

    def figures(self, samples: Samples, *, flips: bool = True) -> dict[str, float]:
        """Return all figures of n samples."""
        found = measure(self.features[: self.n], self.space.of_samples(samples.images))
        found |= self.copies.look(samples.images, flips=flips)
        if self.similarity is not None and self.similarity > ALIGNED:
            rng = torch.Generator().manual_seed(0)
            similarity = mean_similarity(samples.images, rng, PAIRS)
            if similarity is not None:
                found["diversity-gap"] = similarity - self.similarity
        if self.classifier is not None:
            p = self.classifier.probabilities(samples.images)
            found |= class_figures(p, self.classifier.shares, samples.labels)
        return found | self.ratios(found)

    def ratios(self, found: dict[str, float]) -> dict[str, float]:
        """Return distances in units of what reals have: the floor, or its deviation."""
        ratios = {}
        for name in ("fd", "sw"):
            if (floor := self.floors.means[name]) > NOTHING:
                ratios[f"{name}-ratio"] = found[name] / floor
        if (deviation := self.floors.deviations["kd"]) > NOTHING:
            ratios["kd-z"] = found["kd"] / deviation
        return ratios

    def real_figures(self) -> dict[str, float]:
        """Return the figures of reals against other reals."""
        found = dict(self.floors.means)
        found |= self.copies.reals()
        if self.similarity is not None and self.similarity > ALIGNED:
            found["diversity-gap"] = 0.0
        if self.classifier is not None:
            p = self.classifier.probabilities(self.images[: self.n])
            found |= class_figures(p, self.classifier.shares)
            # on reals that did not train it, which most of these did
            found["class-accuracy"] = self.classifier.accuracy
        return found | self.ratios(found)

    def null_rows(self) -> dict[str, dict[str, float]]:
        """Return the figures of the null generators."""
        train = repeated_items(self.pools, COPIED, self.seed)
        samples = null_samples(self.images, train, self.n, self.seed)
        rows = {}
        for name, each in progress_bar(samples.items(), len(samples), "scoring null generators"):
            rows[name] = self.figures(Samples(each), flips=False)
        return rows


def classifier_for(pools: Pools) -> Classifier | None:
    """Return a classifier of the training data, where these are images of a few classes."""
    data = pools.train
    if len(data.shape) != 3 or not data.label_sets or len(data) < LEAST:
        return None
    if data.label_sets[0].classes != first_classes(pools):
        return None
    return classifier_of(data) if 2 <= len(data.label_sets[0]) <= MOST_CLASSES else None


def first_classes(pools: Pools) -> tuple[str, ...]:
    """Return the classes of the first label set of the reals."""
    sets = pools.reals.label_sets
    return sets[0].classes if sets else ()
