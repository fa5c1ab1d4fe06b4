"""CIFAR-10: read when every batch is right to the byte, refused with a reason when it is not,
pickles never opened.
"""

import hashlib
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tables import every_row

import gan_plugin_cifar
from gan_plugin_cifar import ARCHIVE, CLASSES, SPLITS, Cifar10, read_archive
from gancore import DataError, DataSpec, UsageError
from gancore.testing import check_component

SOURCE = "cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html"


@pytest.fixture
def small(monkeypatch):
    """Batches of 20 records instead of 10,000."""
    monkeypatch.setattr(gan_plugin_cifar, "RECORDS", 20)


def batch(seed=0, records=20):
    """Labels 0, 1, 2, … and pixels of noise, as the bytes of a batch."""
    made = np.random.default_rng(seed).integers(0, 256, (records, 3073), np.uint8)
    made[:, 0] = np.arange(records) % 10
    return made.tobytes()


def write(folder, names=SPLITS["all"]):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).write_bytes(batch(number))
    return folder


def pack(path, files):
    """An archive of names and contents."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return path


def packed(path, names=SPLITS["all"]):
    batches = [(f"cifar-10-batches-bin/{name}", batch(number)) for number, name in enumerate(names)]
    return pack(path, [("cifar-10-batches-bin/batches.meta.txt", b"airplane\n"), *batches])


def read(path="", size=None, folder=Path(), **options):
    return Cifar10(path=str(path), **options).make_data(DataSpec(size, folder))


def refused(*given, error=DataError, **options):
    with pytest.raises(error) as caught:
        read(*given, **options)
    return str(caught.value)


@pytest.mark.usefixtures("small")
def test_conforms(tmp_path):
    check_component(Cifar10, path=str(write(tmp_path)), split="test")


def test_a_batch_of_the_true_size_is_read(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(batch(records=10_000))
    assert (tmp_path / "test_batch.bin").stat().st_size == 30_730_000
    data = read(tmp_path, split="test")
    assert (len(data), data.shape) == (10_000, (3, 32, 32))
    assert data.labels.flatten().bincount().tolist() == [1000] * 10


@pytest.mark.usefixtures("small")
def test_each_record_is_a_label_and_then_three_channels_by_rows(tmp_path):
    data = read(write(tmp_path), split="test")
    records = np.frombuffer(batch(5), np.uint8).reshape(20, 3073)
    assert data.labels[:, 0].tolist() == records[:, 0].tolist()
    assert np.array_equal(data.samples.numpy(), records[:, 1:].reshape(20, 3, 32, 32))
    assert (
        data.samples.dtype == torch.uint8 and data.samples.min() == 0 and data.samples.max() == 255
    )
    assert [(each.name, each.classes) for each in data.label_sets] == [("class", CLASSES)]
    assert set(data.labels.flatten().tolist()) == set(range(len(CLASSES)))


@pytest.mark.usefixtures("small")
def test_splits_are_read_in_the_order_of_the_batches(tmp_path):
    whole, train, test = (read(write(tmp_path), split=split) for split in ("all", "train", "test"))
    assert (len(train), len(test)) == (100, 20)
    assert torch.equal(whole.samples, torch.cat([train.samples, test.samples]))


@pytest.mark.usefixtures("small")
def test_the_archive_holds_the_same_data_in_whatever_order_and_nothing_is_unpacked(tmp_path):
    files = [(f"x/{name}", batch(number)) for number, name in enumerate(SPLITS["all"])]
    archive = pack(tmp_path / ARCHIVE, [*files[::-1], ("../../evil.txt", b"no")])
    wanted = read(write(tmp_path / "folder"), split="all").fingerprint()
    assert read(archive, split="all").fingerprint() == wanted
    assert read(tmp_path, split="all").fingerprint() == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == [ARCHIVE, "folder"]


@pytest.mark.usefixtures("small")
def test_an_unpacked_archive_is_found_in_its_own_folder(tmp_path):
    write(tmp_path / "cifar-10-batches-bin")
    assert len(read(tmp_path)) == len(read(".", folder=tmp_path)) == 100


@pytest.mark.usefixtures("small")
def test_images_are_resized_on_request_and_a_level_colour_stays(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes((b"\3" + b"\xc8" * 3072) * 20)
    data = read(tmp_path, (16, 40), split="test")
    assert data.shape == (3, 16, 40)
    assert data.samples.unique().tolist() == [200]


# ── faults ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name", ["cifar-10-python.tar.gz", "cifar-10-batches-py/data_batch_1", "batches.meta"]
)
def test_D56_the_pickled_version_is_recognized_and_refused_unopened_with_the_name_of_the_right_file(
    tmp_path, name
):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    for given_path in (tmp_path, path.parent, path):
        assert Cifar10().recognizes(given_path) == 2
        message = refused(given_path)
        assert "opening them runs code" in message and SOURCE in message


def test_D56_pickles_in_an_archive_of_another_name_are_refused(tmp_path):
    archive = pack(tmp_path / "some.tar.gz", [("cifar-10-batches-py/data_batch_1", b"cos\n")])
    assert SOURCE in refused(archive)


@every_row("size", [0, 1, 30_729_999, 30_730_001, 30_740_000])
def test_D57_another_size_is_refused_unread_with_both_sizes(tmp_path, size):
    with (tmp_path / "data_batch_1.bin").open("wb") as file:
        file.truncate(size)
    message = refused(tmp_path)
    assert (
        f"data_batch_1.bin has {size:,} bytes, but a batch has 30,730,000 (10,000 records of 3,073)"
        in message
    )


def test_D57_another_size_in_the_archive_is_refused(tmp_path):
    message = refused(pack(tmp_path / ARCHIVE, [("data_batch_3.bin", bytes(3073))]))
    assert "data_batch_3.bin has 3,073 bytes, but a batch has 30,730,000" in message


@pytest.mark.usefixtures("small")
def test_D57_a_label_above_9_is_refused_with_its_record(tmp_path):
    content = bytearray(batch())
    content[3073 * 17] = 10
    (write(tmp_path) / "data_batch_2.bin").write_bytes(content)
    assert "data_batch_2.bin has label 10 in record 17" in refused(tmp_path)


@pytest.mark.usefixtures("small")
def test_missing_batches_are_named(tmp_path):
    names = [name for name in SPLITS["all"] if name not in ("data_batch_2.bin", "test_batch.bin")]
    assert "lacks data_batch_2.bin\n" in refused(write(tmp_path, names))
    assert "lacks data_batch_2.bin, test_batch.bin\n" in refused(
        packed(tmp_path / "other.tar.gz", names), split="all"
    )


@pytest.mark.usefixtures("small")
def test_a_batch_that_is_there_twice_is_refused(tmp_path):
    archive = pack(tmp_path / ARCHIVE, [(f"{folder}/test_batch.bin", batch()) for folder in "ab"])
    assert "holds test_batch.bin twice" in refused(archive, split="test")


@pytest.mark.usefixtures("small")
def test_links_in_the_archive_are_no_batches(tmp_path):
    with tarfile.open(tmp_path / ARCHIVE, "w:gz") as archive:
        link = tarfile.TarInfo("test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert "lacks test_batch.bin" in refused(tmp_path, split="test")


@pytest.mark.usefixtures("small")
def test_an_archive_with_a_wrong_checksum_is_refused(tmp_path):
    path = packed(tmp_path / ARCHIVE)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    assert "CRC" in refused(path)


@pytest.mark.usefixtures("small")
@every_row("kept", [0, 9, 1000, -2000, -1])
def test_an_archive_cut_anywhere_is_refused(tmp_path, kept):
    path = packed(tmp_path / ARCHIVE)
    path.write_bytes(path.read_bytes()[:kept])
    assert f"{ARCHIVE} is truncated, corrupt or no .tar.gz" in refused(path)


@given(st.binary(max_size=100))
def test_random_bytes_never_give_anything_but_a_data_error(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("cifar") / ARCHIVE
    path.write_bytes(raw)
    with pytest.raises(DataError):
        list(read_archive(path, SPLITS["all"]))


def test_without_files_it_says_where_they_belong_and_what_fetches_them(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_data_path", lambda app: tmp_path / app)
    message = refused()
    assert str(tmp_path / "gancore" / "cifar10") in message
    assert (
        "--cifar10.download true" in message and SOURCE in message and "data_batch_1.bin" in message
    )


def test_recognizes_batches_and_the_archive_and_nothing_else(tmp_path):
    ask = Cifar10().recognizes
    assert ask(tmp_path) == ask(tmp_path / "missing") == 0
    (tmp_path / "cat.png").touch()
    assert ask(tmp_path) == ask(tmp_path / "cat.png") == 0
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ARCHIVE).touch()
    (tmp_path / "data_batch_1.bin").touch()
    assert ask(tmp_path) == ask(tmp_path / "a") == ask(tmp_path / "a" / ARCHIVE) == 2


# ── fetching ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def mirror(tmp_path, monkeypatch, small):
    """The archive's page on this machine; yields its folder."""
    pytest.importorskip("torchvision")
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "mirror").mkdir()
    content = packed(tmp_path / "mirror" / ARCHIVE).read_bytes()
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *args: None})
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=tmp_path / "mirror")
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(gan_plugin_cifar, "PAGE", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(gan_plugin_cifar, "MD5", hashlib.md5(content).hexdigest())
        yield tmp_path / "mirror"
        server.shutdown()
        thread.join()


def test_the_archive_is_fetched_once_and_again_where_it_is_broken(tmp_path, mirror, monkeypatch):
    assert len(read(tmp_path / "here", download=True)) == 100
    (tmp_path / "here" / ARCHIVE).write_bytes(b"half")
    assert len(read(tmp_path / "here", download=True)) == 100
    monkeypatch.setattr(gan_plugin_cifar, "PAGE", "http://127.0.0.1:9")  # nobody answers here
    assert len(read(tmp_path / "here", download=True)) == 100
    assert "cannot be downloaded (is this machine online?)" in refused(
        tmp_path / "there", download=True
    )


def test_another_archive_than_the_published_one_is_refused(tmp_path, mirror):
    (mirror / ARCHIVE).write_bytes(b"something else")
    assert "cannot be downloaded" in refused(tmp_path / "here", download=True)


def test_without_torchvision_it_says_what_to_install(tmp_path, monkeypatch):
    for name in ("torchvision", "torchvision.datasets", "torchvision.datasets.utils"):
        monkeypatch.setitem(sys.modules, name, None)
    message = refused(tmp_path, error=UsageError, download=True)
    assert "pip install torchvision" in message and f"into {tmp_path} by hand" in message
