"""MNIST and Fashion-MNIST by name: read from one folder, and fetched into it only when asked."""

import gzip
import hashlib
import struct
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch

from gan_plugin_idx import CLOTHES
from gan_plugin_idx.mnist import FashionMnist, Mnist
from gancore import DataError, DataSpec, UsageError
from gancore.testing import check_component

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
FILES = [
    f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")
]


def content(array):
    array = np.asarray(array, np.uint8)
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def write(folder, part="train", count=20, side=28, labels=None, zipped=True):
    """Write the two files of a part: images of noise, labelled 0, 1, 2, …"""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(count).integers(0, 256, (count, side, side))
    labels = np.arange(count) % 10 if labels is None else labels
    for name, array in (
        (f"{part}-images-idx3-ubyte", images),
        (f"{part}-labels-idx1-ubyte", labels),
    ):
        path = folder / (name + (".gz" if zipped else ""))
        path.write_bytes(gzip.compress(content(array), mtime=0) if zipped else content(array))
    return folder


def read(path="", cls=Mnist, size=None, folder=Path(), **options):
    return cls(path=str(path), **options).make_data(DataSpec(size, folder))


def refused(*given, error=DataError, **options):
    with pytest.raises(error) as caught:
        read(*given, **options)
    return str(caught.value)


@pytest.mark.parametrize("cls", [Mnist, FashionMnist])
def test_conforms(tmp_path, cls):
    check_component(cls, path=str(write(tmp_path, count=40)))


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"the folder {MNIST} is missing")
def test_the_test_set_of_mnist_is_read_from_torchvisions_layout():
    data = read(MNIST)
    assert (len(data), data.shape) == (10_000, (1, 28, 28))
    assert data.labels.flatten().bincount().tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]


@pytest.mark.parametrize("zipped", [False, True])
def test_splits_are_read_alone_or_joined_in_order(tmp_path, zipped):
    write(tmp_path, "train", 20, zipped=zipped)
    write(tmp_path, "t10k", 10, zipped=zipped)
    whole, train, test = (read(tmp_path, split=split) for split in ("all", "train", "test"))
    assert (len(train), len(test)) == (20, 10)
    assert torch.equal(whole.samples, torch.cat([train.samples, test.samples]))
    assert whole.labels.flatten().tolist() == [*range(10), *range(10), *range(10)]
    assert whole.samples.min() == 0 and whole.samples.max() == 255


def test_all_takes_the_one_split_that_is_there(tmp_path):
    assert len(read(write(tmp_path, "t10k", 10))) == 10


@pytest.mark.parametrize(
    ("cls", "classes"), [(Mnist, tuple("0123456789")), (FashionMnist, CLOTHES)]
)
def test_there_are_ten_classes_however_few_occur(tmp_path, cls, classes):
    data = read(write(tmp_path, count=3), cls)
    assert [(each.name, each.classes) for each in data.label_sets] == [("class", classes)]
    assert len(classes) == 10


def test_images_are_resized_on_request(tmp_path):
    assert read(write(tmp_path), size=(32, 20)).shape == (1, 32, 20)


def test_the_path_is_seen_from_the_folder_of_the_run(tmp_path):
    write(tmp_path / "digits")
    assert len(read("digits", folder=tmp_path)) == 20


@pytest.mark.parametrize(("cls", "name"), [(Mnist, "mnist"), (FashionMnist, "fashion-mnist")])
def test_without_a_path_the_users_own_folder_is_read(tmp_path, monkeypatch, cls, name):
    monkeypatch.setattr(platformdirs, "user_data_path", lambda app: tmp_path / app)
    message = refused(cls=cls)
    assert str(tmp_path / "gancore" / name) in message
    assert f"--{name}.download true" in message
    assert all(f"{file}.gz" in message for file in FILES)
    write(tmp_path / "gancore" / name)
    assert len(read(cls=cls)) == 20


def test_a_split_that_is_not_there_is_refused_with_its_file_names(tmp_path):
    message = refused(write(tmp_path, "t10k"), split="train")
    assert "train-images-idx3-ubyte.gz" in message and "t10k" not in message


def test_images_without_labels_are_refused(tmp_path):
    (write(tmp_path) / "train-labels-idx1-ubyte.gz").unlink()
    assert "train-labels-idx1-ubyte.gz" in refused(tmp_path)


def test_other_sizes_other_labels_and_broken_files_are_refused(tmp_path):
    assert "1×5×5, but mnist's are 1×28×28" in refused(write(tmp_path, side=5))
    assert "has a label 10" in refused(write(tmp_path, count=2, labels=[3, 10]))
    assert "2 images, but 1 labels" in refused(write(tmp_path, count=2, labels=[3]))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"no gzip")
    assert "train-images-idx3-ubyte.gz is truncated or corrupt" in refused(tmp_path)


# ── fetching ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror on this machine that torchvision takes for the real one; yields its folder."""
    datasets = pytest.importorskip("torchvision.datasets")
    monkeypatch.setenv("no_proxy", "*")
    folder = write(write(tmp_path / "mirror", "train", 20), "t10k", 10)
    sums = [
        (f"{name}.gz", hashlib.md5((folder / f"{name}.gz").read_bytes()).hexdigest())
        for name in FILES
    ]
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *args: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        dead, alive = "http://127.0.0.1:9/", f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [dead, alive])
        monkeypatch.setattr(datasets.FashionMNIST, "resources", sums)
        monkeypatch.setattr(datasets.MNIST, "mirrors", [dead])
        yield folder
        server.shutdown()
        thread.join()


def test_files_are_fetched_from_the_first_mirror_that_answers_and_only_once(tmp_path, mirror):
    assert len(read(tmp_path / "here", FashionMnist, download=True, split="test")) == 10
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == sorted(
        f"{name}.gz" for name in FILES[2:]
    )
    for path in mirror.iterdir():
        path.unlink()
    assert len(read(tmp_path / "here", FashionMnist, download=True, split="test")) == 10


def test_a_file_with_another_checksum_is_refused(tmp_path, mirror):
    (mirror / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    assert "train-images-idx3-ubyte.gz cannot be downloaded" in refused(
        tmp_path / "here", FashionMnist, download=True
    )


def test_offline_it_says_so_and_where_the_files_may_be_put_by_hand(tmp_path, mirror):
    message = refused(tmp_path / "here", download=True)
    assert "is this machine online?" in message
    assert f"put the files into {tmp_path / 'here'} by hand" in message


def test_without_torchvision_it_says_what_to_install(tmp_path, monkeypatch):
    for name in ("torchvision", "torchvision.datasets", "torchvision.datasets.utils"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "pip install torchvision" in refused(tmp_path, error=UsageError, download=True)
    assert len(read(write(tmp_path))) == 20
