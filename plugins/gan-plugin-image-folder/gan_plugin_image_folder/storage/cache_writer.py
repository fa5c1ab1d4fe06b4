"""Write decoded images into a cache file, by one process of a machine at a time."""

import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EIO
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from gan_plugin_image_folder.decode.decoded import DecodedImages, DecodeSummary, Shape
from gan_plugin_image_folder.log import warn
from gan_plugin_image_folder.names import printable
from gan_plugin_image_folder.storage.cache_file import (
    CacheEntry,
    encode_checksum,
    encode_header,
    encode_summary,
)
from gan_plugin_image_folder.storage.cache_reader import open_cached
from gancore import DataError


class CacheWriter:
    """A store that writes a temporary file, renames it when it is complete, else removes it.

    One process of a machine writes at a time. `existing` holds the images where another process has
    written them while this one waited.
    """

    existing: DecodedImages | None

    def __init__(self, entry: CacheEntry, shape: Shape) -> None:
        self.entry = entry
        self.path = entry.path
        self.shape = shape
        self.used = 0
        self.checksum = 0
        self.lock = ExitStack()

    def __enter__(self) -> "CacheWriter":
        with os_errors_as_data_errors(self.path), self.lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.lock.enter_context(exclusive(self.path))
            # Now that no other process writes: one may have finished while this one waited.
            self.existing = open_cached(self.entry)
            self.file = tempfile.NamedTemporaryFile(  # noqa: SIM115
                dir=self.path.parent, prefix=f"{self.path.stem}.", delete=False
            )
            # The number of images is not known yet; `finish` writes the header again.
            self.file.write(encode_header(0, self.shape))
            # Nothing failed, so the lock is held beyond this block, until __exit__.
            self.lock = self.lock.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # buffered data that cannot be written cannot be flushed either
            self.file.close()
        Path(self.file.name).unlink(missing_ok=True)
        self.lock.close()

    def append(self, images: np.ndarray) -> None:
        with os_errors_as_data_errors(self.path):
            self.write(images.tobytes())
        self.used += len(images)

    def write(self, content: bytes) -> None:
        """Write bytes that the checksum covers."""
        self.file.write(content)
        self.checksum = zlib.crc32(content, self.checksum)

    def finish(self, summary: DecodeSummary) -> DecodedImages:
        """Write the summary, rename the file, and map it. Raises DataError where that fails."""
        with os_errors_as_data_errors(self.path):
            self.write(encode_summary(summary))
            header = encode_header(self.used, self.shape)
            self.file.write(encode_checksum(header, self.checksum))
            self.file.seek(0)
            self.file.write(header)
            self.file.flush()
            # On the disk before it has its name: a power cut must not leave a part under it.
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.file.name, self.path)
            images = open_cached(self.entry, probes=0)
            if images is None:
                raise OSError(EIO, "its content differs from what was written")
            size = self.path.stat().st_size
        where = printable(str(self.path))
        note = f"{self.used} images ({size / 1e6:.1f} MB) are cached in {where}"
        warn([note])
        return images


@contextmanager
def os_errors_as_data_errors(path: Path) -> Iterator[None]:
    """Raise DataError in place of OSError."""
    try:
        yield
    except OSError as error:
        folder = printable(str(path.parent))
        what = f"decoded images cannot be cached in {folder}: {error.strerror}"
        fix = "make room there, or --image-folder.cache memory"
        raise DataError(what, where="image-folder.cache", fix=fix) from None


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Lock a cache file against other processes of this machine; wait while one of them holds it.

    Without a lock where the file system has none: each process then writes a file of its own and
    renames it when it is complete, so that no reader finds a part of one.
    """
    lock = FileLock(path.with_suffix(".lock"))
    try:
        acquire(lock, path)
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        # Unlink before releasing: a process that waits must not acquire a file without a name.
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def acquire(lock: FileLock, path: Path) -> None:
    """Acquire a lock; tell the user where that has to wait."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        where = printable(str(path))
        warn([f"another process decodes these images into {where}: waiting for it"])
        lock.acquire()
