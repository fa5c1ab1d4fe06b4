"""Multi-scale structural similarity of random pairs: how alike the images of one set are."""

import torch
from torch import Tensor
from torch.nn import functional

WINDOW = 11  # pixels
SIGMA = 1.5
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, Wang et al. 2003
C1 = 0.01**2
C2 = 0.03**2


def scales_for(height: int, width: int) -> int:
    """Return the number of scales whose smallest image still holds a window; 0 for none."""
    side = min(height, width)
    scales = 0
    while scales < len(WEIGHTS) and side // 2**scales >= WINDOW:
        scales += 1
    return scales


def window() -> Tensor:
    """Return the normal window, float64 `[11]`, whose sum is 1."""
    places = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    bell = (-places.square() / (2 * SIGMA**2)).exp()
    return bell / bell.sum()


def blur(images: Tensor, kernel: Tensor) -> Tensor:
    """Filter images `[N, C, H, W]` by the window along both axes, without padding."""
    channels = images.shape[1]
    across = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    down = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    return functional.conv2d(
        functional.conv2d(images, across, groups=channels), down, groups=channels
    )


def ms_ssim(x: Tensor, y: Tensor, scales: int) -> Tensor:
    """Return MS-SSIM `[N]` of pairs of images `[N, C, H, W]` in [0, 1], in float64.

    Π_j cs_j^w_j · ssim_s^w_s over the scales, with the first s weights divided by their sum, so
    that they add up to 1. Negative factors are taken as 0. Values of different `scales` cannot be
    compared.

    Source: Wang, Simoncelli and Bovik, Asilomar 2003.
    """
    weights = torch.tensor(WEIGHTS[:scales], dtype=torch.float64)
    weights = weights / weights.sum()
    kernel = window()
    x = x.double()
    y = y.double()
    product = torch.ones(len(x), dtype=torch.float64)
    for scale in range(scales):
        luminance, contrast = ssim_parts(x, y, kernel)
        last = scale == scales - 1
        value = (luminance * contrast if last else contrast).mean((1, 2, 3))
        product *= value.clamp_min(0) ** weights[scale]
        x = functional.avg_pool2d(x, 2)
        y = functional.avg_pool2d(y, 2)
    return product


def ssim_parts(x: Tensor, y: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maps of luminance and of contrast·structure of SSIM."""
    mean_x = blur(x, kernel)
    mean_y = blur(y, kernel)
    variance_x = blur(x * x, kernel) - mean_x.square()
    variance_y = blur(y * y, kernel) - mean_y.square()
    covariance = blur(x * y, kernel) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)
    contrast = (2 * covariance + C2) / (variance_x + variance_y + C2)
    return luminance, contrast


def mean_similarity(
    images: Tensor, rng: torch.Generator, pairs: int = 1000, labels: Tensor | None = None
) -> float | None:
    """Return the mean MS-SSIM over random pairs of different images `[N, C, H, W]` in [-1, 1].

    With `labels [N]` both images of a pair are of one class. None for images too small for a window
    or without a pair.

    Source: Odena, Olah and Shlens, ICML 2017, arXiv:1610.09585, section 4.2.
    """
    scales = scales_for(*images.shape[2:])
    i, j = random_pairs(len(images), pairs, rng, labels)
    if not scales or not len(i):
        return None
    images = images.add(1).div(2)
    found = []
    for a, b in zip(i.split(250), j.split(250), strict=True):
        found.append(ms_ssim(images[a], images[b], scales))
    return float(torch.cat(found).mean())


def random_pairs(
    n: int, pairs: int, rng: torch.Generator, labels: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Draw indices `[pairs]`, `[pairs]` of different items, of the same label where given."""
    i = torch.randint(n, (pairs,), generator=rng)
    if labels is None:
        step = torch.randint(1, max(2, n), (pairs,), generator=rng)
        j = (i + step) % n
        return i[i != j], j[i != j]
    # in a list sorted by label, a class is a range; draw in the range of the first
    order = labels.argsort(stable=True)
    counts = labels.bincount()
    starts = counts.cumsum(0) - counts
    own = labels[i]
    places = torch.empty_like(order)
    places[order] = torch.arange(n)
    size = counts[own]
    step = 1 + (torch.rand(pairs, generator=rng) * (size - 1)).long()
    j = order[starts[own] + (places[i] - starts[own] + step) % size]
    kept = (size > 1) & (i != j)
    return i[kept], j[kept]
