"""Data that is at fault, in real processes: each file is used or named, nothing hangs, nothing
shows a traceback.

What single readers do is tested beside them; the identifiers are those of the table of data faults.
"""

import errno
import json
import logging
import os
import re
import subprocess
import sys

import pytest
from PIL import Image
from support import damaged_images
from support.damaged_images import blank, encoded, noise
from support.tables import every_row

from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.decode import decode_all, image_file, retry
from gan_plugin_image_folder.decode.decoded import DecodeOptions
from gan_plugin_image_folder.storage.memory_store import MemoryStore
from gancore import DataError, DataSpec, Settings, UsageError

TINY = ("--gen", "mlp", "--critic", "mlp-critic", "--batch", "4", "--steps", "2", "--device", "cpu")
GIGABYTE = 1 << 30
# a process with limits on memory and open files (0: none), which writes down the most memory that
# it held
WATCHED = """
import resource, sys
if "check" in sys.argv:
    sys.modules["torch"] = None  # it needs none
most, files, report, *words = sys.argv[1:]
if int(most):
    resource.setrlimit(resource.RLIMIT_AS, (int(most), int(most)))
if int(files):
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(files), int(files)))
from gancore.cli import main
try:
    main(words)
finally:
    open(report, "w").write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10))
"""


def process(folder, *words, most=0, files=0):
    """Run `gan …` within those limits; return it, with the most bytes it held as `memory`."""
    report = folder / "memory"
    command = [sys.executable, "-c", WATCHED, str(most), str(files), str(report), *map(str, words)]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, cwd=folder, timeout=240, check=False, env=surroundings
    )
    done.stdout, done.stderr = (
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )
    done.memory = int(report.read_text())
    assert "Traceback" not in done.stderr, done.stderr
    assert not re.search(
        r"[^\n\x20-\U0010ffff]", done.stdout + done.stderr
    )  # nothing that steers a terminal
    return done


def good(folder, count=3):
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        (folder / f"good{seed}.png").write_bytes(encoded(noise(seed=seed)))
    return folder


# ── the corpus ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Return a folder of all faults in a folder `corpus`, and why each file of it cannot be used."""
    folder = tmp_path_factory.mktemp("faults")
    return folder, damaged_images.write_corpus(folder / "corpus")


@pytest.fixture(scope="module")
def checked(corpus):
    """Return what `gan data check` says of the corpus, within a gigabyte."""
    done = process(
        corpus[0], "data", "check", "corpus", "--json", "--fix-list", "bad.txt", most=GIGABYTE
    )
    assert done.returncode == 1, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ran(corpus):
    """Return the process of a run on the corpus, which may open 64 files at a time, and its report."""
    words = (
        "--data",
        "corpus",
        "--out",
        "run",
        "--size",
        "16",
        "--image-folder.labels",
        "none",
        *TINY,
    )
    done = process(corpus[0], "run", *words, files=64)
    assert done.returncode == 0, done.stderr
    return done, json.loads((corpus[0] / "run" / "data-report.json").read_text())


def reasons_of(names):
    return {name: reason for reason, each in names.items() for name in each}


def test_every_file_of_the_corpus_is_used_or_named_with_its_reason_by_the_check(corpus, checked):
    found = reasons_of(checked["unusable"])
    either = {name + end for name, (end, _) in damaged_images.EITHER.items()}
    assert found.keys() - either == corpus[1].keys()


@every_row("name", damaged_images.SKIPPED)
def test_rotten_file_is_named_with_its_reason(checked, name):
    end, _, reasons = damaged_images.SKIPPED[name]
    assert reasons_of(checked["unusable"])[name + end] in reasons.split("|")


@every_row("name", damaged_images.USED)
def test_odd_but_whole_file_is_used(checked, name):
    assert name + damaged_images.USED[name][0] not in reasons_of(checked["unusable"])


@every_row(
    "name", ["D24-fifo.png", "D24-device.png", "D24-socket.png", "D23-dangling.png", "D23-loop.png"]
)
def test_what_is_no_regular_file_is_never_opened(corpus, checked, name):
    assert reasons_of(checked["unusable"])[name] in corpus[1][name].split("|")


def test_check_counts_what_is_odd_about_images_and_what_is_passed_over_D36(checked):
    remarks = checked["remarks"]
    assert remarks["with several frames, the first used"] >= 4
    assert remarks["turned by EXIF"] == 1
    assert remarks["composited on the background"] >= 3
    assert {"CMYK", "LA", "P", "1", "L"} <= checked["modes"].keys()
    assert checked["passed_over"]["hidden"] == 2


def test_run_on_the_corpus_skips_what_the_check_names_and_reports_all_of_it(checked, ran):
    done, report = ran
    assert report["skipped_files"] == checked["unusable"]
    assert (report["used"], report["skipped"]) == (
        checked["images"]["usable"],
        checked["images"]["unusable"],
    )
    line = f"{report['used']} images used, {report['skipped']} skipped: "
    assert line in done.stderr
    assert "bad\x1b]0;title\x07\n.png" in report["skipped_files"]["not an image"]


def test_run_without_the_listed_files_is_clean(corpus, checked, gan_here, tmp_path, caplog):
    listed = (
        "--image-folder.leave-out",
        corpus[0] / "bad.txt",
        "--image-folder.bad-images",
        "stop",
    )
    words = ("--size", "16", "--image-folder.labels", "none", *listed, *TINY)
    gan_here("run", "--data", corpus[0] / "corpus", "--out", "run", *words)
    report = json.loads((tmp_path / "run" / "data-report.json").read_text())
    assert (report["skipped"], report["left_out"]) == (0, checked["images"]["unusable"])
    assert "skipped" not in caplog.text


def test_run_stops_at_the_first_bad_file_where_that_is_wanted(corpus, gan_here, tmp_path):
    words = ("--out", "run", "--image-folder.labels", "none", "--image-folder.bad-images", "stop")
    said = gan_here("run", "--data", corpus[0] / "corpus", *words, *TINY, check=1).stderr
    assert "D01-zero-bytes.png cannot be used: empty" in said
    assert not (tmp_path / "run").exists()


def test_run_closes_its_files_so_that_64_at_once_are_enough_D64(ran):
    assert ran[1]["used"] > 40
    assert "too many open files" not in ran[0].stderr.lower()


def test_what_decoders_write_to_stderr_is_counted_and_not_shown_raw_D67(checked, ran):
    assert checked["passed_over"]["lines_of_decoders"] >= 1
    assert "image decoders wrote" in ran[0].stderr
    assert (
        len(re.findall("ZIPDecode|tempfile.tif", ran[0].stderr)) == 1
    )  # the first line, within ours


# ── memory and time ───────────────────────────────────────────────────────────────────────────────

LARGEST = (7000, 7100)  # just below 50 megapixels


def largest_jpeg():
    return encoded(Image.new("RGB", LARGEST), "JPEG")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: blank(*LARGEST, channels=4), id="D08-largest-with-alpha"),
        pytest.param(lambda: blank(*LARGEST, channels=1, bits=16), id="D08-largest-of-16-bits"),
        pytest.param(largest_jpeg, id="D08-largest-jpeg"),
    ],
)
def test_largest_image_that_is_read_takes_less_than_a_gigabyte(tmp_path, make):
    good(tmp_path / "set", 1)
    (tmp_path / "set" / "large.png").write_bytes(make())
    done = process(tmp_path, "data", "check", "set", "--json", most=GIGABYTE)
    assert json.loads(done.stdout)["images"]["usable"] == 2


@pytest.mark.slow
def test_200000_files_are_examined_one_at_a_time_D40(tmp_path):
    folder = tmp_path / "set"
    for part in range(4):
        first = good(folder / str(part), 1) / "good0.png"
        first.write_bytes(encoded(Image.new("L", (2, 2), part)))
        for count in range(49_999):
            os.link(first, folder / str(part) / f"{count}.png")
    done = process(tmp_path, "data", "check", folder, "--json", most=GIGABYTE)
    assert json.loads(done.stdout)["images"]["usable"] == 200_000


# ── what is no folder of images ───────────────────────────────────────────────────────────────────

READERS = "--data NAME --NAME.path PATH; readers are cifar10, "


@every_row(
    ("name", "fix"),
    [
        pytest.param("set.zip", "unpack it first, and give the folder", id="D58-zip"),
        pytest.param("set.tar.gz", "unpack it first, and give the folder", id="D58-tar-gz"),
        pytest.param("set.npy", READERS, id="D59-npy"),
        pytest.param("set.npz", READERS, id="D59-npz"),
        pytest.param("points.csv", READERS, id="D60-csv-of-points"),
        pytest.param("colours.json", READERS, id="D62-names-of-colours"),
    ],
)
def test_file_that_no_reader_knows_is_refused_unopened_with_what_to_do(
    gan_here, tmp_path, name, fix
):
    (tmp_path / name).write_bytes(b"\x93NUMPY or anything else")
    said = gan_here("run", "--data", f"./{name}", check=2).stderr
    assert f"  fix: {fix}" in said


def test_held_out_part_is_nothing_that_gan_run_knows_D65(gan_here):
    assert (
        "`gan run` has no option '--held-out'"
        in gan_here("run", "--held-out", "0.1", check=2).stderr
    )


@every_row(
    "words", [["nope"], [""], ["set/good0.png"]], ids=["D29-missing", "D29-empty", "D29-file"]
)
def test_check_of_a_path_that_is_no_folder_is_a_usage_error(gan_here, tmp_path, words):
    good(tmp_path / "set")
    assert "gan data check" in gan_here("data", "check", *words, check=2).stderr


@every_row("size", ["0", "-1", "3", "100000", "64x", "8x2000"])
def test_size_that_no_network_bears_is_refused_with_the_range_D68(size):
    with pytest.raises(UsageError, match="N or HxW with sides of 8 to 1024 pixels"):
        Settings(size=size).image_size  # noqa: B018


@every_row(
    ("size", "sides"),
    [("48", (48, 48)), ("100", (100, 100)), ("28", (28, 28)), ("48x32", (48, 32))],
)
def test_size_of_any_other_number_is_used_D68(size, sides):
    assert Settings(size=size).image_size == sides


# ── runs and their data ───────────────────────────────────────────────────────────────────────────


def test_run_inside_its_data_is_never_trained_on_and_can_be_resumed_D61(gan_here, tmp_path, caplog):
    good(tmp_path / "cat")
    good(tmp_path / "dog")
    words = ("--data", ".", "--out", "runs/first", *TINY)
    gan_here("run", *words)
    assert (tmp_path / "runs/first/samples/final.png").exists()
    gan_here("run", "--resume", "runs/first", "--steps", "3")
    assert "run directories are skipped: runs/first/" in caplog.text
    assert json.loads((tmp_path / "runs/first/data-report.json").read_text())["used"] == 6


def test_folder_of_a_run_is_no_data_D61(gan_here, tmp_path):
    gan_here("run", "--data", good(tmp_path / "set"), "--out", "run", *TINY)
    said = gan_here("run", "--data", "./run", check=2).stderr
    assert "is a run directory: its samples would be used as training data" in said


@pytest.mark.parametrize(("count", "counted"), [(1, "1 sample fills"), (3, "3 samples fill")])
def test_fewer_images_than_the_batch_fill_it_by_repetition_D31_D32(
    gan_here, tmp_path, count, counted
):
    said = gan_here("run", "--data", good(tmp_path / "set", count), "--out", "run", *TINY).stderr
    assert f"note: {counted} a batch of 4 by repetition" in said


def test_describe_data_is_written_into_the_run_before_the_first_step(gan_here, tmp_path):
    (good(tmp_path / "set") / "bad.png").write_bytes(b"")
    gan_here("run", "--data", tmp_path / "set", "--out", "run", *TINY)
    report = json.loads((tmp_path / "run" / "data-report.json").read_text())
    assert report["skipped_files"] == {"empty": ["bad.png"]}
    assert report["notes"][0] == "3 images used, 1 skipped: 1 empty (bad.png)"


# ── what a reader says ────────────────────────────────────────────────────────────────────────────


def read(path, **options):
    return ImageFolder(path=str(path), **options).make_data(DataSpec())


def told(path, caplog, **options):
    caplog.clear()
    with caplog.at_level(logging.WARNING, "gancore"):
        read(path, **options)
    return "\n".join(caplog.messages)


def test_path_longer_than_the_system_bears_is_an_error_that_names_the_folder_D26(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(18):  # of 250 bytes each
        os.mkdir("d" * 250, dir_fd=here)
        here, before = os.open("d" * 250, os.O_RDONLY, dir_fd=here), here
        os.close(before)
    os.close(here)
    with pytest.raises(
        DataError, match=f"the folder {tmp_path}/ddd.* cannot be listed: File name too long"
    ):
        read(tmp_path)


def test_one_class_alone_is_said_D35(tmp_path, caplog):
    good(tmp_path / "cat")
    assert "label set class has only one class, cat" in told(tmp_path, caplog)


@pytest.mark.parametrize(("fill", "said"), [((7, 7), "the same"), ((7, 9), "of one colour")])
def test_images_without_variance_are_said_D38(tmp_path, caplog, fill, said):
    for place, level in enumerate(fill):
        square = noise("L") if said == "the same" else Image.new("L", (32, 32), level)
        (tmp_path / f"{place}.png").write_bytes(encoded(square))
    assert f"all images are {said}: there is no variance to learn" in told(tmp_path, caplog)


def test_spread_of_sizes_is_said_D37(tmp_path, caplog):
    (good(tmp_path) / "wide.png").write_bytes(encoded(noise(size=(90, 40))))
    assert "2 sizes from 32×32 to 40×90; training at 32×32 pixels by crop" in told(tmp_path, caplog)


@pytest.mark.parametrize("change", ["write", "unlink"])
def test_file_that_changes_while_it_is_read_is_an_error_that_names_it_D39(tmp_path, change):
    good(tmp_path, 5)

    def store(count, form):  # asked for between looking and decoding
        file = tmp_path / "good2.png"
        file.write_bytes(
            encoded(noise(seed=9, size=(31, 31)))
        ) if change == "write" else file.unlink()
        return MemoryStore(count, form)

    options = DecodeOptions(None, None, "crop", (255, 255, 255), "skip", False)
    with pytest.raises(DataError, match=r"images changed while they were read: good2\.png"):
        decode_all.decode_files(str(tmp_path), sorted(os.listdir(tmp_path)), options, store)


@pytest.mark.parametrize("fails", [2, 99])
def test_disk_that_fails_is_tried_three_times_and_then_named_D63(tmp_path, monkeypatch, fails):
    left = [fails]

    def failing(path, *more):  # a broken disk cannot be had
        if path.endswith(b"good1.png") and left[0] > 0:
            left[0] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return open(path, *more)

    monkeypatch.setattr(image_file, "open", failing, raising=False)
    monkeypatch.setattr(retry, "PAUSE", 0)
    good(tmp_path)
    if fails == 2:
        assert len(read(tmp_path)) == 3
        return
    with pytest.raises(
        DataError, match="good1.png cannot be read after 3 attempts: input/output error"
    ):
        read(tmp_path)
    assert left == [fails - 3]


LOCALES = [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"LC_ALL": "tr_TR.UTF-8"}, {"LC_ALL": "C.UTF-8"}]
INDEX = """
import sys
from pathlib import Path
from gan_plugin_image_folder.check.examine import examine_folder
from gan_plugin_image_folder.scan import scan_folder
found = examine_folder(sys.argv[1], scan_folder(sys.argv[1]))
print(ascii((found.labels, [(each.info.name, each.digest) for each in found.files])))
"""


def test_index_and_bits_are_the_same_in_every_locale_D70(tmp_path):
    for name in ("caf\u00e9", "I", "z\u0131", os.fsdecode(b"caf\xe9")):
        good(tmp_path / name)
    said = set()
    for locale in LOCALES:
        command = [sys.executable, "-c", INDEX, str(tmp_path)]
        done = subprocess.run(
            command, capture_output=True, env={**os.environ, **locale}, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        said.add(done.stdout)
    assert len(said) == 1
    assert rb"caf\xe9/good0.png" in said.pop()


def test_check_speaks_in_a_locale_of_few_letters_D70(tmp_path):
    (good(tmp_path / "set") / "caf\u00e9.png").write_bytes(b"")
    command = [sys.executable, "-m", "gancore", "data", "check", str(tmp_path / "set")]
    done = subprocess.run(
        command, capture_output=True, env={**os.environ, **LOCALES[0]}, timeout=60, check=False
    )
    assert done.returncode == 0
    assert rb"1 empty: caf\xe9.png" in done.stdout
