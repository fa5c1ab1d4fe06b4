"""Decoded images in a file of the user's cache folder, mapped rather than loaded, and used again on the next start."""

import json
import os
import zlib
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
import platformdirs
import torch
from numpy.lib.format import open_memmap, read_array, write_array, write_array_header_1_0

from gan_plugin_image_folder.decode.decoded import About, Form, How, Images, digest_of, equal_ones
from gan_plugin_image_folder.decode.image_file import decode
from gan_plugin_image_folder.decode.worker_pool import attempt, quiet
from gan_plugin_image_folder.file_index import Files
from gan_plugin_image_folder.scan import path_of
from gancore import progress_bar

LAYOUT = 4  # raised when decoding or the layout of the file changes
PROBES = 8  # image files that are decoded once more and compared before the images kept of them are used
PIECE = 1 << 24  # bytes of a file that are summed at a time
SUM = 8  # letters at the end of a file: the CRC-32 of all that is before, in hexadecimal
PAYS = 2.0  # seconds that decoding takes at least where keeping a copy of the images pays
SECONDS_A_FILE, SECONDS_A_BYTE = 1e-3, 3e-8  # of decoding, roughly: a small PNG file, and each byte of a photograph


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
