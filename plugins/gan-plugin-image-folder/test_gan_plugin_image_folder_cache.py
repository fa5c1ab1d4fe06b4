"""The cache file: the same images as in memory, used again, and made again when it does not fit."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
import zlib
from errno import ENOLCK

import numpy as np
import PIL
import platformdirs
import pytest
import torch
from filelock import FileLock
from image_samples import WHITE, noise, read, save

from gan_plugin_image_folder import scan
from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.decode import decode_all
from gan_plugin_image_folder.decode.decoded import DecodeOptions, DecodeSummary, pixel_digest
from gan_plugin_image_folder.file_index import FileIndex
from gan_plugin_image_folder.scan import scan_folder
from gan_plugin_image_folder.storage import cache_file, cache_writer
from gan_plugin_image_folder.storage.cache_file import CacheEntry, cache_entry, cache_key
from gan_plugin_image_folder.storage.cache_reader import open_cached
from gan_plugin_image_folder.storage.cache_writer import CacheWriter
from gan_plugin_image_folder.storage.dataset import HashedData, MappedData
from gancore import DataError, progressbar
from gancore.testing import check_component

RNG = torch.Generator()
OPTIONS = DecodeOptions(None, None, "crop", WHITE, "skip", False)
NAMES = ("x/a", "x/b", "y/c", "y/d", "y/e")


def paint(path, seed, side=8):
    save(path, noise(size=(side, side), seed=seed))


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """The folder of cached images, within the test's own."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / name)
    return tmp_path / "gancore" / "images"


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(NAMES):
        paint(tmp_path / "set" / f"{name}.png", seed)
    return tmp_path / "set"


def test_a_run_resumed_with_the_size_that_it_chose_uses_the_same_cache_file(tmp_path, kept):
    for seed in range(2):
        paint(tmp_path / "large" / f"{seed}.png", seed, side=130)
    first = read(tmp_path / "large", cache="file")
    assert first.shape == (3, 64, 64)
    (file,) = kept.glob("*.npy")
    again = read(tmp_path / "large", (64, 64), cache="file")
    assert [*kept.glob("*.npy")] == [file]
    assert again.fingerprint() == first.fingerprint()
    assert read(tmp_path / "large", (32, 32), cache="file").shape == (3, 32, 32)
    assert len([*kept.glob("*.npy")]) == 2


def taken(data):
    return data.take(torch.tensor([3, 0, 3]), RNG)


def files(kept):
    return sorted(kept.glob("*"))


def test_conforms_from_a_file_and_with_a_labels_file(folder):
    labels = folder.parent / "labels.csv"
    labels.write_text("file,type\na,fire\nb,water\nc,fire\nd,water\ne,fire\n")
    check_component(
        ImageFolder,
        path=str(folder),
        cache="file",
        labels_file=str(labels),
        label_columns=("type",),
    )


@pytest.mark.parametrize("duplicates", ["keep", "merge"])
def test_images_from_a_file_equal_those_in_memory_to_the_bit(folder, duplicates):
    paint(folder / "y" / "f.png", 0)
    memory = read(folder, cache="memory", duplicates=duplicates)
    for _ in range(2):
        mapped = read(folder, cache="file", duplicates=duplicates)
        assert (type(memory), type(mapped)) == (HashedData, MappedData)
        assert np.array_equal(mapped.samples, memory.samples)
        assert all(
            torch.equal(one, other) for one, other in zip(taken(mapped), taken(memory), strict=True)
        )
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
    assert type(read(folder)) is HashedData
    assert not kept.exists()
    assert type(read(folder, cache_memory=0)) is MappedData
    assert len(files(kept)) == 1


def test_file_is_used_again_without_decoding_and_says_the_same(folder, kept, caplog, monkeypatch):
    (folder / "x" / "bad.png").write_bytes(b"text")
    said = []
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "gancore"):
            read(folder, cache="file")
        said.append([line for line in caplog.messages if "are cached in" not in line])
        monkeypatch.setattr(decode_all, "decode_file", None)  # a second decoding would fail
    assert said[0] == said[1]
    assert "5 images used, 1 skipped: 1 not an image (x/bad.png)" in said[0][0]


def test_changed_images_and_options_make_another_file(folder, kept):
    options = [
        {},
        {"size": (4, 4)},
        {"fit": "pad"},
        {"background": "black"},
        {"channels": 1},
        {"duplicates": "first"},
    ]
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


def test_nothing_is_left_behind_when_decoding_ends_in_an_error(folder, kept):
    for name in ("x/b", "y/c", "y/d"):
        file = folder / f"{name}.png"
        file.write_bytes(file.read_bytes()[:100])  # the header is whole: seen when decoded
    with pytest.raises(DataError, match="3 of 5 images cannot be used"):
        read(folder, cache="file")
    assert files(kept) == []


def test_corrupt_image_of_another_size_does_not_change_the_common_one_in_a_file(folder, kept):
    paint(folder / "x" / "z.png", 9, side=50)
    file = folder / "x" / "z.png"
    file.write_bytes(file.read_bytes()[:200])
    assert read(folder, cache="file").samples.shape == (5, 3, 8, 8)
    assert len(files(kept)) == 1


def test_cache_that_cannot_be_written_is_an_error_with_a_way_out(folder, kept):
    kept.parent.write_bytes(b"a file where the folder should be")
    with pytest.raises(
        DataError, match="cannot be cached in .*\nwhere: image-folder.cache\n.*cache memory"
    ):
        read(folder, cache="file")


def test_images_beyond_one_block_are_all_decoded_in_order(folder, monkeypatch):
    whole = read(folder)
    monkeypatch.setattr(decode_all, "BLOCK_BYTES", 2 * 3 * 8 * 8)
    assert read(folder).fingerprint() == whole.fingerprint()
    assert read(folder, cache="file").fingerprint() == whole.fingerprint()


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("screen", [Screen, io.StringIO])
def test_progress_is_shown_as_a_bar_on_a_terminal_and_as_lines_for_many_elsewhere(
    folder, monkeypatch, screen
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progressbar, "MANY", 4)
    monkeypatch.setattr(sys, "stderr", screen())
    assert len(read(folder)) == 5
    assert "decoding images" in sys.stderr.getvalue()
    assert ("decoding images: 5\n" in sys.stderr.getvalue()) == (screen is io.StringIO)


# ── name and layout: files that were written before must still be found and read ─────────────────


def test_the_name_of_a_cache_file_follows_from_paths_sizes_times_options_and_pillow(monkeypatch):
    monkeypatch.setattr(PIL, "__version__", "11.0.0")
    stamps = np.array([[47, 1, 2], [-1, -1, -1]], np.int64)
    index = FileIndex(b"a.pngb/c.png", np.array([0, 5, 12]), stamps)
    assert cache_key("/", index, OPTIONS) == "20dcaea6a2588e6bd0a79592490618df"
    options = DecodeOptions((16, 24), 1, "pad", (0, 1, 2), "stop", True)
    assert cache_key("/", index, options) == "b15004f09be766aa4ce94b8593b3e3b4"


def np_file(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_a_file_of_the_documented_layout_is_read(folder):
    paint(folder / "z.png", 9)
    (folder / "bad.png").write_bytes(b"")
    data = read(folder, cache="memory", labels="none")
    entry = cache_entry(str(folder), scan_folder(str(folder)).files, OPTIONS)
    digests = [list(pixel_digest(image)) for image in data.samples.numpy()]
    content = np_file(data.samples.numpy()) + np_file(np.array(digests, np.uint8))
    content += json.dumps([["a note"], {"bad.png": "empty"}]).encode()
    # The checksum takes the header last.
    header = content[:128]
    checksum = zlib.crc32(header, zlib.crc32(content[128:]))
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(content + b"%08x" % checksum)
    images = open_cached(entry)
    assert np.array_equal(images.samples, data.samples)
    assert images.summary.notes == ["a note"]
    assert images.summary.faults == {"bad.png": "empty"}


# ── a file that is damaged, or no longer what the images are ──────────────────────────────────────


def damaged(raw):
    """Return contents of a cache file that must not be used."""
    pixels = np.zeros((5, 3, 8, 8), np.uint8)
    return {
        "cut in the pixels": raw[: len(raw) // 2],
        "cut behind the pixels": raw[:-9],
        "empty": b"",
        "text": b"hello" * 99,
        "another array": np_file(pixels.astype(float)),
        "without what follows the pixels": np_file(pixels),
        "one byte of the last image": raw[:1000] + bytes([raw[1000] ^ 1]) + raw[1001:],
    }


def test_torn_or_foreign_file_is_made_again(folder, kept):
    whole = read(folder, cache="file").fingerprint()
    (file,) = files(kept)
    good = file.read_bytes()
    for fault, content in damaged(good).items():
        file.write_bytes(content)
        assert read(folder, cache="file").fingerprint() == whole, fault
        assert file.read_bytes() == good, fault
        assert len(files(kept)) == 1, fault


def test_any_byte_of_the_file_that_is_damaged_is_noticed(tmp_path, kept):
    folder = tmp_path / "small"
    paint(folder / "a.png", 1, side=2)
    whole = read(folder, cache="file")
    (file,) = files(kept)
    good = file.read_bytes()
    entry = cache_entry(str(folder), scan_folder(str(folder)).files, OPTIONS)
    assert entry.path == file
    for place in range(len(good)):
        file.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        assert open_cached(entry, probes=0) is None, place
    file.write_bytes(good)
    assert np.array_equal(open_cached(entry).samples, whole.samples)


def test_pixels_changed_with_the_size_and_the_time_put_back_are_noticed(folder):
    file = folder / "x" / "a.bmp"
    paint(file, 50)
    read(folder, cache="file")
    about = file.stat()
    paint(file, 51)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (about.st_size, about.st_mtime_ns)
    assert np.array_equal(read(folder, cache="file").samples, read(folder, cache="memory").samples)


def test_where_a_file_system_keeps_no_times_a_set_of_other_pixels_is_noticed(folder, monkeypatch):
    def only_size(entry):
        return scan.STAMP.pack(entry.stat().st_size, 0, 0)

    monkeypatch.setattr(scan, "pack_stamp", only_size)
    for seed, name in enumerate(NAMES):
        (folder / f"{name}.png").unlink()
        paint(folder / f"{name}.bmp", seed)
    before = read(folder, cache="file").fingerprint()
    for seed, name in enumerate(NAMES):
        paint(folder / f"{name}.bmp", seed + 9)
    assert read(folder, cache="file").fingerprint() != before


# ── a copy of what is held in memory ──────────────────────────────────────────────────────────────


def test_auto_keeps_a_copy_of_a_small_set_where_decoding_takes_long_and_a_second_start_reads_it(
    folder, kept, monkeypatch
):
    assert type(read(folder)) is HashedData
    assert not kept.exists()  # decoding takes no time
    monkeypatch.setattr(cache_file, "WORTH_SECONDS", 0.0)
    first = read(folder)
    assert len(files(kept)) == 1
    monkeypatch.setattr(decode_all, "decode_file", None)  # a second decoding would fail
    again = read(folder)
    assert (type(first), type(again)) == (HashedData, HashedData)
    assert torch.equal(first.samples, again.samples)
    assert first.fingerprint() == again.fingerprint()


def test_a_copy_that_cannot_be_written_is_said_and_the_images_are_used(
    folder, kept, monkeypatch, caplog
):
    monkeypatch.setattr(cache_file, "WORTH_SECONDS", 0.0)
    kept.parent.write_bytes(b"a file where the folder should be")
    with caplog.at_level(logging.WARNING, "gancore"):
        assert len(read(folder)) == 5
    assert "cannot be cached in" in caplog.text
    assert "decoded again at the next start" in caplog.text


def test_a_disk_that_fills_up_on_the_way_leaves_nothing_and_costs_no_image(
    folder, kept, monkeypatch, caplog
):
    def full(disk, rows):
        raise DataError("decoded images cannot be cached: No space left on device")

    monkeypatch.setattr(cache_file, "WORTH_SECONDS", 0.0)
    monkeypatch.setattr(cache_writer.CacheWriter, "append", full)
    assert len(read(folder)) == 5
    assert files(kept) == []


def test_a_copy_pays_for_thousands_of_small_files_and_for_few_large_ones(tmp_path):
    def worth_keeping(count, size):
        stamps = np.full((count, 3), size, np.int64)
        index = FileIndex(b"", np.zeros(count + 1, np.int64), stamps)
        return CacheEntry(tmp_path, "", index, OPTIONS).worth_keeping()

    assert worth_keeping(24_000, 2_000)
    assert worth_keeping(20, 5_000_000)
    assert not worth_keeping(500, 2_000)


# ── processes that start at once ──────────────────────────────────────────────────────────────────

# Imports once, then forks a reader for each line of stdin: torch takes seconds to import.
READERS = """
import logging, os, sys, time
from pathlib import Path
import platformdirs
from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.decode import decode_all
from gancore import DataSpec

def read(place):
    platformdirs.user_cache_path = lambda name: place / name
    logging.basicConfig(filename=place / f"log-{os.getpid()}", format="%(message)s")
    decode_file = decode_all.decode_file
    def slowly(*given):
        (place / f"decodes-{os.getpid()}").touch()
        while not (place / "go").exists():
            time.sleep(0.01)
        return decode_file(*given)
    decode_all.decode_file = slowly
    data = ImageFolder(path=str(place / "set"), cache="file").make_data(DataSpec())
    report = place / f"part-{os.getpid()}"
    report.write_text(f"{type(data).__name__} {data.fingerprint()}")
    report.rename(place / f"result-{os.getpid()}")

for line in sys.stdin:
    if os.fork() == 0:
        read(Path(line.rstrip()))
        os._exit(0)
"""


@pytest.fixture(scope="module")
def readers():
    """Return a process that starts a reader for each folder that is written to it."""
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READERS]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, text=True, env=surroundings, start_new_session=True
    )
    yield process
    os.killpg(process.pid, signal.SIGKILL)  # with the readers that it forked
    process.communicate()


@pytest.fixture
def two_readers(tmp_path, readers):
    """Start two readers of one folder; the one that decodes waits for the file `go`."""
    for seed in range(5):
        paint(tmp_path / "set" / f"{seed}.png", seed)
    readers.stdin.write(f"{tmp_path}\n" * 2)
    readers.stdin.flush()
    wait_until(lambda: list(tmp_path.glob("decodes-*")), readers)
    wait_until(lambda: "waiting for it" in logs(tmp_path), readers)
    return tmp_path


def wait_until(condition, process):
    """Wait until a condition holds; fail where the process ends, or it never does."""
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None
        time.sleep(0.02)
    raise AssertionError("it does not happen")


def logs(place):
    return "".join(path.read_text() for path in place.glob("log-*"))


def results(place):
    return [path.read_text() for path in place.glob("result-*")]


@pytest.mark.xdist_group("readers")
def test_of_two_processes_that_start_at_once_one_decodes_and_both_map_its_file(
    two_readers, readers
):
    (two_readers / "go").touch()
    wait_until(lambda: len(results(two_readers)) == 2, readers)
    first, second = results(two_readers)
    assert first == second
    assert first.startswith("MappedData ")
    assert len(list(two_readers.glob("decodes-*"))) == 1
    assert logs(two_readers).count("are cached in") == 1
    images = two_readers / "gancore" / "images"
    assert [path.suffix for path in images.iterdir()] == [".npy"]


@pytest.mark.xdist_group("readers")
def test_where_the_process_that_decodes_is_killed_the_other_takes_its_place(two_readers, readers):
    (decoding,) = two_readers.glob("decodes-*")
    os.kill(int(decoding.name.partition("-")[2]), signal.SIGKILL)
    (two_readers / "go").touch()
    wait_until(lambda: results(two_readers), readers)
    (result,) = results(two_readers)
    assert result.startswith("MappedData ")


def test_where_there_are_no_locks_each_process_decodes_into_a_file_of_its_own(
    tmp_path, monkeypatch
):
    class Lockless(FileLock):
        def acquire(self, *given, **named):  # a file system without locks cannot be had
            raise OSError(ENOLCK, os.strerror(ENOLCK))

    monkeypatch.setattr(cache_writer, "FileLock", Lockless)
    shape = (1, 2, 2)
    pixels = np.zeros((1, *shape), np.uint8)
    digests = np.frombuffer(pixel_digest(pixels[0]), np.uint8).reshape(1, 16)
    index = FileIndex(b"x", np.array([0, 1]), np.zeros((1, 3), np.int64))
    entry = CacheEntry(tmp_path / "a.npy", str(tmp_path), index, OPTIONS)
    with CacheWriter(entry, shape) as one, CacheWriter(entry, shape) as other:
        for writer in (one, other):
            writer.append(pixels)
        made = [writer.finish(DecodeSummary(digests, [], {})) for writer in (one, other)]
    assert all(np.array_equal(each.samples, pixels) for each in made)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
