"""Image files with faults, made on the spot: what each holds, and what must become of it."""

import io
import os
import socket
import struct
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

MEGA = 1_000_000


def noise(mode="RGB", size=(32, 32), seed=0):
    shape = (size[1], size[0], *([len(mode)] if len(mode) > 1 else []))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), mode)


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(name, content):
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(width, height, content=b"", *more, bits=8, colour=0):
    """A PNG that states that size; `more` chunks stand before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + b"".join(more)
        + chunk(b"IDAT", content)
        + chunk(b"IEND", b"")
    )


def packed(count, row):
    """Pack a row so many times, without holding them."""
    packer = zlib.compressobj(1)
    return b"".join([*(packer.compress(row) for _ in range(count)), packer.flush()])


def blank(width, height, channels=1, bits=8):
    """A whole PNG of zeros: 1 channel is grey, 3 colour, 4 colour with alpha."""
    row = bytes(1 + width * channels * bits // 8)
    return png(width, height, packed(height, row), bits=bits, colour={1: 0, 3: 2, 4: 6}[channels])


def crc_wrong():
    raw = bytearray(encoded(noise()))
    raw[raw.index(b"IEND") - 5] ^= 1  # the last byte of the checksum of the pixels
    return bytes(raw)


def half(form, **options):
    raw = encoded(noise(size=(64, 64)), form, **options)
    return raw[: len(raw) // 2]


def with_text():
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 100 * MEGA, zip=True)
    return encoded(noise(), pnginfo=info)


def with_profile(size):
    return png(
        8, 8, packed(8, bytes(9)), chunk(b"iCCP", b"icc\0\0" + packed(size // MEGA, bytes(MEGA)))
    )


def jpeg_frame(marker, precision=8):
    """A JPEG whose frame is said to be of another kind: 0xC3 lossless, 0xC9 arithmetic; or of other
    precision.
    """
    raw = bytearray(encoded(noise(), "JPEG"))
    place = raw.index(b"\xff\xc0")
    raw[place + 1], raw[place + 4] = marker, precision
    return bytes(raw)


def directories(count):
    """A TIFF of that many directories, each the first's twin, whose last one points to the second:
    a loop.
    """
    raw = bytearray(encoded(noise(), "TIFF"))
    start = struct.unpack_from("<I", raw, 4)[0]
    entries = struct.unpack_from("<H", raw, start)[0]
    size = 2 + 12 * entries
    body, first = bytes(raw[start : start + size]), len(raw)
    struct.pack_into("<I", raw, start + size, first)
    places = [first + k * (size + 4) for k in range(count)]
    for following in [*places[1:], places[0]]:
        raw += body + struct.pack("<I", following)
    return bytes(raw)


def spoilt_tiff():
    raw = bytearray(encoded(noise(size=(64, 64)), "TIFF", compression="tiff_adobe_deflate"))
    for place in range(20, 4000, 7):
        raw[place] ^= 0x5A
    return bytes(raw)


def tagged(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(noise(), "JPEG", exif=exif)


def frames(form, **options):
    return encoded(noise(), form, save_all=True, append_images=[noise(seed=1)], **options)


def tiled():
    """A TIFF of four tiles of 16×16 grey pixels."""
    tags = {256: 32, 257: 32, 258: 8, 259: 1, 262: 1, 277: 1, 322: 16, 323: 16}
    tiles, count = bytes(range(256)) * 4, len(tags) + 2
    after = 8 + 2 + 12 * count + 4
    entries = [struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags.items()]
    entries += [struct.pack("<HHII", 324, 4, 4, after), struct.pack("<HHII", 325, 4, 4, after + 16)]
    lists = struct.pack("<8I", *(after + 32 + 256 * k for k in range(4)), *[256] * 4)
    return b"II*\0" + struct.pack("<IH", 8, count) + b"".join(entries) + bytes(4) + lists + tiles


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
BROKEN = "truncated|corrupt|broken header"

# identifier and what it is → (end of the name, content or what makes it, reason why it is skipped)
SKIPPED = {
    "D01-zero-bytes": (".png", b"", "empty"),
    "D02-jpeg-cut-in-the-header": (".jpg", encoded(noise(), "JPEG")[:100], BROKEN),
    "D02-jpeg-cut-before-the-scan": (
        ".jpg",
        encoded(noise(), "JPEG").partition(b"\xff\xda")[0],
        BROKEN,
    ),
    "D02-jpeg-cut-in-the-scan": (".jpg", half("JPEG"), "truncated"),
    "D02-jpeg-cut-before-its-end": (".jpg", encoded(noise(), "JPEG")[:-40], "truncated"),
    "D03-png-cut-in-the-signature": (".png", encoded(noise())[:5], "not an image"),
    "D03-png-cut-in-the-header": (".png", encoded(noise())[:20], "truncated"),
    "D03-png-cut-in-the-pixels": (".png", half("PNG"), "truncated"),
    "D04-gif-cut": (".gif", half("GIF"), BROKEN),
    "D04-webp-cut": (".webp", half("WEBP"), BROKEN),
    "D04-bmp-cut": (".bmp", half("BMP"), "truncated"),
    "D04-tiff-cut": (".tif", half("TIFF"), BROKEN),
    "D04-ppm-cut": (".ppm", half("PPM"), BROKEN),
    "D05-png-of-corrupt-pixels": (".png", png(16, 16, b"no zlib stream at all"), "corrupt"),
    "D06-text": (".jpg", b"hello", "not an image"),
    "D06-error-page": (".jpg", b"<!DOCTYPE html><title>404</title>", "not an image"),
    "D06-lfs-pointer": (".jpg", LFS, "git-lfs pointer: run git lfs pull"),
    "D08-bomb-of-20000-square": (".png", lambda: blank(20_000, 20_000), "too large"),
    "D09-states-2-31-square": (".png", png(2**31 - 1, 2**31 - 1), "too large"),
    "D09-states-0-by-0": (".png", png(0, 0), BROKEN),
    "D12-float-with-nan": (
        ".tif",
        encoded(Image.new("F", (4, 4), float("nan")), "TIFF"),
        "unsupported mode F",
    ),
    "D12-32-bit": (".tif", encoded(Image.new("I", (4, 4), 9), "TIFF"), "unsupported mode I"),
    "D18-jpeg-called-lossless": (".jpg", jpeg_frame(0xC3), BROKEN),
    "D18-jpeg-of-12-bits": (".jpg", jpeg_frame(0xC0, 12), BROKEN),
    "D19-text-of-100-megabytes": (".png", with_text, "metadata too large"),
    "D19-profile-that-unpacks-to-a-gigabyte": (
        ".png",
        lambda: with_profile(1000 * MEGA),
        "metadata too large",
    ),
    "D21-svg": (".svg", b"<svg/>", "format not supported"),
    "D21-film": (".mp4", bytes(4) + b"ftypisom", "format not supported"),
    "D21-heic": (".heic", bytes(4) + b"ftypheic", "format not supported"),
    "D21-pdf": (".pdf", b"%PDF-1.7\n", "format not supported"),
    "D21-avif-named-png": (".png", encoded(noise(), "AVIF"), "not an image"),
    "D21-psd-named-png": (".png", b"8BPS\0\1" + bytes(50), "not an image"),
    "D21-postscript-named-png": (
        ".png",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "not an image",
    ),
    "D21-npy-named-png": (".png", b"\x93NUMPY\1\0v\0" + bytes(200), "not an image"),
    "D67-tiff-that-makes-libtiff-speak": (".tif", spoilt_tiff(), BROKEN),
}

# the same for files that are used: (end of the name, content)
USED = {
    "D03-png-without-its-last-chunk": (".png", encoded(noise(seed=1))[:-12]),
    "D05-png-with-a-wrong-checksum": (".png", crc_wrong()),
    "D07-png-named-jpg": (".jpg", encoded(noise(seed=2))),
    "D07-upper-case": (".JPG", encoded(noise(seed=3), "JPEG")),
    "D10-one-pixel": (".png", encoded(Image.new("RGB", (1, 1)))),
    "D10-5000-by-1": (".png", encoded(Image.new("RGB", (5000, 1)))),
    "D11-16-bit-png": (
        ".png",
        encoded(Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32) * 64)),
    ),
    "D11-16-bit-tiff": (
        ".tif",
        encoded(Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)), "TIFF"),
    ),
    "D11-16-bit-pgm": (".pgm", b"P5 2 1 65535\n" + bytes([0, 255, 255, 255])),
    "D13-one-bit": (".png", encoded(noise("L").convert("1"))),
    "D13-grey-and-alpha": (".png", encoded(noise("LA"))),
    "D13-alpha": (".png", encoded(noise("RGBA"))),
    "D13-palette-and-transparency": (".png", encoded(noise().quantize(16), transparency=3)),
    "D14-cmyk-jpeg": (".jpg", encoded(noise("CMYK"), "JPEG")),
    "D15-exif-turned": (".jpg", tagged(6)),
    "D15-exif-of-no-meaning": (".jpg", tagged(9)),
    "D15-exif-corrupt": (".png", encoded(noise(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")),
    "D16-profile-corrupt": (".png", encoded(noise(), icc_profile=b"no profile")),
    "D16-profile-of-10-megabytes": (".jpg", encoded(noise(), "JPEG", icc_profile=bytes(10 * MEGA))),
    "D17-animated-gif": (".gif", frames("GIF")),
    "D17-animated-webp": (".webp", frames("WEBP", lossless=True)),
    "D17-animated-png": (".png", frames("PNG")),
    "D17-tiff-of-two-pages": (".tif", frames("TIFF")),
    "D18-jpeg-progressive": (".jpg", encoded(noise(), "JPEG", progressive=True)),
    "D20-appended-zip": (".png", encoded(noise()) + b"PK\3\4" + bytes(999)),
    "D66-tiff-of-10000-directories-in-a-loop": (".tif", directories(10_000)),
    "D66-tiff-in-tiles": (".tif", tiled()),
    "D66-tiff-lzw": (".tif", encoded(noise(), "TIFF", compression="tiff_lzw")),
    "D66-jpeg-in-tiff": (".tif", encoded(noise(), "TIFF", compression="jpeg")),
}
EITHER = {
    "D18-jpeg-called-arithmetic": (".jpg", jpeg_frame(0xC9))
}  # used or skipped, as the decoder can

ODD_NAMES = [
    "new\nline", "tab\t", "\x1b[31mred", "quote\"'", "-rf", " space", "%s", "[red]", "<b>", "{{7*7}}", "a,b;c", "#a",
    "caf\u00e9", "cafe\u0301", os.fsdecode(b"\xff\xfe"), "x" * 250,
]  # fmt: skip


def write_corpus(folder):
    """Write every fault under its identifier, files of odd names, and what is no regular file;
    return the reasons.
    """
    folder.mkdir()
    expected = {}
    for name, (end, content, reason) in SKIPPED.items():
        (folder / (name + end)).write_bytes(content() if callable(content) else content)
        expected[name + end] = reason
    for name, (end, content) in {**USED, **EITHER}.items():
        (folder / (name + end)).write_bytes(content)
    for place, name in enumerate(ODD_NAMES):
        (folder / f"{name}.png").write_bytes(encoded(noise(seed=100 + place)))
    (folder / "bad\x1b]0;title\x07\n.png").write_bytes(b"text")
    expected["bad\x1b]0;title\x07\n.png"] = "not an image"
    return expected | write_irregular(folder)


def write_irregular(folder):
    """Write links, a FIFO, a socket, a folder named like an image; return why each is skipped."""
    os.mkfifo(folder / "D24-fifo.png")
    (folder / "D24-device.png").symlink_to("/dev/zero")
    (folder / "D24-folder.png").mkdir()
    (folder / "D24-folder.png" / "inner.png").write_bytes(encoded(noise(seed=5)))
    (folder / "D23-inside.png").symlink_to("D24-folder.png/inner.png")
    (folder / "D23-dangling.png").symlink_to("nowhere.png")
    (folder / "D23-loop.png").symlink_to("D23-loop.png")
    (folder / "D23-folder-loop").symlink_to(folder)
    here, there = os.getcwd(), socket.socket(socket.AF_UNIX)
    os.chdir(folder)  # the path of a socket may have 107 bytes
    with there:
        there.bind("D24-socket.png")
    os.chdir(here)
    (folder / ".hidden.png").write_bytes(b"rotten")  # D36
    (folder / "Thumbs.db").write_bytes(b"litter")
    irregular = dict.fromkeys(
        ("D24-fifo.png", "D24-device.png", "D24-socket.png"), "not a regular file"
    )
    loop = "too many levels of symbolic links|too many symbolic links encountered"
    return {**irregular, "D23-dangling.png": "no such file or directory", "D23-loop.png": loop}
