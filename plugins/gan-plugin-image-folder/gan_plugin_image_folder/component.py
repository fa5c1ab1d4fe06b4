"""The component `image-folder`: its options, and the hooks that read a folder of images."""

from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import ImageColor

from gan_plugin_image_folder.decode.decoded import Colour, DecodedImages, DecodeOptions
from gan_plugin_image_folder.decode.report import json_report, scan_notes
from gan_plugin_image_folder.exclude_list import read_exclude_list
from gan_plugin_image_folder.file_index import FileIndex
from gan_plugin_image_folder.join import join_labels
from gan_plugin_image_folder.labels.find import LabelOptions, find_labels
from gan_plugin_image_folder.labels.image_labels import ClassNumbers
from gan_plugin_image_folder.log import warn
from gan_plugin_image_folder.names import printable
from gan_plugin_image_folder.scan import has_image_suffix, resolve_folder, scan_folder, walk
from gan_plugin_image_folder.storage.dataset import HashedData
from gan_plugin_image_folder.storage.load import CacheOptions, load_images
from gancore import DataError, DataSpec, UsageError, cached, component, hookimpl, option

MOST_LOOKED_AT = 2000  # entries of a folder that are listed to recognize it


@component(
    source="Radford, Metz and Chintala, ICLR 2016, arXiv:1511.06434, section 4: images scaled to"
    " [-1, 1]",
    known_as={"folder": "", "photos": "", "imagefolder": ""},
)
class ImageFolder:
    """Read a folder of images: PNG, JPEG, WebP, GIF, BMP, TIFF, PPM; folders or a file give labels.

    Each image is decoded once into uint8 `[C, H, W]`: turned upright by its EXIF orientation,
    composited on the background where it is transparent, 16 bits divided by 257, CMYK converted,
    resized by Lanczos; of several frames the first is used. Without a size given, images keep the
    one they share up to 96 pixels a side, else get the median shape with at most as many pixels as
    64×64; in a run on a GPU, up to 192 pixels and as many as 128×128. The recipe of the run states
    the size. They are sorted by the bytes of their paths. Colour profiles are ignored. Files that
    cannot be used, among them images of more than 50 megapixels, are left out, counted and named,
    all of them in `data-report.json` of the run; more than half of them is an error. `gan data
    check FOLDER` examines a set beforehand. Run directories among the images are skipped.

    Sub-folders become the label set `class`. A labels file, CSV (`,` `;` or tab, with a header) or
    JSON, gives a label set for each of its columns that holds categories: two values or more, each
    on two images or more on average, at most 100, or 20 if all are whole numbers; no fractions.
    Images without a row are left out; rows without an image, empty cells and rows that contradict
    each other are errors. Sets that are large, or take more than some two seconds to decode, are
    kept in a file of the user's cache folder. Its checksum is verified when it is opened; it is
    used again until an image or an option changes, and may be deleted at any time.
    """

    path: str = option("", help="folder of images, or of one folder for each class")
    background: str = option(
        "white",
        help="colour under transparent pixels and around padded images: name or #rrggbb",
    )
    fit: str = option(
        "crop",
        choices=("crop", "pad", "stretch"),
        help="how an image of another shape is fitted to the size",
    )
    channels: int | None = option(
        None,
        choices=(1, 3),
        help="1 grey, 3 colour; none: 1 if all images are grey, else 3",
    )
    bad_images: str = option(
        "skip",
        choices=("skip", "stop"),
        help="leave out files that cannot be used, or stop",
    )
    leave_out: str = option(
        "",
        help="file that lists images to leave out, one a line, as `gan data check --fix-list`"
        " writes it; empty: none",
    )
    labels: str = option(
        "auto",
        choices=("auto", "folders", "none"),
        help="auto: labels.csv, labels.json or dataset.json if there is one, else folders",
    )
    labels_file: str = option(
        "", help="CSV or JSON file that labels the images; empty: as set by labels"
    )
    label_columns: tuple[str, ...] = option(
        (), help="columns of that file to use; empty: all that hold categories"
    )
    allow_missing: bool = option(
        False, help="leave out rows of the labels file that name no image, or stop"
    )
    duplicates: str = option(
        "keep",
        choices=("keep", "first", "merge"),
        help="of images with the same pixels keep all; one with its first class; one with all, the"
        " next in class-2, …",
    )
    cache: str = option(
        "auto",
        choices=("auto", "memory", "file"),
        help="where decoded images are held; auto also writes a cache file where decoding is slow",
    )
    cache_memory: int = option(
        1024, ge=0, help="MiB of decoded images above which auto maps a cache file"
    )
    # Set by make_data, for describe_data.
    report: dict[str, Any] | None = cached()
    # Set by make_data, for chosen_size.
    size: tuple[int, int] | None = cached()

    def __attrs_post_init__(self) -> None:
        self.background_colour()
        if (self.labels_file or self.label_columns) and self.labels != "auto":
            what = f"image-folder.labels is {self.labels}, so a labels file would not be read"
            fix = "--image-folder.labels auto, or leave out labels-file and label-columns"
            raise UsageError(what, where="image-folder.labels", fix=fix)

    def background_colour(self) -> Colour:
        """Return the background as (red, green, blue). Raises UsageError for any other value."""
        with suppress(ValueError):
            colour = ImageColor.getrgb(self.background)
            if len(colour) == 3:  # four with an alpha value
                return colour
        name = printable(self.background)
        what = f"image-folder.background is {name!r}, which is not an opaque colour"
        raise UsageError(what, where="image-folder.background", fix="white, black, … or #rrggbb")

    @hookimpl
    def recognizes(self, path: Path) -> int:
        try:
            entries = islice(walk(str(path)), MOST_LOOKED_AT)
            return int(any(has_image_suffix(name) for name, _ in entries))
        except UsageError:
            return 1  # a run directory: make_data then refuses it with this reason
        except DataError:
            return 0

    @hookimpl
    def make_data(self, spec: DataSpec) -> HashedData:
        images, classes = self.read_folder(spec)
        _, _, height, width = images.samples.shape
        self.size = (height, width)
        return join_labels(images, classes, self.duplicates)

    @hookimpl
    def describe_data(self) -> dict[str, Any] | None:
        return self.report

    @hookimpl
    def chosen_size(self) -> tuple[int, int] | None:
        return self.size

    def read_folder(self, spec: DataSpec) -> tuple[DecodedImages, ClassNumbers]:
        """Scan, label and decode the images, and report the files. Raises UsageError, DataError."""
        root = resolve_folder(self.path, spec.folder)
        found = scan_folder(root)
        excluded: frozenset[str] = frozenset()
        absent: frozenset[str] = frozenset()
        if self.leave_out:
            excluded = read_exclude_list(self.leave_out, spec.folder)
            absent = excluded.difference(found.files)
        options = LabelOptions(
            self.labels, self.labels_file, self.label_columns, self.allow_missing
        )
        labels = find_labels(root, found, options, spec.folder, excluded)
        notes = [*scan_notes(found, excluded, absent), *labels.notes]
        warn(notes)
        images = self.decode(root, labels.files, spec)
        warn(images.summary.notes)
        notes += images.summary.notes
        self.report = json_report(images.summary, len(excluded) - len(absent), found, notes)
        return images, labels.without(images.summary.faults)

    def decode(self, root: str, files: FileIndex, spec: DataSpec) -> DecodedImages:
        """Return the images, decoded or from the cache file. Raises DataError."""
        options = DecodeOptions(
            size=spec.size,
            channels=self.channels,
            fit=self.fit,
            background=self.background_colour(),
            bad_images=self.bad_images,
            unique=self.duplicates != "keep",
            area=spec.area,
        )
        return load_images(root, files, options, CacheOptions(self.cache, self.cache_memory))
