"""Name and layout of a cache file.

It is a `.npy` file of the pixels, uint8 `[M, C, H, W]`. After these follow the digests as another
`.npy`, notes and faults as JSON, and a CRC-32 of all that as eight hexadecimal digits.
"""

import json
import os
import zlib
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import PIL
import platformdirs
from numpy.lib.format import read_array, write_array, write_array_header_1_0

from gan_plugin_image_folder.decode.decoded import AREA, DecodeOptions, DecodeSummary, Shape
from gan_plugin_image_folder.file_index import FileIndex

LAYOUT = 4  # raise it when decoding or this layout changes: older files are then not found
CHECKSUM_DIGITS = 8
WORTH_SECONDS = 2.0  # of decoding, from which a cache file is worth its disk space
SECONDS_PER_FILE = 1e-3  # of decoding, roughly: a small PNG file
SECONDS_PER_BYTE = 3e-8  # the same for each byte of a photograph


class CacheEntry(NamedTuple):
    """A cache file: its path, the files whose images it holds, and how they are decoded."""

    path: Path
    root: str
    files: FileIndex
    options: DecodeOptions

    def worth_keeping(self) -> bool:
        """Return whether decoding takes so long that a cache file is worth its disk space."""
        size = int(self.files.stamps[:, 0].clip(min=0).sum())
        seconds = len(self.files) * SECONDS_PER_FILE + size * SECONDS_PER_BYTE
        return seconds >= WORTH_SECONDS


def cache_entry(root: str, files: FileIndex, options: DecodeOptions) -> CacheEntry:
    """Return the entry of these files in the user's cache folder."""
    folder = platformdirs.user_cache_path("gancore") / "images"
    return CacheEntry(folder / f"{cache_key(root, files, options)}.npy", root, files, options)


def cache_key(root: str, files: FileIndex, options: DecodeOptions) -> str:
    """Return a digest of what determines the pixels: paths, sizes, times, options, Pillow."""
    # This text must stay as it is, down to spaces, or existing cache files are not found.
    text = (
        f"({LAYOUT}, {PIL.__version__!r}, {os.path.realpath(root)!r}, "
        f"How(size={options.size!r}, channels={options.channels!r}, fit={options.fit!r}, "
        f"background={options.background!r}, bad_images={options.bad_images!r}, "
        f"once={options.unique!r}))"
    )
    if options.size is None and options.area != AREA:
        text += f"area={options.area!r}"
    digest = blake2b(text.encode(), digest_size=16)
    for part in (files.encoded, files.offsets, files.stamps):
        digest.update(part)
    return digest.hexdigest()


def encode_header(count: int, shape: Shape) -> bytes:
    """Return the header of the pixels' array; numpy pads it, so that every count has one length."""
    buffer = BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
    write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def encode_summary(summary: DecodeSummary) -> bytes:
    """Return what follows the pixels."""
    buffer = BytesIO()
    write_array(buffer, summary.digests)
    return buffer.getvalue() + json.dumps([summary.notes, summary.faults]).encode()


def decode_summary(content: bytes) -> DecodeSummary:
    """Return the summary in what follows the pixels. Raises ValueError for other content."""
    buffer = BytesIO(content)
    digests = read_array(buffer)
    notes, faults = json.loads(buffer.read())
    return DecodeSummary(digests, notes, faults)


def encode_checksum(header: bytes, checksum_of_rest: int) -> bytes:
    """Return the checksum at the end of the file.

    The header comes last, for it holds the number of images, which is known at the end.
    """
    return f"{zlib.crc32(header, checksum_of_rest):0{CHECKSUM_DIGITS}x}".encode()


def split_checksum(content: bytes) -> tuple[bytes, bytes]:
    """Split the checksum from the end of the file."""
    return content[:-CHECKSUM_DIGITS], content[-CHECKSUM_DIGITS:]
