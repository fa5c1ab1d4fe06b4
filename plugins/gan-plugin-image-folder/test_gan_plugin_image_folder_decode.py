"""Good files of every kind, and the pixels that they become."""

import os
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from image_samples import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    encoded,
    good,
    noise,
    only,
    pixels,
    put,
    read,
    read_and_notes,
)
from PIL import Image, ImageChops, ImageCms

from gan_plugin_image_folder.decode import pixels as pixels_module
from gan_plugin_image_folder.decode.image_file import read_header
from gan_plugin_image_folder.decode.pixels import decode_file, to_rgb
from gan_plugin_image_folder.decode.worker_pool import CHUNK, PixelBudget, map_in_chunks

# ── formats ───────────────────────────────────────────────────────────────────────────────────────

LOSSLESS = {  # name of the file: format, options
    "a.png": ("PNG", {}),
    "A.PNG": ("PNG", {}),
    "really_a_png.jpg": ("PNG", {}),
    "a.bmp": ("BMP", {}),
    "a.tif": ("TIFF", {}),
    "a.tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "a.webp": ("WEBP", {"lossless": True}),
}


def test_D07_lossless_formats_come_back_as_written_by_content_whatever_the_suffix(tmp_path):
    image = noise()
    for number, (name, (form, options)) in enumerate(LOSSLESS.items()):
        folder = put(tmp_path / str(number))
        (folder / name).write_bytes(encoded(image, form, **options))
        assert np.array_equal(pixels(read(folder)), np.asarray(image)), name


def test_D18_jpeg_comes_back_close(tmp_path):
    image = Image.new("RGB", (16, 16), (200, 100, 50))
    for name, options in {"a.jpg": {}, "b.JPEG": {}, "c.jpg": {"progressive": True}}.items():
        (put(tmp_path) / name).write_bytes(encoded(image, "JPEG", quality=95, **options))
    data = read(tmp_path)
    for place in range(3):
        assert np.abs(pixels(data, place) - (200, 100, 50)).max() <= 4


def test_D17_first_of_several_frames_is_used_and_counted(tmp_path, caplog):
    red = Image.new("RGB", (16, 16), RED)
    blue = Image.new("RGB", (16, 16), BLUE)
    for form in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if form == "WEBP" else {}
        raw = encoded(red, form, save_all=True, append_images=[blue], **options)
        put(tmp_path, **{f"a_{form.lower()}": raw})
    notes = read_and_notes(tmp_path, caplog)[1]
    assert "4 with several frames, the first used" in notes
    data = read(tmp_path)
    for place in range(4):
        assert (pixels(data, place) == RED).all()


def test_D20_trailing_garbage_is_ignored(tmp_path):
    image = noise()
    assert np.array_equal(
        pixels(only(tmp_path, a_png=encoded(image, "PNG") + b"PK\3\4 and more" * 99)),
        np.asarray(image),
    )


def test_D03_png_without_its_last_chunk_is_used_whole(tmp_path):
    image = noise()
    assert np.array_equal(
        pixels(only(tmp_path, a_png=encoded(image, "PNG")[:-12])), np.asarray(image)
    )


def test_D66_tiff_whose_directories_form_a_loop_ends(tmp_path):
    raw = bytearray(encoded(noise(), "TIFF"))
    start = struct.unpack_from("<I", raw, 4)[0]
    entries = struct.unpack_from("<H", raw, start)[0]
    struct.pack_into("<I", raw, start + 2 + 12 * entries, start)  # the next directory is the first
    assert np.array_equal(pixels(only(tmp_path, a_tif=bytes(raw))), np.asarray(noise()))


def test_header_and_pixels_agree_on_the_upright_size(tmp_path):
    (tmp_path / "a.jpg").write_bytes(tagged(noise(size=(6, 4)), 6, "JPEG"))
    assert read_header(str(tmp_path), WHITE, "a.jpg").size == (6, 4)
    assert decode_file(os.fsencode(tmp_path / "a.jpg"), (3, 6, 4), "stretch", WHITE).shape == (
        3,
        6,
        4,
    )


# ── modes and colours ─────────────────────────────────────────────────────────────────────────────


def test_D11_sixteen_bit_grey_is_divided_by_257_and_never_clipped(tmp_path):
    levels = np.array([[0, 256, 257, 32896], [128 * 257, 40000, 65534, 65535]], np.uint16)
    for form in ("PNG", "TIFF"):
        raw = encoded(Image.fromarray(levels), form)
        data = only(tmp_path / form, **{f"a_{form.lower()}": raw})
        assert data.shape == (1, 2, 4)
        assert np.array_equal(pixels(data)[..., 0], levels // 257), form


def test_D11_sixteen_bit_grey_of_the_transparent_level_shows_the_background(tmp_path):
    image = Image.fromarray(np.array([[0, 65535]], np.uint16))
    data = only(
        tmp_path, a_png=encoded(image, "PNG", transparency=0), options={"background": "red"}
    )
    assert pixels(data).tolist() == [[list(RED), list(WHITE)]]


def tiff_of_16_bits(levels, white_is_zero, order):
    """A TIFF of one strip, for what Pillow does not write."""
    raw = levels.astype(f"{order}u2").tobytes()
    tags = {
        256: levels.shape[1],
        257: levels.shape[0],
        258: 16,
        259: 1,
        262: 0 if white_is_zero else 1,
        273: 8,
    }
    tags |= {277: 1, 278: levels.shape[0], 279: len(raw)}
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(raw))
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    return head + raw + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


def test_16_bits_where_0_is_white_are_read_the_right_way_round(tmp_path):
    levels = np.full((12, 12), 257 * 200, np.uint16)
    for order in "<>":
        folder = tmp_path / ("little" if order == "<" else "big")
        usual = only(folder / "b", a_tif=tiff_of_16_bits(levels, False, order))
        inverted = only(folder / "w", a_tif=tiff_of_16_bits(levels, True, order))
        assert usual.samples.unique().tolist() == [200]
        assert inverted.samples.unique().tolist() == [55]


def test_D13_one_bit_and_grey_make_a_grey_set(tmp_path):
    put(tmp_path, a_png=Image.new("1", (4, 4), 1), b_png=Image.new("L", (4, 4), 7))
    assert read(tmp_path).samples[:, :, 0, 0].tolist() == [[255], [7]]


def test_D13_alpha_is_composited_on_the_background(tmp_path):
    image = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 255, 0))  # a colour hidden under full transparency
    image.putpixel((2, 0), (0, 0, 0, 128))
    put(tmp_path, a_png=image)
    for background, below in {"white": WHITE, "#102030": (16, 32, 48)}.items():
        row = pixels(read(tmp_path, background=background))[0]
        half = [round(level * 127 / 255) for level in below]
        assert row[:2].tolist() == [list(RED), list(below)]
        assert row[2].tolist() == pytest.approx(half, abs=1)


def test_D13_palette_with_transparency_is_composited_on_the_background(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    put(
        tmp_path,
        a_png=encoded(image, "PNG", transparency=1),
        b_gif=encoded(image, "GIF", transparency=1),
    )
    data = read(tmp_path)
    assert [pixels(data, place).tolist() for place in (0, 1)] == [[[list(RED), list(WHITE)]]] * 2


def test_D13_grey_with_alpha_stays_grey_on_a_grey_background_alone(tmp_path):
    put(tmp_path, a_png=Image.new("LA", (2, 2), (90, 0)))
    assert read(tmp_path).samples.unique().tolist() == [255]
    assert read(tmp_path).shape == (1, 2, 2)
    assert pixels(read(tmp_path, background="red")).reshape(-1, 3).tolist() == [list(RED)] * 4


def test_D13_resizing_does_not_bleed_hidden_colours(tmp_path):
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, 16, 32))
    assert pixels(only(tmp_path, a_png=image, size=(8, 8))).min() == 255


def test_D13_of_images_with_and_without_alpha_none_shows_a_hidden_colour(tmp_path):
    """Pixels that are transparent in a file have colours nobody sees, here magenta."""
    disc = Image.new("L", (40, 40), 0)
    disc.paste(255, (14, 14, 26, 26))
    hidden = Image.new("RGB", (40, 40), (255, 0, 255))
    hidden.paste(GREEN, (14, 14, 26, 26))
    hidden.putalpha(disc)
    palette = Image.new("P", (40, 40), 0)
    palette.putpalette([255, 0, 255, 0, 255, 0])
    palette.paste(1, (14, 14, 26, 26))
    opaque = Image.new("RGB", (40, 40), WHITE)
    opaque.paste(GREEN, (14, 14, 26, 26))
    put(
        tmp_path,
        a_png=hidden,
        b_webp=encoded(hidden, "WEBP", lossless=True, exact=True),
        c_png=encoded(palette, "PNG", transparency=0),
        d_png=opaque,
    )
    for size in (None, (16, 16), (9, 23)):
        samples = read(tmp_path, size).samples.int()
        for transparent in samples[:3]:
            assert (transparent - samples[3]).abs().max() <= 1, size


def test_drawings_that_vanish_on_the_background_are_advised_another(tmp_path, caplog):
    for number in range(3):
        drawing = noise("L", seed=number)
        white = Image.new("RGB", drawing.size, WHITE)
        white.putalpha(drawing)
        put(tmp_path, **{f"{number}_png": white})
    said = read_and_notes(tmp_path, caplog)[1]
    assert "they are transparent: --image-folder.background black may show what they hold" in said
    assert "of one colour" not in read_and_notes(tmp_path, caplog, background="black")[1]


def test_grey_images_stored_in_colour_keep_three_channels_and_one_is_advised(tmp_path, caplog):
    grey = [noise("L", seed=seed) for seed in range(3)]
    put(tmp_path, a_png=grey[0].convert("RGB"), b_png=grey[1].convert("P"), c_png=grey[2])
    assert read(tmp_path).shape == (3, 16, 16)
    advice = "--image-folder.channels 1 trains in grey, as all images are"
    assert advice in read_and_notes(tmp_path, caplog)[1]
    assert read(tmp_path, channels=1).shape == (1, 16, 16)
    put(tmp_path, d_png=noise())
    assert advice not in read_and_notes(tmp_path, caplog)[1]


def test_D13_images_laid_on_the_background_are_counted(tmp_path, caplog):
    assert (
        "1 composited on the background"
        in read_and_notes(put(good(tmp_path), x_png=noise("RGBA", seed=9)), caplog)[1]
    )


def test_D14_cmyk_is_converted(tmp_path):
    inks = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    put(tmp_path, a_jpg=encoded(inks, "JPEG"), b_tif=encoded(inks, "TIFF"))
    data = read(tmp_path)
    for place in range(2):
        assert np.abs(pixels(data, place) - RED).max() <= 3


def test_D14_ycck_is_converted(tmp_path):
    # libjpeg takes YCCK for the YCbCr of 255 - C, 255 - M, 255 - Y. Adobe stores C, M, Y as
    # 255 - ink, so that these are the YCbCr of the inks.
    luma, blue, red = Image.new("RGB", (8, 8), (55, 155, 205)).convert("YCbCr").split()
    channels = [
        ImageChops.invert(each) for each in (luma, blue, red)
    ]  # Pillow inverts them once more
    image = Image.merge("CMYK", [*channels, Image.new("L", (8, 8), 0)])
    raw = bytearray(encoded(image, "JPEG", quality=100))
    transform = raw.index(b"Adobe") + 11
    assert raw[transform] == 0  # none
    raw[transform] = 2
    assert np.abs(pixels(only(tmp_path, a_jpg=bytes(raw))) - (200, 100, 50)).max() <= 3


def test_an_image_in_lab_becomes_the_colour_that_it_was_made_of(tmp_path):
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.applyTransform(
        Image.new("RGB", (16, 16), (200, 30, 60)), ImageCms.buildTransform(*profiles, "RGB", "LAB")
    )
    assert np.abs(pixels(only(tmp_path, a_tif=encoded(lab, "TIFF"))) - (200, 30, 60)).max() <= 2


def image_of_mode(mode):
    """Return a random image of a mode."""
    if mode.startswith("I;16"):
        levels = np.random.default_rng(0).integers(0, 65536, (9, 7))
        return Image.fromarray(levels.astype(">u2" if mode.endswith("B") else "<u2"))
    if mode in "1LP":
        return noise("RGBA", (7, 9)).convert("RGB").convert(mode)
    return noise(mode, (7, 9))


def test_image_converted_band_by_band_equals_one_converted_at_once(monkeypatch):
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I;16B"):
        image = image_of_mode(mode)
        monkeypatch.undo()
        whole = to_rgb(image, RED).tobytes()
        monkeypatch.setattr(pixels_module, "BAND_PIXELS", 21)
        assert to_rgb(image, RED).tobytes() == whole, mode


# ── EXIF and colour profiles ──────────────────────────────────────────────────────────────────────


def tagged(image, orientation, form="PNG"):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, form, exif=exif)


TURNS = {
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: np.rot90,
}


def test_D15_exif_orientation_is_applied_and_the_common_size_is_the_upright_one(tmp_path):
    image = noise(size=(6, 4))
    for orientation, turn in TURNS.items():
        data = only(tmp_path / str(orientation), a_png=tagged(image, orientation))
        assert np.array_equal(pixels(data), turn(np.asarray(image))), orientation


def test_D15_corrupt_exif_and_meaningless_orientations_leave_the_image_as_stored(tmp_path):
    image = noise(size=(6, 4))
    exifs = [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0" * 40]
    files = [encoded(image, exif=exif) for exif in exifs]
    files += [tagged(image, orientation) for orientation in (0, 1, 9)]
    for number, raw in enumerate(files):
        data = only(tmp_path / str(number), a_png=raw)
        assert np.array_equal(pixels(data), np.asarray(image)), number


def test_D16_colour_profiles_change_no_byte(tmp_path):
    for form in ("PNG", "JPEG", "TIFF", "WEBP"):
        name = f"a_{form.lower()}"
        plain = only(tmp_path / form, **{name: encoded(noise(), form)})
        for kind, profile in {"short": b"no profile", "long": bytes(1_000_000)}.items():
            raw = encoded(noise(), form, icc_profile=profile)
            profiled = only(tmp_path / f"{form}-{kind}", **{name: raw})
            assert torch.equal(plain.samples, profiled.samples), (form, kind)


def test_a_colour_profile_of_2_megabytes_is_no_reason_to_skip_an_image(tmp_path):
    profile = np.random.default_rng(0).bytes(2_000_000)  # Pillow's own limit is 1 MiB
    image = Image.new("RGB", (16, 16), RED)
    for form in ("PNG", "JPEG", "WEBP", "TIFF"):
        data = only(tmp_path / form, a_png=encoded(image, form, icc_profile=profile))
        assert np.abs(pixels(data) - RED).max() <= 4, form


# ── threads ───────────────────────────────────────────────────────────────────────────────────────


def test_the_pixel_budget_is_never_exceeded():
    budget = PixelBudget(50)
    taken = []
    most = []

    def work(count):
        with budget.reserve(count):
            taken.append(count)
            most.append(sum(taken))
            time.sleep(0.001)
            taken.remove(count)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [50, 30, 20, 20, 10, 1] * 20))
    assert max(most) <= 50
    assert budget.free == 50


def test_calls_are_mapped_in_order_and_few_at_once():
    submitted = []
    with ThreadPoolExecutor(2) as pool:
        numbers = (submitted.append(k) or -k for k in range(3 * CHUNK))
        results = map_in_chunks(pool, abs, numbers)
        assert next(results) == 0
        assert len(submitted) == CHUNK
        assert list(results) == list(range(1, 3 * CHUNK))
