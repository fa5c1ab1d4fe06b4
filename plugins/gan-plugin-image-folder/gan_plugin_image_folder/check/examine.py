"""Examine every image of a folder, one at a time, and its labels, as a run would read them."""

from collections.abc import Iterable
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from gan_plugin_image_folder.decode.decoded import Faults
from gan_plugin_image_folder.decode.image_file import (
    ImageInfo,
    describe,
    open_image,
    orientation_of,
)
from gan_plugin_image_folder.decode.pixels import rgb_bands, upright
from gan_plugin_image_folder.decode.retry import attempt
from gan_plugin_image_folder.decode.stderr_capture import silence_decoders
from gan_plugin_image_folder.labels.find import LabelOptions, find_labels
from gan_plugin_image_folder.labels.image_labels import ImageLabels
from gan_plugin_image_folder.names import path_below
from gan_plugin_image_folder.scan import ScanResult
from gancore import DataError, GanError, progress_bar

WHITE = (255, 255, 255)
TURNED = range(2, 9)  # orientations of EXIF that turn or flip the stored image


class ExaminedFile(NamedTuple):
    """A usable file: its header, Pillow's mode, a digest of its upright pixels over white."""

    info: ImageInfo
    mode: str
    digest: str


class Examination(NamedTuple):
    """The usable files, the faults of the others, and the labels or why a run would refuse them."""

    found: ScanResult
    files: list[ExaminedFile]
    faults: Faults
    stderr_lines: list[str]  # that decoders wrote
    labels: ImageLabels | None
    labels_refused: str
    exit_code: int  # of `gan run` on this folder


def examine_folder(root: str, found: ScanResult) -> Examination:
    """Examine the images of a folder."""
    files: list[ExaminedFile] = []
    faults: Faults = {}
    with silence_decoders() as stderr_lines:
        for name in progress_bar(found.files, len(found.files), "examining images"):
            result = attempt(examine_file, root, name)
            if isinstance(result, ExaminedFile):
                files.append(result)
            else:
                faults[name] = str(result)
        lines = stderr_lines()
    labels = None
    refused = ""
    exit_code = DataError.exit_code if len(faults) > len(files) else 0
    if files:
        try:
            labels = find_labels(root, found, LabelOptions(), Path(), faults)
        except GanError as error:
            refused = str(error)
            exit_code = error.exit_code
    return Examination(found, files, faults, lines, labels, refused, exit_code)


def examine_file(root: str, name: str) -> ExaminedFile:
    """Decode one file and describe it. Raises UnusableFile."""
    digest = blake2b(digest_size=16)
    extremes: list[tuple[int, int]] = []  # (least, largest) of red, green, blue of each band
    with open_image(path_below(root, name)) as image:
        info = describe(image, WHITE, name)
        mode = image.mode
        remarks = list(info.remarks)
        if orientation_of(image) in TURNED:
            remarks.append("turned by EXIF")
        if "icc_profile" in image.info:
            remarks.append("with a colour profile, which is ignored")
        image.load()
        # Digests of upright RGB, so that copies in other formats and orientations are found.
        turned = upright(image)
        digest.update(repr(turned.size).encode())
        for band in rgb_bands(turned, WHITE):
            digest.update(band.tobytes())
            extremes += band.getextrema()
    if all(is_constant(extremes[channel::3]) for channel in range(3)):
        remarks.append("of one colour")
    return ExaminedFile(info._replace(remarks=tuple(remarks)), mode, digest.hexdigest())


def is_constant(extremes: Iterable[tuple[int, int]]) -> bool:
    """Return whether bands with these (least, largest) values hold a single value."""
    return len(set(chain.from_iterable(extremes))) == 1
