"""Decoded images in a file of the user's cache folder, mapped rather than loaded, and used again on the next start."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EIO
from hashlib import blake2b
from logging import getLogger
from pathlib import Path

import numpy as np
import PIL
import platformdirs
from filelock import FileLock, Timeout
from numpy.lib.format import open_memmap, read_array, write_array, write_array_header_1_0

from gan_plugin_image_folder.files import Files
from gan_plugin_image_folder.folder import shown
from gan_plugin_image_folder.images import About, Form, How, Images, digest_of, equal_ones
from gancore import DataError

LAYOUT = 3  # raised when decoding or the layout of the file changes
PROBES = 64  # images whose bytes are checked before a file is used again


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

    def __init__(self, path: Path, form: Form, files: int) -> None:
        self.path, self.form, self.files, self.used, self.held = path, form, files, 0, ExitStack()

    def __enter__(self) -> "Disk":
        with told(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.held.enter_context(alone(self.path))
            self.made = open_cached(self.path, self.files)
            self.file = tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=f"{self.path.stem}.", delete=False)  # noqa: SIM115
            write_array_header_1_0(self.file, header(0, self.form))
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # what could not be written cannot be flushed either
            self.file.close()
        Path(self.file.name).unlink(missing_ok=True)
        self.held.close()

    def add(self, rows: np.ndarray) -> None:
        with told(self.path):
            self.file.write(rows.tobytes())
        self.used += len(rows)

    def keep(self, about: About) -> Images:
        """Write what the files are behind the pixels and open the whole. Raises DataError where it cannot be read."""
        with told(self.path):
            write_array(self.file, about.digests)
            self.file.write(json.dumps([about.lines, about.faults]).encode())
            self.file.seek(0)
            write_array_header_1_0(self.file, header(self.used, self.form))
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.file.name, self.path)
            images = open_cached(self.path, self.files)
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


def open_cached(path: Path, files: int) -> Images | None:
    """Map the images of that many files; None where they are not cached, and for what is torn or not ours."""
    try:
        samples = open_memmap(path, mode="r")
        with path.open("rb") as file:
            file.seek(samples.offset + samples.nbytes)
            digests = read_array(file)
            lines, faults = json.loads(file.read())
        if samples.dtype != np.uint8 or samples.ndim != 4 or digests.shape != (files - len(faults), 16):
            return None
        equal = equal_ones(digests) if len(samples) < len(digests) else None
        kept = digests if equal is None else digests[equal.firsts]
        if len(samples) != len(kept):
            return None
        probes = np.linspace(0, len(samples) - 1, PROBES).astype(int)
        good = all(digest_of(samples[each]) == kept[each].tobytes() for each in probes)
        return Images(samples, About(digests, lines, faults)) if good else None
    except (OSError, EOFError, ValueError, TypeError, AttributeError):
        return None
