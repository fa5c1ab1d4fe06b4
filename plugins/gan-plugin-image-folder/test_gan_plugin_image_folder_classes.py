"""Classes of images: by folder, and of images with the same pixels."""

import logging
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import SHARED, good, noise, put, read, read_and_notes, refused, save
from PIL import Image

from gan_plugin_image_folder.decode.duplicates import DuplicateGroups, group_duplicates
from gan_plugin_image_folder.labels.image_labels import ClassNumbers
from gan_plugin_image_folder.labels.merge import count_contradictions, merge_labels
from gancore import LabelSet

needs_pokemon = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the folder {SHARED} is missing")


# ── class folders ─────────────────────────────────────────────────────────────────────────────────


def test_class_folders_are_numbered_in_the_order_of_their_bytes(tmp_path):
    for name in ("b", "Z", "é", "a"):
        put(tmp_path / name, x_png=noise())
    data = read(tmp_path)
    assert data.label_sets[0].name == "class"
    assert data.label_sets[0].classes == ("Z", "a", "b", "é")
    assert data.labels.tolist() == [[0], [1], [2], [3]]


def test_flat_folder_has_no_labels(tmp_path):
    assert read(good(tmp_path)).label_sets == ()


def test_D25_class_names_are_kept_printable(tmp_path):
    put(tmp_path / os.fsdecode(b"caf\xe9"), a_png=noise())
    assert read(tmp_path).label_sets[0].classes == ("caf\\udce9",)


def test_D27_class_names_that_differ_in_case_or_accents_alone_are_refused_naming_both(tmp_path):
    put(tmp_path / "upper" / "Cat", a_png=noise())
    put(tmp_path / "upper" / "cat", a_png=noise())
    assert "class folders have names that differ only in case or accents: Cat, cat" in refused(
        tmp_path / "upper"
    )
    put(tmp_path / "accent" / "caf\u00e9", a_png=noise())
    put(tmp_path / "accent" / "cafe\u0301", a_png=noise())
    assert "differ only in case or accents" in refused(tmp_path / "accent")


def test_D33_class_folder_without_images_is_left_out_by_name_and_the_other_labels_stay(
    tmp_path, caplog
):
    put(tmp_path / "cat", a_png=noise())
    put(tmp_path / "zebra", a_png=noise(seed=1))
    (tmp_path / "dog").mkdir()
    assert "class folders without an image are left out: dog" in read_and_notes(tmp_path, caplog)[1]
    data = read(tmp_path)
    assert data.label_sets[0].classes == ("cat", "zebra")
    assert data.labels.tolist() == [[0], [1]]


def test_D33_class_folder_whose_images_are_all_corrupt_is_left_out_by_name(tmp_path, caplog):
    put(tmp_path / "cat", a_png=noise(), b_png=noise())
    put(tmp_path / "dog", a_png=b"corrupt")
    put(tmp_path / "zebra", a_png=noise(seed=1))
    assert "classes without a usable image are left out: dog" in read_and_notes(tmp_path, caplog)[1]
    data = read(tmp_path)
    assert data.label_sets[0].classes == ("cat", "zebra")
    assert data.labels.flatten().tolist() == [0, 0, 1]


def test_folders_that_systems_put_among_images_are_no_classes(tmp_path):
    names = ("@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found")
    for folder in ("cat", "dog", *names):
        put(tmp_path / folder, a_png=noise())
    assert read(tmp_path).label_sets[0].classes == ("cat", "dog")


def test_folders_numbered_like_parts_of_one_set_are_said(tmp_path, caplog):
    for folder in ("00000", "00001"):
        put(tmp_path / folder, a_png=noise())
    assert (
        "the class folders 00000, 00001 are numbered like parts of one set"
        in read_and_notes(tmp_path, caplog)[1]
    )


def test_D34_images_beside_class_folders_are_refused_unless_labels_are_none(tmp_path):
    put(tmp_path / "cat", a_png=noise())
    message = refused(good(tmp_path, 1))
    assert "images lie beside the class folders: good0.png" in message
    assert "--image-folder.labels none" in message
    assert read(tmp_path, labels="none").label_sets == ()


def test_D34_nested_class_folders_are_refused_unless_labels_are_none(tmp_path):
    put(tmp_path / "2020" / "cat", a_png=noise())
    assert "lie deeper than in the class folders: 2020/cat/a.png" in refused(tmp_path)
    assert len(read(tmp_path, labels="none")) == 1


@pytest.mark.parametrize("below", ["", "cat"])
def test_D34_training_and_test_parts_are_no_classes_and_the_path_of_one_is_named(tmp_path, below):
    for part in ("test", "Train"):
        put(tmp_path / part / below, a_png=noise())
    said = refused(tmp_path)
    assert said.startswith("Train, test are splits of a data set, not classes")
    assert f"--data {tmp_path / 'Train'}" in said
    assert len(read(tmp_path, labels="none")) == 2
    assert len(read(tmp_path / "Train")) == 1


def test_a_class_called_train_beside_others_is_a_class(tmp_path):
    for part in ("bus", "train"):
        put(tmp_path / part, a_png=noise())
    assert read(tmp_path).label_sets[0].classes == ("bus", "train")


# ── the same pixels in several classes ────────────────────────────────────────────────────────────


@pytest.fixture
def shared(tmp_path):
    """Level 1 in three classes, level 2 in one, level 3 in two."""
    levels = {"x/1": 1, "y/1": 1, "z/1": 1, "x/2": 2, "y/3": 3, "z/3": 3}
    for name, level in levels.items():
        save(tmp_path / f"{name}.png", Image.new("L", (8, 8), level))
    return tmp_path


def classes(data, column=0):
    """Return the class of each image by its level."""
    names = data.label_sets[column].classes
    return {
        int(x): names[int(k)]
        for x, k in zip(data.samples[:, 0, 0, 0], data.labels[:, column], strict=True)
    }


def test_keep_shows_equal_images_once_for_each_class_and_says_so(shared, caplog):
    with caplog.at_level(logging.WARNING, "gancore"):
        assert read(shared).labels.flatten().tolist() == [0, 0, 1, 1, 2, 2]
    assert "2 images lie in several classes; --image-folder.duplicates merge" in caplog.text


def test_first_keeps_each_image_once_with_its_first_class_and_names_classes_that_are_lost(
    shared, caplog
):
    with caplog.at_level(logging.WARNING, "gancore"):
        data = read(shared, duplicates="first")
    assert classes(data) == {1: "x", 2: "x", 3: "y"}
    assert data.label_sets[0].classes == ("x", "y")
    assert "classes that are the first of no image are left out: z" in caplog.text


def test_merge_keeps_each_image_once_with_all_its_classes_and_none_where_there_are_fewer(shared):
    data = read(shared, duplicates="merge")
    assert [each.name for each in data.label_sets] == ["class", "class-2", "class-3"]
    assert classes(data, 1) == {1: "y", 2: "none", 3: "z"}
    assert classes(data, 2) == {1: "z", 2: "none", 3: "none"}
    for k, each in enumerate(data.label_sets):
        assert set(data.labels[:, k].tolist()) == set(range(len(each)))  # no class without an image


def test_merge_without_labels_keeps_each_image_once(shared):
    data = read(shared, duplicates="merge", labels="none")
    assert data.samples[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert data.labels.shape == (3, 0)


def test_merge_of_images_that_are_all_different_changes_nothing(tmp_path):
    good(tmp_path)
    merged = read(tmp_path, duplicates="merge")
    kept = read(tmp_path)
    assert np.array_equal(merged.samples, kept.samples)
    assert merged.fingerprint() == kept.fingerprint()


@needs_pokemon
def test_pokemon64_has_800_images_409_of_them_in_two_classes(caplog):
    with caplog.at_level(logging.WARNING, "gancore"):
        data = read(SHARED / "pokemon64", duplicates="merge")
    assert "409 images lie in several classes" in caplog.text
    assert len(data) == 800
    assert [each.name for each in data.label_sets] == ["class", "class-2"]
    assert data.label_sets[1].classes[0] == "none"
    assert (data.labels[:, 1] == 0).sum() == 391


DIGESTS = st.lists(
    st.sampled_from([b"", b"a", b"b", b"c" * 16, b"c" * 8, b"\0" * 8 + b"c" * 8]), min_size=1
)


def rows_of(digests):
    return np.frombuffer(b"".join(each.ljust(16, b"\0") for each in digests), np.uint8).reshape(
        -1, 16
    )


@settings(max_examples=50)
@given(DIGESTS)
def test_equal_ones_are_grouped_in_the_order_of_their_firsts(digests):
    rows = rows_of(digests)
    different = list(dict.fromkeys(row.tobytes() for row in rows))
    found = group_duplicates(rows)
    if len(different) == len(rows):
        assert found is None or len(found.firsts) == len(rows)  # halves of digests may be equal
        return
    assert [rows[first].tobytes() for first in found.firsts] == different
    assert found.firsts.tolist() == [
        [row.tobytes() for row in rows].index(each) for each in different
    ]
    assert [different[group] for group in found.groups] == [row.tobytes() for row in rows]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1))
def test_labels_of_equal_images_are_the_classes_of_their_files_in_order(pairs):
    pairs.append(pairs[0])  # two that are equal at least
    groups = list(dict.fromkeys(image for image, _ in pairs))
    classes = [
        list(dict.fromkeys(label for image, label in pairs if image == group)) for group in groups
    ]
    equal = group_duplicates(rows_of([bytes([image + 1]) for image, _ in pairs]))
    labels = ClassNumbers(
        (LabelSet("x", tuple("abcd")),), np.array([[label] for _, label in pairs])
    )
    numbers, sets = merge_labels(labels, equal, all_classes=True)
    assert [each.name for each in sets] == ["x", *(f"x-{k}" for k in range(2, len(sets) + 1))]
    for row, each in zip(numbers, classes, strict=True):
        named = [names.classes[k] for names, k in zip(sets, row, strict=True)]
        assert named == ["abcd"[k] for k in each] + ["none"] * (len(sets) - len(each))
    first, _ = merge_labels(labels, equal, all_classes=False)
    assert first[:, 0].tolist() == numbers[:, 0].tolist()
    assert count_contradictions(labels, equal) == sum(len(each) > 1 for each in classes)


def test_labels_of_no_columns_have_a_row_for_each_image():
    labels = ClassNumbers((), np.empty((3, 0), np.int64))
    assert merge_labels(labels, None, all_classes=False)[0].shape == (3, 0)
    assert merge_labels(
        labels, DuplicateGroups(np.array([0, 2]), np.array([0, 0, 1])), all_classes=True
    )[0].shape == (2, 0)
