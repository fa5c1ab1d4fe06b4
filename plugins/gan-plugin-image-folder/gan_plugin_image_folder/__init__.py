"""Images from a folder, decoded once: each file is either read right, or left out, counted and named."""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice
from logging import getLogger
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageColor
from torch import Tensor

from gan_plugin_image_folder.folder import find_classes, find_images, folder_at, is_image, refuse, shown, walk
from gan_plugin_image_folder.picture import Colour, Picture, Unusable, decode, look
from gancore import DataError, DataSpec, LabelSet, StoredData, UsageError, component, hookimpl, option

LARGEST_SIDE = 1024  # pixels that images may keep without being asked; larger ones need a size
Faults = dict[str, str]  # name of a file → why it cannot be used
Size = tuple[int, int]  # height, width in pixels


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the function returns, or the Unusable that it raises."""
    try:
        return function(*arguments)
    except Unusable as fault:
        return fault


def reserve(count: int, form: tuple[int, int, int]) -> Tensor:
    """Return memory for samples uint8 `[count, C, H, W]`. Raises DataError where there is not enough."""
    try:
        return torch.empty(count, *form, dtype=torch.uint8)
    except RuntimeError:
        what = (
            f"{count} images of {'×'.join(map(str, form))} take {count * prod(form) / 1e9:.1f} GB, more than there is"
        )
        raise DataError(what, where="image-folder.path", mend="--size with fewer pixels, or fewer images") from None


def keep(samples: Tensor, places: Sequence[int]) -> Tensor:
    """Move the rows at `places` (ascending) to the front, in place, and return these alone."""
    if len(places) < len(samples):
        for new, old in enumerate(places):
            samples[new] = samples[old]
    return samples[: len(places)]


def tally(faults: Faults) -> str:
    """Count faults by reason with their first names: `2 truncated (a.png, b.png); 1 empty (c.png)`."""
    names: dict[str, list[str]] = {}
    for name in sorted(faults, key=os.fsencode):
        names.setdefault(faults[name], []).append(name)
    return "; ".join(f"{len(each)} {reason} ({shown(*each)})" for reason, each in names.items())


def report(samples: Tensor, pictures: Sequence[Picture], faults: Faults) -> Iterator[str]:
    """Yield a line on files that were left out, and one on images that were changed or are there twice."""
    channels, height, width = samples.shape[1:]
    if faults:
        yield f"{len(pictures)} images used, {len(faults)} skipped: {tally(faults)}"
    counts = Counter(remark for picture in pictures for remark in picture.remarks)
    counts[f"enlarged to {height}×{width}"] = sum(p.size[0] < height or p.size[1] < width for p in pictures)
    counts["in colour, made grey"] = sum(channels == 1 and not picture.grey for picture in pictures)
    counts["equal to another image"] = len(samples) - len({hash(row.tobytes()) for row in samples.numpy()})
    if remarks := [f"{count} {remark}" for remark, count in counts.items() if count]:
        yield f"of {len(pictures)} images, " + "; ".join(remarks)


@component(source="Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434, section 4: images scaled to [-1, 1]")
class ImageFolder:
    """Read the images of a folder: PNG, JPEG, WebP, GIF, BMP and TIFF; sub-folders are the classes.

    Each is decoded once into uint8 `[C, H, W]`: turned upright by its EXIF, laid over the background where it is
    transparent, 16 bits divided by 257, CMYK converted, resized by Lanczos; of several frames the first is used.
    Without a size given, images keep the one they share, else become 64×64. Their order is that of their paths as
    bytes. Sub-folders become the label set `class`. Colour profiles are ignored. Files that cannot be used, among
    them images of more than 50 megapixels, are left out, counted and named; more than half of them is an error.
    """

    path: str = option("", help="folder of images, or of one folder for each class")
    background: str = option("white", help="colour under transparent pixels and around padded images: name or #rrggbb")
    fit: str = option("crop", choices=("crop", "pad", "stretch"), help="how an image of another shape is made to fit")
    channels: int | None = option(None, choices=(1, 3), help="1 grey, 3 colour; none: 1 if all images are grey, else 3")
    bad_images: str = option("skip", choices=("skip", "stop"), help="leave out files that cannot be used, or stop")
    labels: str = option("folders", choices=("folders", "none"), help="none uses all images, without labels")

    def __attrs_post_init__(self) -> None:
        self.colour()

    def colour(self) -> Colour:
        """Return the background as (red, green, blue). Raises UsageError where it is no opaque colour."""
        with suppress(ValueError):
            colour = ImageColor.getrgb(self.background)
            if len(colour) == 3:
                return colour
        what = f"image-folder.background is {shown(self.background)!r}, which is no opaque colour"
        raise UsageError(what, where="image-folder.background", mend="white, black, … or #rrggbb")

    @hookimpl
    def recognizes(self, path: Path) -> int:
        try:
            return int(any(is_image(name) and not is_folder for name, is_folder in islice(walk(str(path)), 2000)))
        except DataError:
            return 0

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        root = folder_at(self.path, spec.folder)
        names, folders = find_images(root)
        classes = find_classes(names, folders) if self.labels == "folders" else []
        samples, pictures, faults = self.read(root, names, spec.size)
        for line in report(samples, pictures, faults):
            getLogger("gancore").warning("%s", line)
        owners = [picture.name.partition("/")[0] for picture in pictures]
        refuse("class folders hold no usable image", sorted(set(classes) - set(owners)))
        if not classes:
            return StoredData(samples)
        numbers = {name: number for number, name in enumerate(classes)}
        labels = torch.tensor([[numbers[owner]] for owner in owners])
        return StoredData(samples, labels, (LabelSet("class", tuple(map(shown, classes))),))

    def read(self, root: str, names: Sequence[str], size: Size | None) -> tuple[Tensor, list[Picture], Faults]:
        """Decode the named files: samples uint8 `[M, C, H, W]`, what they show, and why the others do not.

        Where a file that fails had decided size or channels for all, the rest is decoded once more.
        """
        with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
            warnings.simplefilter("ignore")  # what Pillow has to say about rotten files
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            looked = list(pool.map(partial(attempt, look, root, self.colour()), names))
            faults = {name: str(each) for name, each in zip(names, looked, strict=True) if isinstance(each, Unusable)}
            pictures = [each for each in looked if isinstance(each, Picture)]
            self.judge(root, len(pictures), faults)
            while True:
                form = self.form(pictures, size)
                samples = reserve(len(pictures), form)
                put = partial(attempt, self.put, samples.numpy(), root)
                results = list(pool.map(put, range(len(pictures)), pictures))
                faults |= {p.name: str(fault) for p, fault in zip(pictures, results, strict=True) if fault}
                self.judge(root, len(names) - len(faults), faults)
                kept = [place for place, fault in enumerate(results) if not fault]
                pictures = [pictures[place] for place in kept]
                if self.form(pictures, size) == form:
                    return keep(samples, kept), pictures, faults

    def put(self, rows: np.ndarray, root: str, place: int, picture: Picture) -> None:
        """Decode one file into its row of `rows [M, C, H, W]`. Raises Unusable."""
        rows[place] = decode(os.path.join(root, picture.name), rows.shape[1:], self.fit, self.colour())

    def form(self, pictures: Sequence[Picture], size: Size | None) -> tuple[int, int, int]:
        """Return (channels, height, width) of the samples. Raises DataError for sides no network will bear."""
        sizes = {picture.size for picture in pictures}
        height, width = size or (sizes.pop() if len(sizes) == 1 else (64, 64))
        if not size and max(height, width) > LARGEST_SIDE:
            what = f"the images have {height}×{width} pixels, more than {LARGEST_SIDE} a side"
            raise DataError(what, where="image-folder.path", mend="--size 64 makes them smaller")
        return self.channels or (1 if all(picture.grey for picture in pictures) else 3), height, width

    def judge(self, root: str, used: int, faults: Faults) -> None:
        """Raise DataError for a fault where the user wants none, and where more than half of the files have one."""
        if faults and self.bad_images == "stop":
            name = min(faults, key=os.fsencode)
            mend = "mend it or move it away, or --image-folder.bad-images skip"
            raise DataError(f"{shown(name)} cannot be used: {faults[name]}", where=shown(root), mend=mend)
        if len(faults) > used:
            what = f"{len(faults)} of {len(faults) + used} images cannot be used: {tally(faults)}"
            raise DataError(what, where=shown(root), mend="get them again, or move them away")
