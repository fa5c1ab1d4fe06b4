"""idx files: read when they are right to the byte, refused with a reason when they are not."""

import gzip
import os
import struct
import tracemalloc
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.tables import every_row

from gan_plugin_idx import CLOTHES, Idx, parse
from gancore import DataError, DataSpec, UsageError, resize_images
from gancore.testing import check_component

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
needs_mnist = pytest.mark.skipif(not MNIST.is_dir(), reason=f"the folder {MNIST} is missing")


def content(array, magic=None):
    """An idx file of bytes."""
    array = np.asarray(array, np.uint8)
    return (
        struct.pack(f">{1 + array.ndim}I", magic or 0x800 + array.ndim, *array.shape)
        + array.tobytes()
    )


def pixels(count=6, height=5, width=4, *channels):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, *channels))


def write(folder, split="train", images=None, labels=None, form="{}-{}-idx{}-ubyte", zipped=False):
    """Write the two files of a split; arrays or ready bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for what, rank, array in (
        ("images", 3, pixels() if images is None else images),
        ("labels", 1, labels),
    ):
        if array is not None:
            data = array if isinstance(array, bytes) else content(array)
            path = folder / (form.format(split, what, rank) + (".gz" if zipped else ""))
            path.write_bytes(gzip.compress(data, mtime=0) if zipped else data)
    return folder


def read(path, size=None, **options):
    return Idx(path=str(path), **options).make_data(DataSpec(size))


def refused(path, **options):
    with pytest.raises(DataError) as caught:
        read(path, **options)
    return str(caught.value)


def test_conforms(tmp_path):
    check_component(Idx, path=str(write(tmp_path, images=pixels(40), labels=np.arange(40) % 3)))


def test_large_images_are_made_smaller_unless_a_size_is_given(tmp_path, caplog):
    write(tmp_path / "small", images=pixels(3, 96, 40))
    write(tmp_path / "large", images=pixels(3, 200, 100))
    expected = [
        ("small", DataSpec(), (96, 40), 0),
        ("large", DataSpec(), (92, 44), 1),
        ("large", DataSpec(area=128 * 128), (180, 92), 1),
        ("large", DataSpec((100, 50)), (100, 50), 0),
    ]
    for name, spec, size, lines in expected:
        caplog.clear()
        reader = Idx(path=str(tmp_path / name))
        assert reader.make_data(spec).shape == (1, *size)
        assert reader.chosen_size() == size
        assert len(caplog.messages) == lines
        if lines:
            told = f"images are 200×100; training at {size[0]}×{size[1]} pixels"
            assert caplog.messages == [f"{told} (--size HxW for another)"]


@needs_mnist
def test_mnist_has_the_mean_deviation_and_class_counts_that_its_readme_states():
    data = read(MNIST)
    values = data.samples.double() / 255
    assert (len(data), data.shape) == (10_000, (1, 28, 28))
    assert (round(values.mean().item(), 4), round(values.std().item(), 4)) == (0.1325, 0.3105)
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
    assert (data.label_sets[0].name, data.label_sets[0].classes) == ("class", tuple("0123456789"))


@every_row("folder", ["fashion", "Fashion-MNIST", "FashionMNIST/raw", "fashion_mnist"])
def test_a_folder_of_fashion_mnist_has_its_class_names(tmp_path, folder):
    assert read(write(tmp_path / folder, labels=np.arange(6))).label_sets[0].classes == CLOTHES


@pytest.mark.parametrize("folder", ["fashion-gan/data/mnist", "old-fashioned", "mnist"])
def test_a_folder_that_only_lies_somewhere_near_fashion_does_not(tmp_path, folder):
    assert read(write(tmp_path / folder, labels=np.arange(6))).label_sets[0].classes == tuple(
        "012345"
    )


def test_classes_may_be_named(tmp_path):
    write(tmp_path, labels=np.arange(6) % 3)
    names = ("a", "b, c", "d", "never")
    assert read(tmp_path, classes=names).label_sets[0].classes == names
    for wrong in (("a", "b"), ("a", "b", "a")):
        with pytest.raises(
            UsageError, match=r"2 different names are given, but the labels go up to 2"
        ):
            read(tmp_path, classes=wrong)


@every_row("zipped", [False, True])
@every_row("form", ["{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte"])
def test_images_and_labels_come_back_as_written_from_every_spelling_of_the_names(
    tmp_path, form, zipped
):
    images, labels = pixels(), np.array([3, 1, 4, 1, 5, 9])
    data = read(write(tmp_path, images=images, labels=labels, form=form, zipped=zipped))
    assert np.array_equal(data.samples[:, 0].numpy(), images)
    assert data.labels[:, 0].tolist() == labels.tolist()
    assert data.label_sets[0].classes == tuple("0123456789")


def test_files_are_found_four_folders_down_and_not_five(tmp_path):
    write(tmp_path / "a/b/c/d")
    assert len(read(tmp_path)) == 6
    os.rename(tmp_path / "a", tmp_path / "e")
    write(tmp_path / "f/g/h/i/j", split="test")
    assert "split is test, but there is train" in refused(tmp_path, split="test")


def test_without_labels_there_is_no_label_set(tmp_path):
    data = read(write(tmp_path))
    assert (data.label_sets, data.labels.shape) == ((), (6, 0))


def test_images_of_four_dimensions_have_their_channels_first(tmp_path):
    images = pixels(6, 5, 4, 3)
    data = read(write(tmp_path, images=images))
    assert data.shape == (3, 5, 4)
    assert np.array_equal(data.samples.permute(0, 2, 3, 1).numpy(), images)


def test_images_of_two_channels_are_refused(tmp_path):
    assert "2 channels" in refused(write(tmp_path, images=pixels(6, 5, 4, 2)))


# ── splits ────────────────────────────────────────────────────────────────────────────────────────


def test_auto_prefers_train_and_takes_the_test_split_where_it_is_alone(tmp_path):
    write(tmp_path / "both", "train", pixels(3))
    write(tmp_path / "both", "t10k", pixels(2))
    write(tmp_path / "alone", "t10k", pixels(2))
    write(tmp_path / "named", "emnist-letters-train", pixels(4))
    assert [len(read(tmp_path / name)) for name in ("both", "alone", "named")] == [3, 2, 4]


def test_both_joins_train_and_test_in_this_order(tmp_path):
    write(tmp_path, "train", pixels(3), [0, 1, 2])
    write(tmp_path, "t10k", pixels(2), [4, 5])
    data = read(tmp_path, split="both")
    assert data.labels[:, 0].tolist() == [0, 1, 2, 4, 5]
    assert data.label_sets[0].classes == tuple("012345")
    assert len(read(tmp_path, split="t10k")) == 2


def test_both_is_refused_where_one_split_is_alone(tmp_path):
    assert "split is both, but there is train" in refused(write(tmp_path), split="both")


def test_joined_splits_must_both_have_labels(tmp_path):
    write(tmp_path, "train", pixels(3), [0, 1, 2])
    write(tmp_path, "t10k", pixels(2))
    assert "only one has labels" in refused(tmp_path, split="both")


def test_misspelt_split_is_answered_with_the_nearest(tmp_path):
    assert "--idx.split train" in refused(write(tmp_path), split="trian")


def test_auto_is_refused_where_several_unusual_splits_lie(tmp_path):
    for name in ("emnist-letters-train", "emnist-digits-train"):
        write(tmp_path, name)
    assert "emnist-digits-train, emnist-letters-train" in refused(tmp_path)
    assert len(read(tmp_path, split="emnist-digits-train")) == 6


def test_same_split_in_two_folders_is_refused_naming_both(tmp_path):
    write(tmp_path / "mnist")
    write(tmp_path / "fashion")
    message = refused(tmp_path)
    assert "mnist" in message
    assert "fashion" in message


def test_zipped_and_unzipped_copies_in_one_folder_are_one_split(tmp_path):
    write(tmp_path)
    assert len(read(write(tmp_path, zipped=True))) == 6


def test_path_may_be_one_images_file(tmp_path):
    write(tmp_path, "t10k", labels=range(6))
    assert len(read(tmp_path / "t10k-images-idx3-ubyte").label_sets[0]) == 6


# ── size ──────────────────────────────────────────────────────────────────────────────────────────


def test_own_size_changes_no_byte(tmp_path):
    write(tmp_path)
    assert torch.equal(read(tmp_path).samples, read(tmp_path, (5, 4)).samples)


@pytest.mark.parametrize("size", [(32, 32), (14, 14), (48, 20)])
def test_resized_images_agree_with_pillow_to_one_level(size):
    images = torch.from_numpy(pixels(3, 28, 28)).to(torch.uint8)
    pillow = [
        Image.fromarray(each.numpy()).resize(size[::-1], Image.Resampling.BILINEAR)
        for each in images
    ]
    found = resize_images(images[:, None], size)[:, 0].int().numpy()
    assert np.abs(found - np.stack([np.asarray(each, int) for each in pillow])).max() <= 1


def test_an_image_of_one_level_keeps_it_at_every_size():
    assert resize_images(
        torch.full((300, 1, 7, 9), 255, dtype=torch.uint8), (33, 20)
    ).unique().tolist() == [255]


# ── faults ────────────────────────────────────────────────────────────────────────────────────────


def test_D29_missing_and_empty_paths_are_refused_before_anything_is_read(tmp_path):
    write(tmp_path / "mnist")
    with pytest.raises(UsageError, match=r"does not exist\n.*\n  fix: --data .*/mnist$"):
        read(tmp_path / "mnits")
    with pytest.raises(UsageError, match="idx.path is empty"):
        Idx().make_data(DataSpec())


def test_D30_folder_without_idx_files_is_refused_with_what_was_looked_for(tmp_path):
    (tmp_path / "cat.png").touch()
    assert "no …-images-idx3-ubyte" in refused(tmp_path)


@every_row("kept", [0, 5, 15, 40, -9, -1])
def test_D51_gzip_cut_anywhere_is_truncated(tmp_path, kept):
    path = write(tmp_path, zipped=True) / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:kept])
    assert "truncated" in refused(tmp_path)


def test_D51_gzip_with_a_wrong_checksum_is_corrupt(tmp_path):
    path = write(tmp_path, zipped=True) / "train-images-idx3-ubyte.gz"
    raw = bytearray(path.read_bytes())
    raw[-8] ^= 1
    path.write_bytes(raw)
    message = refused(tmp_path)
    assert "train-images-idx3-ubyte.gz is truncated or corrupt: CRC" in message


def test_D51_file_named_gz_that_is_none_is_refused(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content(pixels()))
    assert "Not a gzipped file" in refused(tmp_path)


def test_D52_swapped_images_and_labels_are_named_with_both_magic_numbers(tmp_path):
    message = refused(write(tmp_path, images=content(range(6)), labels=content(pixels())))
    assert "begins with 0x00000801 (labels) instead of 0x00000803 (images)" in message
    message = refused(write(tmp_path, images=content(pixels()), labels=content(pixels())))
    assert "begins with 0x00000803 (images) instead of 0x00000801 (labels)" in message


@every_row("magic", [0x00000D03, 0x00000802, 0x00000003, 0x03080000, 0x89504E47, 0x1F8B0800])
def test_D52_unknown_type_code_or_magic_is_refused(tmp_path, magic):
    assert f"begins with 0x{magic:08x}" in refused(write(tmp_path, images=content(pixels(), magic)))


def test_D53_sizes_that_overflow_are_refused_before_allocating(tmp_path):
    write(tmp_path, images=struct.pack(">4I", 0x803, *[2**31] * 3))
    tracemalloc.start()
    message = refused(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert f"states 2147483648 × 2147483648 × 2147483648 = {2**93} bytes" in message


@pytest.mark.parametrize("sizes", [(0, 28, 28), (3, 0, 28), (3, 28, 0)])
def test_D53_a_size_of_zero_is_refused(tmp_path, sizes):
    assert "is empty" in refused(write(tmp_path, images=struct.pack(">4I", 0x803, *sizes)))


@pytest.mark.parametrize("zipped", [False, True])
def test_D53_content_one_byte_short_or_long_is_refused(tmp_path, zipped):
    short = write(tmp_path / "short", images=content(pixels())[:-1], zipped=zipped)
    long = write(tmp_path / "long", images=content(pixels()) + b"\0", zipped=zipped)
    assert "ends after 119 of the 120 bytes" in refused(short)
    assert "goes on after them" in refused(long)


def test_D54_gzip_bomb_is_read_as_far_as_declared_and_no_further(tmp_path):
    buffer = BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as file:
        file.write(content(pixels()))
        for _ in range(100):
            file.write(bytes(1 << 20))  # 100 MiB of zeros
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(buffer.getvalue())
    tracemalloc.start()
    message = refused(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()
    assert "goes on after them" in message


def test_D54_gzip_that_declares_more_than_deflate_can_hold_is_refused_unread(tmp_path):
    message = refused(
        write(tmp_path, images=struct.pack(">4I", 0x803, 60_000, 1000, 1000) + b"\0", zipped=True)
    )
    assert "60000000000 bytes, but holds at most" in message


def test_D55_unequal_counts_of_images_and_labels_are_both_named(tmp_path):
    assert "6 images, but 5 labels" in refused(write(tmp_path, labels=range(5)))


def test_D24_a_fifo_by_the_right_name_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    assert "no …-images-idx3-ubyte" in refused(tmp_path)


def test_D25_control_characters_in_names_are_shown_escaped(tmp_path):
    message = refused(write(tmp_path, split="a\x1b[31m\n", images=b"\0"))
    assert "a\\x1b[31m\\n-images" in message
    assert "\x1b" not in message


@given(st.binary(max_size=200))
def test_random_bytes_never_give_anything_but_a_data_error(raw):
    with pytest.raises(DataError):
        parse(BytesIO(raw), len(raw), 0x803, 0x804)


@given(
    st.sampled_from([0x801, 0x803, 0x804]),
    st.lists(st.integers(0, 2**32 - 1), max_size=4),
    st.binary(max_size=64),
)
def test_random_sizes_give_an_array_of_just_those_sizes_or_a_data_error(magic, sizes, raw):
    header = struct.pack(f">{1 + len(sizes)}I", magic, *sizes)
    try:
        array = parse(BytesIO(header + raw), 8 + len(raw), magic)
    except DataError:
        return
    assert content(array) == header + raw


@given(st.binary(max_size=60))
def test_random_bytes_in_a_zipped_file_never_give_anything_but_a_data_error(tmp_path_factory, raw):
    folder = tmp_path_factory.mktemp("idx")
    (folder / "train-images-idx3-ubyte.gz").write_bytes(raw)
    with pytest.raises(DataError):
        read(folder)


# ── recognition ───────────────────────────────────────────────────────────────────────────────────


def test_recognizes_a_folder_of_idx_files_and_an_images_file_and_nothing_else(tmp_path):
    write(tmp_path / "raw")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cat.png").touch()
    ask = Idx().recognizes
    assert ask(tmp_path) == ask(tmp_path / "raw" / "train-images-idx3-ubyte") == 2
    assert (
        ask(tmp_path / "other")
        == ask(tmp_path / "other" / "cat.png")
        == ask(tmp_path / "missing")
        == 0
    )
