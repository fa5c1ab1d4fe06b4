"""Decoded images in a file of the user's cache folder, mapped rather than loaded, and used again on the next start."""

import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EIO
from hashlib import blake2b
from io import BytesIO
from logging import getLogger
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
import platformdirs
import torch
from filelock import FileLock, Timeout
from numpy.lib.format import open_memmap, read_array, write_array, write_array_header_1_0

from gan_plugin_image_folder.attempts import attempt, quiet
from gan_plugin_image_folder.files import Files
from gan_plugin_image_folder.folder import path_of, shown
from gan_plugin_image_folder.held import Memory
from gan_plugin_image_folder.images import About, Form, How, Images, digest_of, equal_ones
from gan_plugin_image_folder.picture import decode
from gancore import DataError, progress_bar

LAYOUT = 4  # raised when decoding or the layout of the file changes
PROBES = 8  # image files that are decoded once more and compared before the images kept of them are used
PIECE = 1 << 24  # bytes of a file that are summed at a time
SUM = 8  # letters at the end of a file: the CRC-32 of all that is before, in hexadecimal
PAYS = 2.0  # seconds that decoding takes at least where keeping a copy of the images pays
SECONDS_A_FILE, SECONDS_A_BYTE = 1e-3, 3e-8  # of decoding, as measured with small PNG files and with photographs


class Place(NamedTuple):
    """Where decoded images are kept, of which files, and how they were decoded."""

    path: Path
    root: str
    files: Files
    how: How

    def pays(self) -> bool:
        """Whether decoding these files takes so long that a copy of the images is worth its room on the disk."""
        held = int(self.files.stamps[:, 0].clip(min=0).sum())
        return len(self.files) * SECONDS_A_FILE + held * SECONDS_A_BYTE >= PAYS


def place_for(root: str, files: Files, how: How) -> Place:
    """Return the place of the decoded images of these files in the user's cache folder."""
    return Place(path_for(root, files, how), root, files, how)


def path_for(root: str, files: Files, how: How) -> Path:
    """Return where these files are cached: a name made of their paths, sizes, times and of all that shapes them."""
    digest = blake2b(repr((LAYOUT, PIL.__version__, os.path.realpath(root), how)).encode(), digest_size=16)
    for part in (files.spelling, files.bounds, files.stamps):
        digest.update(part)
    return platformdirs.user_cache_path("gancore") / "images" / f"{digest.hexdigest()}.npy"


def header(count: int, form: Form) -> dict[str, object]:
    """Describe the array as a .npy file does; numpy pads it, so that its length does not depend on the count."""
    return {"descr": "|u1", "fortran_order": False, "shape": (count, *form)}


class Disk:
    """Images on their way into a file: written under another name, renamed when whole, removed when not.

    One process of a machine at a time does so; where another has done it meanwhile, `made` are its images.
    """

    def __init__(self, place: Place, form: Form) -> None:
        self.place, self.path, self.form, self.used, self.held = place, place.path, form, 0, ExitStack()
        self.sum = 0

    def __enter__(self) -> "Disk":
        with told(self.path), self.held:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.held.enter_context(alone(self.path))
            self.made = open_cached(self.place)
            self.file = tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=f"{self.path.stem}.", delete=False)  # noqa: SIM115
            write_array_header_1_0(self.file, header(0, self.form))
            self.held = self.held.pop_all()  # kept until the end, now that nothing failed
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # what could not be written cannot be flushed either
            self.file.close()
        Path(self.file.name).unlink(missing_ok=True)
        self.held.close()

    def add(self, rows: np.ndarray) -> None:
        with told(self.path):
            self.write(rows.tobytes())
        self.used += len(rows)

    def write(self, content: bytes) -> None:
        self.file.write(content)
        self.sum = zlib.crc32(content, self.sum)

    def keep(self, about: About) -> Images:
        """Write what the files are behind the pixels and open the whole. Raises DataError where it cannot be read."""
        with told(self.path):
            self.write(behind(about))
            head = head_of(self.used, self.form)
            self.file.write(f"{zlib.crc32(head, self.sum):0{SUM}x}".encode())
            self.file.seek(0)
            self.file.write(head)
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.file.name, self.path)
            images = open_cached(self.place, probes=0)
            if images is None:
                raise OSError(EIO, "it reads otherwise than it was written")
        about_it = f"{self.used} images ({self.path.stat().st_size / 1e6:.1f} MB) are kept in {shown(str(self.path))}"
        getLogger("gancore").warning("%s", about_it)
        return images


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise DataError for what the system refuses."""
    try:
        yield
    except OSError as error:
        what = f"decoded images cannot be kept in {shown(str(path.parent))}: {error.strerror}"
        mend = "make room there, or --image-folder.cache memory"
        raise DataError(what, where="image-folder.cache", mend=mend) from None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes of this machine from making the same file; wait, and say so, while another makes it.

    Where the file system knows no locks, each makes it for itself: it is renamed when whole, so that none is torn.
    """
    lock = FileLock(path.with_suffix(".lock"))
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            here = shown(str(path))
            getLogger("gancore").warning("another process decodes these images into %s: waiting for it", here)
            lock.acquire()
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held, so that none waits for a file without a name
            os.unlink(lock.lock_file)
        lock.release()


class Copied:
    """Images in memory, of which a copy is written into a file too; where that fails, training goes on without it."""

    def __init__(self, memory: Memory, disk: Disk) -> None:
        self.memory, self.disk, self.made = memory, disk, None
        self.writes = True

    def __enter__(self) -> "Copied":
        self.tried(self.disk.__enter__)
        if self.writes and self.disk.made is not None:
            self.made = in_memory(self.disk.made)
        return self

    def __exit__(self, *error: object) -> None:
        if self.writes:
            self.disk.__exit__(*error)

    def add(self, rows: np.ndarray) -> None:
        self.memory.add(rows)
        self.tried(lambda: self.disk.add(rows))

    def keep(self, about: About) -> Images:
        self.tried(lambda: self.disk.keep(about))
        return self.memory.keep(about)

    def tried(self, write: Callable[[], object]) -> None:
        """Write, unless that failed before; say so where it fails now."""
        if not self.writes:
            return
        try:
            write()
        except DataError as error:
            self.writes = False
            if hasattr(self.disk, "file"):
                self.disk.__exit__()
            getLogger("gancore").warning("%s; they will be decoded again at the next start", error.what)


def behind(about: About) -> bytes:
    """Return what follows the pixels in a file."""
    buffer = BytesIO()
    write_array(buffer, about.digests)
    return buffer.getvalue() + json.dumps([about.lines, about.faults]).encode()


def head_of(count: int, form: Form) -> bytes:
    """Return what precedes the pixels in a file."""
    buffer = BytesIO()
    write_array_header_1_0(buffer, header(count, form))
    return buffer.getvalue()


def in_memory(images: Images) -> Images:
    """Return mapped images as a tensor of their own."""
    return Images(torch.from_numpy(np.array(images.samples)), images.about)


def open_cached(place: Place, probes: int = PROBES) -> Images | None:
    """Map the images that are kept; None where there are none, and for what is torn, damaged or not ours.

    The sum over the whole file is compared with the one written into it. Of so many `probes`, image files spread
    evenly over the set, the pixels are compared with those of the files as they are now.
    """
    try:
        samples = open_memmap(place.path, mode="r")
        if samples.dtype != np.uint8 or samples.ndim != 4:
            return None
        with place.path.open("rb") as file:
            head = file.read(samples.offset)
            file.seek(samples.nbytes, os.SEEK_CUR)
            rest, stated = split_sum(file.read())
        if stated != sum_of(head, samples, rest):
            return None
        follows = BytesIO(rest)
        digests = read_array(follows)
        lines, faults = json.loads(follows.read())
        if digests.shape != (len(place.files) - len(faults), 16):
            return None
        equal = equal_ones(digests) if len(samples) < len(digests) else None
        if len(samples) != (len(digests) if equal is None else len(equal.firsts)):
            return None
        images = Images(samples, About(digests, lines, faults))
        return images if as_they_are(place, images, probes) else None
    except Exception:  # numpy raises nearly anything for a header that is damaged
        return None


def split_sum(content: bytes) -> tuple[bytes, int]:
    """Part the sum at the end of a file from what is before. Raises ValueError where it is no number."""
    return content[:-SUM], int(content[-SUM:], 16)


def sum_of(head: bytes, samples: np.ndarray, rest: bytes) -> int:
    """Return the CRC-32 of pixels, what follows them and what precedes them, in the order in which they are written."""
    some = max(1, PIECE // max(1, samples[0].nbytes))
    starts = range(0, len(samples), some)
    total = 0
    for start in progress_bar(starts, len(samples), "checking the images that were kept", some):
        total = zlib.crc32(samples[start : start + some], total)
    return zlib.crc32(head, zlib.crc32(rest, total))


def as_they_are(place: Place, images: Images, probes: int) -> bool:
    """Whether image files, decoded now, have the pixels that were kept of them."""
    faults, digests = images.about.faults, images.about.digests
    usable = [name for name in place.files if name not in faults] if faults else place.files
    wanted = np.unique(np.linspace(0, len(usable) - 1, probes).astype(int)) if len(usable) else []
    form = images.samples.shape[1:]
    with quiet():
        for each in wanted:
            path = path_of(place.root, usable[int(each)])
            pixels = attempt(decode, path, form, place.how.fit, place.how.background)
            if not isinstance(pixels, np.ndarray) or digest_of(np.ascontiguousarray(pixels)) != digests[each].tobytes():
                return False
    return True
