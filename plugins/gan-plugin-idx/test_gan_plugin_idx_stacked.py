"""Facts about stacked digits: which digits are stacked, and that none is changed."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_plugin_idx.mnist import Mnist
from gan_plugin_idx.stacked import StackedDigits
from gancore import DataError, DataSpec
from gancore.testing import check_component

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


def write(folder, count=30):
    """Write the two files of a training set: images of noise, labelled 0, 1, 2, …"""
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28))
    parts = {"images-idx3": images, "labels-idx1": np.arange(count) % 10}
    for name, array in parts.items():
        head = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
        content = head + array.astype(np.uint8).tobytes()
        (folder / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(content, mtime=0))
    return folder


def read(path, **options):
    return StackedDigits(path=str(path), **options).make_data(DataSpec())


def test_conforms(tmp_path):
    check_component(StackedDigits, path=str(write(tmp_path)), count=40)


def test_each_channel_is_a_digit_with_its_label(tmp_path):
    stacks = read(write(tmp_path), count=50)
    digits = Mnist(path=str(tmp_path)).make_data(DataSpec())
    images, labels = stacks.take(torch.arange(50), None)
    alone, classes = digits.take(stacks.rows.flatten(), None)
    assert (images.shape, labels.shape) == ((50, 3, 28, 28), (50, 3))
    assert torch.equal(images.flatten(0, 1), alone[:, 0])
    assert torch.equal(labels.flatten(), classes[:, 0])


def test_stacks_follow_from_the_seed_and_the_files(tmp_path):
    write(tmp_path)
    prints = [read(tmp_path, count=50, seed=seed).fingerprint() for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]
    write(tmp_path, count=31)
    assert read(tmp_path, count=50).fingerprint() != prints[0]


def test_drawn_labels_are_those_of_stacks(tmp_path):
    stacks = read(write(tmp_path), count=5)
    drawn = stacks.draw_labels(200, torch.Generator().manual_seed(0))
    known = {tuple(each) for each in stacks.take(torch.arange(5), None)[1].tolist()}
    assert {tuple(each) for each in drawn.tolist()} == known


def test_missing_files_are_named_with_the_option_of_this_component(tmp_path):
    with pytest.raises(DataError, match="lacks files") as error:
        read(tmp_path)
    assert error.value.where == "stacked-digits.path"


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"the folder {MNIST} is missing")
def test_stacks_of_mnist_have_nearly_all_triples_and_the_imbalance_of_its_classes():
    stacks = read(MNIST, count=26_000)
    _, labels = stacks.take(torch.arange(26_000), None)
    shares = (labels * torch.tensor([100, 10, 1])).sum(1).bincount(minlength=1000) / 26_000
    kl = torch.special.xlogy(shares, 1000 * shares).sum()
    digits = stacks.digits.labels.flatten().bincount() / len(stacks.digits)
    imbalance = 3 * (digits * (10 * digits).log()).sum()
    # 999/2n of sampling, a χ² with 999 degrees, and what the classes' frequencies add
    assert abs(kl - 999 / 52_000 - imbalance) < 4 * (2 * 999) ** 0.5 / 52_000
    assert (shares > 0).sum() == 1000
