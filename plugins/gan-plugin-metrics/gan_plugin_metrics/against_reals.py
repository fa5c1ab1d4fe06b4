"""What metrics share that measure a distance of samples to reals beside that of other reals."""

import attrs
from torch import Tensor

from gan_plugin_metrics.features import FEATURES, Distance, Reference, expect_halves
from gancore import Data, Progress, cached, hookimpl, name_of, option

NOTHING = 1e-12  # a smaller floor is rounding error: the reals are all equal


@attrs.define(eq=False, kw_only=True)
class AgainstReals:
    """Measure n samples against n reals, in features; 2n reals are taken at the first measurement.

    A base of components, none itself.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    images: int = option(1000, ge=2, help="n, the number of samples and of reals to compare")
    features: str = option(
        "randconv",
        choices=FEATURES,
        help="features of images; points are compared as they are",
    )
    reference: Reference | None = cached()

    @hookimpl(trylast=True)  # after all components that wrap the data
    def adapt_data(self, data: Data) -> None:
        expect_halves(len(data), name_of(self))

    def reference_for(self, progress: Progress, distance: Distance) -> Reference:
        """Return the reals, which are taken and measured against each other at the first call."""
        if self.reference is None:
            self.reference = Reference.draw(progress, self.images, self.features, distance)
        return self.reference


def beside_floor(reference: Reference, samples: Tensor) -> dict[str, float | Tensor]:
    """Return the figures of samples: distance, floor, ratio (unless the floor is 0) and images."""
    distance, n = reference.measure(samples)
    floor = reference.floors.mean()
    figures = {"distance": distance, "floor": floor, "images": n}
    return {**figures, "ratio": distance / floor} if floor > NOTHING else figures


def beside_deviation(reference: Reference, samples: Tensor) -> dict[str, float | Tensor]:
    """Return the figures of an unbiased distance, whose floor is 0 on average.

    They are `squared`, `floor-deviation`, `z` (unless the deviation is 0) and `images`.
    """
    squared, n = reference.measure(samples)
    deviation = reference.floors.std()
    figures = {"squared": squared, "floor-deviation": deviation, "images": n}
    return {**figures, "z": squared / deviation} if deviation > NOTHING else figures
