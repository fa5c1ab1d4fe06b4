"""Decoded images on their way into a file of the user's cache folder, alone or beside a copy in memory."""

import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EIO
from logging import getLogger
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.lib.format import write_array_header_1_0

from gan_plugin_image_folder.cache import SUM, Place, behind, head_of, header, in_memory, open_cached
from gan_plugin_image_folder.folder import shown
from gan_plugin_image_folder.held import Memory
from gan_plugin_image_folder.images import About, Form, Images
from gancore import DataError


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
        fix = "make room there, or --image-folder.cache memory"
        raise DataError(what, where="image-folder.cache", fix=fix) from None


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
