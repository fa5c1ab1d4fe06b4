"""`gan data check`: what it says of a set, what it suggests, and the list of files to leave out."""

import json
import os
import shlex

import pytest
from click.testing import CliRunner
from image_samples import noise, read, save
from PIL import Image

from gan_plugin_image_folder.check.command import data
from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.exclude_list import (
    HEADER,
    encode_line,
    read_exclude_list,
    write_exclude_list,
)
from gancore import DataError, DataSpec, GanError, UsageError

FEW = "--reg augment-views"  # suggested for all sets here, which are of a few images
ODD_NAMES = [
    "a b.png", " a.png", "a.png ", "#a.png", '"a".png', "a\nb.png", "\x1b[31m.png", "é.png",
    "a\u2028b.png", "x\r.png",
]  # fmt: skip


def paint(path, seed=0, size=(16, 16), mode="RGB"):
    save(path, noise(mode, size, seed))


def check(*words):
    """Return what the command prints and its exit code. Errors of gancore are raised."""
    done = CliRunner().invoke(data, ["check", *map(str, words)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout, done.exit_code


def facts(*words):
    said, code = check(*words, "--json")
    return {**json.loads(said), "code": code}


def options(found):
    return [each["option"] for each in found["suggested"] if each["option"] != FEW]


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate(("cat/a", "cat/b", "dog/c", "dog/d")):
        paint(tmp_path / "set" / f"{name}.png", seed)
    return tmp_path / "set"


def test_set_without_faults_needs_no_option_and_exits_with_0(folder):
    found = facts(folder)
    assert (found["code"], options(found), found["warnings"], found["unusable"]) == (0, [], [], {})
    assert found["labels"] == {"class": {"cat": 2, "dog": 2}}
    assert found["command"] == f"gan run --data {folder} {FEW}"
    assert found["sizes"] == {
        "different": 1,
        "height": [16, 16, 16],
        "width": [16, 16, 16],
        "aspect": [1, 1, 1],
    }
    assert check(folder)[0].splitlines()[0] == "images: 4 found, 4 usable, 0 not"


def test_files_that_cannot_be_used_are_named_with_their_reasons_and_are_no_failure_as_for_a_run(
    folder,
):
    (folder / "cat" / "bad\x1b.png").write_bytes(b"")
    said, code = check(folder)
    assert code == 0
    assert "  1 empty: cat/bad\\x1b.png\n" in said
    assert facts(folder)["unusable"] == {"empty": ["cat/bad\x1b.png"]}


def test_suggested_command_reads_the_set(folder):
    paint(folder / "cat" / "wide.png", 9, size=(300, 20))
    paint(folder / "dog" / "again.png", 0)
    (folder / "dog" / "bad.png").write_bytes(b"text")
    found = facts(folder, "--fix-list", folder.parent / "bad list.txt")
    assert options(found) == [
        f"--image-folder.leave-out {folder.parent / 'bad list.txt'}",
        "--size 16",
        "--image-folder.fit pad",
        "--image-folder.duplicates merge",
    ]
    words = shlex.split(found["command"])
    given = dict(zip(words[4::2], words[5::2], strict=True))
    assert given.pop("--reg") == "augment-views"
    given = {
        name.removeprefix("--image-folder.").replace("-", "_"): value
        for name, value in given.items()
    }
    size = (int(given.pop("__size")),) * 2
    read = ImageFolder(path=words[3], bad_images="stop", **given).make_data(DataSpec(size))
    assert len(read) == 5
    assert [each.name for each in read.label_sets] == ["class", "class-2"]


def test_labels_that_a_run_refuses_are_answered_by_labels_none(folder):
    paint(folder / "stray.png", 7)
    found = facts(folder)
    assert found["labels_refused"].startswith("images lie beside the class folders: stray.png")
    assert options(found) == ["--image-folder.labels none"]
    assert found["code"] == 1
    assert len(ImageFolder(path=str(folder), labels="none").make_data(DataSpec())) == 5


def test_one_class_is_none_and_uneven_classes_are_warned_of(tmp_path):
    paint(tmp_path / "one" / "a" / "a.png")
    assert options(facts(tmp_path / "one")) == ["--image-folder.labels none"]
    paint(tmp_path / "two" / "b" / "b.png", 99)
    for seed in range(11):
        paint(tmp_path / "two" / "a" / f"{seed}.png", seed)
    assert (
        "the largest has 11 times the images of the smallest"
        in facts(tmp_path / "two")["warnings"][0]
    )


def test_labels_of_a_file_are_counted(folder):
    (folder / "labels.csv").write_text("file,kind\na,x\nb,y\nc,x\nd,y\n")
    assert facts(folder)["labels"] == {"kind": {"x": 2, "y": 2}}


def test_equal_pixels_are_found_whatever_the_format(tmp_path):
    paint(tmp_path / "a.png")
    Image.open(tmp_path / "a.png").save(tmp_path / "b.bmp")
    paint(tmp_path / "c.png", 1)
    found = facts(tmp_path)
    assert found["equal"] == [["a.png", "b.bmp"]]
    assert options(found) == ["--image-folder.duplicates first"]


def test_modes_and_remarks_are_counted(tmp_path):
    paint(tmp_path / "a.png", 1, mode="L")
    paint(tmp_path / "b.png", 2, mode="RGBA")
    Image.new("RGB", (16, 16), "red").save(tmp_path / "c.png")
    found = facts(tmp_path)
    assert (found["modes"], found["grey"]) == ({"L": 1, "RGBA": 1, "RGB": 1}, 1)
    assert found["remarks"] == {"composited on the background": 1, "of one colour": 1}


def test_folder_of_faults_alone_has_no_suggestion_and_more_faults_than_images_are_warned_of(
    tmp_path,
):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(b"")
    found = facts(tmp_path)
    assert (found["code"], found["suggested"], found["images"]["usable"]) == (1, [], 0)
    assert "try:" not in check(tmp_path)[0]
    paint(tmp_path / "good.png")
    assert facts(tmp_path)["warnings"][0].startswith("more than half of the images cannot be used")


def test_path_that_is_not_a_folder_is_a_usage_error():
    for given in ("nope", ""):
        with pytest.raises(UsageError, match="where: gan data check PATH"):
            check(given)


def test_folder_without_images_is_refused(tmp_path):
    with pytest.raises(DataError, match="no images in"):
        check(tmp_path)


SETS = {  # files by name: the seed of their pixels, or the bytes of one that is corrupt
    "whole": {"cat/a": 0, "dog/b": 1},
    "a few corrupt": {"cat/a": 0, "cat/b": b"", "dog/c": 1},
    "more corrupt than whole": {"a": b"", "b": b"text", "c": 1},
    "all corrupt": {"a": b"", "b": b"text"},
    "labels that are refused": {"a": 0, "cat/b": 1},
    "splits": {"train/cat/a": 0, "test/cat/b": 1},
    "many shapes": {"a": 0, "b": 1},
}


def write_set(folder, name):
    for number, (each, content) in enumerate(SETS[name].items()):
        file = folder / f"{each}.png"
        size = (150 * number + 40, 70) if name == "many shapes" else (16, 16)
        paint(file, seed=number, size=size)
        if isinstance(content, bytes):
            file.write_bytes(content)


@pytest.mark.parametrize("name", SETS)
def test_check_and_run_give_the_same_verdict_and_the_same_size(tmp_path, name):
    write_set(tmp_path, name)
    found = facts(tmp_path)
    try:
        dataset = read(tmp_path)
    except GanError as error:
        assert found["code"] == error.exit_code
    else:
        assert found["code"] == 0
        assert dataset.shape[1:] == tuple(found["size"])


# ── the list of files to leave out ────────────────────────────────────────────────────────────────


def test_names_of_every_kind_come_back_from_the_list_one_a_line(tmp_path):
    names = [*ODD_NAMES, os.fsdecode(b"\xff.png"), "sub/x.png"]
    write_exclude_list(tmp_path / "list.txt", names)
    assert len((tmp_path / "list.txt").read_text().split("\n")) == len(names) + 2
    assert read_exclude_list("list.txt", tmp_path) == set(names)
    assert encode_line("a b.png") == "a b.png"


def test_list_written_by_hand_may_have_comments_empty_lines_and_a_mark(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa.png\r\n\r\n# no\n  ./sub/b.png  \n")
    assert read_exclude_list("list.txt", tmp_path) == {"a.png", "sub/b.png"}


def test_line_in_quotes_that_is_not_a_string_is_refused_with_its_number(tmp_path):
    for line in ('"a', '"a" b', '"'):
        (tmp_path / "list.txt").write_text(f"a.png\n{line}\n")
        with pytest.raises(DataError, match="is not a JSON string\nwhere: .*list.txt, line 2\n"):
            read_exclude_list("list.txt", tmp_path)


def test_list_that_is_not_there_is_refused(folder):
    with pytest.raises(UsageError, match="where: image-folder.leave-out"):
        ImageFolder(path=str(folder), leave_out="nope.txt").make_data(DataSpec())


def test_listed_files_are_left_out_and_names_that_are_not_there_are_counted(folder, caplog):
    (folder.parent / "list.txt").write_text("cat/a.png\nnope.png\n")
    component = ImageFolder(path=str(folder), leave_out=str(folder.parent / "list.txt"))
    assert len(component.make_data(DataSpec())) == 3
    assert component.describe_data()["left_out"] == 1
    assert "1 of 2 names to leave out are not images of the folder: nope.png" in caplog.text


def test_rows_of_a_labels_file_may_name_files_that_are_left_out(folder):
    (folder / "labels.csv").write_text("file,kind\na,x\nb,y\nc,x\nd,y\n")
    (folder.parent / "list.txt").write_text("cat/a.png\n")
    read = ImageFolder(path=str(folder), leave_out=str(folder.parent / "list.txt")).make_data(
        DataSpec()
    )
    assert read.labels.flatten().tolist() == [1, 0, 1]


def test_leaving_out_all_is_refused(folder):
    (folder.parent / "list.txt").write_text(
        "".join(f"{name}.png\n" for name in ("cat/a", "cat/b", "dog/c", "dog/d"))
    )
    with pytest.raises(DataError, match="all 4 images are left out"):
        ImageFolder(path=str(folder), leave_out=str(folder.parent / "list.txt")).make_data(
            DataSpec()
        )


def test_list_overwrites_a_list_and_nothing_else(folder):
    target = folder.parent / "list.txt"
    check(folder, "--fix-list", target)
    check(folder, "--fix-list", target)
    assert target.read_text() == HEADER
    target.write_text("my notes")
    with pytest.raises(UsageError, match="already exists and is not such a list"):
        check(folder, "--fix-list", target)
    assert target.read_text() == "my notes"
    with pytest.raises(UsageError, match="has the suffix of an image"):
        check(folder, "--fix-list", folder / "new.png")
    with pytest.raises(UsageError, match="cannot be written"):
        check(folder, "--fix-list", folder / "nowhere" / "list.txt")
