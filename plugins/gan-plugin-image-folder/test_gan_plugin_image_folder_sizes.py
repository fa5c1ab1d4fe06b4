"""The size and the channels that images get, and how they are fitted to them."""

import logging

import numpy as np
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
from PIL import Image

from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.decode.image_file import ImageInfo
from gan_plugin_image_folder.decode.pixels import resize
from gan_plugin_image_folder.decode.target_size import choose_size
from gancore import DataSpec

FITS = ("crop", "pad", "stretch")


def test_common_size_is_kept_and_no_byte_changed(tmp_path):
    image = noise(size=(20, 12))
    data = only(tmp_path, a_png=image)
    assert data.shape == (3, 12, 20)
    assert np.array_equal(pixels(data), np.asarray(image))


def test_given_size_that_fits_changes_no_byte(tmp_path):
    image = noise(size=(20, 12))
    put(tmp_path, a_png=image)
    for fit in FITS:
        assert np.array_equal(pixels(read(tmp_path, (12, 20), fit=fit)), np.asarray(image)), fit


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


def test_D37_images_get_the_median_shape_at_a_size_that_is_quick_to_train():
    for given, chosen in SIZES:
        infos = [ImageInfo("x", (height, width), False, (), None) for width, height in given]
        assert choose_size(infos) == chosen, given


def test_a_photograph_becomes_small_and_the_flag_for_another_size_is_said(tmp_path, caplog):
    put(tmp_path, a_jpg=encoded(noise(size=(538, 302)), "JPEG"))
    said = read_and_notes(tmp_path, caplog)[1]
    assert "images are 302×538; training at 48×84 pixels by crop (--size HxW for another)" in said
    assert read(tmp_path, (302, 538)).shape == (3, 302, 538)


def test_more_pixels_are_kept_where_the_device_trains_more(tmp_path, caplog):
    put(tmp_path / "a", a_jpg=encoded(noise(size=(538, 302)), "JPEG"))
    put(tmp_path / "b", a_png=noise(size=(160, 160)))
    for folder, small, large in [("a", (48, 84), (96, 172)), ("b", (64, 64), (160, 160))]:
        for area, size in [(64 * 64, small), (128 * 128, large)]:
            reader = ImageFolder(path=str(tmp_path / folder))
            assert reader.make_data(DataSpec(area=area)).shape == (3, *size)
            assert reader.chosen_size() == size


def test_images_of_a_size_given_are_said_to_be_resized_too(tmp_path, caplog):
    put(tmp_path, a_png=noise(size=(40, 40)))
    said = read_and_notes(tmp_path, caplog, size=(16, 24))[1]
    assert "images are 40×40; training at 16×24 pixels by crop\n" in said


def test_run_says_in_one_line_what_the_check_would_suggest(tmp_path, caplog):
    put(tmp_path, a_png=noise(size=(40, 40)), b_png=noise(size=(90, 30)))
    (line,) = [
        each
        for each in read_and_notes(tmp_path, caplog)[1].splitlines()
        if each.startswith("advice: ")
    ]
    assert "--image-folder.fit pad" in line
    assert "2 images are few: --reg augment-views" in line


def test_corrupt_image_of_another_size_does_not_change_the_common_one(tmp_path):
    put(good(tmp_path), bad_png=encoded(noise(size=(90, 90)), "PNG")[:2000])
    assert read(tmp_path).samples.shape == (3, 3, 16, 16)


def test_corrupt_colour_image_does_not_make_grey_images_colour(tmp_path):
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
    crop, pad, stretch = (
        pixels(read(tmp_path, (20, 20), fit=how, background="black")) for how in hows
    )
    assert (crop == GREEN).all(2).mean() > 0.9
    assert (pad[:5] == 0).all()
    assert (pad[15:] == 0).all()
    for row in (pad[10], stretch[0]):
        assert np.abs(row[[0, 10, 19]] - (RED, GREEN, BLUE)).max() <= 3


def test_shrinking_averages_rather_than_picks(tmp_path):
    board = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8))
    assert (
        np.abs(pixels(only(tmp_path, a_png=board, size=(8, 8))) - 127.5).max() < 40
    )  # nearest would give 0 or 255


def test_D10_tiny_and_thin_images_are_used_at_every_fit():
    for size in [(1, 1), (1, 5000), (5000, 1), (3, 7)]:
        for fit in FITS:
            resized = resize(Image.new("RGB", size), (16, 12), fit, WHITE)
            assert resized.size == (16, 12), (size, fit)


def test_D10_enlarged_images_are_counted(tmp_path, caplog):
    put(good(tmp_path), small_png=Image.new("RGB", (1, 1)))
    count, said = read_and_notes(tmp_path, caplog)
    assert count == 4
    assert "1 enlarged to 16×16" in said


def test_D69_colour_made_grey_is_counted_and_grey_made_colour_repeats_the_channel(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "gancore"):
        assert read(good(tmp_path / "colour"), channels=1).shape == (1, 16, 16)
    assert "3 converted from colour to grey" in caplog.text
    grey = noise("L")
    data = only(tmp_path / "grey", a_png=grey, options={"channels": 3})
    assert np.array_equal(pixels(data), np.repeat(np.asarray(grey)[..., None], 3, 2))
