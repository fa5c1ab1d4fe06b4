"""Diversity of samples: how far apart they lie, and which modes of a known mixture they find."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gancore import CompositionError, DataError, Progress, cached, component, hookimpl, option

# ── collapse ──────────────────────────────────────────────────────────────────────────────────────────────────


def small(samples: Tensor) -> Tensor:
    """Average images `[N, C, H, W]` over 8×8 areas, `[N, 64·C]`; points `[N, d]` stay. In float64."""
    averaged = functional.adaptive_avg_pool2d(samples, 8).flatten(1) if samples.dim() == 4 else samples
    return averaged.double()


def mean_distance(x: Tensor) -> Tensor:
    """Return the mean of ‖x_i - x_j‖ over i ≠ j, rows of `[N, d]`, in blocks; 0 for rows that are all alike."""
    exact = "donot_use_mm_for_euclid_dist"  # matrix products would give equal rows a small distance
    sums = sum(torch.cdist(block, x, compute_mode=exact).sum() for block in x.split(256))
    return sums / (len(x) * (len(x) - 1))


@component(
    source="collapse: Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.2; minor axis: Leguay, "
    "github.com/BenoitLeguay/GAN_IconClass, the plane with a latent of 1 and of 100",
    known_as={"mode-collapse": ""},
)
class Collapse:
    """Compare how far apart samples lie with how far apart reals lie.

    `ratio` = mean ‖x_i - x_j‖ over pairs of samples, divided by that over pairs of reals, on averages of 8×8 areas of
    images `[N, C, H, W]` in [-1, 1], or on points `[N, d]` as they are, in float64: 0 for samples that are all alike,
    about 1 for a copy of the data. For points also `major` and `minor`: the standard deviation of the samples along
    the first and the last principal axis of the reals, divided by that of the reals; and `across`: how thick the
    samples lie about the nearest line. It is the deviation of each sample's neighbours, the nearest 1/16 of all,
    along their own last principal axis, in root mean square over the samples, divided by that of the reals. `across`
    near 0 says that the samples lie on a line, however tilted or bent, where `minor` may be as large as for a cloud.
    `images` is the number of samples. Varied samples need not be good ones: noise scores high.
    A figure whose divisor is 0 is left out. Raises DataError for fewer than 2 reals.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0 measures whenever samples are drawn")
    images: int = option(512, ge=2, help="samples and reals to compare; fewer reals where the data holds fewer")
    reals: Tensor | None = cached()  # [n, d], the same all the run
    distance: Tensor | None = cached()  # of the reals

    @hookimpl(trylast=True)  # once others have wrapped the data
    def adapt_data(self, data: Any) -> None:
        if len(data) < 2:
            raise DataError(
                f"collapse compares distances between samples, which needs 2, but the data hold {len(data)}",
                where="metric collapse",
                fix="more data, or leave it out: --without collapse",
            )

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        if self.reals is None:
            self.reals = small(take_reals(progress, self.images))
            self.distance = mean_distance(self.reals)
        samples = small(progress.samples(self.images)[0])
        pairs = {"ratio": (mean_distance(samples), self.distance)}
        if not progress.plan.images:
            pairs |= along_axes(samples, self.reals)
        found = {name: value / divisor for name, (value, divisor) in pairs.items() if divisor > 0}
        return {**found, "images": len(samples)}


def take_reals(progress: Progress, n: int) -> Tensor:
    """Take n different reals `[n, *shape]`, or all there are; they follow from the data alone."""
    data, rng = progress.context.data or (), torch.Generator().manual_seed(0)
    return data.take(torch.randperm(len(data), generator=rng)[:n], rng)[0]


def along_axes(samples: Tensor, reals: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the deviations of samples and reals `[N, d]` along the reals' last and first axis, and across lines."""
    centred = reals - reals.mean(0)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, [0, -1]]  # [d, 2], least spread first
    widths = zip((samples @ axes).std(0), (reals @ axes).std(0), strict=True)
    return {**dict(zip(("minor", "major"), widths, strict=True)), "across": (thickness(samples), thickness(reals))}


def thickness(points: Tensor) -> Tensor:
    """Return how thick points `[N, d]` lie about the nearest line, in their unit; 0 for points on a line.

    It is the root of the mean over points of the least variance, in any direction, of the nearest N/16 points, itself
    included, or of d + 1 where N is small.
    """
    n, d = points.shape
    k = min(n, max(d + 1, n // 16))
    least = []
    for block in points.split(256):
        nearest = torch.cdist(block, points).topk(k, largest=False).indices
        around = points[nearest]  # [256, k, d]
        around = around - around.mean(1, keepdim=True)
        least.append(torch.linalg.eigvalsh(around.mT @ around / (k - 1))[:, 0])  # ascending
    return torch.cat(least).mean().clamp_min(0).sqrt()


# ── modes ─────────────────────────────────────────────────────────────────────────────────────────────────────


def find_modes(points: Tensor, means: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Return the nearest mean `[N]` of each point `[N, d]` and its distance `[N]` in sigmas, in float64."""
    exact = "donot_use_mm_for_euclid_dist"
    distances, nearest = torch.cdist(points.double(), means.double(), compute_mode=exact).div(sigma).min(1)
    return nearest, distances


def count_modes(points: Tensor, means: Tensor, sigma: float) -> dict[str, float | Tensor]:
    """Return the figures of `modes` for points `[N, d]` and the means `[K, d]` and sigma of equal, normal modes."""
    (k, d), n = means.shape, len(points)
    nearest, distances = find_modes(points, means, sigma)
    good = distances < 3
    counts = nearest[good].bincount(minlength=k).double()  # [K]
    cells = torch.cat([counts, n - counts.sum()[None]]) / n  # the K balls, and elsewhere
    within = torch.special.gammainc(torch.tensor(d / 2, dtype=torch.float64), torch.tensor(4.5, dtype=torch.float64))
    expected = torch.cat([(within / k).expand(k), (1 - within)[None]])
    figures: dict[str, float | Tensor] = {
        "count": (counts > 0).sum(),
        "count20": (counts >= n / (20 * k)).sum(),
        "high-quality": counts.sum() / n,
        "junk": (cells - expected).abs().sum() / 2,
        "images": n,
    }
    if good.any():
        shares = counts[counts > 0] / counts.sum()
        figures["reverse-kl"] = (shares * (k * shares).log()).sum()
        figures["width"] = (distances[good].square().mean() / d).sqrt()
    return figures


@component(
    source="Srivastava et al., VEEGAN, NeurIPS 2017, arXiv:1705.07761, section 4.1; Lin et al., PacGAN, NeurIPS 2018, "
    "arXiv:1712.04086, section 4.1; junk, count20 and width are ours",
    known_as={"mode-coverage": ""},
)
class Modes:
    """Count the modes of a known mixture that samples find, and how many samples find one.

    A sample is of high quality where its nearest mean lies less than 3 sigma away. From n samples, K modes, and
    p_j, the share of mode j among those of high quality, it logs:

    - `count`: modes with at least one such sample; `count20`: with at least n/20K;
    - `high-quality`: their share of the samples, .9889 for the true mixture in the plane;
    - `reverse-kl`: Σ p_j ln(K·p_j), left out where no sample is of high quality;
    - `junk`: total variation between the shares of the K balls and of elsewhere, and what the true mixture has;
    - `width`: deviation of those samples about their means, in sigmas: .974 for the true mixture in the plane, less
      where modes are too narrow; left out like `reverse-kl`;
    - `images`: n, without which the others mean little.

    Read them together: uniform noise finds 23 of the 25 modes of a grid, with a junk of .96. The data says `means
    [K, d]` and `sigma` in the units of its samples, and all modes weigh the same. Raises CompositionError for data
    without known modes.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0 measures whenever samples are drawn")
    images: int = option(2500, ge=1, help="n, samples to draw; the sources draw 2500")
    means: Tensor | None = cached()
    sigma: float | None = cached()

    @hookimpl(tryfirst=True)  # before others wrap the data
    def adapt_data(self, data: Any) -> None:
        self.means, self.sigma = getattr(data, "means", None), getattr(data, "sigma", None)
        if self.means is None or self.sigma is None:
            raise CompositionError(
                "the data has no known modes to count",
                where="--metric modes",
                fix="--data mixture, or leave modes out",
            )

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        return count_modes(progress.samples(self.images)[0], self.means, self.sigma)
