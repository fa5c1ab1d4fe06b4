"""Diversity of samples: pairwise distances, and coverage of the modes of a known mixture."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gancore import (
    CompositionError,
    DataError,
    Progress,
    Subset,
    cached,
    component,
    hookimpl,
    option,
)

# ── collapse ──────────────────────────────────────────────────────────────────────────────────────


def downscale(samples: Tensor) -> Tensor:
    """Average images `[N, C, H, W]` over 8×8 areas, `[N, 64·C]`; points `[N, d]` are kept.

    Signals and volumes are averaged over 8 or 8×8×8 areas.
    """
    if samples.dim() > 2:
        pool = getattr(functional, f"adaptive_avg_pool{samples.dim() - 2}d")
        samples = pool(samples, 8).flatten(1)
    return samples.double()


def mean_distance(x: Tensor) -> Tensor:
    """Return the mean of ‖x_i - x_j‖ over i ≠ j of rows `[N, d]`, exactly 0 for equal rows."""
    exact = "donot_use_mm_for_euclid_dist"  # by matmul, equal rows would have a small distance
    sums = sum(torch.cdist(block, x, compute_mode=exact).sum() for block in x.split(256))
    return sums / (len(x) * (len(x) - 1))


@component(
    source="collapse: Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.2; minor axis: "
    "Leguay, github.com/BenoitLeguay/GAN_IconClass, the plane with a latent of 1 and of 100",
    known_as={"mode-collapse": ""},
)
class Collapse:
    """Measure the pairwise distances of samples relative to those of reals: mode collapse.

    `ratio` = mean ‖x_i - x_j‖ over pairs of samples, divided by that over pairs of reals, on
    averages of 8×8 areas of images `[N, C, H, W]` in [-1, 1], or on points `[N, d]` as they are, in
    float64: 0 if all samples are equal, about 1 for a copy of the data. For points also logs
    `major` and `minor`, the standard deviation of the samples along the first and the last
    principal axis of the reals, divided by that of the reals; and `across`, the thickness of the
    samples around the nearest line: the standard deviation of each sample's nearest 1/16 of all
    samples along their own last principal axis, as a root mean square over the samples, divided by
    that of the reals. `across` near 0 means that the samples lie on a line, tilted or bent, for
    which `minor` may be as large as for a cloud. `images` is the number of samples. A high ratio
    does not imply quality: noise has one. A figure is left out if its divisor is 0. Raises
    DataError for fewer than 2 reals.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    images: int = option(
        512, ge=2, help="samples and reals to compare; fewer reals where the data holds fewer"
    )
    reals: Tensor | None = cached()  # [n, d], the same throughout the run
    distance: Tensor | None = cached()  # mean distance of the reals

    @hookimpl(trylast=True)  # after all components that wrap the data
    def adapt_data(self, data: Any) -> None:
        if len(data) < 2:
            raise DataError(
                "collapse compares distances between samples, which needs 2, "
                f"but the data hold {len(data)}",
                where="metric collapse",
                fix="more data, or leave it out: --without collapse",
            )

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        if self.reals is None:
            self.reals = downscale(take_reals(progress, self.images))
            self.distance = mean_distance(self.reals)
        samples = downscale(progress.samples(self.images)[0])
        pairs = {"ratio": (mean_distance(samples), self.distance)}
        if not progress.plan.axes:
            pairs |= along_axes(samples, self.reals)
        found = {name: value / divisor for name, (value, divisor) in pairs.items() if divisor > 0}
        return {**found, "images": len(samples)}


def take_reals(progress: Progress, n: int) -> Tensor:
    """Take n distinct reals `[n, *shape]`, or all there are, chosen by the data alone."""
    data = progress.context.data or ()
    rng = torch.Generator().manual_seed(0)
    return data.take(torch.randperm(len(data), generator=rng)[:n], rng)[0]


def along_axes(samples: Tensor, reals: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the standard deviations of samples and reals `[N, d]` along axes of the reals.

    `minor` and `major` are those along the last and the first principal axis, `across` is the
    `thickness`.
    """
    centred = reals - reals.mean(0)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors  # columns, smallest variance first
    ends = axes[:, [0, -1]]  # [d, 2]
    of_samples = (samples @ ends).std(0)
    of_reals = (reals @ ends).std(0)
    return {
        "minor": (of_samples[0], of_reals[0]),
        "major": (of_samples[1], of_reals[1]),
        "across": (thickness(samples), thickness(reals)),
    }


def thickness(points: Tensor) -> Tensor:
    """Return the thickness of points `[N, d]` around the nearest line; 0 for points on a line.

    It is the root of the mean over points of the smallest variance, over all directions, of the
    nearest N/16 points (including the point itself), or of d + 1 if N is small.
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


# ── modes ─────────────────────────────────────────────────────────────────────────────────────────


def find_modes(points: Tensor, means: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Return each point's nearest mean `[N]` and its distance `[N]` in sigmas, in float64."""
    exact = "donot_use_mm_for_euclid_dist"
    distances, nearest = (
        torch.cdist(points.double(), means.double(), compute_mode=exact).div(sigma).min(1)
    )
    return nearest, distances


def count_modes(points: Tensor, means: Tensor, sigma: float) -> dict[str, float | Tensor]:
    """Return the figures of `modes` for points `[N, d]` and equal normal modes `[K, d]`, sigma."""
    k, d = means.shape
    n = len(points)
    nearest, distances = find_modes(points, means, sigma)
    good = distances < 3
    counts = nearest[good].bincount(minlength=k).double()  # [K]
    cells = torch.cat([counts, n - counts.sum()[None]]) / n  # the K balls, and their complement
    # a normal lies within 3 sigma with the probability P(χ²_d < 9), a regularised gamma function
    half_d = torch.tensor(d / 2, dtype=torch.float64)
    within = torch.special.gammainc(half_d, torch.tensor(4.5, dtype=torch.float64))
    expected = torch.cat([(within / k).expand(k), (1 - within)[None]])
    figures: dict[str, float | Tensor] = {
        "count": (counts > 0).sum(),
        "count20": (counts >= n / (20 * k)).sum(),
        "high-quality": counts.sum() / n,
        "junk": (cells - expected).abs().sum() / 2,
        "total": k,
        "images": n,
    }
    if good.any():
        shares = counts[counts > 0] / counts.sum()
        figures["reverse-kl"] = (shares * (k * shares).log()).sum()
        figures["tv"] = (counts / counts.sum() - 1 / k).abs().sum() / 2
        figures["width"] = (distances[good].square().mean() / d).sqrt()
    return figures


@component(
    source="Srivastava et al., VEEGAN, NeurIPS 2017, arXiv:1705.07761, section 4.1; Lin et al., "
    "PacGAN, NeurIPS 2018, arXiv:1712.04086, section 4.1; junk, count20 and width are ours",
    known_as={"mode-coverage": ""},
)
class Modes:
    """Measure how many modes of a known mixture samples cover, and how many samples are near one.

    A sample is of high quality if its nearest mean is less than 3 sigma away. From n samples, K
    modes, and p_j, the share of mode j among the samples of high quality, logs:

    - `count`: modes with at least one sample of high quality; `count20`: modes with at least n/20K;
    - `high-quality`: their share of the samples, .9889 for the true mixture in the plane;
    - `reverse-kl`: Σ p_j ln(K·p_j), and `tv`: ½Σ|p_j - 1/K|; both left out if no sample is of
      high quality. They say nothing of the others: uniform noise has a reverse KL of 0.22 on
      grid25;
    - `junk`: total variation distance between the samples and the true mixture as distributions
      over K + 1 cells, the K balls and their complement;
    - `width`: standard deviation of the samples of high quality about their means, in sigmas: .974
      for the true mixture in the plane, less if modes are too narrow; left out like `reverse-kl`;
    - `total`: K; `images`: n, on which the other figures depend.

    Read the figures together: uniform noise covers 23 of the 25 modes of a grid, with a junk of
    .96. The data states `means [K, d]` and `sigma` in the units of its samples; all modes have
    equal weight. Raises CompositionError for data without known modes.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    images: int = option(2500, ge=1, help="n, samples to draw; the sources draw 2500")
    means: Tensor | None = cached()
    sigma: float | None = cached()

    @hookimpl(tryfirst=True)  # before a component wraps the data and hides its modes
    def adapt_data(self, data: Any) -> None:
        while isinstance(data, Subset):  # some samples of a mixture still have its modes
            data = data.data
        self.means = getattr(data, "means", None)
        self.sigma = getattr(data, "sigma", None)
        if self.means is None or self.sigma is None:
            raise CompositionError(
                "modes counts the modes of a mixture, but the data states none",
                where="--metric modes",
                fix="--data mixture, or leave modes out",
            )

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        return count_modes(progress.samples(self.images)[0], self.means, self.sigma)
