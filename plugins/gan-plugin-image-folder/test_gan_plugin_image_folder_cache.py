"""Decoded images in a file: the same as in memory, used again, made again when it does not fit; and the bar."""

import io
import logging
import os
import sys

import numpy as np
import platformdirs
import pytest
import torch
from PIL import Image

from gan_plugin_image_folder import cache, reading, storing
from gan_plugin_image_folder import folder as folder_module
from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.files import Files
from gan_plugin_image_folder.folder import find_images
from gan_plugin_image_folder.held import Hashed, Mapped
from gan_plugin_image_folder.images import How
from gancore import DataError, DataSpec, progressbar
from gancore.testing import check_component

RNG = torch.Generator()
WHITE = (255, 255, 255)


def paint(path, seed, side=8):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """The folder of cached images, within the test's own."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / name)
    return tmp_path / "gancore" / "images"


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(("x/a", "x/b", "y/c", "y/d", "y/e")):
        path = tmp_path / "set" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        paint(path, seed)
    return tmp_path / "set"


def read(path, size=None, **options):
    return ImageFolder(path=str(path), **options).make_data(DataSpec(size))


def taken(data):
    return data.take(torch.tensor([3, 0, 3]), RNG)


def files(kept):
    return sorted(kept.glob("*"))


def stamp(kept):
    (file,) = files(kept)
    return file.name, file.stat().st_mtime_ns, file.stat().st_ino


def test_conforms_from_a_file(folder):
    check_component(ImageFolder, path=str(folder), cache="file")


@pytest.mark.parametrize("duplicates", ["keep", "merge"])
def test_images_from_a_file_equal_those_in_memory_to_the_bit(folder, duplicates):
    paint(folder / "y" / "f.png", 0)
    memory = read(folder, cache="memory", duplicates=duplicates)
    for _ in range(2):
        mapped = read(folder, cache="file", duplicates=duplicates)
        assert (type(memory), type(mapped)) == (Hashed, Mapped)
        assert np.array_equal(mapped.samples, memory.samples)
        assert all(torch.equal(one, other) for one, other in zip(taken(mapped), taken(memory), strict=True))
        assert mapped.shape == memory.shape
        assert mapped.label_sets == memory.label_sets
        assert mapped.fingerprint() == memory.fingerprint()


def test_fingerprint_changes_with_the_pixels_and_with_the_labels(folder):
    before = read(folder).fingerprint()
    assert read(folder, labels="none").fingerprint() != before
    paint(folder / "x" / "a.png", 99)
    assert read(folder).fingerprint() != before


def test_mapped_images_are_read_only_and_a_batch_of_them_is_not(folder):
    data = read(folder, cache="file")
    assert not data.samples.flags.writeable
    taken(data)[0].zero_()
    assert data.samples.any()


def test_auto_takes_a_file_above_its_memory_alone(folder, kept):
    assert type(read(folder)) is Hashed
    assert not kept.exists()
    assert type(read(folder, cache_memory=0)) is Mapped
    assert len(files(kept)) == 1


def test_file_is_used_again_without_decoding_and_says_the_same(folder, kept, caplog, monkeypatch):
    (folder / "x" / "bad.png").write_bytes(b"text")
    said = []
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "gancore"):
            read(folder, cache="file")
        said.append([line for line in caplog.messages if "are kept in" not in line])
        monkeypatch.setattr(reading, "decode", None)  # a second decoding would fail
    assert said[0] == said[1]
    assert "5 images used, 1 skipped: 1 not an image (x/bad.png)" in said[0][0]


def test_changed_images_and_options_make_another_file(folder, kept):
    options = [{}, {"size": (4, 4)}, {"fit": "pad"}, {"background": "black"}, {"channels": 1}, {"duplicates": "first"}]
    for count, each in enumerate(options, 1):
        read(folder, cache="file", **each)
        assert len(files(kept)) == count
    os.utime(folder / "x" / "a.png", ns=(0, 0))
    read(folder, cache="file")
    paint(folder / "x" / "b.png", 7)
    assert np.array_equal(read(folder, cache="file").samples, read(folder, cache="memory").samples)
    assert len(files(kept)) == len(options) + 2
    read(folder, cache="file", labels="none")
    assert len(files(kept)) == len(options) + 2


def cut(raw):
    return raw[: len(raw) // 2]


SPOILT = {
    "cut in the pixels": cut,
    "cut behind the pixels": lambda raw: raw[:-9],
    "empty": lambda raw: b"",
    "text": lambda raw: b"hello" * 99,
    "another array": lambda raw: np_file(np.zeros((5, 3, 8, 8))),
    "without what follows the pixels": lambda raw: np_file(np.zeros((5, 3, 8, 8), np.uint8)),
    "one byte of the last image": lambda raw: raw[:1000] + bytes([raw[1000] ^ 1]) + raw[1001:],
}


def np_file(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("fault", SPOILT)
def test_torn_or_foreign_file_is_made_again(folder, kept, fault):
    whole = read(folder, cache="file").fingerprint()
    (file,) = files(kept)
    good = file.read_bytes()
    file.write_bytes(SPOILT[fault](good))
    assert read(folder, cache="file").fingerprint() == whole
    assert file.read_bytes() == good
    assert len(files(kept)) == 1


def test_nothing_is_left_behind_when_decoding_ends_in_an_error(folder, kept):
    for name in ("x/b", "y/c", "y/d"):
        file = folder / f"{name}.png"
        file.write_bytes(file.read_bytes()[:100])  # the header is whole: seen when decoded
    with pytest.raises(DataError, match="3 of 5 images cannot be used"):
        read(folder, cache="file")
    assert files(kept) == []


def test_rotten_image_of_another_size_does_not_change_the_common_one_in_a_file(folder, kept):
    paint(folder / "x" / "z.png", 9, side=50)
    file = folder / "x" / "z.png"
    file.write_bytes(file.read_bytes()[:200])
    assert read(folder, cache="file").samples.shape == (5, 3, 8, 8)
    assert len(files(kept)) == 1


def test_cache_that_cannot_be_written_is_an_error_with_a_way_out(folder, kept):
    kept.parent.write_bytes(b"a file where the folder should be")
    with pytest.raises(DataError, match="cannot be kept in .*\nwhere: image-folder.cache\n fix: .*cache memory"):
        read(folder, cache="file")


def test_images_beyond_one_block_are_all_decoded_in_order(folder, monkeypatch):
    whole = read(folder)
    monkeypatch.setattr(reading, "BLOCK", 2 * 3 * 8 * 8)
    assert read(folder).fingerprint() == whole.fingerprint()
    assert read(folder, cache="file").fingerprint() == whole.fingerprint()


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("screen", [Screen, io.StringIO])
def test_progress_is_shown_as_a_bar_on_a_terminal_and_as_lines_for_many_elsewhere(folder, monkeypatch, screen):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progressbar, "MANY", 4)
    monkeypatch.setattr(sys, "stderr", screen())
    assert len(read(folder)) == 5
    assert "decoding images" in sys.stderr.getvalue()
    assert ("decoding images: 5\n" in sys.stderr.getvalue()) == (screen is io.StringIO)


# ── a copy that is damaged, or no longer what the images are ──────────────────────────────────────────────────


def test_any_byte_of_the_copy_that_is_damaged_is_noticed(folder, kept):
    whole = read(folder, cache="file")
    (file,) = files(kept)
    good = file.read_bytes()
    place = cache.place_for(str(folder), find_images(str(folder)).names, How(None, None, "crop", WHITE, "skip", False))
    assert place.path == file
    for at in range(len(good)):
        file.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        assert cache.open_cached(place, probes=0) is None, at
    file.write_bytes(good)
    assert np.array_equal(cache.open_cached(place).samples, whole.samples)


def test_pixels_changed_with_the_size_and_the_time_put_back_are_noticed(folder):
    file = folder / "x" / "a.bmp"
    paint(file, 50)
    read(folder, cache="file")
    about = file.stat()
    paint(file, 51)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (about.st_size, about.st_mtime_ns)
    assert np.array_equal(read(folder, cache="file").samples, read(folder, cache="memory").samples)


def test_where_a_file_system_keeps_no_time_of_changes_a_set_of_other_pixels_is_noticed(folder, monkeypatch):
    stamp = folder_module.STAMP.pack
    monkeypatch.setattr(folder_module, "stamp_of", lambda entry: stamp(entry.stat().st_size, 0, 0))
    for seed, name in enumerate(("x/a", "x/b", "y/c", "y/d", "y/e")):
        (folder / f"{name}.png").unlink()
        paint(folder / f"{name}.bmp", seed)
    before = read(folder, cache="file").fingerprint()
    for seed, name in enumerate(("x/a", "x/b", "y/c", "y/d", "y/e")):
        paint(folder / f"{name}.bmp", seed + 9)
    assert read(folder, cache="file").fingerprint() != before


# ── a copy of what is held in memory ──────────────────────────────────────────────────────────────────────────


def test_auto_keeps_a_copy_of_a_small_set_where_decoding_takes_long_and_a_second_start_reads_it(
    folder, kept, monkeypatch
):
    assert type(read(folder)) is Hashed
    assert not kept.exists()  # decoding takes no time
    monkeypatch.setattr(cache, "PAYS", 0.0)
    first = read(folder)
    assert len(files(kept)) == 1
    monkeypatch.setattr(reading, "decode", None)  # a second decoding would fail
    again = read(folder)
    assert (type(first), type(again)) == (Hashed, Hashed)
    assert torch.equal(first.samples, again.samples)
    assert first.fingerprint() == again.fingerprint()


def test_a_copy_that_cannot_be_written_is_said_and_the_images_are_used(folder, kept, monkeypatch, caplog):
    monkeypatch.setattr(cache, "PAYS", 0.0)
    kept.parent.write_bytes(b"a file where the folder should be")
    with caplog.at_level(logging.WARNING, "gancore"):
        assert len(read(folder)) == 5
    assert "cannot be kept in" in caplog.text
    assert "decoded again at the next start" in caplog.text


def test_a_disk_that_fills_up_on_the_way_leaves_nothing_and_costs_no_image(folder, kept, monkeypatch, caplog):
    def full(disk, rows):
        raise DataError("decoded images cannot be kept: No space left on device")

    monkeypatch.setattr(cache, "PAYS", 0.0)
    monkeypatch.setattr(storing.Disk, "add", full)
    assert len(read(folder)) == 5
    assert files(kept) == []


def test_a_copy_pays_for_thousands_of_small_files_and_for_few_large_ones(tmp_path):
    def place(count, size):
        stamps = np.full((count, 3), size, np.int64)
        return cache.Place(tmp_path, "", Files(b"", np.zeros(count + 1, np.int64), stamps), None)

    assert place(24_000, 2_000).pays()
    assert place(20, 5_000_000).pays()
    assert not place(500, 2_000).pays()
