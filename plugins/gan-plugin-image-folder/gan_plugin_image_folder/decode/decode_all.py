"""Decode many files in a pool of threads, block by block, into a store."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from math import prod

import numpy as np

from gan_plugin_image_folder.decode.decoded import (
    DecodedImages,
    DecodeOptions,
    DecodeSummary,
    Faults,
    ImageStore,
    Shape,
    pixel_digest,
)
from gan_plugin_image_folder.decode.image_file import (
    MOST_PIXELS,
    ImageInfo,
    UnusableFile,
    read_header,
    read_stamp,
)
from gan_plugin_image_folder.decode.pixels import decode_file
from gan_plugin_image_folder.decode.report import (
    KindCounts,
    count_by_reason,
    decode_notes,
    stderr_notes,
)
from gan_plugin_image_folder.decode.retry import ATTEMPTS, attempt
from gan_plugin_image_folder.decode.stderr_capture import silence_decoders
from gan_plugin_image_folder.decode.target_size import choose_size
from gan_plugin_image_folder.decode.worker_pool import PixelBudget, map_in_chunks
from gan_plugin_image_folder.names import encode_name, path_below, printable
from gancore import DataError, progress_bar

BLOCK_BYTES = 16 << 20  # of pixels that are decoded before they go to the store
MOST_THREADS = 32  # each holds a file open

OpenStore = Callable[[int, Shape], ImageStore]  # of a number of images at most, and their shape


def decode_files(
    root: str, names: Sequence[str], options: DecodeOptions, open_store: OpenStore
) -> DecodedImages:
    """Decode the named files into a store.

    Raises DataError where more than half cannot be used, where disk or network fail, and for a file
    that changes in the meantime.
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    with silence_decoders() as stderr_lines, ThreadPoolExecutor(threads) as pool:
        infos, faults = read_headers(pool, root, names, options)
        candidates = infos
        while True:
            shape = choose_shape(candidates, options)
            with open_store(len(candidates), shape) as store:
                if store.existing is not None:
                    return store.existing
                decoder = BlockDecoder(pool, root, shape, options)
                decoding = decoder.decode(candidates, store)
                results = list(progress_bar(decoding, len(candidates), "decoding images"))
                refuse_changed(root, infos)
                faults |= collect_faults(root, [info.name for info in candidates], results)
                refuse_faults(root, len(names) - len(faults), faults, options)
                digests = digests_of(candidates, results)
                candidates = list(digests)
                # Where a file that failed had decided size or channels, decode the others again.
                if choose_shape(candidates, options) == shape:
                    kinds = KindCounts(len(decoder.uniform), len(decoder.grey))
                    notes = decode_notes(shape, digests, faults, options, kinds)
                    lines = [*notes, *stderr_notes(stderr_lines())]
                    return store.finish(DecodeSummary(stack(digests.values()), lines, faults))


def read_headers(
    pool: Executor, root: str, names: Sequence[str], options: DecodeOptions
) -> tuple[list[ImageInfo], Faults]:
    """Read the headers of all files; return those that are usable, and the faults of the others."""
    read_one = partial(attempt, read_header, root, options.background)
    reading = map_in_chunks(pool, read_one, names)
    results = list(progress_bar(reading, len(names), "reading image headers"))
    faults = collect_faults(root, names, results)
    infos = [each for each in results if isinstance(each, ImageInfo)]
    refuse_faults(root, len(infos), faults, options)
    return infos, faults


class BlockDecoder:
    """Decode images of one shape; collect the names of those of one colour and of those in grey."""

    def __init__(self, pool: Executor, root: str, shape: Shape, options: DecodeOptions) -> None:
        self.pool = pool
        self.root = root
        self.shape = shape
        self.options = options
        self.uniform: set[str] = set()
        self.grey: set[str] = set()
        self.budget = PixelBudget(MOST_PIXELS)

    def decode(
        self, infos: Sequence[ImageInfo], store: ImageStore
    ) -> Iterator[bytes | UnusableFile]:
        """Append the images to the store; yield for each its pixel digest, or why it has none."""
        size = min(len(infos), max(1, BLOCK_BYTES // prod(self.shape)))
        block = np.empty((size, *self.shape), np.uint8)
        decode_one = partial(attempt, self.decode_into, block)
        seen: set[bytes] = set()
        for start in range(0, len(infos), size):
            chunk = infos[start : start + size]
            results = map_in_chunks(self.pool, decode_one, range(len(chunk)), chunk)
            kept = []
            for row, result in enumerate(results):
                repeats = self.options.unique and result in seen
                if isinstance(result, bytes) and not repeats:
                    seen.add(result)
                    kept.append(row)
                yield result  # one at a time, so that the progress bar moves within a block
            store.append(block[kept])

    def decode_into(self, block: np.ndarray, row: int, info: ImageInfo) -> bytes:
        """Decode one file into its row of a block; return its pixel digest."""
        path = path_below(self.root, info.name)
        with self.budget.reserve(prod(info.size)):
            options = self.options
            block[row] = decode_file(path, self.shape, options.fit, options.background)
        # Every pixel equals the one at the top left.
        if (block[row] == block[row, :, :1, :1]).all():
            self.uniform.add(info.name)
        # Every channel equals the first.
        if (block[row] == block[row, :1]).all():
            self.grey.add(info.name)
        return pixel_digest(block[row])


def choose_shape(infos: Sequence[ImageInfo], options: DecodeOptions) -> Shape:
    """Return (channels, height, width) of the samples."""
    height, width = options.size or choose_size(infos, options.area)
    grey = all(info.grey for info in infos)
    return options.channels or (1 if grey else 3), height, width


def digests_of(
    infos: Sequence[ImageInfo], results: Sequence[bytes | UnusableFile]
) -> dict[ImageInfo, bytes]:
    """Return the pixel digests of the images that were decoded."""
    pairs = zip(infos, results, strict=True)
    return {info: result for info, result in pairs if isinstance(result, bytes)}


def stack(digests: Iterable[bytes]) -> np.ndarray:
    """Return digests as uint8 `[n, 16]`."""
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)


def collect_faults(root: str, names: Iterable[str], results: Iterable[object]) -> Faults:
    """Return why files cannot be used. Raises DataError where disk, network or system fail."""
    faults = {}
    for name, result in zip(names, results, strict=True):
        if not isinstance(result, UnusableFile):
            continue
        if result.transient:
            raise DataError(
                f"{printable(name)} cannot be read after {ATTEMPTS} attempts: {result}",
                where=printable(root),
                fix="repair the disk or the connection, or name the file in a list for"
                " --image-folder.leave-out",
            )
        faults[name] = str(result)
    return faults


def refuse_changed(root: str, infos: Sequence[ImageInfo]) -> None:
    """Raise DataError for files that changed since their headers were read."""
    changed = [info.name for info in infos if read_stamp(root, info.name) != info.stamp]
    if changed:
        what = f"images changed while they were read: {printable(*changed)}"
        fix = "wait until nothing writes there, and start again"
        raise DataError(what, where=printable(root), fix=fix)


def refuse_faults(root: str, used: int, faults: Faults, options: DecodeOptions) -> None:
    """Raise DataError for faults of more than half of the files, or for any with `stop`."""
    if faults and options.bad_images == "stop":
        name = min(faults, key=encode_name)
        what = f"{printable(name)} cannot be used: {faults[name]}"
        fix = "repair or remove it, or --image-folder.bad-images skip"
        fix += "; `gan data check` lists all of them"
        raise DataError(what, where=printable(root), fix=fix)
    if len(faults) > used:
        total = len(faults) + used
        what = f"{len(faults)} of {total} images cannot be used: {count_by_reason(faults)}"
        fix = "download them again, or move them away; `gan data check` lists them"
        raise DataError(what, where=printable(root), fix=fix)
