"""Feature extractors by name: the entry points of group `gancore.features`.

An entry point names a function `open_extractor(data, seed=0, weights=None)` that returns an
`Extractor`, or any object with its members. `data` are the reals; `seed` chooses random weights;
`weights` is a file that the user names, for extractors whose weights are not part of a package.
The identity of features is the SHA-256 of what they depend on, and figures of features with
different ones cannot be compared.
"""

from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor

from gan_plugin_metrics import features, filters
from gan_plugin_metrics.classifier import classifier_of
from gancore import Data, UsageError

GROUP = "gancore.features"
BLOCK = 256  # samples at once
RESERVED = ("fid", "kid", "is", "inception", "inception-v3-tf")  # names of Inception's figures
POINTS = "points"  # the identity of points, which are their own features


@frozen(eq=False)
class Extractor:
    """Features of images, and what identifies them.

    - `id`: the name, with the seed or the head of the hash where there are several of a name.
    - `sha256`: of the weights, or of the description where there are none.
    - `extract`: maps images `[N, C, H, W]` in [-1, 1] to features, float64 `[N, d]`.
    - `standardise`: whether each feature is to be divided by its deviation over the reals.
    - `known_as`: names that distances of these features alone have, such as `{"fd": "FID"}`.
    """

    id: str
    sha256: str
    extract: Callable[[Tensor], Tensor]
    standardise: bool = True
    known_as: Mapping[str, str] = field(factory=dict)


def described(name: str, extract: Callable[[Tensor], Tensor], *, standardise: bool) -> Extractor:
    """Return an extractor without weights, identified by its name and version."""
    return Extractor(name, sha256(f"{name} version 1".encode()).hexdigest(), extract, standardise)


def open_pixels8(data: Data, seed: int = 0, weights: Path | None = None) -> Extractor:
    """Averages of 8×8 areas: for sanity and for finding copies."""
    return described("pixels8", features.pixels8, standardise=False)


def open_palette(data: Data, seed: int = 0, weights: Path | None = None) -> Extractor:
    """Histogram of pixels over 4×4×4 colours."""
    return described("palette", features.palette, standardise=False)


def open_scattering(data: Data, seed: int = 0, weights: Path | None = None) -> Extractor:
    """Wavelet scattering of two orders."""
    return described("scattering", filters.scattering, standardise=True)


def open_randconv(data: Data, seed: int = 0, weights: Path | None = None) -> Extractor:
    """Means and deviations of the channels of three random convolutions."""
    axes = len(data.shape) - 1
    kernels = features.random_weights(data.shape[0], axes, seed)
    extract = partial(features.randconv, seed=seed)
    return Extractor(f"randconv:{seed}", features.digest(kernels), extract)


def open_randconv_grid(data: Data, seed: int = 0, weights: Path | None = None) -> Extractor:
    """Means over 2×2 areas and deviations of three random convolutions."""
    kernels = features.random_weights(data.shape[0], 2, seed, filters.GRID_WIDTHS)
    extract = partial(filters.randconv_grid, seed=seed)
    return Extractor(f"randconv-grid:{seed}", features.digest(kernels), extract)


def open_randconv_covariance(data: Data, seed: int = 0, weights: Path | None = None) -> Extractor:
    """Means and covariances of 16 channels of three random convolutions."""
    kernels = features.random_weights(data.shape[0], 2, seed)
    extract = partial(filters.randconv_covariance, seed=seed)
    return Extractor(f"randconv-covariance:{seed}", features.digest(kernels), extract)


def open_classifier(data: Data, seed: int = 0, weights: Path | None = None) -> Extractor:
    """Inputs of the last layer of a small classifier that is trained on the labelled reals."""
    found = classifier_of(data, seed)
    return Extractor(f"clf:{found.sha256[:12]}", found.sha256, found.features)


def names() -> list[str]:
    """Return the names of all installed extractors."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def open_extractor(
    name: str, data: Data, *, seed: int = 0, weights: Path | None = None
) -> Extractor:
    """Open an extractor for samples like those of `data`. Raises UsageError for an unknown name."""
    if len(data.shape) == 1:
        return described(POINTS, Tensor.double, standardise=False)
    found: dict[str, Any] = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise unknown(name, sorted(found))
    opened: Extractor = found[name].load()(data, seed=seed, weights=weights)
    return opened


def unknown(name: str, known: list[str]) -> UsageError:
    """Make the error for features that are not installed."""
    where = f"features {name}"
    if name.lower() not in RESERVED:
        return UsageError(
            f"no features are called {name!r}", where=where, fix=f"one of {', '.join(known)}"
        )
    what = "FID, KID and IS are figures of one Inception-v3, whose weights no package here holds"
    fix = (
        "gan-plugin-inception: --features inception-v3-tf --feature-weights FILE; "
        f"offline: {', '.join(known)}"
    )
    return UsageError(what, where=where, fix=fix)


def extract_all(extractor: Extractor, samples: Tensor) -> Tensor:
    """Return features of samples `[N, *shape]`, float64 `[N, d]`."""
    with torch.no_grad():
        parts = [extractor.extract(block).double() for block in samples.split(BLOCK)]
    return torch.cat(parts)
