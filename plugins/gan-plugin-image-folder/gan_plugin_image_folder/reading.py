"""Many images, decoded block by block: what becomes of each file, and what is said about them all."""

import os
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from math import prod
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from gan_plugin_image_folder.folder import shown
from gan_plugin_image_folder.images import About, Form, How, Images, Store, digest_of
from gan_plugin_image_folder.picture import Picture, Unusable, decode, look
from gancore import DataError

LARGEST_SIDE = 1024  # pixels that images may keep without being asked; larger ones need a size
BLOCK = 16 << 20  # bytes decoded at a time
SOON = 500  # files that are read before a bar would be worth a look
Faults = dict[str, str]  # name of a file → why it cannot be used
Item = TypeVar("Item")


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the function returns, or the Unusable that it raises."""
    try:
        return function(*arguments)
    except Unusable as fault:
        return fault


def watched(items: Iterable[Item], total: int, doing: str) -> Iterable[Item]:
    """Yield the items, under a progress bar on stderr if that is a terminal and they are many."""
    if total <= SOON or not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, doing, total=total, console=Console(stderr=True), transient=True)


def read(root: str, names: Sequence[str], how: How, store: Callable[[int, Form], Store]) -> Images:
    """Decode the named files into a store made for (most images, their form).

    Where a file that fails had decided size or channels for all, the rest is decoded once more.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # what Pillow has to say about rotten files
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        looks = pool.map(partial(attempt, look, root, how.background), names)
        looked = list(watched(looks, len(names), "looking at images"))
        faults = {name: str(each) for name, each in zip(names, looked, strict=True) if isinstance(each, Unusable)}
        pictures = [each for each in looked if isinstance(each, Picture)]
        judge(root, len(pictures), faults, how)
        while True:
            form = form_of(pictures, how)
            with store(len(pictures), form) as rows:
                results = watched(decoded(pool, root, pictures, form, how, rows), len(pictures), "decoding images")
                pairs = list(zip(pictures, results, strict=True))
                faults |= {picture.name: str(each) for picture, each in pairs if isinstance(each, Unusable)}
                judge(root, len(names) - len(faults), faults, how)
                digests = {picture: each for picture, each in pairs if isinstance(each, str)}
                pictures = list(digests)
                if form_of(pictures, how) == form:
                    lines = list(report(form, digests, faults, how))
                    return rows.keep(About([picture.name for picture in pictures], list(digests.values()), lines))


def decoded(
    pool: Executor, root: str, pictures: Sequence[Picture], form: Form, how: How, rows: Store
) -> Iterator[str | Unusable]:
    """Decode files into the store; yield for each the digest of its bytes, or the fault that kept it out."""
    block = np.empty((min(len(pictures), max(1, BLOCK // prod(form))), *form), np.uint8)
    seen: set[str] = set()

    def put(place: int, picture: Picture) -> str:
        block[place] = decode(os.path.join(root, picture.name), form, how.fit, how.background)
        return digest_of(block[place])

    for start in range(0, len(pictures), len(block)):
        some, wanted = pictures[start : start + len(block)], []
        for place, result in enumerate(pool.map(partial(attempt, put), range(len(some)), some)):
            if isinstance(result, str) and not (how.once and result in seen):
                seen.add(result)
                wanted.append(place)
            yield result
        rows.add(block[wanted])


def form_of(pictures: Sequence[Picture], how: How) -> Form:
    """Return (channels, height, width) of the samples. Raises DataError for sides no network will bear."""
    sizes = {picture.size for picture in pictures}
    height, width = how.size or (sizes.pop() if len(sizes) == 1 else (64, 64))
    if not how.size and max(height, width) > LARGEST_SIDE:
        what = f"the images have {height}×{width} pixels, more than {LARGEST_SIDE} a side"
        raise DataError(what, where="image-folder.path", mend="--size 64 makes them smaller")
    return how.channels or (1 if all(picture.grey for picture in pictures) else 3), height, width


def judge(root: str, used: int, faults: Faults, how: How) -> None:
    """Raise DataError for a fault where the user wants none, and where more than half of the files have one."""
    if faults and how.bad_images == "stop":
        name = min(faults, key=os.fsencode)
        mend = "mend it or move it away, or --image-folder.bad-images skip"
        raise DataError(f"{shown(name)} cannot be used: {faults[name]}", where=shown(root), mend=mend)
    if len(faults) > used:
        what = f"{len(faults)} of {len(faults) + used} images cannot be used: {tally(faults)}"
        raise DataError(what, where=shown(root), mend="get them again, or move them away")


def tally(faults: Faults) -> str:
    """Count faults by reason with their first names: `2 truncated (a.png, b.png); 1 empty (c.png)`."""
    names: dict[str, list[str]] = {}
    for name in sorted(faults, key=os.fsencode):
        names.setdefault(faults[name], []).append(name)
    return "; ".join(f"{len(each)} {reason} ({shown(*each)})" for reason, each in names.items())


def report(form: Form, digests: dict[Picture, str], faults: Faults, how: How) -> Iterator[str]:
    """Yield a line on files that were left out, and one on images that were changed or are there twice."""
    channels, height, width = form
    if faults:
        yield f"{len(digests)} images used, {len(faults)} skipped: {tally(faults)}"
    counts = Counter(remark for picture in digests for remark in picture.remarks)
    counts[f"enlarged to {height}×{width}"] = sum(p.size[0] < height or p.size[1] < width for p in digests)
    counts["in colour, made grey"] = sum(channels == 1 and not picture.grey for picture in digests)
    equal = "equal to another image" + (" and left out" if how.once else "")
    counts[equal] = len(digests) - len(set(digests.values()))
    if remarks := [f"{count} {remark}" for remark, count in counts.items() if count]:
        yield f"of {len(digests)} images, " + "; ".join(remarks)
