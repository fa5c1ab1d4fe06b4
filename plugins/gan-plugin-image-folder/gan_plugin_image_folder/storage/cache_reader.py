"""Open a cache file: map its pixels, and verify that it is whole and up to date."""

import os
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.lib.format import open_memmap

from gan_plugin_image_folder.decode.decoded import DecodedImages, pixel_digest
from gan_plugin_image_folder.decode.duplicates import group_duplicates
from gan_plugin_image_folder.decode.pixels import decode_file
from gan_plugin_image_folder.decode.retry import attempt
from gan_plugin_image_folder.decode.stderr_capture import silence_decoders
from gan_plugin_image_folder.names import path_below
from gan_plugin_image_folder.storage.cache_file import (
    CacheEntry,
    decode_summary,
    encode_checksum,
    split_checksum,
)
from gancore import progress_bar

PROBES = 8  # images that are decoded again and compared before a cache file is used
CHUNK_BYTES = 1 << 24  # of pixels that go into the checksum at a time


def open_cached(entry: CacheEntry, probes: int = PROBES) -> DecodedImages | None:
    """Map the images in a cache file; None where there is none, and for one that is damaged.

    The checksum of the whole file is compared. Of `probes` images, spread evenly over the set, the
    pixels are compared with those of their files, decoded now.
    """
    try:
        images = read_verified(entry)
        if images is None or not counts_agree(entry, images):
            return None
        return images if matches_files(entry, images, probes) else None
    except Exception:  # numpy raises nearly anything for a damaged header
        return None


def load_into_memory(images: DecodedImages) -> DecodedImages:
    """Return mapped images as a tensor in memory."""
    return DecodedImages(torch.from_numpy(np.array(images.samples)), images.summary)


def read_verified(entry: CacheEntry) -> DecodedImages | None:
    """Map a cache file and read its summary; None where the checksum is wrong."""
    samples = open_memmap(entry.path, mode="r")
    if samples.dtype != np.uint8 or samples.ndim != 4:
        return None
    with entry.path.open("rb") as file:
        header = file.read(samples.offset)
        file.seek(samples.nbytes, os.SEEK_CUR)
        rest, stated = split_checksum(file.read())
    if encode_checksum(header, checksum(samples, rest)) != stated:
        return None
    return DecodedImages(samples, decode_summary(rest))


def checksum(samples: np.ndarray, rest: bytes) -> int:
    """Return the CRC-32 of the pixels and of what follows them."""
    size = max(1, CHUNK_BYTES // max(1, samples[0].nbytes))
    starts = range(0, len(samples), size)
    total = 0
    for start in progress_bar(starts, len(samples), "verifying cached images", size):
        total = zlib.crc32(samples[start : start + size], total)
    return zlib.crc32(rest, total)


def counts_agree(entry: CacheEntry, images: DecodedImages) -> bool:
    """Return whether the file holds a digest for each usable file, and an image for each digest.

    Fewer images are right where duplicates are left out.
    """
    digests = images.summary.digests
    if digests.shape != (len(entry.files) - len(images.summary.faults), 16):
        return False
    if len(images.samples) == len(digests):
        return True
    duplicates = group_duplicates(digests)
    return duplicates is not None and len(images.samples) == len(duplicates.firsts)


def matches_files(entry: CacheEntry, images: DecodedImages, probes: int) -> bool:
    """Return whether image files, decoded now, have the pixels in the cache file."""
    faults = images.summary.faults
    digests = images.summary.digests
    usable: Sequence[str] = entry.files
    if faults:
        usable = [name for name in entry.files if name not in faults]
    if not len(usable):
        return True
    chosen = np.unique(np.linspace(0, len(usable) - 1, probes).astype(int))
    shape = images.samples.shape[1:]
    options = entry.options
    with silence_decoders():
        for index in chosen:
            path = path_below(entry.root, usable[int(index)])
            pixels = attempt(decode_file, path, shape, options.fit, options.background)
            if not isinstance(pixels, np.ndarray):
                return False
            if pixel_digest(np.ascontiguousarray(pixels)) != digests[index].tobytes():
                return False
    return True
