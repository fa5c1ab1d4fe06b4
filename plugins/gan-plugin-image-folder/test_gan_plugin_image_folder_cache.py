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

from gan_plugin_image_folder import attempts, reading
from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.held import Hashed, Mapped
from gancore import DataError, DataSpec
from gancore.testing import check_component

RNG = torch.Generator()


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
    with pytest.raises(DataError, match="cannot be kept in .*\nwhere: image-folder.cache\n mend: .*cache memory"):
        read(folder, cache="file")


def test_images_beyond_one_block_are_all_decoded_in_order(folder, monkeypatch):
    whole = read(folder)
    monkeypatch.setattr(reading, "BLOCK", 2 * 3 * 8 * 8)
    assert read(folder).fingerprint() == whole.fingerprint()
    assert read(folder, cache="file").fingerprint() == whole.fingerprint()


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("screen", "many", "shown"), [(Screen, 4, True), (Screen, 5, False), (io.StringIO, 4, False)])
def test_bar_is_drawn_on_a_terminal_for_many_images_alone(folder, monkeypatch, screen, many, shown):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(attempts, "SOON", many)
    monkeypatch.setattr(sys, "stderr", screen())
    assert len(read(folder)) == 5
    assert ("decoding images" in sys.stderr.getvalue()) == shown
