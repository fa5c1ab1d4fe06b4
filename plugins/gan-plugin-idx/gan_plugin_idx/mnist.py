"""MNIST and Fashion-MNIST by name, read from a folder or downloaded with torchvision."""

import os
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import platformdirs
import torch
from torch import Tensor

from gan_plugin_idx import CLOTHES, labels_beside, read_split, shown
from gancore import (
    DataError,
    DataSpec,
    LabelSet,
    StoredData,
    UsageError,
    component,
    hookimpl,
    option,
    resize_images,
)

# as in their file names
SPLITS = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}


class Known(NamedTuple):
    """A published data set: the component's name, its class in torchvision, and its class names."""

    name: str
    torchvision: str
    classes: tuple[str, ...]


DIGITS = Known("mnist", "MNIST", tuple("0123456789"))
FASHION = Known("fashion-mnist", "FashionMNIST", CLOTHES)


def folder_of(known: Known, path: str, base: Path) -> Path:
    """Return the folder of the files: the given one, or that in the user's data folder.

    Inside of it torchvision's own folder is used, if it exists.
    """
    folder = (
        base / os.path.expanduser(path)
        if path
        else platformdirs.user_data_path("gancore") / known.name
    )
    raw = folder / known.torchvision / "raw"
    return raw if os.path.isdir(raw) else folder


def images_of(folder: Path, part: str) -> Path | None:
    """Return the images file of a part of the data set, preferring an uncompressed one, or None."""
    for end in ("", ".gz"):
        for dot in "-.":  # both spellings occur, as for labels
            path = folder / f"{part}-images{dot}idx3-ubyte{end}"
            if os.path.isfile(path):
                return path
    return None


def missing(known: Known, folder: Path, parts: tuple[str, ...]) -> DataError:
    """Return an error with the missing files, their folder, and the option to download them."""
    pairs = [f"{part}-images-idx3-ubyte.gz, {part}-labels-idx1-ubyte.gz" for part in parts]
    names = ", ".join(pairs)
    what = f"{shown(folder)} lacks files of {known.name}; looked for {names}, zipped or not"
    fix = f"--{known.name}.download true, or put the files into that folder by hand"
    return DataError(what, where=f"{known.name}.path", fix=fix)


def fetch(known: Known, folder: Path, parts: tuple[str, ...]) -> None:
    """Download missing files, verified by MD5.

    Raises UsageError without torchvision, DataError when offline.
    """
    where = f"{known.name}.download"
    by_hand = f"put the files into {shown(folder)} by hand"
    try:
        from torchvision import datasets
        from torchvision.datasets.utils import download_url
    except ImportError as error:
        what = f"torchvision, which downloads the files, cannot be imported: {error}"
        raise UsageError(what, where=where, fix=f"pip install torchvision, or {by_hand}") from error
    source = getattr(datasets, known.torchvision)
    for name, md5 in source.resources:
        if not name.startswith(parts) or os.path.isfile(folder / name.removesuffix(".gz")):
            continue
        faults = []
        for mirror in source.mirrors:
            try:
                # keeps a file whose MD5 is right
                download_url(f"{mirror}{name}", folder, md5=md5)
                break
            except (OSError, RuntimeError, HTTPException) as error:
                faults.append(f"{mirror}{name}: {error}")
        else:  # no mirror gave the file
            what = f"{name} cannot be downloaded (is this machine online?): {'; '.join(faults)}"
            raise DataError(what, where=where, fix=f"try again, or {by_hand}")


def read_part(known: Known, images: Path) -> tuple[Tensor, Tensor]:
    """Read images uint8 `[M, 1, 28, 28]` and labels int64 `[M, 1]`.

    Raises DataError for files that are not of this data set.
    """
    pixels, labels = read_split(images)
    if pixels.shape[1:] != (1, 28, 28):
        shape = "×".join(map(str, pixels.shape[1:]))
        what = f"{images.name} holds images of {shape}, but {known.name}'s are 1×28×28"
        raise DataError(what, where=shown(images), fix="--data idx reads images of any size")
    if labels is None or labels.max() > 9:
        what = (
            "has no labels beside it"
            if labels is None
            else f"has a label {labels.max()}, but 0 to 9 are known"
        )
        raise DataError(f"{images.name} {what}", where=shown(images), fix="get both files again")
    return pixels, labels


def read_known(
    known: Known, folder: Path, split: str, download: bool, size: tuple[int, int] | None
) -> StoredData:
    """Read the available parts of a split, after a download if requested.

    Raises DataError if there are none.
    """
    parts = SPLITS[split]
    if download:
        fetch(known, folder, parts)
    found = []
    for part in parts:
        path = images_of(folder, part)
        if path is not None:  # one of the two parts is enough
            found.append(path)
    # `read_split` takes images without labels, which a published set never lacks
    if not found or None in map(labels_beside, found):
        raise missing(known, folder, parts)
    read = [read_part(known, images) for images in found]
    pixels, labels = zip(*read, strict=True)
    images = torch.cat([resize_images(each, size) for each in pixels])
    return StoredData(images, torch.cat(labels), (LabelSet("class", known.classes),))


@component(
    source="LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998",
    provides=["glyphs"],
)
class Mnist:
    """Read MNIST: 70,000 greyscale images of handwritten digits, 28×28, labelled 0 to 9.

    Images are uint8 `[M, 1, 28, 28]`, or resized to the requested size; bytes 0 to 255 are mapped
    to [-1, 1]. The training set has 60,000 images, the test set 10,000. Files are downloaded only
    on request. Raises DataError for missing files, with their names and folder, and for corrupt
    ones.
    """

    path: str = option(
        "", help="folder of the four idx files; empty: mnist in the user's data folder of gancore"
    )
    split: str = option(
        "all", choices=SPLITS, help="images to read; all: train and test, or the available one"
    )
    download: bool = option(False, help="download missing files into that folder with torchvision")

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        return read_known(
            DIGITS, folder_of(DIGITS, self.path, spec.folder), self.split, self.download, spec.size
        )


@component(
    source="Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
    known_as={"fashion": "", "fmnist": ""},
)
class FashionMnist:
    """Read Fashion-MNIST: 70,000 greyscale images of clothes, 28×28, in ten classes.

    Images are uint8 `[M, 1, 28, 28]`, or resized to the requested size; bytes 0 to 255 are mapped
    to [-1, 1]. The training set has 60,000 images, the test set 10,000. The files have the same
    names as MNIST's, so each data set needs a folder of its own. Files are downloaded only on
    request. Raises DataError as `mnist` does.
    """

    path: str = option(
        "",
        help=(
            "folder of the four idx files; "
            "empty: fashion-mnist in the user's data folder of gancore"
        ),
    )
    split: str = option(
        "all", choices=SPLITS, help="images to read; all: train and test, or the available one"
    )
    download: bool = option(False, help="download missing files into that folder with torchvision")

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        return read_known(
            FASHION,
            folder_of(FASHION, self.path, spec.folder),
            self.split,
            self.download,
            spec.size,
        )
