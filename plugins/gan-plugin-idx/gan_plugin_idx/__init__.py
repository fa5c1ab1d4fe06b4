"""Images and labels in idx files, the format of MNIST, Fashion-MNIST, KMNIST and EMNIST."""

import gzip
import os
import re
import struct
import zlib
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from logging import getLogger
from math import prod, sqrt
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from gancore import (
    DataError,
    DataSpec,
    LabelSet,
    StoredData,
    UsageError,
    cached,
    component,
    hookimpl,
    option,
    resize_images,
)

IMAGES = re.compile(r"(.+)-images([-.])idx[34]-ubyte(\.gz)?", re.DOTALL)
# The four bytes of the magic number are 0, 0, the type (8: unsigned bytes) and the dimensions.
KINDS = {0x801: "labels", 0x803: "images", 0x804: "colour images"}
# fmt: off
CLOTHES = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle-boot",
)
# fmt: on
DEPTH = 4  # levels of sub-folders to search
RATIO = 1032  # the highest compression ratio of deflate, from zlib's technical details


def shown(path: Path | str) -> str:
    """Escape the control characters and lone surrogates of a path."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(path))


def refuse(error: OSError) -> None:
    """Raise DataError for a folder that cannot be listed."""
    raise DataError(f"{shown(error.filename)} cannot be listed: {error.strerror}", where="idx.path")


def walk(root: Path) -> Iterator[Path]:
    """Yield the regular files below `root`, at most DEPTH folders deep.

    Hidden and linked folders are skipped.
    """
    for folder, folders, names in os.walk(root, onerror=refuse):
        deeper = len(Path(folder).relative_to(root).parts) < DEPTH
        # in place: os.walk goes on with what is left in this list
        folders[:] = sorted(name for name in folders if deeper and name[0] != ".")
        for name in names:
            path = Path(folder, name)
            if path.is_file():
                yield path


def find_splits(root: Path) -> dict[str, Path]:
    """Return the images file of each split below `root`, preferring uncompressed ones.

    Raises DataError if there is none.
    """
    splits: dict[str, Path] = {}
    for path in sorted(walk(root), key=os.fsencode):  # the unzipped file comes first
        if found := IMAGES.fullmatch(path.name):
            first = splits.setdefault(found[1], path)
            if first.parent != path.parent:
                what = f"one split lies in two folders: {shown(first)} and {shown(path)}"
                raise DataError(what, where="idx.path", fix="give one folder")
    if not splits:
        what = f"no …-images-idx3-ubyte or …-images-idx3-ubyte.gz in {shown(root)}"
        raise DataError(what, where="idx.path", fix="give the folder that holds them")
    return splits


def choose(splits: dict[str, Path], split: str) -> list[Path]:
    """Return the images files of a split: one, or two for `both`.

    Raises DataError if the split does not exist.
    """
    usual = [name for name in ("train", "t10k", "test") if name in splits]
    if split == "auto":
        names = usual[:1] or list(splits)
    elif split == "both":
        names = usual[:2] or list(splits)
    else:
        names = [split]
    wanted = 2 if split == "both" else 1
    if len(names) == wanted and set(names) <= set(splits):
        return [splits[name] for name in names]
    found = shown(", ".join(splits))
    near = shown(get_close_matches(split, splits, n=1, cutoff=0)[0])
    what = f"split is {shown(split)}, but there is {found}"
    raise DataError(what, where="idx.split", fix=f"--idx.split {near}")


def labels_beside(images: Path) -> Path | None:
    """Return the labels file that belongs to an images file, or None."""
    if not (found := IMAGES.fullmatch(images.name)):
        return None
    for end in ("", ".gz"):
        for dot in "-.":  # "t10k-labels-idx1-ubyte" and "t10k-labels.idx1-ubyte" both occur
            path = images.with_name(f"{found[1]}-labels{dot}idx1-ubyte{end}")
            if path.is_file():
                return path
    return None


def read_exactly(file: IO[bytes], count: int, part: str) -> bytearray:
    """Read exactly `count` bytes; memory grows only as they arrive.

    Raises DataError if there are fewer.
    """
    read = bytearray()
    while len(read) < count:
        piece = file.read(min(1 << 20, count - len(read)))
        if not piece:
            raise DataError(
                f"is truncated: it ends after {len(read)} of the {count} bytes of its {part}"
            )
        read += piece
    return read


def parse(file: IO[bytes], largest: int, *wanted: int) -> np.ndarray:
    """Read one array of at most `largest` bytes that begins with one of the `wanted` magic numbers.

    Raises DataError for anything else.
    """
    (magic,) = struct.unpack(">I", read_exactly(file, 4, "header"))
    if magic not in wanted:
        what = KINDS.get(magic, "no idx file of bytes")
        raise DataError(
            f"begins with 0x{magic:08x} ({what}) instead of 0x{wanted[0]:08x} ({KINDS[wanted[0]]})"
        )
    sizes = struct.unpack(f">{magic & 0xFF}I", read_exactly(file, 4 * (magic & 0xFF), "header"))
    # the stated size is checked before memory is taken for it; Python integers do not overflow
    total = prod(sizes)
    stated = " × ".join(map(str, sizes)) + f" = {total} bytes"
    if not total:
        raise DataError(f"is empty: it states {stated}")
    if total > largest:
        raise DataError(f"is truncated or corrupt: it states {stated}, but holds at most {largest}")
    content = read_exactly(file, total, "content")
    if file.read(1):
        raise DataError(f"is corrupt: it states {stated}, but goes on after them")
    return np.frombuffer(content, np.uint8).reshape(sizes)


def read_idx(path: Path, *wanted: int) -> np.ndarray:
    """Read an idx file with one of the `wanted` magic numbers; gzipped if its name ends in .gz.

    Raises DataError.
    """
    zipped = path.suffix.lower() == ".gz"
    try:
        size = path.stat().st_size
        with gzip.open(path) if zipped else path.open("rb") as file:
            return parse(file, size * RATIO if zipped else size, *wanted)
    except DataError as error:
        what = error.what
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        what = f"is truncated or corrupt: {error}"
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    raise DataError(f"{shown(path.name)} {what}", where=shown(path), fix="get the file again")


def read_split(images: Path) -> tuple[Tensor, Tensor | None]:
    """Read one split: images uint8 `[M, C, H, W]` and labels int64 `[M, 1]`.

    Labels are None without a labels file. Raises DataError for a corrupt file, and if there are not
    as many labels as images.
    """
    pixels = torch.from_numpy(read_idx(images, 0x803, 0x804))
    pixels = pixels[:, None] if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2)
    if pixels.shape[1] not in (1, 3):
        raise DataError(
            f"{shown(images.name)} has {pixels.shape[1]} channels, not 1 or 3", where=shown(images)
        )
    beside = labels_beside(images)
    if beside is None:
        return pixels, None
    labels = torch.from_numpy(read_idx(beside, 0x801)).long()[:, None]
    if len(labels) != len(pixels):
        where = f"{shown(images)} and {shown(beside.name)}"
        raise DataError(
            f"{len(pixels)} images, but {len(labels)} labels",
            where=where,
            fix="get both files again",
        )
    return pixels, labels


def size_to_train(height: int, width: int, spec: DataSpec) -> tuple[int, int] | None:
    """Return the (height, width) at which images are read; None for their own.

    Without a size given, images of sides longer than 1.5·√area pixels get about `spec.area`.
    """
    if spec.size is not None or max(height, width) <= 1.5 * sqrt(spec.area):
        return spec.size
    scale = sqrt(spec.area / (height * width))
    # multiples of 4, which networks can halve twice without a remainder
    sides = [max(8, 4 * round(side * scale / 4)) for side in (height, width)]
    chosen = (sides[0], sides[1])
    getLogger("gancore").warning(
        "images are %d×%d; training at %d×%d pixels (--size HxW for another)",
        height,
        width,
        *chosen,
    )
    return chosen


@component(
    source=(
        "LeCun, Cortes and Burges, The MNIST database of handwritten digits, 1998: the idx format"
    )
)
class Idx:
    """Read images and labels from idx files, gzipped or not: the format of MNIST.

    Images are uint8 `[M, 1, H, W]` (or 3 channels, from files of four dimensions); bytes 0 to 255
    are mapped to [-1, 1]. The labels file next to them becomes the label set `class`, with classes
    "0", "1", … up to the largest label; without one there are no labels. In a folder called fashion
    or Fashion-MNIST, or its `raw`, the classes have the names of that data set; `classes` names
    those of another. A file is used only if magic number, sizes and content agree to the byte.
    Without a size given, images of more than 96 pixels a side are made smaller, to about 64·64
    pixels; in a run on a GPU, those of more than 192 to about 128·128.
    """

    path: str = option("", help="folder of the files, searched 4 levels deep, or one images file")
    split: str = option(
        "auto",
        help="train, t10k, … (the name before -images); auto: train if present; both: joined",
    )
    classes: tuple[str, ...] = option(
        (), help="names of the classes in the order of their labels; empty: as described above"
    )

    # Set by make_data, for chosen_size.
    size: tuple[int, ...] | None = cached()

    def names(self, images: Path, largest: int) -> tuple[str, ...]:
        """Return the names of classes 0 to `largest`.

        Raises UsageError for too few or repeated names.
        """
        if not self.classes:
            parents = images.absolute().parts[-3:-1]
            folders = [re.sub("[^a-z]", "", part.lower()) for part in parents]
            known = largest < len(CLOTHES) and {"fashion", "fashionmnist"} & set(folders)
            return CLOTHES if known else tuple(map(str, range(largest + 1)))
        if len(self.classes) <= largest or len(set(self.classes)) < len(self.classes):
            named = len(set(self.classes))
            what = f"{named} different names are given, but the labels go up to {largest}"
            fix = f"name {largest + 1} classes, or leave it out"
            raise UsageError(what, where="idx.classes", fix=fix)
        return self.classes

    def files(self, base: Path) -> list[Path]:
        """Return the images files to read.

        Raises UsageError if the path does not exist, DataError if it has no such files.
        """
        path = base / os.path.expanduser(self.path)
        if self.path and os.path.isdir(path):
            return choose(find_splits(path), self.split)
        if os.path.isfile(path):
            return [path]
        beside = [each.name for each in path.parent.glob("*")]
        near = get_close_matches(path.name, beside, n=1)
        wanted = shown(path.parent / near[0]) if near else "FOLDER"
        what = f"{shown(path)} does not exist" if self.path else "idx.path is empty"
        raise UsageError(what, where="idx.path", fix=f"--data {wanted}")

    @hookimpl
    def recognizes(self, path: Path) -> int:
        try:
            # the first 2000 files show it: a folder of a million images is not searched to its end
            files = [path] if os.path.isfile(path) else islice(walk(path), 2000)
            return 2 if any(IMAGES.fullmatch(file.name) for file in files) else 0
        except DataError:
            return 0

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        files = self.files(spec.folder)
        parts = [read_split(file) for file in files]
        size = size_to_train(*parts[0][0].shape[2:], spec)
        images = [resize_images(pixels, size) for pixels, _ in parts]
        self.size = tuple(images[0].shape[2:])
        labels = [each for _, each in parts if each is not None]
        if len({each.shape[1:] for each in images}) > 1 or len(labels) not in (0, len(parts)):
            what = "the splits differ in the shape of their images, or only one has labels"
            raise DataError(what, where=shown(self.path), fix="--idx.split auto reads one alone")
        if not labels:
            return StoredData(torch.cat(images))
        column = torch.cat(labels)
        names = self.names(files[0], int(column.max()))
        return StoredData(torch.cat(images), column, (LabelSet("class", names),))

    @hookimpl
    def chosen_size(self) -> tuple[int, ...] | None:
        return self.size
