"""The two best-known sets of idx files, by name: read from one folder, into which torchvision can fetch them."""

import os
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import platformdirs
import torch
from torch import Tensor

from gan_plugin_idx import CLOTHES, labels_beside, read_split, shown
from gancore import DataError, DataSpec, LabelSet, StoredData, UsageError, component, hookimpl, option, resize_images

SPLITS = {"train": ("train",), "test": ("t10k",), "all": ("train", "t10k")}  # in the words of their file names


class Known(NamedTuple):
    """A published set: the component's name, the class of torchvision that knows where it lies, and its classes."""

    name: str
    torchvision: str
    classes: tuple[str, ...]


DIGITS = Known("mnist", "MNIST", tuple("0123456789"))
FASHION = Known("fashion-mnist", "FashionMNIST", CLOTHES)


def folder_of(known: Known, path: str, base: Path) -> Path:
    """Return the folder of the files: the one given, or the user's own; within it torchvision's, if it is there."""
    folder = base / os.path.expanduser(path) if path else platformdirs.user_data_path("gancore") / known.name
    raw = folder / known.torchvision / "raw"
    return raw if os.path.isdir(raw) else folder


def images_of(folder: Path, part: str) -> Path | None:
    """Return the images file of a part of the set, unzipped where both are there, or None."""
    names = [f"{part}-images{dot}idx3-ubyte{end}" for end in ("", ".gz") for dot in "-."]
    return next((folder / name for name in names if os.path.isfile(folder / name)), None)


def missing(known: Known, folder: Path, parts: tuple[str, ...]) -> DataError:
    """Say which files were looked for, where they may be put, and what fetches them."""
    names = ", ".join(f"{part}-{what}-ubyte.gz" for part in parts for what in ("images-idx3", "labels-idx1"))
    what = f"{shown(folder)} lacks files of {known.name}; looked for {names}, zipped or not"
    fix = f"--{known.name}.download true, or put the files into that folder by hand"
    return DataError(what, where=f"{known.name}.path", fix=fix)


def fetch(known: Known, folder: Path, parts: tuple[str, ...]) -> None:
    """Fetch what is not there yet, checked by MD5. Raises UsageError without torchvision, DataError when offline."""
    where, by_hand = f"{known.name}.download", f"put the files into {shown(folder)} by hand"
    try:
        from torchvision import datasets
        from torchvision.datasets.utils import download_url
    except ImportError as error:
        what = f"torchvision, which fetches the files, cannot be imported: {error}"
        raise UsageError(what, where=where, fix=f"pip install torchvision, or {by_hand}") from error
    source, faults = getattr(datasets, known.torchvision), []
    for name, md5 in source.resources:
        if not name.startswith(parts) or os.path.isfile(folder / name.removesuffix(".gz")):
            continue
        for mirror in source.mirrors:
            try:
                download_url(f"{mirror}{name}", folder, md5=md5)  # leaves a file alone whose MD5 is right
                break
            except (OSError, RuntimeError, HTTPException) as error:
                faults.append(f"{mirror}{name}: {error}")
        else:
            what = f"{name} cannot be fetched (is this machine online?): {'; '.join(faults)}"
            raise DataError(what, where=where, fix=f"try again, or {by_hand}")


def read_part(known: Known, images: Path) -> tuple[Tensor, Tensor]:
    """Read images uint8 `[M, 1, 28, 28]` and labels int64 `[M, 1]`. Raises DataError for what cannot be this set."""
    pixels, labels = read_split(images)
    if pixels.shape[1:] != (1, 28, 28):
        what = f"{images.name} holds images of {'×'.join(map(str, pixels.shape[1:]))}, but {known.name}'s are 1×28×28"
        raise DataError(what, where=shown(images), fix="--data idx reads images of any size")
    if labels is None or labels.max() > 9:
        what = "has no labels beside it" if labels is None else f"has a label {labels.max()}, but 0 to 9 are known"
        raise DataError(f"{images.name} {what}", where=shown(images), fix="get both files again")
    return pixels, labels


def read_known(known: Known, folder: Path, split: str, download: bool, size: tuple[int, int] | None) -> StoredData:
    """Read the parts of a split that are there, fetched before if so wished. Raises DataError where none is."""
    parts = SPLITS[split]
    if download:
        fetch(known, folder, parts)
    found = [images for part in parts if (images := images_of(folder, part))]
    if not found or any(labels_beside(images) is None for images in found):
        raise missing(known, folder, parts)
    pixels, labels = zip(*(read_part(known, images) for images in found), strict=True)
    images = torch.cat([resize_images(each, size) for each in pixels])
    return StoredData(images, torch.cat(labels), (LabelSet("class", known.classes),))


@component(source="LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998")
class Mnist:
    """Read MNIST: 70,000 handwritten digits, grey, 28×28, labelled 0 to 9.

    Images are uint8 `[M, 1, 28, 28]`, or resized to the size asked for; bytes 0 to 255 become [-1, 1]. 60,000 are the
    training set, 10,000 the test set. Nothing is fetched unless asked for. Raises DataError where no files are, with
    their names and the folder they belong into, and for every file that is broken.
    """

    path: str = option("", help="folder of the four idx files; empty: mnist in the user's data folder of gancore")
    split: str = option("all", choices=SPLITS, help="which images; all: train and test, or the one that is there")
    download: bool = option(False, help="fetch missing files into that folder by means of torchvision")

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        return read_known(DIGITS, folder_of(DIGITS, self.path, spec.folder), self.split, self.download, spec.size)


@component(
    source="Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
    known_as={"fashion": "", "fmnist": ""},
)
class FashionMnist:
    """Read Fashion-MNIST: 70,000 pictures of clothes, grey, 28×28, in ten classes.

    Images are uint8 `[M, 1, 28, 28]`, or resized to the size asked for; bytes 0 to 255 become [-1, 1]. 60,000 are the
    training set, 10,000 the test set. The files bear the names of MNIST's, so each set needs a folder of its own.
    Nothing is fetched unless asked for. Raises DataError as `mnist` does.
    """

    path: str = option(
        "", help="folder of the four idx files; empty: fashion-mnist in the user's data folder of gancore"
    )
    split: str = option("all", choices=SPLITS, help="which images; all: train and test, or the one that is there")
    download: bool = option(False, help="fetch missing files into that folder by means of torchvision")

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        return read_known(FASHION, folder_of(FASHION, self.path, spec.folder), self.split, self.download, spec.size)
