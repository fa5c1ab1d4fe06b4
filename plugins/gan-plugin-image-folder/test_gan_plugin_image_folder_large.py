"""Many images: names in one block, equal ones by arrays, folders in order, and processes that start at once."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from errno import ENOLCK
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_plugin_image_folder.decode.decoded import About, Equal, digest_of, equal_ones
from gan_plugin_image_folder.decode.worker_pool import AT_ONCE, spread
from gan_plugin_image_folder.file_index import Files, spelt
from gan_plugin_image_folder.labels.merge import Classes, count_contradicted, numbers_of
from gan_plugin_image_folder.scan import find_images, walk
from gan_plugin_image_folder.storage import cache_reader as cache
from gan_plugin_image_folder.storage import cache_writer as storing
from gancore import LabelSet

LETTERS = st.text(st.sampled_from("ab-0é.\udcff "), min_size=1, max_size=4)
NAMES = st.lists(st.lists(LETTERS, min_size=1, max_size=3).map("/".join), unique=True, min_size=1, max_size=12)


def files_of(names):
    lengths = [0, *(len(spelt(name)) for name in names)]
    stamps = np.arange(2 * len(names), dtype=np.int64).reshape(-1, 2)
    return Files(b"".join(map(spelt, names)), np.cumsum(lengths, dtype=np.int64), stamps)


@settings(deadline=None)
@given(NAMES, st.data())
def test_files_are_a_sequence_of_their_names(names, data):
    names = sorted(names, key=spelt)
    files = files_of(names)
    assert (list(files), len(files), files[-1], files[1:3]) == (names, len(names), names[-1], names[1:3])
    assert [files[place] for place in range(len(files))] == names
    assert files.slashes == "".join(names).count("/")
    with pytest.raises(IndexError):
        files[len(names)]
    wanted = data.draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    some = files.only(np.array(wanted))
    assert list(some) == [name for name, each in zip(names, wanted, strict=True) if each]
    assert some.stamps.tolist() == files.stamps[np.array(wanted)].tolist()


@settings(deadline=None)
@given(NAMES)
def test_files_of_a_folder_are_those_whose_names_begin_with_it(names):
    names = sorted(names, key=spelt)
    for folder in {name.rpartition("/")[0] for name in names} - {""}:
        below = [names[place] for place in files_of(names).below(folder)]
        assert below == [name for name in names if name.startswith(f"{folder}/")]


def test_a_folder_is_walked_in_the_order_of_the_bytes_of_its_paths(tmp_path):
    for name in ("a/z", "a/b/c", "a-b/c", "a.png/x", "a0/x", "B", "é", "a/b.d", "z"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    walked = [path for path, _ in walk(str(tmp_path))]
    every = (path.relative_to(tmp_path).as_posix() + "/" * path.is_dir() for path in tmp_path.rglob("*"))
    assert walked == sorted(map(os.fsencode, every))
    assert find_images(str(tmp_path)).folders == ["a", "a-b", "a.png", "a0"]


def test_stamp_is_the_size_and_time_of_the_file_a_link_leads_to_and_minus_one_where_it_leads_nowhere(tmp_path):
    (tmp_path / "b.png").write_bytes(b"x" * 47)  # 47 is the byte of /
    os.utime(tmp_path / "b.png", ns=(0, 1))
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "c.png").symlink_to("nowhere")
    found = find_images(str(tmp_path)).names
    changed = (tmp_path / "b.png").stat().st_ctime_ns
    assert list(found) == ["a.png", "b.png", "c.png"]
    assert found.stamps.tolist() == [[47, 1, changed], [47, 1, changed], [-1, -1, -1]]


# ── equal images ──────────────────────────────────────────────────────────────────────────────────────────────

DIGESTS = st.lists(st.sampled_from([b"", b"a", b"b", b"c" * 16, b"c" * 8, b"\0" * 8 + b"c" * 8]), min_size=1)


def rows_of(digests):
    return np.frombuffer(b"".join(each.ljust(16, b"\0") for each in digests), np.uint8).reshape(-1, 16)


@given(DIGESTS)
def test_equal_ones_are_grouped_in_the_order_of_their_firsts(digests):
    rows = rows_of(digests)
    different = list(dict.fromkeys(row.tobytes() for row in rows))
    found = equal_ones(rows)
    if len(different) == len(rows):
        assert found is None or len(found.firsts) == len(rows)  # halves of digests may be equal
        return
    assert [rows[first].tobytes() for first in found.firsts] == different
    assert found.firsts.tolist() == [[row.tobytes() for row in rows].index(each) for each in different]
    assert [different[group] for group in found.groups] == [row.tobytes() for row in rows]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1))
def test_labels_of_equal_images_are_the_classes_of_their_files_in_order(pairs):
    pairs.append(pairs[0])  # two that are equal at least
    groups = list(dict.fromkeys(image for image, _ in pairs))
    classes = [list(dict.fromkeys(label for image, label in pairs if image == group)) for group in groups]
    equal = equal_ones(rows_of([bytes([image + 1]) for image, _ in pairs]))
    labels = Classes((LabelSet("x", tuple("abcd")),), np.array([[label] for _, label in pairs]))
    numbers, sets = numbers_of(labels, equal, all_classes=True)
    assert [each.name for each in sets] == ["x", *(f"x-{k}" for k in range(2, len(sets) + 1))]
    for row, each in zip(numbers, classes, strict=True):
        named = [names.classes[k] for names, k in zip(sets, row, strict=True)]
        assert named == ["abcd"[k] for k in each] + ["none"] * (len(sets) - len(each))
    first, _ = numbers_of(labels, equal, all_classes=False)
    assert first[:, 0].tolist() == numbers[:, 0].tolist()
    assert count_contradicted(labels, equal) == sum(len(each) > 1 for each in classes)


def test_labels_of_no_columns_have_a_row_for_each_image():
    labels = Classes((), np.empty((3, 0), np.int64))
    assert numbers_of(labels, None, all_classes=False)[0].shape == (3, 0)
    assert numbers_of(labels, Equal(np.array([0, 2]), np.array([0, 0, 1])), all_classes=True)[0].shape == (2, 0)


def test_calls_are_spread_in_order_and_few_at_once():
    laid_out = []
    with ThreadPoolExecutor(2) as pool:
        results = spread(pool, abs, (laid_out.append(k) or -k for k in range(3 * AT_ONCE)))
        assert next(results) == 0
        assert len(laid_out) == AT_ONCE
        assert list(results) == list(range(1, 3 * AT_ONCE))


# ── processes that start at once ──────────────────────────────────────────────────────────────────────────────

STARTS = """
import logging, os, sys, time
from pathlib import Path
import platformdirs
from gan_plugin_image_folder.decode import decode_all as reading
from gan_plugin_image_folder.component import ImageFolder
from gancore import DataSpec
folder, place = sys.argv[1], Path(sys.argv[2])
platformdirs.user_cache_path = lambda name: place / name
logging.basicConfig(filename=place / f"log-{os.getpid()}", format="%(message)s")
decode = reading.decode
def slowly(*given):
    (place / f"decodes-{os.getpid()}").touch()
    while not (place / "go").exists():
        time.sleep(0.01)
    return decode(*given)
reading.decode = slowly
data = ImageFolder(path=folder, cache="file").make_data(DataSpec())
print(type(data).__name__, data.fingerprint())
"""


def until(condition, process):
    """Wait for what a process does; fail where it ends without, or never does it."""
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("it does not happen")


def said(place):
    return "".join(path.read_text() for path in place.glob("log-*"))


@pytest.fixture
def started(tmp_path):
    """Start two processes on a folder of images; the one that decodes waits for the file `go`."""
    (tmp_path / "set").mkdir()
    for seed in range(5):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "set" / f"{seed}.png")
    command = [sys.executable, "-c", STARTS, str(tmp_path / "set"), str(tmp_path)]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings) for _ in range(2)]
    try:
        until(lambda: list(tmp_path.glob("decodes-*")), both[0])
        until(lambda: "waiting for it" in said(tmp_path), both[1])
        yield tmp_path, both
    finally:
        for process in both:
            process.kill()
            process.communicate()


def test_of_two_processes_that_start_at_once_one_decodes_and_both_map_its_file(started):
    place, both = started
    (place / "go").touch()
    results = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert results[0] == results[1]
    assert results[0].startswith("Mapped ")
    assert len(list(place.glob("decodes-*"))) == 1
    assert said(place).count("are kept in") == 1
    assert [path.suffix for path in Path(place, "gancore", "images").iterdir()] == [".npy"]


def test_where_there_are_no_locks_each_process_decodes_into_a_file_of_its_own(tmp_path, monkeypatch):
    class Lockless(FileLock):
        def acquire(self, *given, **named):  # a file system without locks cannot be had
            raise OSError(ENOLCK, os.strerror(ENOLCK))

    monkeypatch.setattr(storing, "FileLock", Lockless)
    form = (1, 2, 2)
    pixels = np.zeros((1, *form), np.uint8)
    about = About(np.frombuffer(digest_of(pixels[0]), np.uint8).reshape(1, 16), [], {})
    files = Files(b"x", np.array([0, 1]), np.zeros((1, 3), np.int64))
    place = cache.Place(tmp_path / "a.npy", str(tmp_path), files, None)
    with storing.Disk(place, form) as one, storing.Disk(place, form) as other:
        for disk in (one, other):
            disk.add(pixels)
        made = [disk.keep(about) for disk in (one, other)]
    assert all(np.array_equal(each.samples, pixels) for each in made)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_where_the_process_that_decodes_is_killed_the_other_takes_its_place(started):
    place, both = started
    (decoding,) = (int(path.name.partition("-")[2]) for path in place.glob("decodes-*"))
    killed, other = sorted(both, key=lambda process: process.pid != decoding)
    killed.kill()
    (place / "go").touch()
    assert other.communicate(timeout=60)[0].startswith("Mapped ")
    assert other.returncode == 0
