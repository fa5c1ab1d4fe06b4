"""Image files for tests: made on the spot, read, and what was said about them."""

import io
import logging
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from gan_plugin_image_folder.component import ImageFolder
from gancore import DataError, DataSpec

SHARED = Path(__file__).parents[3] / "shared" / "data"
WHITE = (255, 255, 255)
RED = (255, 0, 0)
GREEN = (0, 255, 0)
BLUE = (0, 0, 255)


def noise(mode="RGB", size=(16, 16), seed=0):
    """Return a random image of 8 bits a channel; size is (width, height)."""
    shape = (size[1], size[0], *([len(mode)] if len(mode) > 1 else []))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), mode)


def encoded(image, form="PNG", **options):
    """Return the bytes of a file of that format."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(name, content):
    """Return a chunk of a PNG file."""
    crc = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def png(width, height, content=b"", *more):
    """Return a grey PNG that states this size; `more` chunks stand before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", content)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + chunk(b"IEND", b"")


def save(path, image):
    """Write an image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def put(folder, **files):
    """Write files (`a_png` becomes `a.png`) from bytes or, as PNG, from images."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        raw = encoded(content) if isinstance(content, Image.Image) else content
        (folder / name.replace("_", ".")).write_bytes(raw)
    return folder


def good(folder, count=3):
    """Write images beside which a corrupt one is a minority."""
    for seed in range(count):
        put(folder, **{f"good{seed}_png": noise(seed=seed)})
    return folder


def read(path, size=None, **options):
    """Return the dataset of a folder."""
    return ImageFolder(path=str(path), **options).make_data(DataSpec(size))


def only(folder, *, size=None, options=None, **files):
    """Return the dataset of a folder of these files."""
    return read(put(folder, **files), size, **(options or {}))


def read_and_notes(path, caplog, size=None, **options):
    """Read a folder; return the number of images, and what was said about them."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "gancore"):
        data = read(path, size, **options)
    return len(data), "\n".join(caplog.messages)


def refused(path, **options):
    """Return the message with which a folder is refused."""
    try:
        read(path, **options)
    except DataError as error:
        return str(error)
    raise AssertionError("it is read")


def pixels(data, place=0):
    """Return one image as [H, W, C] numbers."""
    return data.samples[place].permute(1, 2, 0).int().numpy()
