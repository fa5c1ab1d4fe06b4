"""Corrupt files: each is left out with the reason, and nothing else happens."""

import ctypes
import os
import sys
import zlib

import numpy as np
from image_samples import chunk, encoded, good, noise, png, put, read, read_and_notes, refused
from PIL import Image

from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.decode import decode_all
from gan_plugin_image_folder.decode.stderr_capture import capture_stderr
from gancore import DataSpec


def jpeg(**options):
    return encoded(noise(size=(64, 64)), "JPEG", **options)


def half(form):
    raw = encoded(noise(size=(64, 64)), form)
    return raw[: len(raw) // 2]


CORRUPT = {
    "D01_empty": ("a.png", b"", "empty"),
    "D02_jpeg_cut_in_the_header": ("a.jpg", jpeg()[:100], "truncated|corrupt|broken header"),
    "D02_jpeg_cut_in_the_scan": ("a.jpg", jpeg()[:3000], "truncated"),
    "D02_jpeg_cut_before_its_end": ("a.jpg", jpeg()[:-40], "truncated"),
    "D03_png_cut_in_the_signature": ("a.png", encoded(noise(), "PNG")[:5], "not an image"),
    "D03_png_cut_in_the_header": ("a.png", encoded(noise(), "PNG")[:20], "truncated"),
    "D03_png_cut_in_the_pixels": ("a.png", encoded(noise(), "PNG")[:300], "truncated"),
    "D04_gif_cut": ("a.gif", half("GIF"), "truncated|corrupt"),
    "D04_webp_cut": ("a.webp", half("WEBP"), "truncated|corrupt|broken header"),
    "D04_bmp_cut": ("a.bmp", half("BMP"), "truncated"),
    "D04_tiff_cut": ("a.tif", half("TIFF"), "truncated|corrupt|broken header"),
    "D05_png_with_corrupt_pixels": ("a.png", png(16, 16, b"no zlib stream at all"), "corrupt"),
    "D06_text": ("a.jpg", b"hello", "not an image"),
    "D06_error_page": ("a.jpg", b"<!DOCTYPE html><title>404</title>", "not an image"),
    "D06_lfs_pointer": (
        "a.jpg",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
        "git-lfs pointer: run git lfs pull",
    ),
    "D08_more_than_50_megapixels": ("a.png", png(7100, 7100), "too large"),
    "D09_header_of_2_31_square": ("a.png", png(2**31 - 1, 2**31 - 1), "too large"),
    "D09_header_of_0_by_0": ("a.png", png(0, 0), "broken header|corrupt"),
    "D12_float": (
        "a.tif",
        encoded(Image.new("F", (4, 4), float("nan")), "TIFF"),
        "unsupported mode F",
    ),
    "D12_32_bit": ("a.tif", encoded(Image.new("I", (4, 4), 9), "TIFF"), "unsupported mode I"),
    "D21_svg": ("a.svg", b"<svg/>", "format not supported"),
    "D21_psd_named_png": ("a.png", b"8BPS\0\1" + bytes(50), "not an image"),
    "D21_postscript_named_png": (
        "a.png",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "not an image",
    ),
}


def test_corrupt_file_is_skipped_with_its_reason(tmp_path):
    good(tmp_path, len(CORRUPT) + 1)
    expected = {}
    for fault, (name, raw, reasons) in CORRUPT.items():
        file = f"{fault}-{name}"
        (tmp_path / file).write_bytes(raw)
        expected[file] = reasons.split("|")
    component = ImageFolder(path=str(tmp_path))
    assert len(component.make_data(DataSpec())) == len(CORRUPT) + 1
    found = {}
    for reason, names in component.describe_data()["skipped_files"].items():
        found.update(dict.fromkeys(names, reason))
    assert found.keys() == expected.keys()
    wrong = {name: found[name] for name in expected if found[name] not in expected[name]}
    assert wrong == {}


def test_skipped_file_is_named_in_a_line(tmp_path, caplog):
    put(good(tmp_path), bad_png=b"text")
    count, notes = read_and_notes(tmp_path, caplog)
    assert count == 3
    assert "3 images used, 1 skipped: 1 not an image (bad.png)" in notes


def test_D08_bomb_of_some_kilobytes_is_never_decoded(tmp_path, caplog, monkeypatch):
    side = 7500
    rows = zlib.compress(bytes((side + 1) * side), 1)
    bomb = put(good(tmp_path), bomb_png=png(side, side, rows)) / "bomb.png"
    assert bomb.stat().st_size < 300_000
    decoded = []
    decode_file = decode_all.decode_file

    def listed(path, *more):
        decoded.append(os.path.basename(path))
        return decode_file(path, *more)

    monkeypatch.setattr(decode_all, "decode_file", listed)
    assert "1 too large (bomb.png)" in read_and_notes(tmp_path, caplog)[1]
    assert sorted(decoded) == [b"good0.png", b"good1.png", b"good2.png"]


def test_D19_text_chunk_that_unpacks_to_100_megabytes_is_bounded(tmp_path, caplog):
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(100_000_000), 1))
    put(good(tmp_path), a_png=png(16, 16, b"", text))
    assert "1 metadata too large (a.png)" in read_and_notes(tmp_path, caplog)[1]


def test_flipped_bytes_are_used_or_skipped_and_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    for form in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"):
        raw = encoded(noise(), form)
        for number in range(40):
            spoilt = bytearray(raw)
            for place in rng.integers(0, len(raw), 3):
                spoilt[place] ^= 1 << int(rng.integers(8))
            (tmp_path / f"{number:02}.{form.lower()}").write_bytes(spoilt)
    assert read(good(tmp_path, 250), (16, 16)).shape == (3, 16, 16)


def test_first_five_names_of_each_reason_are_shown(tmp_path, caplog):
    for k in range(7):
        put(good(tmp_path, 9), **{f"bad{k}_png": b"text"}, empty_png=b"")
    said = read_and_notes(tmp_path, caplog)[1]
    names = "bad0.png, bad1.png, bad2.png, bad3.png, bad4.png and 2 more"
    assert f"9 images used, 8 skipped: 7 not an image ({names}); " in said
    assert "1 empty (empty.png)" in said


def test_more_than_half_skipped_is_refused_and_half_is_not(tmp_path):
    put(good(tmp_path, 2), x_png=b"", y_png=b"")
    assert len(read(tmp_path)) == 2
    put(tmp_path, z_png=b"text")
    assert (
        "3 of 5 images cannot be used: 2 empty (x.png, y.png); 1 not an image (z.png)"
        in refused(tmp_path)
    )


def test_bad_images_stop_names_the_first(tmp_path):
    put(good(tmp_path), b_png=b"text", a_png=b"")
    assert "a.png cannot be used: empty" in refused(tmp_path, bad_images="stop")


# ── what decoders write to stderr ─────────────────────────────────────────────────────────────────


def test_what_c_writes_to_stderr_is_captured_and_what_python_writes_is_not(capfd):
    with capture_stderr() as captured:
        ctypes.CDLL(None).write(2, b"from C\nand more\n", 16)
        print("from Python", file=sys.stderr)
        assert captured() == ["from C", "and more"]
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "from Python\nafterwards\n"
