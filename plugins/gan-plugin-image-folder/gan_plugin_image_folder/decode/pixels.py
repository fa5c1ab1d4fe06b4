"""Decode one image file: upright, opaque, in grey or RGB, and resized."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms, ImageOps

from gan_plugin_image_folder.decode.decoded import Colour, Shape
from gan_plugin_image_folder.decode.image_file import INVERTED, open_image

LANCZOS = Image.Resampling.LANCZOS
BAND_PIXELS = 1 << 20  # pixels that are converted at a time


def decode_file(path: bytes, shape: Shape, fit: str, background: Colour) -> np.ndarray:
    """Return the pixels of one file, uint8 `[C, H, W]` of that shape. Raises UnusableFile."""
    channels, height, width = shape
    with open_image(path) as image:
        image.load()
        opaque = to_rgb(upright(image), background)
        resized = resize(opaque, (width, height), fit, background)
        pixels = np.asarray(resized.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def upright(image: Image.Image) -> Image.Image:
    """Apply the orientation in EXIF to a decoded image; corrupt EXIF leaves it unchanged."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # Pillow raises nearly anything for corrupt EXIF
        pass
    return image


def to_rgb(image: Image.Image, background: Colour) -> Image.Image:
    """Return an image in RGB: 16 bits divided by 257, transparency over the background."""
    converted = Image.new("RGB", image.size)
    top = 0
    for band in rgb_bands(image, background):
        converted.paste(band, (0, top))
        top += band.height
    return converted


def rgb_bands(image: Image.Image, background: Colour) -> Iterator[Image.Image]:
    """Yield an image in RGB from top to bottom, a megapixel at a time, to bound memory."""
    rows = max(1, BAND_PIXELS // image.width)
    if rows >= image.height:
        yield composite(image, background)
        return
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        yield composite(image.crop((0, top, image.width, bottom)), background)


def composite(image: Image.Image, background: Colour) -> Image.Image:
    """Convert an image to RGB, with transparent pixels over the background."""
    if image.mode.startswith("I"):
        image = from_16_bits(image)
    if image.mode == "LAB":
        return from_lab(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    below = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(below, image.convert("RGBA")).convert("RGB")


def from_16_bits(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey to 8-bit grey with alpha; one level may be declared transparent."""
    levels = np.asarray(image)
    grey = (levels // 257).astype(np.uint8)  # 65535 = 257·255
    converted = Image.fromarray(255 - grey if image.info.get(INVERTED) else grey)
    transparent = image.info.get("transparency", -1)
    alpha = np.where(levels == transparent, 0, 255).astype(np.uint8)
    converted.putalpha(Image.fromarray(alpha))
    return converted


def from_lab(image: Image.Image) -> Image.Image:
    """Convert an image from CIELAB to sRGB."""
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # None is returned for conversions in place alone
    return converted


def resize(image: Image.Image, size: tuple[int, int], fit: str, background: Colour) -> Image.Image:
    """Resize an image to (width, height): crop to that shape, pad with the background, stretch."""
    if fit == "crop":
        return ImageOps.fit(image, size, LANCZOS)
    if fit == "stretch":
        return image.resize(size, LANCZOS)
    width, height = size
    scale = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    padded = Image.new("RGB", size, background)
    corner = ((width - inner[0]) // 2, (height - inner[1]) // 2)
    padded.paste(image.resize(inner, LANCZOS), corner)
    return padded
