"""Open one image file: check its header, and name the reason where it cannot be used."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from stat import S_ISREG
from typing import NamedTuple

from PIL import Image, TiffImagePlugin, UnidentifiedImageError, features

from gan_plugin_image_folder.decode.decoded import Colour
from gan_plugin_image_folder.names import path_below
from gan_plugin_image_folder.scan import UNSUPPORTED_SUFFIXES

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
UNSUPPORTED = tuple(map(str.encode, UNSUPPORTED_SUFFIXES))
GREY_MODES = {"1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N"}
MODES = GREY_MODES | {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"}
SIXTEEN_BITS_AS_INT32 = {("I", "PNG"), ("I", "PPM")}  # modes that other formats use for 32 bits
if features.check("littlecms2"):  # converts LAB; Pillow may be built without it
    MODES.add("LAB")
MOST_PIXELS = 50_000_000  # of one image
MOST_BYTES = 256 << 20  # of one file
ORIENTATION_TAG = 0x0112  # of EXIF
QUARTER_TURNS = (5, 6, 7, 8)  # its values that swap height and width
PHOTOMETRIC_TAG = 262  # of TIFF
WHITE_IS_ZERO = 0  # its value where 0 is white
INVERTED = "0 is white"  # a key of our own in `Image.info`, which crops of an image inherit
# Faults of disk, network or system rather than of the file.
TRANSIENT_ERRORS = {errno.EIO, errno.ETIMEDOUT, errno.ESTALE, errno.EMFILE, errno.ENFILE}

# Pillow has no entry for big-endian 16-bit TIFF where 0 is white, and reads little-endian ones as
# if 0 were black: `is_inverted` treats both alike.
TiffImagePlugin.OPEN_INFO.setdefault((b"MM", 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))

TRANSPARENT = "composited on the background"  # the remark on an image with transparency

Stamp = tuple[int, int, int] | None  # size, mtime and ctime in nanoseconds; None for no file


class UnusableFile(Exception):
    """A file that cannot be used; the text is the reason under which it is counted.

    `transient` marks a fault of disk, network or system that may be gone at the next attempt.
    """

    transient = False


class ImageInfo(NamedTuple):
    """What the header of a file says; `size` is (height, width) of the upright image."""

    name: str
    size: tuple[int, int]
    grey: bool
    remarks: tuple[str, ...]
    stamp: Stamp

    @property
    def transparent(self) -> bool:
        """Whether the image has transparency, so that it is composited on the background."""
        return TRANSPARENT in self.remarks


@contextmanager
def open_image(path: bytes) -> Iterator[Image.Image]:
    """Open an image and check its header. Raises UnusableFile, for errors in the block too."""
    head = b""
    try:
        check_file(path)
        with open(path, "rb") as file:
            head = file.read(64)
            with Image.open(file, formats=FORMATS) as image:
                check_header(image)
                image.info[INVERTED] = is_inverted(image)
                yield image  # within try: decoding in the caller's block raises here too
    except UnusableFile:
        raise
    except Exception as error:  # decoders raise nearly anything for corrupt files
        fault = UnusableFile(reason_of(error, head))
        fault.transient = isinstance(error, OSError) and error.errno in TRANSIENT_ERRORS
        raise fault from error


def check_file(path: bytes) -> None:
    """Raise UnusableFile for what must not be opened."""
    status = os.stat(path)
    if not S_ISREG(status.st_mode):  # opening a FIFO would block for ever
        raise UnusableFile("not a regular file")
    if path.lower().endswith(UNSUPPORTED):
        raise UnusableFile("format not supported")
    if status.st_size == 0:
        raise UnusableFile("empty")
    if status.st_size > MOST_BYTES:
        raise UnusableFile("too large")


def check_header(image: Image.Image) -> None:
    """Raise UnusableFile for too many pixels, and for a mode whose range of values is unknown."""
    if image.width * image.height > MOST_PIXELS:
        raise UnusableFile("too large")
    if image.mode not in MODES and (image.mode, image.format) not in SIXTEEN_BITS_AS_INT32:
        raise UnusableFile(f"unsupported mode {image.mode}")


def is_inverted(image: Image.Image) -> bool:
    """Return whether 0 is white in a 16-bit TIFF; Pillow itself inverts those of 8 bits."""
    if not image.mode.startswith("I;16") or not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    return image.tag_v2.get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO


def reason_of(error: Exception, head: bytes) -> str:
    """Name in a few words what is wrong with a file that begins with `head`."""
    bombs = Image.DecompressionBombError | Image.DecompressionBombWarning
    if isinstance(error, bombs | MemoryError):
        return "too large"
    if "Decompressed data too large" in str(error):
        return "metadata too large"
    if head.startswith(b"version https://git-lfs"):
        return "git-lfs pointer: run git lfs pull"
    if isinstance(error, UnidentifiedImageError):
        return "broken header" if head.startswith(SIGNATURES) else "not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return "truncated"
    return "corrupt"


def read_stamp(root: str, name: str) -> Stamp:
    """Return size, mtime and ctime of a file, which change when it does."""
    try:
        status = os.stat(path_below(root, name))
        return status.st_size, status.st_mtime_ns, status.st_ctime_ns
    except OSError:
        return None


def read_header(root: str, background: Colour, name: str) -> ImageInfo:
    """Read the header of one file. Raises UnusableFile."""
    stamp = read_stamp(root, name)
    with open_image(path_below(root, name)) as image:
        return describe(image, background, name, stamp)


def describe(image: Image.Image, background: Colour, name: str, stamp: Stamp = None) -> ImageInfo:
    """Describe an opened image without decoding it."""
    remarks = []
    if image.has_transparency_data:
        remarks.append(TRANSPARENT)
    if getattr(image, "is_animated", False):
        remarks.append("with several frames, the first used")
    # Transparent pixels show the background, which may have a colour.
    tinted = image.has_transparency_data and len(set(background)) > 1
    grey = (image.mode in GREY_MODES or image.mode == "I") and not tinted
    size = (image.height, image.width)
    if orientation_of(image) in QUARTER_TURNS:
        size = (image.width, image.height)
    return ImageInfo(name, size, grey, tuple(remarks), stamp)


def orientation_of(image: Image.Image) -> object:
    """Return the orientation in EXIF, if any, without decoding the image."""
    try:
        # The method of the base class: that of PNG files would decode all pixels.
        return Image.Image.getexif(image).get(ORIENTATION_TAG)
    except Exception:  # corrupt EXIF
        return None
