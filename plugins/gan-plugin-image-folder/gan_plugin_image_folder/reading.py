"""Many images, decoded block by block: what becomes of each file, and what is said about them all."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from math import prod

import numpy as np

from gan_plugin_image_folder.attempts import Room, attempt, quiet, spread
from gan_plugin_image_folder.files import spelt
from gan_plugin_image_folder.folder import path_of, shown
from gan_plugin_image_folder.images import About, Form, How, Images, Store, digest_of
from gan_plugin_image_folder.picture import MOST_PIXELS, Picture, Unusable, decode, look, stamp_of
from gan_plugin_image_folder.report import Faults, remarked, report, tally
from gan_plugin_image_folder.sizing import size_of
from gancore import DataError, progress_bar

BLOCK = 16 << 20  # bytes decoded at a time
THREADS = 32  # at most, each of which holds a file open


def read(root: str, names: Sequence[str], how: How, store: Callable[[int, Form], Store]) -> Images:
    """Decode the named files into a store made for (most images, their form).

    Where a file that fails had decided size or channels for all, the rest is decoded once more. Raises DataError where
    too few are usable, where disk or network fail, and for a file that changes in the meantime.
    """
    with quiet() as said, ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        looks = spread(pool, partial(attempt, look, root, how.background), names)
        looked = list(progress_bar(looks, len(names), "looking at images"))
        faults = faults_of(root, zip(names, looked, strict=True))
        pictures = seen = [each for each in looked if isinstance(each, Picture)]
        judge(root, len(pictures), faults, how)
        while True:
            form, plain = form_of(pictures, how), set[str]()
            with store(len(pictures), form) as rows:
                if rows.made:
                    return rows.made
                results = decoded(pool, root, pictures, form, how, rows, plain)
                results = progress_bar(results, len(pictures), "decoding images")
                pairs = list(zip(pictures, results, strict=True))
                refuse_changed(root, seen)
                faults |= faults_of(root, ((picture.name, each) for picture, each in pairs))
                judge(root, len(names) - len(faults), faults, how)
                digests = {picture: each for picture, each in pairs if isinstance(each, bytes)}
                pictures = list(digests)
                if form_of(pictures, how) == form:
                    lines = [*report(form, digests, faults, how, len(plain)), *remarked(said())]
                    found = np.frombuffer(b"".join(digests.values()), np.uint8).reshape(-1, 16)
                    return rows.keep(About(found, lines, faults))


def faults_of(root: str, results: Iterable[tuple[str, object]]) -> Faults:
    """Collect why files cannot be used. Raises DataError where disk, network or system are to blame."""
    found = {name: each for name, each in results if isinstance(each, Unusable)}
    if failed := [name for name, each in found.items() if each.passing]:
        what = f"{shown(failed[0])} cannot be read, though tried again and again: {found[failed[0]]}"
        fix = "fix the disk or the connection, or --image-folder.leave-out FILE with its name on a line"
        raise DataError(what, where=shown(root), fix=fix)
    return {name: str(each) for name, each in found.items()}


def refuse_changed(root: str, pictures: Sequence[Picture]) -> None:
    """Raise DataError for a file that changed since it was first looked at."""
    changed = [each.name for each in pictures if stamp_of(root, each.name) != each.stamp]
    if changed:
        what = f"images changed while they were read: {shown(*changed)}"
        raise DataError(what, where=shown(root), fix="wait until nothing writes there, and start again")


def decoded(
    pool: Executor, root: str, pictures: Sequence[Picture], form: Form, how: How, rows: Store, plain: set[str]
) -> Iterator[bytes | Unusable]:
    """Decode files into the store; yield for each the digest of its bytes, or the fault that kept it out.

    Names of images that have one colour throughout go into `plain`.
    """
    block = np.empty((min(len(pictures), max(1, BLOCK // prod(form))), *form), np.uint8)
    seen: set[bytes] = set()
    room = Room(MOST_PIXELS)

    def put(place: int, picture: Picture) -> bytes:
        with room.for_so_many(prod(picture.size)):
            block[place] = decode(path_of(root, picture.name), form, how.fit, how.background)
        if (block[place] == block[place, :, :1, :1]).all():
            plain.add(picture.name)
        return digest_of(block[place])

    for start in range(0, len(pictures), len(block)):
        some, wanted = pictures[start : start + len(block)], []
        for place, result in enumerate(spread(pool, partial(attempt, put), range(len(some)), some)):
            if isinstance(result, bytes) and not (how.once and result in seen):
                seen.add(result)
                wanted.append(place)
            yield result
        rows.add(block[wanted])


def form_of(pictures: Sequence[Picture], how: How) -> Form:
    """Return (channels, height, width) of the samples."""
    height, width = how.size or size_of(pictures)
    return how.channels or (1 if all(picture.grey for picture in pictures) else 3), height, width


def judge(root: str, used: int, faults: Faults, how: How) -> None:
    """Raise DataError for a fault where the user wants none, and where more than half of the files have one."""
    if faults and how.bad_images == "stop":
        name = min(faults, key=spelt)
        fix = "fix it or move it away, or --image-folder.bad-images skip; `gan data check` lists all of them"
        raise DataError(f"{shown(name)} cannot be used: {faults[name]}", where=shown(root), fix=fix)
    if len(faults) > used:
        what = f"{len(faults)} of {len(faults) + used} images cannot be used: {tally(faults)}"
        raise DataError(what, where=shown(root), fix="get them again, or move them away; `gan data check` lists them")
