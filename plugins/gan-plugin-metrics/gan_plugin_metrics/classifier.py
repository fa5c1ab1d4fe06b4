"""A small classifier of labelled reals: its probabilities, its features, and where it is kept."""

import json
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

import platformdirs
import torch
from attrs import frozen
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from gan_plugin_metrics.recognition import (
    CHUNK,
    LEAST,
    classify,
    first_of_each,
    fit,
    make_classifier,
    shrink,
)
from gancore import Data, DataError, UsageError, progress_bar

VERSION = 1  # raise it when the network or its training changes: kept ones are then not found
MOST = 5000  # reals that train and test it
EPOCHS = 10


@frozen(eq=False)
class Classifier:
    """A trained classifier of the first label set of some data.

    - `net`: maps images `[n, C, h, w]` to logits `[n, K]`.
    - `accuracy`: the share of held-out reals that it classifies correctly.
    - `shares`: of the classes among the reals, `[K]`.
    - `sha256`: of its weights.
    """

    net: nn.Sequential
    accuracy: float
    shares: Tensor
    sha256: str

    def probabilities(self, images: Tensor) -> Tensor:
        """Return class probabilities `[n, K]` of images `[n, C, H, W]` in [-1, 1]."""
        return classify(self.net, shrink(images))

    def features(self, images: Tensor) -> Tensor:
        """Return the inputs of the last layer, float64 `[n, 256]`."""
        with torch.no_grad():
            return self.net[:-1](shrink(images)).double()


def classifier_of(data: Data, seed: int = 0) -> Classifier:
    """Train a classifier of the data's first label set, or read the one that was trained before.

    Four fifths of at most 5000 distinct images train it, the rest test it. It is kept in the user's
    cache folder under a digest of the data, and may be deleted at any time. Raises UsageError for
    data without two classes, DataError for fewer than five distinct images.
    """
    expect_classes(data)
    classes = len(data.label_sets[0])
    rng = torch.Generator().manual_seed(seed)
    net = make_classifier(data.shape[0], classes, rng)
    path = place_of(data, seed)
    found = read(path, net)
    if found is None:
        found = train(net, data, rng)
        keep(path, net, *found)
    accuracy, shares = found
    return Classifier(net.eval(), accuracy, shares, weights_digest(net))


def expect_classes(data: Data) -> None:
    """Raise UsageError unless the data are images with at least two classes."""
    if len(data.shape) == 3 and data.label_sets and len(data.label_sets[0]) > 1:
        return
    raise UsageError(
        "a classifier needs images with labels of two classes or more, and the data have none",
        where="features classifier",
        fix="data with class folders or labels, or other features",
    )


def train(net: nn.Sequential, data: Data, rng: torch.Generator) -> tuple[float, Tensor]:
    """Train on four fifths of the distinct images; return the accuracy on the rest, and shares."""
    images, labels = data.take(torch.randperm(len(data), generator=rng)[:MOST], rng)
    labels = labels[:, 0]
    shares = labels.bincount(minlength=len(data.label_sets[0])) / len(labels)
    images = shrink(images)
    places = first_of_each(images)  # no image may be in both training and test set
    if len(places) < LEAST:
        raise DataError(
            f"a classifier needs {LEAST} distinct images, but the data give {len(places)}",
            where="features classifier",
            fix="more images, or other features",
        )
    fifth = len(places) // 5
    training = places[fifth:]
    for _ in progress_bar(range(EPOCHS), EPOCHS, "training a classifier of the reals, epochs"):
        fit(net, images[training], labels[training], 1, rng)
    right = classify(net, images[places[:fifth]]).argmax(1) == labels[places[:fifth]]
    return float(right.float().mean()), shares


def weights_digest(net: nn.Module) -> str:
    """Return the SHA-256 of all weights in their order."""
    digest = sha256()
    for each in net.state_dict().values():
        digest.update(each.contiguous().numpy().tobytes())
    return digest.hexdigest()


# ── kept in the user's cache folder ───────────────────────────────────────────────────────────────


def place_of(data: Data, seed: int) -> Path:
    """Return the file of the classifier of these data."""
    key = (VERSION, torch.__version__, data.fingerprint(), len(data), MOST, EPOCHS, CHUNK, seed)
    name = sha256(repr(key).encode()).hexdigest()
    return platformdirs.user_cache_path("gancore") / "classifiers" / f"{name}.safetensors"


def keep(path: Path, net: nn.Sequential, accuracy: float, shares: Tensor) -> None:
    """Write weights, accuracy and shares; do without the file where that fails."""
    about = json.dumps({"accuracy": accuracy, "shares": shares.tolist()})
    content = save(net.state_dict(), {"about": about})
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # under another name first: a reader never finds half a file
        with NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)


def read(path: Path, net: nn.Sequential) -> tuple[float, Tensor] | None:
    """Load the weights of a file into the network; None where there is no intact one."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
            net.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
        return None  # it is trained again
    return about["accuracy"], torch.tensor(about["shares"])
