"""Decoded images in a file of the user's cache folder, mapped rather than loaded, and used again on the next start."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from errno import EIO
from hashlib import blake2b
from logging import getLogger
from pathlib import Path

import numpy as np
import PIL
import platformdirs
from numpy.lib.format import open_memmap, write_array_header_1_0

from gan_plugin_image_folder.folder import shown
from gan_plugin_image_folder.images import About, Form, How, Images, digest_of
from gan_plugin_image_folder.picture import stamp_of
from gancore import DataError

LAYOUT = 2  # raised when decoding or the layout of the file changes
PROBES = 64  # images whose bytes are checked before a file is used again


def path_for(root: str, names: Sequence[str], how: How) -> Path:
    """Return where these files are cached: a name made of their paths, sizes, times and of all that shapes them."""
    digest = blake2b(repr((LAYOUT, PIL.__version__, os.path.realpath(root), how)).encode(), digest_size=16)
    for name in names:
        digest.update(repr((name, stamp_of(root, name))).encode())
    return platformdirs.user_cache_path("gancore") / "images" / f"{digest.hexdigest()}.npy"


def header(count: int, form: Form) -> dict[str, object]:
    """Describe the array as a .npy file does; numpy pads it, so that its length does not depend on the count."""
    return {"descr": "|u1", "fortran_order": False, "shape": (count, *form)}


class Disk:
    """Images on their way into a file: written under another name, renamed when whole, removed when not."""

    def __init__(self, path: Path, form: Form) -> None:
        self.path, self.form, self.used = path, form, 0

    def __enter__(self) -> "Disk":
        with told(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=f"{self.path.stem}.", delete=False)  # noqa: SIM115
            write_array_header_1_0(self.file, header(0, self.form))
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):  # what could not be written cannot be flushed either
            self.file.close()
        Path(self.file.name).unlink(missing_ok=True)

    def add(self, rows: np.ndarray) -> None:
        with told(self.path):
            self.file.write(rows.tobytes())
        self.used += len(rows)

    def keep(self, about: About) -> Images:
        """Write what the files are behind the pixels and open the whole. Raises DataError where it cannot be read."""
        with told(self.path):
            self.file.write(json.dumps(about._asdict()).encode())
            self.file.seek(0)
            write_array_header_1_0(self.file, header(self.used, self.form))
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            os.replace(self.file.name, self.path)
            images = open_cached(self.path)
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


def open_cached(path: Path) -> Images | None:
    """Map the images of a file; None where there is no file, and for one that is torn or not ours."""
    try:
        samples = open_memmap(path, mode="r")
        with path.open("rb") as file:
            file.seek(samples.offset + samples.nbytes)
            images = Images(samples, About(**json.loads(file.read())))
        digests, _ = images.rows()
        if samples.dtype != np.uint8 or samples.ndim != 4 or len(samples) != len(digests):
            return None
        probes = np.linspace(0, len(samples) - 1, PROBES).astype(int)
        return images if all(digest_of(samples[each]) == digests[each] for each in probes) else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None
