"""CIFAR-10 in its binary version, from a folder or directly from the archive."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path, PurePosixPath

import platformdirs
import torch
from torch import Tensor

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

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = ("test_batch.bin",)
SPLITS = {"train": TRAIN, "test": TEST, "all": TRAIN + TEST}
RECORDS = 10_000  # of a batch
RECORD = 1 + 3 * 32 * 32  # bytes: the label, then the red, green and blue channel by rows
PAGE = "https://www.cs.toronto.edu/~kriz"
ARCHIVE = "cifar-10-binary.tar.gz"
UNPACKED = "cifar-10-batches-bin"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
# names of the Python version and its members
PICKLED = ("cifar-10-python.tar.gz", "cifar-10-batches-py", "data_batch_1", "batches.meta")


def shown(path: Path | str) -> str:
    """Escape the control characters and lone surrogates of a path."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(path))


def broken(path: Path, what: str) -> DataError:
    """Return an error about a damaged file."""
    fix = f"get {ARCHIVE} again from {PAGE}/cifar.html"
    return DataError(f"{shown(path.name)} {what}", where=shown(path), fix=fix)


def pickled(path: Path) -> DataError:
    """Return the error for CIFAR-10's Python version, whose pickles are never opened."""
    what = f"{shown(path)} is CIFAR-10's Python version, pickles: opening them runs code"
    return DataError(what, where="cifar10.path", fix=f"get {ARCHIVE} from {PAGE}/cifar.html")


def find(path: Path) -> Path | None:
    """Return the folder of batches or the archive at `path`; None if there is neither.

    Raises DataError for pickles.
    """
    if path.name in PICKLED:
        raise pickled(path)
    if os.path.isfile(path):  # unlike Path.is_file, False without permission
        return path
    for folder in (path, path / UNPACKED):
        if any(os.path.isfile(folder / name) for name in SPLITS["all"]):
            return folder
    if os.path.isfile(path / ARCHIVE):
        return path / ARCHIVE
    if found := [path / name for name in PICKLED if os.path.exists(path / name)]:
        raise pickled(found[0])
    return None


def fetch(folder: Path) -> Path:
    """Download the archive, verified by MD5.

    Raises UsageError without torchvision, DataError when offline.
    """
    where = "cifar10.download"
    by_hand = f"put {ARCHIVE} from {PAGE}/cifar.html into {shown(folder)} by hand"
    try:
        from torchvision.datasets.utils import download_url
    except ImportError as error:
        what = f"torchvision, which downloads the archive, cannot be imported: {error}"
        raise UsageError(what, where=where, fix=f"pip install torchvision, or {by_hand}") from error
    try:
        download_url(f"{PAGE}/{ARCHIVE}", folder, md5=MD5)
    except (OSError, RuntimeError, HTTPException) as error:
        what = f"{PAGE}/{ARCHIVE} cannot be downloaded (is this machine online?): {error}"
        raise DataError(what, where=where, fix=f"try again, or {by_hand}") from error
    return folder / ARCHIVE


def check_size(path: Path, size: int) -> None:
    """Raise DataError unless a batch has the size of all its records."""
    if size != RECORDS * RECORD:
        expected = f"{RECORDS * RECORD:,} ({RECORDS:,} records of {RECORD:,})"
        raise broken(path, f"has {size:,} bytes, but a batch has {expected}")


def read_folder(folder: Path, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of the wanted batches in a folder."""
    for name in names:
        path = folder / name
        if not os.path.isfile(path):  # unlike Path.is_file, False without permission
            continue
        # before a file of any size is read into memory
        check_size(path, path.stat().st_size)
        try:
            yield path.name, path.read_bytes()
        except OSError as error:
            raise broken(path, f"cannot be read: {error.strerror}") from error


def read_archive(path: Path, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of the wanted batches in an archive, without unpacking it."""
    try:
        with gzip.open(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name in PICKLED[2:]:
                    raise pickled(path)
                if name in names and member.isfile():
                    # the stated size, before so much is taken from the archive
                    check_size(path / name, member.size)
                    yield name, archive.extractfile(member).read()
            while file.read(1 << 20):  # read to the end, where gzip's checksum is
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise broken(path, f"is truncated, corrupt or no .tar.gz: {error}") from error


def parse(content: bytes, path: Path) -> tuple[Tensor, Tensor]:
    """Split a batch into images uint8 `[M, 3, 32, 32]` and labels int64 `[M, 1]`.

    Raises DataError for labels above 9.
    """
    check_size(path, len(content))
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(RECORDS, RECORD)
    labels = records[:, :1].long()
    if (wrong := (labels[:, 0] >= len(CLASSES)).nonzero()).numel():
        first = int(wrong[0])
        what = f"has label {int(labels[first])} in record {first}, counted from 0"
        raise broken(path, f"{what}; 0 to 9 are known")
    return records[:, 1:].reshape(RECORDS, 3, 32, 32), labels


@component(
    source=(
        "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, "
        "2009, the binary version"
    ),
    known_as={"cifar": ""},
)
class Cifar10:
    """Read CIFAR-10: 60,000 colour photographs, 32×32, in ten classes.

    Images are uint8 `[M, 3, 32, 32]`, or resized to the requested size; bytes 0 to 255 are mapped
    to [-1, 1]. The training set has 50,000 images, the test set 10,000, in the order of the
    batches. The archive is read without unpacking it. The Python version is refused without opening
    it, because unpickling runs code. Files are downloaded only on request. Raises DataError if
    there are no batches, and for a batch that is missing, of another size, or has a label above 9.
    """

    path: str = option(
        "", help=f"{ARCHIVE}, or the folder that holds it or its .bin files; empty: the user's own"
    )
    split: str = option(
        "train", choices=SPLITS, help="images to read: 50,000, 10,000 or both in this order"
    )
    download: bool = option(
        False, help="download the archive (170 MB) into that folder with torchvision"
    )

    def place(self, base: Path) -> Path:
        """Return the folder or archive to read, after a download if requested.

        Raises DataError if there is none.
        """
        own = platformdirs.user_data_path("gancore") / "cifar10"
        path = base / os.path.expanduser(self.path) if self.path else own
        place = find(path)
        if self.download and place in (None, path / ARCHIVE):
            return fetch(path)  # keeps an archive whose MD5 is right
        if place is None:
            what = (
                f"{shown(path)} holds no CIFAR-10; "
                f"looked for {ARCHIVE} and {', '.join(SPLITS[self.split])}"
            )
            fix = f"--cifar10.download true, or put {ARCHIVE} from {PAGE}/cifar.html there by hand"
            raise DataError(what, where="cifar10.path", fix=fix)
        return place

    @hookimpl
    def recognizes(self, path: Path) -> int:
        try:
            found = find(path)
        except DataError:
            return 2  # chosen, so that its error is shown
        return 2 if found and (found.name == ARCHIVE or found.is_dir()) else 0

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        place = self.place(spec.folder)
        names = SPLITS[self.split]
        read = read_folder if place.is_dir() else read_archive
        batches: dict[str, tuple[Tensor, Tensor]] = {}
        for name, content in read(place, names):
            if name in batches:
                raise broken(place, f"holds {name} twice")
            images, labels = parse(content, place / name)
            batches[name] = resize_images(images, spec.size), labels
        if lacking := [name for name in names if name not in batches]:
            raise broken(place, f"lacks {', '.join(lacking)}")
        # in the order of the names: an archive may hold its members in another
        images, labels = zip(*map(batches.__getitem__, names), strict=True)
        return StoredData(torch.cat(images), torch.cat(labels), (LabelSet("class", CLASSES),))
