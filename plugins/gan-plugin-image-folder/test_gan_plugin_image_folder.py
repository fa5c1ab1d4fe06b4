"""A folder of images: real files of every kind, good and rotten, and what becomes of each."""

import io
import logging
import os
import struct
import tempfile
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageCms, PngImagePlugin

from gan_plugin_image_folder import picture
from gan_plugin_image_folder.attempts import Room
from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.picture import Picture, decode, fit, flatten, look, reason
from gan_plugin_image_folder.sizing import size_of
from gancore import DataError, DataSpec, UsageError
from gancore.testing import check_component

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_pokemon = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the folder {SHARED} is missing")
WHITE, RED, GREEN, BLUE = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)


def noise(mode="RGB", size=(16, 16), seed=0):
    """A random image of 8 bits a channel; size is (width, height)."""
    shape = (size[1], size[0], *([len(mode)] if len(mode) > 1 else []))
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), mode)


def encoded(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, content=b"", bits=8, colour=0):
    """A PNG of any stated size."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def put(folder, **files):
    """Write files (`a_png` becomes `a.png`) from bytes or, as PNG, from images."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        raw = encoded(content, "PNG") if isinstance(content, Image.Image) else content
        (folder / name.replace("_", ".")).write_bytes(raw)
    return folder


def good(folder, count=3):
    """Write images beside which a rotten one is a minority."""
    for seed in range(count):
        put(folder, **{f"good{seed}_png": noise(seed=seed)})
    return folder


def read(path, size=None, **options):
    return ImageFolder(path=str(path), **options).make_data(DataSpec(size))


def pixels(data, place=0):
    """One image as [H, W, C] numbers."""
    return data.samples[place].permute(1, 2, 0).int().numpy()


def only(folder, **files):
    """Read a folder of one image."""
    size = files.pop("size", None)
    options = files.pop("options", {})
    return read(put(folder, **files), size, **options)


def skipped(folder, caplog):
    """Read a folder and return what was said about it."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "gancore"):
        data = read(folder)
    return len(data), "\n".join(caplog.messages)


def refused(path, **options):
    with pytest.raises(DataError) as caught:
        read(path, **options)
    return str(caught.value)


def test_conforms(tmp_path):
    put(tmp_path / "cat", a_png=noise(seed=1), b_png=noise(seed=2))
    put(tmp_path / "dog", c_png=noise(seed=3))
    check_component(ImageFolder, path=str(tmp_path))


@needs_pokemon
def test_pokemon64_has_the_classes_and_colours_that_its_readme_states():
    data = read(SHARED / "pokemon64")
    values = data.samples.double() / 127.5 - 1
    assert data.samples.shape == (1209, 3, 64, 64)
    assert data.label_sets[0].classes[:3] == ("bug", "dark", "dragon")
    assert data.labels.flatten().bincount()[:5].tolist() == [77, 50, 44, 47, 47]
    assert values.mean((0, 2, 3)).tolist() == pytest.approx([0.680, 0.656, 0.627], abs=6e-4)
    assert values.std((0, 2, 3)).tolist() == pytest.approx([0.482, 0.491, 0.525], abs=6e-4)


@needs_pokemon
def test_two_reads_have_one_fingerprint():
    assert read(SHARED / "pokemon-csv").fingerprint() == read(SHARED / "pokemon-csv").fingerprint()


# ── labels and order ──────────────────────────────────────────────────────────────────────────────────────────


def test_class_folders_are_numbered_in_the_order_of_their_bytes(tmp_path):
    for name in ("b", "Z", "é", "a"):
        put(tmp_path / name, x_png=noise())
    data = read(tmp_path)
    assert data.label_sets[0].name == "class"
    assert data.label_sets[0].classes == ("Z", "a", "b", "é")
    assert data.labels.tolist() == [[0], [1], [2], [3]]


def test_flat_folder_has_no_labels(tmp_path):
    assert read(good(tmp_path)).label_sets == ()


def test_D70_images_are_sorted_by_the_bytes_of_their_paths(tmp_path):
    levels = {"a/b.png": 1, "a-b/c.png": 2, "B.png": 3, "é.png": 4, "z.png": 5}
    for name, level in levels.items():
        put((tmp_path / name).parent, **{Path(name).name: Image.new("L", (8, 8), level)})
    assert read(tmp_path, labels="none").samples[:, 0, 0, 0].tolist() == [3, 2, 1, 5, 4]


def test_D27_class_names_that_differ_in_case_or_accents_alone_are_refused_naming_both(tmp_path):
    put(tmp_path / "upper" / "Cat", a_png=noise())
    put(tmp_path / "upper" / "cat", a_png=noise())
    assert "class folders are named alike but for case or accents: Cat, cat" in refused(tmp_path / "upper")
    put(tmp_path / "accent" / "caf\u00e9", a_png=noise())
    put(tmp_path / "accent" / "cafe\u0301", a_png=noise())
    assert "alike but for case or accents" in refused(tmp_path / "accent")


def test_D27_file_names_in_both_spellings_are_two_images(tmp_path):
    put(tmp_path, **{"caf\u00e9_png": noise(seed=1), "cafe\u0301_png": noise(seed=2)})
    assert len(read(tmp_path)) == 2


def test_D33_class_folder_without_images_is_left_out_by_name_and_the_other_labels_stay(tmp_path, caplog):
    put(tmp_path / "cat", a_png=noise())
    put(tmp_path / "zebra", a_png=noise(seed=1))
    (tmp_path / "dog").mkdir()
    assert "class folders without an image are left out: dog" in skipped(tmp_path, caplog)[1]
    data = read(tmp_path)
    assert data.label_sets[0].classes == ("cat", "zebra")
    assert data.labels.tolist() == [[0], [1]]


def test_D33_class_folder_whose_images_are_all_rotten_is_left_out_by_name(tmp_path, caplog):
    put(tmp_path / "cat", a_png=noise(), b_png=noise())
    put(tmp_path / "dog", a_png=b"rotten")
    put(tmp_path / "zebra", a_png=noise(seed=1))
    assert "classes without a usable image are left out: dog" in skipped(tmp_path, caplog)[1]
    data = read(tmp_path)
    assert data.label_sets[0].classes == ("cat", "zebra")
    assert data.labels.flatten().tolist() == [0, 0, 1]


@pytest.mark.parametrize("litter", ["@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"])
def test_folders_that_systems_put_among_images_are_no_classes(tmp_path, litter):
    for folder in ("cat", "dog", litter):
        put(tmp_path / folder, a_png=noise())
    assert read(tmp_path).label_sets[0].classes == ("cat", "dog")


def test_folders_numbered_like_parts_of_one_set_are_said(tmp_path, caplog):
    for folder in ("00000", "00001"):
        put(tmp_path / folder, a_png=noise())
    assert "the class folders 00000, 00001 are numbered like parts of one set" in skipped(tmp_path, caplog)[1]


def test_D34_images_beside_class_folders_are_refused_unless_labels_are_none(tmp_path):
    put(tmp_path / "cat", a_png=noise())
    message = refused(good(tmp_path, 1))
    assert "images lie beside the class folders: good0.png" in message
    assert "--image-folder.labels none" in message
    assert read(tmp_path, labels="none").label_sets == ()


def test_D34_nested_class_folders_are_refused_unless_labels_are_none(tmp_path):
    put(tmp_path / "2020" / "cat", a_png=noise())
    assert "lie deeper than in the class folders: 2020/cat/a.png" in refused(tmp_path)
    assert len(read(tmp_path, labels="none")) == 1


@pytest.mark.parametrize("below", ["", "cat"])
def test_D34_training_and_test_parts_are_no_classes_and_the_path_of_one_is_named(tmp_path, below):
    for part in ("test", "Train"):
        put(tmp_path / part / below, a_png=noise())
    said = refused(tmp_path)
    assert said.startswith("Train, test are parts of a data set, not classes")
    assert f"--data {tmp_path / 'Train'}" in said
    assert len(read(tmp_path, labels="none")) == 2
    assert len(read(tmp_path / "Train")) == 1


def test_a_class_called_train_beside_others_is_a_class(tmp_path):
    for part in ("bus", "train"):
        put(tmp_path / part, a_png=noise())
    assert read(tmp_path).label_sets[0].classes == ("bus", "train")


# ── size and channels ─────────────────────────────────────────────────────────────────────────────────────────


def test_common_size_is_kept_and_no_byte_changed(tmp_path):
    image = noise(size=(20, 12))
    data = only(tmp_path, a_png=image)
    assert data.shape == (3, 12, 20)
    assert np.array_equal(pixels(data), np.asarray(image))


@pytest.mark.parametrize("how", ["crop", "pad", "stretch"])
def test_given_size_that_fits_changes_no_byte(tmp_path, how):
    image = noise(size=(20, 12))
    assert np.array_equal(pixels(only(tmp_path, a_png=image, size=(12, 20), options={"fit": how})), np.asarray(image))


SIZES = [  # (width, height) of the images, and the (height, width) that they get
    ([(16, 16), (16, 17)], (16, 16)),
    ([(538, 302)], (48, 84)),
    ([(96, 96)], (96, 96)),
    ([(128, 128)], (64, 64)),
    ([(300, 400), (400, 300), (500, 400)], (56, 72)),
    ([(400, 300), (800, 300), (600, 300)], (44, 92)),
    ([(40, 30), (44, 30), (40, 33)], (32, 40)),
    ([(3000, 20)], (16, 784)),
    ([(1200, 1500)], (72, 56)),
]


@pytest.mark.parametrize(("given", "made"), SIZES)
def test_D37_images_get_the_median_shape_at_a_size_that_is_quick_to_train(given, made):
    assert size_of([Picture("x", (height, width), False, (), None) for width, height in given]) == made


def test_a_photograph_becomes_small_and_the_flag_for_another_size_is_said(tmp_path, caplog):
    put(tmp_path, a_jpg=encoded(noise(size=(538, 302)), "JPEG"))
    said = skipped(tmp_path, caplog)[1]
    assert "images of 302×538 pixels become 48×84, which is quick to train" in said
    assert "--size HxW chooses another size than 48x84" in said
    assert read(tmp_path, (302, 538)).shape == (3, 302, 538)


def test_run_says_in_one_line_what_the_check_would_suggest(tmp_path, caplog):
    put(tmp_path, a_png=noise(size=(40, 40)), b_png=noise(size=(90, 30)))
    (line,) = [each for each in skipped(tmp_path, caplog)[1].splitlines() if each.startswith("advice: ")]
    assert "--size HxW" in line
    assert "--image-folder.fit pad" in line
    assert "2 images are few: --reg augment-views" in line


def test_rotten_image_of_another_size_does_not_change_the_common_one(tmp_path):
    put(good(tmp_path), bad_png=encoded(noise(size=(90, 90)), "PNG")[:2000])
    assert read(tmp_path).samples.shape == (3, 3, 16, 16)


def test_rotten_colour_image_does_not_make_grey_images_colour(tmp_path):
    put(tmp_path, a_png=noise("L"), b_png=noise("L"), c_png=encoded(noise(), "PNG")[:500])
    assert read(tmp_path).samples.shape == (2, 1, 16, 16)


def test_images_larger_than_1024_pixels_a_side_are_made_smaller(tmp_path):
    put(tmp_path, a_png=Image.new("RGB", (1025, 8)))
    assert read(tmp_path).shape == (3, 16, 724)
    assert read(tmp_path, (16, 16)).shape == (3, 16, 16)


def stripes():
    """Width 40, height 20: a red left quarter, a green middle half, a blue right quarter."""
    image = Image.new("RGB", (40, 20), GREEN)
    image.paste(RED, (0, 0, 10, 20))
    image.paste(BLUE, (30, 0, 40, 20))
    return image


def test_crop_shows_the_middle_pad_all_on_the_background_and_stretch_all_without(tmp_path):
    put(tmp_path, a_png=stripes())
    hows = ("crop", "pad", "stretch")
    crop, pad, stretch = (pixels(read(tmp_path, (20, 20), fit=how, background="black")) for how in hows)
    assert (crop == GREEN).all(2).mean() > 0.9
    assert (pad[:5] == 0).all()
    assert (pad[15:] == 0).all()
    for row in (pad[10], stretch[0]):
        assert np.abs(row[[0, 10, 19]] - (RED, GREEN, BLUE)).max() <= 3


def test_shrinking_averages_rather_than_picks(tmp_path):
    board = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8))
    assert np.abs(pixels(only(tmp_path, a_png=board, size=(8, 8))) - 127.5).max() < 40  # nearest would give 0 or 255


@pytest.mark.parametrize("how", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 7)])
def test_D10_tiny_and_thin_images_are_used_at_every_fit(size, how):
    assert fit(Image.new("RGB", size), (16, 12), how, WHITE).size == (16, 12)


def test_D10_enlarged_images_are_counted(tmp_path, caplog):
    put(good(tmp_path), small_png=Image.new("RGB", (1, 1)))
    count, said = skipped(tmp_path, caplog)
    assert count == 4
    assert "1 enlarged to 16×16" in said


def test_D69_colour_made_grey_is_counted_and_grey_made_colour_repeats_the_channel(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "gancore"):
        assert read(good(tmp_path / "colour"), channels=1).shape == (1, 16, 16)
    assert "3 in colour, made grey" in caplog.text
    grey = noise("L")
    data = only(tmp_path / "grey", a_png=grey, options={"channels": 3})
    assert np.array_equal(pixels(data), np.repeat(np.asarray(grey)[..., None], 3, 2))


# ── good files of every kind ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("form", "name", "options"),
    [
        ("PNG", "a.png", {}),
        ("PNG", "A.PNG", {}),
        ("PNG", "really_a_png.jpg", {}),
        ("BMP", "a.bmp", {}),
        ("TIFF", "a.tif", {}),
        ("TIFF", "a.tiff", {"compression": "tiff_lzw"}),
        ("WEBP", "a.webp", {"lossless": True}),
    ],
)
def test_D07_lossless_formats_come_back_as_written_by_content_whatever_the_suffix(tmp_path, form, name, options):
    image = noise()
    (tmp_path / name).write_bytes(encoded(image, form, **options))
    assert np.array_equal(pixels(read(tmp_path)), np.asarray(image))


@pytest.mark.parametrize(("name", "options"), [("a.jpg", {}), ("a.JPEG", {}), ("b.jpg", {"progressive": True})])
def test_D18_jpeg_comes_back_close(tmp_path, name, options):
    (tmp_path / name).write_bytes(encoded(Image.new("RGB", (16, 16), (200, 100, 50)), "JPEG", quality=95, **options))
    assert np.abs(pixels(read(tmp_path)) - (200, 100, 50)).max() <= 4


def test_D07_files_without_an_image_suffix_are_ignored(tmp_path):
    put(good(tmp_path), noname=noise(), labels_csv=b"a,b")
    assert len(read(tmp_path)) == 3


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_D11_sixteen_bit_grey_is_divided_by_257_and_never_clipped(tmp_path, form):
    levels = np.array([[0, 256, 257, 32896], [128 * 257, 40000, 65534, 65535]], np.uint16)
    data = only(tmp_path, **{f"a_{form.lower()}": encoded(Image.fromarray(levels), form)})
    assert data.shape == (1, 2, 4)
    assert np.array_equal(pixels(data)[..., 0], levels // 257)


def test_D11_sixteen_bit_grey_of_the_transparent_level_shows_the_background(tmp_path):
    image = Image.fromarray(np.array([[0, 65535]], np.uint16))
    data = only(tmp_path, a_png=encoded(image, "PNG", transparency=0), options={"background": "red"})
    assert pixels(data).tolist() == [[list(RED), list(WHITE)]]


def test_D13_one_bit_and_grey_make_a_grey_set(tmp_path):
    put(tmp_path, a_png=Image.new("1", (4, 4), 1), b_png=Image.new("L", (4, 4), 7))
    assert read(tmp_path).samples[:, :, 0, 0].tolist() == [[255], [7]]


@pytest.mark.parametrize(("background", "below"), [("white", WHITE), ("#102030", (16, 32, 48))])
def test_D13_alpha_is_composited_on_the_background(tmp_path, background, below):
    image = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 255, 0))  # a colour hidden under full transparency
    image.putpixel((2, 0), (0, 0, 0, 128))
    row = pixels(only(tmp_path, a_png=image, options={"background": background}))[0]
    half = [round(level * 127 / 255) for level in below]
    assert row[:2].tolist() == [list(RED), list(below)]
    assert row[2].tolist() == pytest.approx(half, abs=1)


def test_D13_palette_with_transparency_is_composited_on_the_background(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    put(tmp_path, a_png=encoded(image, "PNG", transparency=1), b_gif=encoded(image, "GIF", transparency=1))
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


def test_D13_images_laid_on_the_background_are_counted(tmp_path, caplog):
    assert "1 laid on the background" in skipped(put(good(tmp_path), x_png=noise("RGBA", seed=9)), caplog)[1]


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_D14_cmyk_is_converted(tmp_path, form):
    inks = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(pixels(only(tmp_path, **{f"a_{form.lower()}": encoded(inks, form)})) - RED).max() <= 3


def test_D14_ycck_is_converted(tmp_path):
    # libjpeg takes YCCK for the YCbCr of 255 - C, 255 - M, 255 - Y; Adobe stores C, M, Y as 255 - ink: so of the inks
    luma, blue, red = Image.new("RGB", (8, 8), (55, 155, 205)).convert("YCbCr").split()
    channels = [ImageChops.invert(each) for each in (luma, blue, red)]  # Pillow inverts them once more
    image = Image.merge("CMYK", [*channels, Image.new("L", (8, 8), 0)])
    raw = bytearray(encoded(image, "JPEG", quality=100))
    transform = raw.index(b"Adobe") + 11
    assert raw[transform] == 0  # none
    raw[transform] = 2
    assert np.abs(pixels(only(tmp_path, a_jpg=bytes(raw))) - (200, 100, 50)).max() <= 3


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I;16B"])
def test_image_converted_band_by_band_equals_one_converted_at_once(monkeypatch, mode):
    if mode.startswith("I;16"):
        levels = np.random.default_rng(0).integers(0, 65536, (9, 7)).astype(">u2" if mode.endswith("B") else "<u2")
        image = Image.fromarray(levels)
    else:
        image = noise("RGBA", (7, 9)).convert("RGB").convert(mode) if mode in "1LP" else noise(mode, (7, 9))
    whole = flatten(image, RED).tobytes()
    monkeypatch.setattr(picture, "BAND", 21)
    assert flatten(image, RED).tobytes() == whole


def test_room_is_never_taken_twice():
    room, taken, most = Room(50), [], []

    def work(pixels):
        with room.for_so_many(pixels):
            taken.append(pixels)
            most.append(sum(taken))
            time.sleep(0.001)
            taken.remove(pixels)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [50, 30, 20, 20, 10, 1] * 20))
    assert max(most) <= 50
    assert room.free == 50


def tagged(image, orientation, form="PNG"):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, form, exif=exif)


TURNS = {2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: x.swapaxes(0, 1),
         6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(x, 2).swapaxes(0, 1), 8: np.rot90}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNS)
def test_D15_exif_orientation_is_applied_and_the_common_size_is_the_upright_one(tmp_path, orientation):
    image = noise(size=(6, 4))
    data = only(tmp_path, a_png=tagged(image, orientation))
    assert np.array_equal(pixels(data), TURNS[orientation](np.asarray(image)))


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_D15_orientations_that_mean_nothing_leave_the_image_as_stored(tmp_path, orientation):
    image = noise(size=(6, 4))
    assert np.array_equal(pixels(only(tmp_path, a_png=tagged(image, orientation))), np.asarray(image))


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0" * 40])
def test_D15_corrupt_exif_leaves_the_image_as_stored(tmp_path, exif):
    image = noise(size=(6, 4))
    assert np.array_equal(pixels(only(tmp_path, a_png=encoded(image, "PNG", exif=exif))), np.asarray(image))


@pytest.mark.parametrize("profile", [b"no profile", bytes(1_000_000)])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_D16_colour_profiles_change_no_byte(tmp_path, form, profile):
    plain = only(tmp_path / "plain", **{f"a_{form.lower()}": encoded(noise(), form)})
    profiled = only(tmp_path / "profiled", **{f"a_{form.lower()}": encoded(noise(), form, icc_profile=profile)})
    assert torch.equal(plain.samples, profiled.samples)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_D17_first_of_several_frames_is_used_and_counted(tmp_path, caplog, form):
    red, blue = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    raw = encoded(red, form, save_all=True, append_images=[blue], **({"lossless": True} if form == "WEBP" else {}))
    put(good(tmp_path), **{f"a_{form.lower()}": raw})
    assert "1 of several frames, the first used" in skipped(tmp_path, caplog)[1]
    assert (pixels(read(tmp_path)) == RED).all()


def test_D20_trailing_garbage_is_ignored(tmp_path):
    image = noise()
    assert np.array_equal(
        pixels(only(tmp_path, a_png=encoded(image, "PNG") + b"PK\3\4 and more" * 99)), np.asarray(image)
    )


# ── rotten files ──────────────────────────────────────────────────────────────────────────────────────────────


def bomb(side):
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side))
    return png(side, side, rows + packer.flush())


def jpeg(**options):
    return encoded(noise(size=(64, 64)), "JPEG", **options)


def half(form):
    raw = encoded(noise(size=(64, 64)), form)
    return raw[: len(raw) // 2]


ROTTEN = {
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
    "D12_float": ("a.tif", encoded(Image.new("F", (4, 4), float("nan")), "TIFF"), "unsupported mode F"),
    "D12_32_bit": ("a.tif", encoded(Image.new("I", (4, 4), 9), "TIFF"), "unsupported mode I"),
    "D21_svg": ("a.svg", b"<svg/>", "format not supported"),
    "D21_psd_named_png": ("a.png", b"8BPS\0\1" + bytes(50), "not an image"),
    "D21_postscript_named_png": ("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
}


@pytest.mark.parametrize("fault", ROTTEN)
def test_rotten_file_is_skipped_with_its_reason(tmp_path, caplog, fault):
    name, raw, reasons = ROTTEN[fault]
    (good(tmp_path) / name).write_bytes(raw)
    count, said = skipped(tmp_path, caplog)
    assert count == 3
    assert any(f"3 images used, 1 skipped: 1 {each} ({name})" in said for each in reasons.split("|"))


def test_D03_png_without_its_last_chunk_is_used_whole(tmp_path):
    image = noise()
    assert np.array_equal(pixels(only(tmp_path, a_png=encoded(image, "PNG")[:-12])), np.asarray(image))


def test_D08_bomb_of_some_kilobytes_is_never_decoded(tmp_path, caplog):
    (good(tmp_path) / "bomb.png").write_bytes(bomb(20_000))
    tracemalloc.start()
    assert "1 too large (bomb.png)" in skipped(tmp_path, caplog)[1]
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def test_D19_text_chunk_that_unpacks_to_100_megabytes_is_bounded(tmp_path, caplog):
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 100_000_000, zip=True)
    put(good(tmp_path), a_png=encoded(noise(), "PNG", pnginfo=info))
    assert "1 metadata too large (a.png)" in skipped(tmp_path, caplog)[1]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_colour_profile_of_10_megabytes_is_no_reason_to_skip_an_image(tmp_path, form):
    profile = np.random.default_rng(0).bytes(10_000_000)
    data = only(tmp_path, a_png=encoded(Image.new("RGB", (16, 16), RED), form, icc_profile=profile))
    assert np.abs(pixels(data) - RED).max() <= 4


def test_an_image_in_lab_becomes_the_colour_that_it_was_made_of(tmp_path):
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.applyTransform(
        Image.new("RGB", (16, 16), (200, 30, 60)), ImageCms.buildTransform(*profiles, "RGB", "LAB")
    )
    assert np.abs(pixels(only(tmp_path, a_tif=encoded(lab, "TIFF"))) - (200, 30, 60)).max() <= 2


def tiff_of_16_bits(levels, white_is_zero, order):
    """A TIFF of one strip, for what Pillow does not write."""
    raw = levels.astype(f"{order}u2").tobytes()
    tags = {256: levels.shape[1], 257: levels.shape[0], 258: 16, 259: 1, 262: 0 if white_is_zero else 1, 273: 8}
    tags |= {277: 1, 278: levels.shape[0], 279: len(raw)}
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(raw))
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    return head + raw + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bits_where_0_is_white_are_read_the_right_way_round(tmp_path, order):
    levels = np.full((12, 12), 257 * 200, np.uint16)
    as_usual = read(put(tmp_path / "b", a_tif=tiff_of_16_bits(levels, False, order)))
    inverted = read(put(tmp_path / "w", a_tif=tiff_of_16_bits(levels, True, order)))
    assert as_usual.samples.unique().tolist() == [200]
    assert inverted.samples.unique().tolist() == [55]


def test_D66_tiff_whose_directories_form_a_loop_ends(tmp_path):
    raw = bytearray(encoded(noise(), "TIFF"))
    start = struct.unpack_from("<I", raw, 4)[0]
    entries = struct.unpack_from("<H", raw, start)[0]
    struct.pack_into("<I", raw, start + 2 + 12 * entries, start)  # the next directory is the first
    assert np.array_equal(pixels(only(tmp_path, a_tif=bytes(raw))), np.asarray(noise()))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_flipped_bytes_are_used_or_skipped_and_nothing_else(tmp_path, form):
    raw, rng = encoded(noise(), form), np.random.default_rng(0)
    for k in range(40):
        spoilt = bytearray(raw)
        for place in rng.integers(0, len(raw), 3):
            spoilt[place] ^= 1 << int(rng.integers(8))
        (tmp_path / f"{k:02}.{form.lower()}").write_bytes(spoilt)
    assert read(good(tmp_path, 50), (16, 16)).shape == (3, 16, 16)


def test_first_five_names_of_each_reason_are_shown(tmp_path, caplog):
    for k in range(7):
        put(good(tmp_path, 9), **{f"bad{k}_png": b"text"}, empty_png=b"")
    said = skipped(tmp_path, caplog)[1]
    assert (
        "9 images used, 8 skipped: 7 not an image (bad0.png, bad1.png, bad2.png, bad3.png, bad4.png and 2 more); "
        in said
    )
    assert "1 empty (empty.png)" in said


def test_more_than_half_skipped_is_refused_and_half_is_not(tmp_path):
    put(good(tmp_path, 2), x_png=b"", y_png=b"")
    assert len(read(tmp_path)) == 2
    put(tmp_path, z_png=b"text")
    assert "3 of 5 images cannot be used: 2 empty (x.png, y.png); 1 not an image (z.png)" in refused(tmp_path)


def test_bad_images_stop_names_the_first(tmp_path):
    put(good(tmp_path), b_png=b"text", a_png=b"")
    assert "a.png cannot be used: empty" in refused(tmp_path, bad_images="stop")


def test_good_images_give_no_warning(tmp_path, caplog):
    few = "advice: 3 images are few: --reg augment-views keeps the critic from knowing each of them"
    assert skipped(good(tmp_path), caplog) == (3, few)


# ── the folder ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def as_anybody():
    """Return a folder that anybody may enter, and be anybody meanwhile: root may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        if os.geteuid():
            yield Path(folder)
            return
        os.seteuid(65534)
        yield Path(folder)
        os.seteuid(0)


def test_D22_unreadable_file_is_skipped_and_unreadable_folder_refused(as_anybody, caplog):
    folder = as_anybody / "set"
    put(good(folder), secret_png=noise())
    (folder / "secret.png").chmod(0)
    assert "1 permission denied (secret.png)" in skipped(folder, caplog)[1]
    (folder / "closed").mkdir(0)
    assert "cannot be listed: Permission denied" in refused(folder)


def test_D22_errors_of_the_system_are_named_as_it_names_them():
    assert reason(PermissionError(13, "Permission denied"), b"") == "permission denied"


def test_D23_linked_files_are_used_linked_folders_are_not_and_dangling_links_are_skipped(tmp_path, caplog):
    folder = good(tmp_path / "data")
    put(tmp_path / "outside", x_png=noise(seed=8))
    (folder / "inside.png").symlink_to("good0.png")
    (folder / "outside.png").symlink_to(tmp_path / "outside" / "x.png")
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "again").symlink_to(folder)
    count, said = skipped(folder, caplog)
    assert count == 5
    assert "1 no such file or directory (dangling.png)" in said
    assert "(loop.png)" in said


def test_D24_fifos_are_skipped_unopened_and_folders_named_like_images_are_walked(tmp_path, caplog):
    os.mkfifo(good(tmp_path) / "fifo.png")
    assert "1 not a regular file (fifo.png)" in skipped(tmp_path, caplog)[1]
    put(tmp_path / "folder.png", inner_png=noise(seed=7))
    assert len(read(tmp_path, labels="none")) == 4


def test_D25_odd_names_are_used_and_shown_escaped(tmp_path, caplog):
    names = ["\x1b[31m.png", " x.png", "%s.png", "-rf.png", "<b>.png", "[red].png", "a\nb\t.png", "é" * 125 + ".png"]
    names.append(os.fsdecode(b"\xff\xfe.png"))
    for name in names:
        (good(tmp_path / "bad", 10) / name).write_bytes(b"text")
        (good(tmp_path / "good", 1) / name).write_bytes(encoded(noise(), "PNG"))
    said = skipped(tmp_path / "bad", caplog)[1]
    assert "9 not an image (\\x1b[31m.png,  x.png, %s.png, -rf.png, <b>.png and 4 more)" in said
    assert len(read(tmp_path / "good")) == 10
    for name in names[:6]:
        (tmp_path / "bad" / name).unlink()
    said = skipped(tmp_path / "bad", caplog)[1]
    assert "3 not an image (a\\nb\\t.png, ééé" in said
    assert "\\udcff\\udcfe.png)" in said


def test_D25_class_names_are_kept_printable(tmp_path):
    put(tmp_path / os.fsdecode(b"caf\xe9"), a_png=noise())
    assert read(tmp_path).label_sets[0].classes == ("caf\\udce9",)


def test_D28_equal_images_are_used_and_counted(tmp_path, caplog):
    put(good(tmp_path), again_png=noise(seed=0))
    count, said = skipped(tmp_path, caplog)
    assert count == 4
    assert said.splitlines()[0] == "of 4 images, 1 equal to another image"


def test_D29_missing_path_file_and_empty_path_are_refused_before_anything_is_read(tmp_path):
    put(tmp_path / "pokemon", a_png=noise())
    with pytest.raises(UsageError, match=r"/pokemno does not exist\nwhere: .*\n fix: --data .*/pokemon$"):
        read(tmp_path / "pokemno")
    with pytest.raises(UsageError, match=r"a\.png is no folder"):
        read(tmp_path / "pokemon" / "a.png")
    with pytest.raises(UsageError, match="image-folder.path is empty"):
        ImageFolder().make_data(DataSpec())


def test_D30_folder_without_images_says_what_was_looked_for(tmp_path):
    put(tmp_path, notes_txt=b"hello")
    assert "looked for .png .jpg" in refused(tmp_path)


def test_D30_folder_of_unusable_files_alone_is_refused(tmp_path):
    assert "2 of 2 images cannot be used" in refused(put(tmp_path, a_png=b"", b_png=b"text"))


def test_D31_one_image_is_enough(tmp_path):
    assert len(only(tmp_path, a_png=noise())) == 1


def test_D36_litter_and_hidden_files_are_ignored(tmp_path):
    put(good(tmp_path), **{"Thumbs.db": b"x", "desktop.ini": b"x", "._x.jpg": b"x", ".DS_Store": b"x"})
    for name in ("__MACOSX", ".git"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"x")
    assert len(read(tmp_path)) == 3
    assert read(tmp_path).label_sets == ()


def test_D40_nesting_of_200_levels_is_walked(tmp_path):
    put(tmp_path.joinpath(*["d"] * 200), a_png=noise())
    assert len(read(tmp_path, labels="none")) == 1


def test_D64_files_are_closed_after_reading(tmp_path):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else pytest.skip("no /proc")
    data = read(put(good(tmp_path, 30), a_png=b"text", b_png=half("PNG"), c_gif=half("GIF")))
    assert len(data) >= 30
    assert len(os.listdir("/proc/self/fd")) == before


def test_path_is_seen_from_the_folder_of_the_run(tmp_path):
    put(tmp_path / "pictures", a_png=noise())
    assert len(ImageFolder(path="pictures").make_data(DataSpec(folder=tmp_path))) == 1


@pytest.mark.parametrize("background", ["", "nope", "#12", "#ff000080", "white\x1b"])
def test_background_that_is_no_opaque_colour_is_refused(background):
    with pytest.raises(UsageError, match="which is no opaque colour\nwhere: image-folder.background\n fix: white"):
        ImageFolder(background=background)


def test_recognizes_a_folder_of_images_at_any_depth_and_nothing_else(tmp_path):
    ask = ImageFolder().recognizes
    assert ask(tmp_path) == 0
    put(tmp_path / "a" / "b", x_PNG=noise(), y_txt=b"")
    assert ask(tmp_path) == 1
    assert ask(tmp_path / "a" / "b" / "x.PNG") == ask(tmp_path / "missing") == 0


def test_one_thread_and_many_give_the_same_samples(tmp_path, monkeypatch):
    good(tmp_path, 20)
    many = read(tmp_path, (9, 11))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert torch.equal(many.samples, read(tmp_path, (9, 11)).samples)


def test_header_and_pixels_agree_on_the_upright_size(tmp_path):
    (tmp_path / "a.jpg").write_bytes(tagged(noise(size=(6, 4)), 6, "JPEG"))
    assert look(str(tmp_path), WHITE, "a.jpg").size == (6, 4)
    assert decode(os.fsencode(tmp_path / "a.jpg"), (3, 6, 4), "stretch", WHITE).shape == (3, 6, 4)
