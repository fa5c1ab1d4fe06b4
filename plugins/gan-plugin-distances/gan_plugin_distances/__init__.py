"""Distances between samples and reals, each beside its floor: the same distance between two halves of the reals."""

import torch
from torch import Tensor
from torch.nn import functional

from gan_plugin_distances.features import EXTRACTORS, Reference, expect_halves
from gancore import Data, Progress, cached, component, hookimpl, option

BANDWIDTHS = (10, 15, 20, 50)  # variances of the kernels, in squared units of the features
DIRECTIONS = 256
NOTHING = 1e-12  # a floor below this is 0 but for rounding: the reals are all alike


# ── distances: x [n, d], y [m, d], float64 → scalar ───────────────────────────────────────────────────────────


def frechet(x: Tensor, y: Tensor) -> Tensor:
    """Return ‖μ_x - μ_y‖² + tr S_x + tr S_y - 2·tr (S_x^½ S_y S_x^½)^½.

    With S = RᵀR from the QR decomposition of the centred rows, the last trace is the sum of the singular values of
    R_x R_yᵀ: no root is taken of rounding noise, and it does not matter whether n exceeds d.
    """
    middles = [each.mean(0) for each in (x, y)]
    roots = [
        torch.linalg.qr(each - middle, mode="r").R / (len(each) - 1) ** 0.5
        for each, middle in zip((x, y), middles, strict=True)
    ]
    spread = sum(root.square().sum() for root in roots)
    shared = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    return ((middles[0] - middles[1]).square().sum() + spread - 2 * shared).clamp_min(0)


def mmd(x: Tensor, y: Tensor) -> Tensor:
    """Return the unbiased MMD²: mean k(x_i, x_j) + mean k(y_i, y_j) over i ≠ j, less 2·mean k(x_i, y_j)."""
    own = sum((sum_kernels(each, each) - len(each)) / (len(each) * (len(each) - 1)) for each in (x, y))
    return own - 2 * sum_kernels(x, y) / (len(x) * len(y))


def sum_kernels(x: Tensor, y: Tensor) -> Tensor:
    """Sum k over all pairs, in blocks of rows; k(x, x) = 1."""
    sums = x.new_zeros(())
    for block in x.split(512):
        squares = block.square().sum(1)[:, None] + y.square().sum(1) - 2 * block @ y.T  # [512, m]
        for bandwidth in BANDWIDTHS:
            sums += squares.clamp_min(0).div(-2 * bandwidth).exp().sum() / len(BANDWIDTHS)
    return sums


def sliced_wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """Return the root of the mean of (sort(xv) - sort(yv))² over points and 256 fixed unit directions v; n = m."""
    rng = torch.Generator().manual_seed(0)
    directions = functional.normalize(torch.randn(x.shape[1], DIRECTIONS, generator=rng, dtype=torch.float64), dim=0)
    return ((x @ directions).sort(0).values - (y @ directions).sort(0).values).square().mean().sqrt()


def beside_floor(reference: Reference, samples: Tensor) -> dict[str, float | Tensor]:
    """Measure samples and name the figures; a ratio to nothing is left out."""
    distance, n = reference.measure(samples)
    floor = reference.floors.mean()
    figures = {"distance": distance, "floor": floor, "images": n}
    return {**figures, "ratio": distance / floor} if floor > NOTHING else figures


# ── components ────────────────────────────────────────────────────────────────────────────────────────────────


@component(
    source="Heusel et al., NeurIPS 2017, arXiv:1706.08500, eq. 6; bias: Bińkowski et al., ICLR 2018, arXiv:1801.01401",
    known_as={
        "fid": "Its features are of a network of its own, not of Inception-v3: values compare only among themselves.",
    },
)
class Frechet:
    """Measure the Fréchet distance between features of samples and of reals.

    distance = ‖μ_1 - μ_2‖² + tr S_1 + tr S_2 - 2·tr (S_1^½ S_2 S_1^½)^½ over n samples and n reals, in float64. It is
    not FID, whose features come from an Inception network. Two finite sets of one law lie apart as well: `floor` is the
    mean distance of two disjoint halves of 2n reals (10 splits), and `ratio` = distance/floor is 1 for samples as good
    as another draw of reals. Distances of other n, features or data cannot be compared. Features of images
    `[N, C, H, W]` in [-1, 1] (points are compared as they are):

    - randconv: per channel mean and deviation after each of three random 3×3 convolutions of stride 2, 32, 64 and 128
      wide (LeakyReLU 0.2), 448 numbers in standard deviations of the reals; for 3 channels the weights' SHA-256 begins
      with fbb29c94;
    - pixels8: averages of 8×8 areas, 64·C numbers;
    - palette: share of pixels in each of 4×4×4 colours, 64 numbers.

    Logs `distance`, `floor`, `ratio` (left out where the reals are all alike) and `images`, the n used: half of the
    data where it holds less than 2n. The reals are those trained on, so memorising them scores well. Where n is at
    most the number of features the covariances are singular, which is said once. Raises DataError for fewer than 4
    reals.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0 measures whenever samples are drawn")
    images: int = option(1000, ge=2, help="n, samples and reals to compare")
    features: str = option("randconv", choices=tuple(EXTRACTORS), help="what is compared of images; points ignore it")
    reference: Reference | None = cached()
    remark: str | None = cached()  # to tell with the next row

    @hookimpl(trylast=True)  # once others have wrapped the data
    def adapt_data(self, data: Data) -> None:
        expect_halves(len(data), "frechet")

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        if self.reference is None:
            self.reference = Reference.draw(progress, self.images, self.features, frechet)
            self.remark = singular(self.reference)
        return beside_floor(self.reference, progress.samples(self.images)[0])

    @hookimpl
    def record(self) -> str | None:
        remark, self.remark = self.remark, None
        return remark


def singular(reference: Reference) -> str | None:
    """Say so where n samples cannot fill the covariance of d features."""
    n, d = len(reference.reals) // 2, reference.reals.shape[1]
    if n > d:
        return None
    return f"a Fréchet distance of {n} samples in {d} features is mostly bias: read its ratio, or measure more samples"


@component(
    source="Gretton et al., JMLR 13, 2012, lemma 6; bandwidths: github.com/BenoitLeguay/GAN_IconClass",
    known_as={
        "kid": "Its features are of a network of its own, not of Inception-v3: values compare only among themselves."
    },
)
class MMD:
    """Measure the squared maximum mean discrepancy between samples and reals.

    squared = mean k(x_i, x_j) + mean k(y_i, y_j) over i ≠ j, less 2·mean k(x_i, y_j), with k(x, y) the mean of
    exp(-‖x - y‖²/2b) over b = 10, 15, 20, 50, in float64: unbiased, so 0 on average for equal laws and at times
    negative. `floor-deviation` is its standard deviation between two disjoint halves of 2n reals (10 splits), and
    `z` = squared/floor-deviation: beyond 3 or so the laws differ. The code cited keeps i = j and sums the kernels.

    Images `[N, C, H, W]` in [-1, 1] are compared as averages of 8×8 areas or shares of 4×4×4 colours (whole pixels lie
    so far apart that these kernels vanish), points as they are. Logs `squared`, `floor-deviation`, `z` (left out where
    the reals are all alike) and `images`, the n used: half of the data where it holds less than 2n. Raises DataError
    for fewer than 4 reals.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0 measures whenever samples are drawn")
    images: int = option(1000, ge=2, help="n, samples and reals to compare")
    features: str = option(
        "pixels8", choices=("pixels8", "palette"), help="what is compared of images; points ignore it"
    )
    reference: Reference | None = cached()

    @hookimpl(trylast=True)  # once others have wrapped the data
    def adapt_data(self, data: Data) -> None:
        expect_halves(len(data), "mmd")

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        if self.reference is None:
            self.reference = Reference.draw(progress, self.images, self.features, mmd)
        squared, n = self.reference.measure(progress.samples(self.images)[0])
        deviation = self.reference.floors.std()
        figures = {"squared": squared, "floor-deviation": deviation, "images": n}
        return {**figures, "z": squared / deviation} if deviation > NOTHING else figures


@component(
    source="Rabin et al., SSVM 2011; Bonneel et al., JMIV 51, 2015; in GANs: Karras et al., arXiv:1710.10196",
    known_as={"swd": ""},
)
class SlicedWasserstein:
    """Measure the sliced Wasserstein distance between features of samples and of reals.

    distance² = mean of (sort(Xv) - sort(Yv))² over n samples, n reals and 256 fixed unit directions v, in float64.
    Images `[N, C, H, W]` in [-1, 1] are compared by the features of `frechet`, points as they are. Logs `distance`,
    `floor` (of two disjoint halves of 2n reals, mean of 10 splits; it falls like 1/√n), `ratio` = distance/floor (left
    out where the reals are all alike) and `images`, the n used: half of the data where it holds less than 2n. Raises
    DataError for fewer than 4 reals.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0 measures whenever samples are drawn")
    images: int = option(1000, ge=2, help="n, samples and reals to compare")
    features: str = option("randconv", choices=tuple(EXTRACTORS), help="what is compared of images; points ignore it")
    reference: Reference | None = cached()

    @hookimpl(trylast=True)  # once others have wrapped the data
    def adapt_data(self, data: Data) -> None:
        expect_halves(len(data), "sliced-wasserstein")

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        if self.reference is None:
            self.reference = Reference.draw(progress, self.images, self.features, sliced_wasserstein)
        return beside_floor(self.reference, progress.samples(self.images)[0])
