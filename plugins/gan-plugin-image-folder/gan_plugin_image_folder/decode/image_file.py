"""One image file, from its bytes to upright, opaque pixels of the wanted size, or to the reason why not."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from stat import S_ISREG
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError, features

from gan_plugin_image_folder.scan import FOREIGN, path_of

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
GREY = {"1", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N"}
PHOTOMETRIC, MIN_IS_WHITE = 262, 0  # the tag of a TIFF, and its value where 0 is white
# Pillow has no entry for 16 bits in this order of bytes where 0 is white, and reads the other order as if 0 were black.
TiffImagePlugin.OPEN_INFO.setdefault((b"MM", 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))
MODES = GREY | {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"}
if features.check("littlecms2"):  # which converts them; a Pillow that was built without it cannot
    MODES.add("LAB")
MOST_PIXELS, MOST_BYTES = 50_000_000, 256 << 20  # of one image, of one file
LANCZOS = Image.Resampling.LANCZOS
INVERTED = "0 is white"  # a key of `Image.info`, which crops of an image share
BAND = 1 << 20  # pixels that are laid on the background at a time
ORIENTATION, QUARTER_TURNS = 0x0112, (5, 6, 7, 8)  # of EXIF: the tag, and its values that swap height and width
PASSING = {errno.EIO, errno.ETIMEDOUT, errno.ESTALE, errno.EMFILE, errno.ENFILE}  # faults of the system, not the file

Colour = tuple[int, ...]  # red, green, blue, 0 to 255


class Unusable(Exception):
    """A file that cannot be used; its text is the reason under which it is counted.

    `passing` is a fault of disk, network or system, which may be gone the next time.
    """

    passing = False


Stamp = tuple[int, int, int] | None  # bytes of a file, the times of its last change; None where there is none


class Picture(NamedTuple):
    """What a header says: path below the root, upright (height, width), whether it is grey, remarks to count."""

    name: str
    size: tuple[int, int]
    grey: bool
    remarks: tuple[str, ...]
    stamp: Stamp


@contextmanager
def opened(path: bytes) -> Iterator[Image.Image]:
    """Open an image whose header has been checked. Raises Unusable for whatever goes wrong, in the block too."""
    head = b""
    try:
        about = os.stat(path)
        if not S_ISREG(about.st_mode):  # opening a FIFO would never return
            raise Unusable("not a regular file")
        if path.lower().endswith(tuple(map(str.encode, FOREIGN))):
            raise Unusable("format not supported")
        if not 0 < about.st_size <= MOST_BYTES:
            raise Unusable("too large" if about.st_size else "empty")
        with open(path, "rb") as file:
            head = file.read(64)
            with Image.open(file, formats=FORMATS) as image:
                check_header(image)
                image.info[INVERTED] = is_inverted(image)
                yield image
    except Unusable:
        raise
    except Exception as error:  # decoders raise nearly anything on rotten files
        fault = Unusable(reason(error, head))
        fault.passing = isinstance(error, OSError) and error.errno in PASSING
        raise fault from error


def check_header(image: Image.Image) -> None:
    """Raise Unusable for an image too large to decode, or of a mode whose range of values is not known."""
    if image.width * image.height > MOST_PIXELS:
        raise Unusable("too large")
    if image.mode not in MODES and (image.mode, image.format) not in {("I", "PNG"), ("I", "PPM")}:  # 16 bits
        raise Unusable(f"unsupported mode {image.mode}")


def is_inverted(image: Image.Image) -> bool:
    """Whether 0 is white in a TIFF of 16 bits; Pillow inverts those of 8 bits itself."""
    if not image.mode.startswith("I;16") or not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    return image.tag_v2.get(PHOTOMETRIC) == MIN_IS_WHITE


def reason(error: Exception, head: bytes) -> str:
    """Name in a few words what is wrong with a file that begins with `head`."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning | MemoryError):
        return "too large"
    if "Decompressed data too large" in str(error):
        return "metadata too large"
    if head.startswith(b"version https://git-lfs"):
        return "git-lfs pointer: run git lfs pull"
    if isinstance(error, UnidentifiedImageError):
        return "broken header" if head.startswith(BEGINNINGS) else "not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "truncated" if isinstance(error, EOFError) or "truncated" in str(error).lower() else "corrupt"


def stamp_of(root: str, name: str) -> Stamp:
    """Return what changes when a file does."""
    try:
        about = os.stat(path_of(root, name))
        return about.st_size, about.st_mtime_ns, about.st_ctime_ns
    except OSError:
        return None


def look(root: str, background: Colour, name: str) -> Picture:
    """Read the header of one file. Raises Unusable."""
    stamp = stamp_of(root, name)
    with opened(path_of(root, name)) as image:
        return picture_of(image, background, name, stamp)


def picture_of(image: Image.Image, background: Colour, name: str, stamp: Stamp = None) -> Picture:
    """Describe an opened image, without decoding it."""
    clear, several = image.has_transparency_data, getattr(image, "is_animated", False)
    grey = (image.mode in GREY or image.mode == "I") and not (clear and len(set(background)) > 1)
    remarks = {"laid on the background": clear, "of several frames, the first used": several}
    size = image.size if orientation_of(image) in QUARTER_TURNS else image.size[::-1]
    return Picture(name, size, grey, tuple(remark for remark, holds in remarks.items() if holds), stamp)


def orientation_of(image: Image.Image) -> object:
    """Return EXIF's orientation, if any; read without decoding the image, as PNG's own reader might."""
    try:
        return Image.Image.getexif(image).get(ORIENTATION)
    except Exception:  # corrupt EXIF
        return None


def decode(path: bytes, form: tuple[int, int, int], how: str, background: Colour) -> np.ndarray:
    """Return the pixels of one file, uint8 `[C, H, W]` of that form. Raises Unusable."""
    channels, height, width = form
    with opened(path) as image:
        image.load()
        flat = fit(flatten(upright(image), background), (width, height), how, background)
        pixels = np.asarray(flat.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def upright(image: Image.Image) -> Image.Image:
    """Turn a decoded image as its EXIF says; corrupt EXIF leaves it as it is."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:
        pass
    return image


def flatten(image: Image.Image, background: Colour) -> Image.Image:
    """Return the image in RGB: 16 bits divided by 257, transparency laid over the background."""
    sheet = Image.new("RGB", image.size)
    top = 0
    for band in bands(image, background):
        sheet.paste(band, (0, top))
        top += band.height
    return sheet


def bands(image: Image.Image, background: Colour) -> Iterator[Image.Image]:
    """Yield the image in RGB from top to bottom, at most a megapixel at a time, so that memory stays bounded."""
    rows = max(1, BAND // image.width)
    if rows >= image.height:
        yield laid(image, background)
        return
    for top in range(0, image.height, rows):
        yield laid(image.crop((0, top, image.width, min(top + rows, image.height))), background)


def laid(image: Image.Image, background: Colour) -> Image.Image:
    """Convert an image to RGB and lay what is transparent over the background."""
    if image.mode.startswith("I"):
        levels, clear = np.asarray(image), image.info.get("transparency", -1)
        dark = (levels // 257).astype(np.uint8)
        image = Image.fromarray(255 - dark if image.info.get(INVERTED) else dark)
        image.putalpha(Image.fromarray(np.where(levels == clear, 0, 255).astype(np.uint8)))
    if image.mode == "LAB":
        return from_lab(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, background), image.convert("RGBA")).convert("RGB")


def from_lab(image: Image.Image) -> Image.Image:
    """Convert an image from CIELAB to sRGB."""
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "LAB", "RGB"))
    assert converted is not None  # it is, unless in place
    return converted


def fit(image: Image.Image, size: tuple[int, int], how: str, background: Colour) -> Image.Image:
    """Bring an image to `size` (width, height): crop what stands out, pad with the background, or stretch."""
    if how == "crop":
        return ImageOps.fit(image, size, LANCZOS)
    if how == "stretch":
        return image.resize(size, LANCZOS)
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    sheet = Image.new("RGB", size, background)
    sheet.paste(image.resize(inner, LANCZOS), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return sheet
