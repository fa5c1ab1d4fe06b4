"""Features of the Inception-v3 of 2015-12-05, from a file of weights that the user names."""

from __future__ import annotations

import importlib
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_plugin_metrics.extractors import Extractor
from gancore import Data, DataError, UsageError

NAME = "inception-v3-tf"
FILE = "weights-inception-2015-12-05-6726825d.pth"
# how the SHA-256 of the file begins, by the rule of torch.hub for names of files
HEAD = "6726825d"
WIDTH = "2048"  # torch-fidelity's name for the layer `pool_3`
PACKAGE = "torch_fidelity.feature_extractor_inceptionv3"


def open_inception(data: Data, seed: int = 0, weights: Path | None = None) -> Extractor:
    """Open the features of `pool_3`, `[N, 3|1, H, W]` in [-1, 1] → float64 `[N, 2048]`.

    Images become 8-bit, are resized to 299×299 as TensorFlow 1 resizes, and scaled to [-1, 1);
    grey ones have their channel three times. Raises UsageError without the file or the package,
    DataError for another file and for data that are no images.

    Source: Heusel et al., NeurIPS 2017, arXiv:1706.08500; the port of TensorFlow's network to
    PyTorch is torch-fidelity's (Obukhov et al., 2020).
    """
    if len(data.shape) != 3 or data.shape[0] not in (1, 3):
        raise DataError(
            f"Inception takes images of 1 or 3 channels, but a sample is {tuple(data.shape)}",
            where=f"features {NAME}",
            fix="--features randconv",
        )
    digest = checked(weights)
    network = load_network(str(weights))
    return Extractor(
        NAME, digest, lambda images: features_of(network, images), standardise=False,
        known_as={"fd": "FID", "kd": "KID"},
    )  # fmt: skip


def checked(weights: Path | None) -> str:
    """Return the SHA-256 of the file of weights. Raises UsageError or DataError."""
    if weights is None:
        raise UsageError(
            "the weights of Inception-v3 are no part of this package",
            where=f"--features {NAME}",
            fix=f"--feature-weights FILE, with {FILE} of torch-fidelity's releases",
        )
    try:
        with weights.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
    except OSError as error:
        what = f"{weights} cannot be read: {error.strerror}"
        raise UsageError(what, where="--feature-weights", fix=f"the path of {FILE}") from None
    if not digest.startswith(HEAD):
        raise DataError(
            f"{weights} holds other weights: its SHA-256 begins with {digest[:8]}, not {HEAD}",
            where="--feature-weights",
            fix=f"{FILE}, whole; figures of other networks are no FID",
        )
    return digest


def load_network(weights: str) -> Any:
    """Build the network of torch-fidelity. Raises UsageError where that is not installed."""
    try:
        module = importlib.import_module(PACKAGE)
    except ImportError:
        raise UsageError(
            "the network of Inception-v3 comes from torch-fidelity, which is not installed",
            where=f"--features {NAME}",
            fix="pip install 'gan-plugin-inception[network]'",
        ) from None
    return module.FeatureExtractorInceptionV3(
        NAME, [WIDTH], feature_extractor_weights_path=weights
    ).eval()


def features_of(network: Any, images: Tensor) -> Tensor:
    """Return features, float64 `[N, 2048]`, of images `[N, 3|1, H, W]` in [-1, 1]."""
    (found,) = network(as_bytes(images))
    features: Tensor = found.double()
    return features


def as_bytes(images: Tensor) -> Tensor:
    """Return images `[N, 3, H, W]`, uint8: -1 is 0, and 1 is 255."""
    levels = images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.expand(-1, 3, -1, -1)
