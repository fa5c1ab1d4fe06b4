"""Distances between samples and reals, each with its floor: the distance of halves of the reals."""

import torch
from torch import Tensor
from torch.nn import functional

from gan_plugin_metrics.against_reals import AgainstReals, beside_deviation, beside_floor
from gan_plugin_metrics.features import Reference
from gancore import Progress, cached, component, hookimpl, option

BANDWIDTHS = (10, 15, 20, 50)  # variances of the kernels, in squared units of the features
DIRECTIONS = 256


# ── distances: x [n, d], y [m, d], float64 → scalar ───────────────────────────────────────────────


def frechet(x: Tensor, y: Tensor) -> Tensor:
    """Return ‖μ_x - μ_y‖² + tr S_x + tr S_y - 2·tr (S_x^½ S_y S_x^½)^½.

    With S = RᵀR from the QR decomposition of the centred rows, the last trace is the sum of the
    singular values of R_x R_yᵀ. This avoids the square root of a rounded matrix, and works for n
    below d as well as above.
    """
    gap = (x.mean(0) - y.mean(0)).square().sum()
    root_x = covariance_root(x)
    root_y = covariance_root(y)
    traces = root_x.square().sum() + root_y.square().sum()
    shared = torch.linalg.svdvals(root_x @ root_y.T).sum()
    return (gap + traces - 2 * shared).clamp_min(0)


def covariance_root(x: Tensor) -> Tensor:
    """Return R with RᵀR = the covariance of rows `[n, d]`."""
    return torch.linalg.qr(x - x.mean(0), mode="r").R / (len(x) - 1) ** 0.5


def mmd(x: Tensor, y: Tensor) -> Tensor:
    """Return the unbiased MMD² of x and y.

    It is the mean of k(x_i, x_j) plus that of k(y_i, y_j), both over i ≠ j, minus twice that of
    k(x_i, y_j).
    """
    within = sum(mean_kernel_within(each) for each in (x, y))
    return within - 2 * sum_kernels(x, y) / (len(x) * len(y))


def mean_kernel_within(x: Tensor) -> Tensor:
    """Return the mean of k(x_i, x_j) over i ≠ j."""
    n = len(x)
    return (sum_kernels(x, x) - n) / (n * (n - 1))  # k(x, x) = 1 on the diagonal


def sum_kernels(x: Tensor, y: Tensor) -> Tensor:
    """Return the sum of k over all pairs, computed in blocks of rows."""
    sums = x.new_zeros(())
    for block in x.split(512):
        squares = block.square().sum(1)[:, None] + y.square().sum(1) - 2 * block @ y.T  # [512, m]
        for bandwidth in BANDWIDTHS:
            sums += squares.clamp_min(0).div(-2 * bandwidth).exp().sum() / len(BANDWIDTHS)
    return sums


def sliced_wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """Return the sliced 2-Wasserstein distance of x and y, which have equally many rows.

    It is the root of the mean of (sort(xv) - sort(yv))² over rows and 256 fixed unit directions v.
    """
    rng = torch.Generator().manual_seed(0)
    directions = functional.normalize(
        torch.randn(x.shape[1], DIRECTIONS, generator=rng, dtype=torch.float64), dim=0
    )
    sorted_x = (x @ directions).sort(0).values
    sorted_y = (y @ directions).sort(0).values
    return (sorted_x - sorted_y).square().mean().sqrt()


# ── components ────────────────────────────────────────────────────────────────────────────────────


@component(
    source=(
        "Heusel et al., NeurIPS 2017, arXiv:1706.08500, eq. 6; "
        "bias: Bińkowski et al., ICLR 2018, arXiv:1801.01401"
    ),
    known_as={
        "fid": "It uses random convolutions, not Inception-v3, so its values are no FIDs. "
        "`gan eval` computes FID with gan-plugin-inception and a file of its weights.",
    },
)
class Frechet(AgainstReals):
    """Measure the Fréchet distance between features of samples and of reals, and its floor.

    distance = ‖μ_1 - μ_2‖² + tr S_1 + tr S_2 - 2·tr (S_1^½ S_2 S_1^½)^½ over n samples and n reals,
    in float64. It is not FID, whose features come from an Inception network. Two finite sets from
    one distribution have a positive distance, too: `floor` is the mean distance between two
    disjoint halves of 2n reals (10 splits), and `ratio` = distance/floor is 1 for samples as good
    as further reals. Distances of different n, features or data cannot be compared. Features of
    images `[N, C, H, W]` in [-1, 1] (points are compared as they are):

    - randconv: mean and standard deviation of each channel after each of three random 3×3
      convolutions of stride 2, with 32, 64 and 128 channels (LeakyReLU 0.2); 448 numbers,
      standardised by the reals; for 3 channels the SHA-256 of the weights begins with fbb29c94;
    - pixels8: averages of 8×8 areas, 64·C numbers;
    - palette: histogram of pixels over 4×4×4 colours, 64 numbers.

    Logs `distance`, `floor`, `ratio` (left out if all reals are equal) and `images`, the n used:
    half of the data if it holds less than 2n. The reals are training data, so memorised samples
    score well. If n is at most the number of features, the covariances are singular, and one note
    says so. Raises DataError for fewer than 4 reals.
    """

    remark: str | None = cached()  # printed with the next row

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        is_first = self.reference is None
        reference = self.reference_for(progress, frechet)
        if is_first:
            self.remark = singular(reference)
        return beside_floor(reference, progress.samples(self.images)[0])

    @hookimpl
    def record(self) -> str | None:
        remark = self.remark
        self.remark = None
        return remark


def singular(reference: Reference) -> str | None:
    """Return a note if n samples give a singular covariance of d features."""
    n = len(reference.reals) // 2
    d = reference.reals.shape[1]
    if n > d:
        return None
    return (
        f"a Fréchet distance of {n} samples in {d} features is mostly bias: "
        "read its ratio, or raise --frechet.images"
    )


@component(
    source=(
        "Gretton et al., JMLR 13, 2012, lemma 6; bandwidths: github.com/BenoitLeguay/GAN_IconClass"
    ),
    known_as={"gaussian-mmd": ""},
)
class MMD(AgainstReals):
    """Measure the squared maximum mean discrepancy (MMD²) between samples and reals.

    squared = mean k(x_i, x_j) + mean k(y_i, y_j) over i ≠ j, minus 2·mean k(x_i, y_j), with k(x, y)
    the mean of exp(-‖x - y‖²/2b) over b = 10, 15, 20, 50, in float64. The estimate is unbiased: 0
    on average for equal distributions, and sometimes negative. `floor-deviation` is its standard
    deviation between two disjoint halves of 2n reals (10 splits), and `z` =
    squared/floor-deviation; above about 3 the distributions differ. Departs from the cited code,
    which keeps i = j and sums the kernels.

    Images `[N, C, H, W]` in [-1, 1] are compared by averages of 8×8 areas or by histograms over
    4×4×4 colours (between whole images these kernels are 0 in practice), points as they are. Logs
    `squared`, `floor-deviation`, `z` (left out if all reals are equal) and `images`, the n used:
    half of the data if it holds less than 2n. Raises DataError for fewer than 4 reals.
    """

    features: str = option(
        "pixels8",
        choices=("pixels8", "palette"),
        help="features of images; points are compared as they are",
    )

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        reference = self.reference_for(progress, mmd)
        return beside_deviation(reference, progress.samples(self.images)[0])


@component(
    source=(
        "Rabin et al., SSVM 2011; Bonneel et al., JMIV 51, 2015; "
        "in GANs: Karras et al., arXiv:1710.10196"
    ),
    known_as={"swd": ""},
)
class SlicedWasserstein(AgainstReals):
    """Measure the sliced Wasserstein distance between features of samples and of reals.

    distance² = mean of (sort(Xv) - sort(Yv))² over n samples, n reals and 256 fixed unit directions
    v, in float64. Images `[N, C, H, W]` in [-1, 1] are compared by the features of `frechet`,
    points as they are. Logs `distance`, `floor` (mean distance between two disjoint halves of 2n
    reals over 10 splits, proportional to 1/√n), `ratio` = distance/floor (left out if all reals are
    equal) and `images`, the n used: half of the data if it holds less than 2n. Raises DataError for
    fewer than 4 reals.
    """

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        reference = self.reference_for(progress, sliced_wasserstein)
        return beside_floor(reference, progress.samples(self.images)[0])
