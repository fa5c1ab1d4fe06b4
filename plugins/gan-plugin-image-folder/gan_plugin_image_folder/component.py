"""Images from a folder, decoded once: each file is either read right, or left out, counted and named."""

from contextlib import suppress
from itertools import islice
from logging import getLogger
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ImageColor

from gan_plugin_image_folder.cache import in_memory, open_cached, place_for
from gan_plugin_image_folder.classes import Classes, count_contradicted, numbers_of
from gan_plugin_image_folder.files import Files
from gan_plugin_image_folder.folder import find_images, folder_at, is_image, shown, walk
from gan_plugin_image_folder.held import Hashed, Mapped, Memory
from gan_plugin_image_folder.images import Form, How, Images, Store, equal_ones
from gan_plugin_image_folder.leaving import read_list
from gan_plugin_image_folder.picture import Colour
from gan_plugin_image_folder.reading import read
from gan_plugin_image_folder.report import passed_over, report_of
from gan_plugin_image_folder.sources import Wanted, find_labels
from gan_plugin_image_folder.storing import Copied, Disk
from gancore import DataError, DataSpec, UsageError, cached, component, hookimpl, option


def tell(*lines: str) -> None:
    """Tell the user what is no reason to stop."""
    for line in lines:
        getLogger("gancore").warning("%s", line)


@component(
    source="Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434, section 4: images scaled to [-1, 1]",
    known_as={"folder": "", "photos": "", "imagefolder": ""},
)
class ImageFolder:
    """Read the images of a folder: PNG, JPEG, WebP, GIF, BMP, TIFF, PPM; sub-folders or a labels file give the classes.

    Each is decoded once into uint8 `[C, H, W]`: turned upright by its EXIF, laid over the background where it is
    transparent, 16 bits divided by 257, CMYK converted, resized by Lanczos; of several frames the first is used.
    Without a size given, images keep the one they share up to 96 pixels a side, else get the median shape with at most
    as many pixels as 64×64. Their order is that of their paths as
    bytes. Colour profiles are ignored. Files that cannot be used, among them images of more than 50 megapixels, are
    left out, counted and named, all of them in `data-report.json` of the run; more than half of them is an error. `gan
    data check FOLDER` examines a set beforehand. Folders of runs among the images are passed over.

    Sub-folders become the label set `class`. A labels file, CSV (`,` `;` or tab, with a header) or JSON, gives a label
    set for each of its columns that holds categories: two values or more, each on two images or more on average, at
    most 100, or 20 if all are whole numbers; no fractions. Images without a row are left out; rows without an image,
    empty cells and rows that contradict each other are errors. Sets that are large, or take more than some
    two seconds to decode, are kept in a file of the user's cache folder. A sum over the whole file is compared when it
    is opened; it is used again until an image or an option changes, and may be deleted at any time.
    """

    path: str = option("", help="folder of images, or of one folder for each class")
    background: str = option("white", help="colour under transparent pixels and around padded images: name or #rrggbb")
    fit: str = option("crop", choices=("crop", "pad", "stretch"), help="how an image of another shape is made to fit")
    channels: int | None = option(None, choices=(1, 3), help="1 grey, 3 colour; none: 1 if all images are grey, else 3")
    bad_images: str = option("skip", choices=("skip", "stop"), help="leave out files that cannot be used, or stop")
    leave_out: str = option(
        "",
        help="file that lists images to leave out, one a line, as `gan data check --fix-list` writes it; empty: none",
    )
    labels: str = option(
        "auto",
        choices=("auto", "folders", "none"),
        help="auto: labels.csv, labels.json or dataset.json if there is one, else folders",
    )
    labels_file: str = option("", help="CSV or JSON file that labels the images; empty: as labels says")
    label_columns: tuple[str, ...] = option((), help="columns of that file to use; empty: all that hold categories")
    allow_missing: bool = option(False, help="leave out rows of the labels file that name no image, or stop")
    duplicates: str = option(
        "keep",
        choices=("keep", "first", "merge"),
        help="of images with the same pixels keep all; one with its first class; one with all, the next in class-2, …",
    )
    cache: str = option(
        "auto",
        choices=("auto", "memory", "file"),
        help="where decoded images are held; auto keeps a copy on disk where it pays",
    )
    cache_memory: int = option(1024, ge=0, help="MiB of decoded images above which auto takes a file")
    report: dict[str, Any] | None = cached()  # what became of the files, once they are read

    def __attrs_post_init__(self) -> None:
        self.colour()
        if (self.labels_file or self.label_columns) and self.labels != "auto":
            what = f"image-folder.labels is {self.labels}, so a labels file would not be read"
            fix = "--image-folder.labels auto, or leave labels-file and label-columns out"
            raise UsageError(what, where="image-folder.labels", fix=fix)

    def colour(self) -> Colour:
        """Return the background as (red, green, blue). Raises UsageError where it is no opaque colour."""
        with suppress(ValueError):
            colour = ImageColor.getrgb(self.background)
            if len(colour) == 3:
                return colour
        what = f"image-folder.background is {shown(self.background)!r}, which is no opaque colour"
        raise UsageError(what, where="image-folder.background", fix="white, black, … or #rrggbb")

    @hookimpl
    def recognizes(self, path: Path) -> int:
        try:
            return int(any(is_image(name) for name, _ in islice(walk(str(path)), 2000)))
        except UsageError:
            return 1  # a run: so that the refusal is spoken
        except DataError:
            return 0

    @hookimpl
    def make_data(self, spec: DataSpec) -> Hashed:
        return self.assemble(*self.read_folder(spec))

    @hookimpl
    def describe_data(self) -> dict[str, Any] | None:
        return self.report

    def read_folder(self, spec: DataSpec) -> tuple[Images, Classes]:
        """Find and decode the images, and report what became of the files. Raises UsageError or DataError."""
        root = folder_at(self.path, spec.folder)
        found = find_images(root)
        left = read_list(self.leave_out, spec.folder) if self.leave_out else frozenset()
        absent = left.difference(found.names) if left else left
        wanted = Wanted(self.labels, self.labels_file, self.label_columns, self.allow_missing)
        labels = find_labels(root, found, wanted, spec.folder, left)
        notes = [*passed_over(found, left, absent), *labels.notes]
        tell(*notes)
        images = self.decode(root, labels.names, spec.size)
        tell(*images.about.lines)
        self.report = report_of(images.about, len(left) - len(absent), found, [*notes, *images.about.lines])
        classes = labels.without(images.about.faults)
        for each, column in zip(classes.sets, classes.of.T, strict=True):
            unused = np.flatnonzero(np.bincount(column, minlength=len(each)) == 0)
            if len(unused):
                tell(f"classes without a usable image are left out: {shown(*(each.classes[k] for k in unused))}")
        return images, classes

    def decode(self, root: str, names: Files, size: tuple[int, int] | None) -> Images:
        """Return the decoded images, from the cache folder if they are there. Raises DataError."""
        once = self.duplicates != "keep"
        how = How(size, self.channels, self.fit, self.colour(), self.bad_images, once)
        if self.cache == "memory":
            return read(root, names, how, Memory)
        place = place_for(root, names, how)

        def small(count: int, form: Form) -> bool:
            return self.cache == "auto" and count * prod(form) <= self.cache_memory << 20

        def store(count: int, form: Form) -> Store:
            if not small(count, form):
                return Disk(place, form)
            memory = Memory(count, form)
            return Copied(memory, Disk(place, form)) if place.pays() else memory

        kept = open_cached(place)
        if kept is None:
            return read(root, names, how, store)
        count, *form = kept.samples.shape
        return in_memory(kept) if small(count, (form[0], form[1], form[2])) else kept

    def assemble(self, images: Images, classes: Classes) -> Hashed:
        """Join images and labels, and tell which classes share images."""
        digests = images.about.digests
        equal = equal_ones(digests)
        if shared := count_contradicted(classes, equal):
            fix = "; --image-folder.duplicates merge keeps each once" if self.duplicates == "keep" else ""
            tell(f"{shared} different images stand in several classes{fix}")
        if self.duplicates == "keep":
            equal = None
        numbers, sets = numbers_of(classes, equal, all_classes=self.duplicates == "merge")
        kept = {(each.name, name) for each in sets for name in each.classes}
        lost = [name for each in classes.sets for name in each.classes if (each.name, name) not in kept]
        if lost and equal is not None:
            tell(f"classes that are no image's first: {shown(*lost)}")
        kind = Mapped if isinstance(images.samples, np.ndarray) else Hashed
        digests = digests if equal is None else digests[equal.firsts]
        return kind(images.samples, torch.from_numpy(numbers), sets, digests=digests)
