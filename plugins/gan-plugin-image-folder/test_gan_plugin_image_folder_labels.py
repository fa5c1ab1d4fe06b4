"""Labels in a file beside the images: of every spelling, good and broken."""

import json
import logging

import pytest
import torch
from image_samples import SHARED, read, refused, save
from PIL import Image

from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.labels.columns import reason_against
from gancore import DataError, DataSpec, LabelSet, UsageError

needs_pokemon = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the folder {SHARED} is missing")
TYPES = "file,type\na.png,fire\nb.png,water\nc.png,fire\nd.png,water\n"
RIGHT = {1: "fire", 2: "water", 3: "fire", 4: "water"}


def paint(path, level):
    save(path, Image.new("L", (8, 8), level))


@pytest.fixture
def folder(tmp_path):
    """Four images a to d of the levels 1 to 4."""
    for level, name in enumerate("abcd", 1):
        paint(tmp_path / "set" / f"{name}.png", level)
    return tmp_path / "set"


def write(folder, content, name="labels.csv"):
    """Write a labels file from text, bytes, or what becomes JSON."""
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def labelled(folder, content, name="labels.csv", **options):
    """Read the folder with this labels file in it."""
    write(folder, content, name)
    return read(folder, **options)


def classes(data, column=0):
    """Return the class of each image by its level."""
    names = data.label_sets[column].classes
    return {
        int(x): names[int(k)]
        for x, k in zip(data.samples[:, 0, 0, 0], data.labels[:, column], strict=True)
    }


def refused_with(folder, content, name="labels.csv", **options):
    """Return the message with which the folder is refused with this labels file in it."""
    write(folder, content, name)
    return refused(folder, **options)


@needs_pokemon
def test_pokemon_csv_is_labelled_by_the_file_beside_or_above_its_images():
    types = LabelSet("type", ("electric", "fire", "ghost", "grass", "water"))
    for place in ("", "images"):
        data = read(SHARED / "pokemon-csv" / place)
        assert data.label_sets == (types,)
        assert data.labels.flatten().bincount().tolist() == [8] * 5


@needs_pokemon
def test_tones_recomputed_from_pixels_agree_so_that_rows_and_images_are_not_mixed_up():
    file = SHARED / "pokemon-csv" / "labels.json"
    data = read(SHARED / "pokemon-csv", labels_file=str(file))
    assert [each.name for each in data.label_sets] == ["type", "dual", "tone"]
    for image, row in zip(data.samples.numpy(), data.labels.tolist(), strict=True):
        inked = image[:, (image < 250).any(0)].astype(float)
        gap = inked[0].mean() - inked[2].mean()
        assert data.label_sets[2].classes[row[2]] == (
            "warm" if gap > 20 else "cool" if gap < -20 else "neutral"
        )


# ── what is read ──────────────────────────────────────────────────────────────────────────────────

SPELLINGS = {
    "plain": TYPES,
    "D44-semicolons": TYPES.replace(",", ";"),
    "D44-tabs": TYPES.replace(",", "\t"),
    "without suffixes": TYPES.replace(".png", ""),
    "D45-crlf-and-empty-lines": TYPES.replace("\n", "\r\n") + "\r\n\r\n,\r\n",
    "D45-mark": b"\xef\xbb\xbf" + TYPES.encode(),
    "D47-spaces": TYPES.replace(",", " , "),
    "D45-quotes": 'file,type\n"a.png","fire"\nb.png,water\nc.png,"fire"\nd.png,water',
    "files last": "type,Filename\nfire,a.png\nwater,b.png\nfire,c.png\nwater,d.png\n",
    "files first": "picture;type\na.png;fire\nb.png;water\nc.png;fire\nd.png;water\n",
    "numbers first": "id,name,type\n1,a,fire\n2,b,water\n3,c,fire\n4,d,water\n",
    "dot and slash": TYPES.replace("a.png", "./a.png"),
}


def test_csv_of_every_spelling_gives_each_image_its_class(folder):
    wrong = {}
    for name, text in SPELLINGS.items():
        data = labelled(folder, text)
        if classes(data) != RIGHT or data.label_sets[0].name != "type":
            wrong[name] = classes(data)
    assert wrong == {}
    assert data.labels.dtype == torch.int64
    assert data.labels.shape == (4, 1)


def test_quoted_separators_and_line_ends_belong_to_the_cell_D45(folder):
    data = labelled(folder, 'file,type\na.png,"x, y"\nb.png,"u\nv"\nc.png,"x, y"\nd.png,"u\nv"\n')
    assert data.label_sets[0].classes == ("u\\nv", "x, y")


def test_json_of_every_form_gives_each_image_its_class(folder):
    pairs = list(zip("abcd", ["fire", "water"] * 2, strict=True))
    by_suffix = {"a.png": "fire", "b": "water", "c.png": "fire", "d": "water"}
    by_file = {name: {"type": label} for name, label in pairs}
    entries = [{"type": label, "file": f"{name}.png"} for name, label in pairs]
    for content, title in [(by_suffix, "label"), (by_file, "type"), (entries, "type")]:
        data = labelled(folder, content, "labels.json")
        assert classes(data) == RIGHT, content
        assert data.label_sets[0].name == title


def test_each_column_that_holds_categories_becomes_a_label_set_and_the_others_are_named(
    folder, caplog
):
    text = (
        "file,type,size,id,all,weight,wild\n"
        "a,x,10,7,s,.5,1\nb,y,10,8,s,.5,0\nc,x,9,9,s,.7,1\nd,y,9,6,s,.7,0\n"
    )
    with caplog.at_level(logging.WARNING, "gancore"):
        data = labelled(folder, text)
    assert [(each.name, each.classes) for each in data.label_sets] == [
        ("type", ("x", "y")),
        ("size", ("9", "10")),
        ("wild", ("0", "1")),
    ]
    assert "left out: id (4 different values), all (one value), weight (numbers)" in caplog.text


def test_numbers_are_ordered_by_value_and_words_by_their_letters(folder):
    assert labelled(folder, "file,n\na,10\nb,9\nc,10\nd,9\n").label_sets[0].classes == ("9", "10")
    assert labelled(folder, "file,n\na,v10\nb,v9\nc,v10\nd,v9\n").label_sets[0].classes == (
        "v10",
        "v9",
    )


CELLS = [  # cells of a column, and why it is not chosen
    (["a", "b"] * 9, ""),
    ([str(k) for k in range(20)] * 2, ""),
    ([str(k) for k in range(21)] * 2, "numbers"),
    ([f"w{k}" for k in range(100)] * 2, ""),
    ([f"w{k}" for k in range(101)] * 2, "101 different values"),
    (["0.5", "1.5"] * 9, "numbers"),
    (["a", "b", "c"], "3 different values"),
    (["a", "a"], "one value"),
    (["", ""], "no value"),
    (["a", None, "b", "a"], "lists"),
]


def test_a_column_holds_categories_if_its_values_repeat_and_are_few_and_whole():
    assert [reason_against(cells) for cells, _ in CELLS] == [reason for _, reason in CELLS]


def test_words_that_mean_something_to_others_are_classes_like_any_D47_D50(folder):
    for cell in ("=1+1", "@SUM(A1)", "inf", "1e30", "-3"):
        data = labelled(folder, TYPES.replace("fire", cell))
        assert cell in data.label_sets[0].classes


def test_wanted_columns_are_taken_in_that_order_however_many_values_they_have(folder):
    text = "file,a,b,c\na,x,1,p\nb,y,2,p\nc,x,3,p\nd,y,4,p\n"
    assert [each.name for each in labelled(folder, text, label_columns=("b", "a")).label_sets] == [
        "b",
        "a",
    ]


def test_labels_none_and_folders_leave_a_found_file_alone_and_auto_prefers_it_to_folders(tmp_path):
    for level, name in enumerate(("x/a", "x/b", "y/c", "y/d"), 1):
        paint(tmp_path / f"{name}.png", level)
    (tmp_path / "labels.csv").write_text(TYPES)
    assert classes(read(tmp_path)) == RIGHT
    assert read(tmp_path, labels="folders").label_sets[0].classes == ("x", "y")
    assert read(tmp_path, labels="none").label_sets == ()


def test_paths_are_seen_from_the_images_or_from_the_labels_file_and_backslashes_separate(tmp_path):
    for level, name in enumerate(("x/a", "y/a"), 1):
        paint(tmp_path / "set" / f"{name}.png", level)
    for first, second in (("x/a.png", "y/a"), ("set/x/a.png", "set\\y\\a.png")):
        (tmp_path / "some.csv").write_text(f"file,type\n{first},fire\n{second},water\n")
        data = read(
            tmp_path / "set", labels_file=str(tmp_path / "some.csv"), label_columns=("type",)
        )
        assert classes(data) == {1: "fire", 2: "water"}


def test_a_file_above_folders_of_images_is_not_found_by_itself(tmp_path):
    for name in "abcd":
        paint(tmp_path / "set" / name / "a.png", 1)
    (tmp_path / "labels.csv").write_text(TYPES)
    assert read(tmp_path / "set").label_sets[0].name == "class"


def test_labels_file_is_seen_from_the_folder_of_the_run(folder):
    (folder.parent / "my.csv").write_text(TYPES)
    data = ImageFolder(path="set", labels_file="my.csv").make_data(DataSpec(folder=folder.parent))
    assert classes(data) == RIGHT


def test_found_file_that_names_no_image_is_noted_and_one_that_was_asked_for_is_refused(
    folder, caplog
):
    with caplog.at_level(logging.WARNING, "gancore"):
        assert labelled(folder, "a,b\nx,y\n").label_sets == ()
    assert "labels.csv names none of the images, so it is not used" in caplog.text
    message = refused_with(folder, "a|b\nx|y\n", labels_file=str(folder / "labels.csv"))
    assert "the labels name none of the 4 images; the columns are a|b\nwhere: " in message
    assert "the columns are none" in refused_with(
        folder, "", labels_file=str(folder / "labels.csv")
    )


# ── rows and images that do not fit ───────────────────────────────────────────────────────────────


def test_D41_rows_for_absent_files_are_refused_with_names_and_lines_and_left_out_when_allowed(
    folder, caplog
):
    text = TYPES + "".join(f"{k}.png,fire\n" for k in range(29, 36))
    message = refused_with(folder, text)
    names = "29.png, 30.png, 31.png, 32.png, 33.png and 2 more"
    assert f"7 rows of the labels name files that are not there: {names}\n" in message
    assert f"labels.csv, lines 6, 7, 8, 9, 10, …; looked for in {folder}\n" in message
    assert "--image-folder.allow-missing true to train without those rows" in message
    with caplog.at_level(logging.WARNING, "gancore"):
        assert classes(labelled(folder, text, allow_missing=True)) == RIGHT
    assert "7 rows without an image left out" in caplog.text


def test_D42_images_without_a_row_are_left_out_and_counted(folder, caplog):
    paint(folder / "e.png", 5)
    with caplog.at_level(logging.WARNING, "gancore"):
        assert classes(labelled(folder, TYPES)) == RIGHT
    assert "labels.csv: 1 images without a row left out" in caplog.text


def test_D43_rows_that_repeat_are_counted_and_rows_that_contradict_are_refused_with_both_lines(
    folder, caplog
):
    with caplog.at_level(logging.WARNING, "gancore"):
        assert classes(labelled(folder, TYPES + "a.png,fire\n")) == RIGHT
    assert "1 rows repeat another" in caplog.text
    message = refused_with(folder, TYPES + "a,water\n")
    assert "a.png is labelled twice: type is fire, and water\n" in message
    assert "labels.csv, lines 2, 6\n" in message
    pairs = '{"a": "fire", "b": "water", "c": "fire", "d": "water", "a": "water"}'
    (folder / "labels.csv").unlink()
    assert "labels.json, entries 1, 5\n" in refused_with(folder, pairs, "labels.json")


def test_D47_empty_cells_are_refused_with_their_line_unless_the_column_is_not_used(folder):
    for cell in ("", "  ", "NaN"):
        text = f"file,type,more\na,x,p\nb,y,{cell}\nc,x,q\nd,y,q\n"
        message = refused_with(folder, text)
        assert "1 rows of the labels have an empty cell in the column more: b.png\n" in message
        assert "labels.csv, line 3\n" in message
        assert "fill them in, " in message
        assert len(labelled(folder, text, label_columns=("type",)).label_sets) == 1


def test_null_and_lists_of_json_are_no_labels(folder):
    rows = [
        {"file": n, "kind": k, "list": ["x"]}
        for n, k in zip("abcd", ("x", None, "y", "x"), strict=True)
    ]
    message = refused_with(folder, rows, "labels.json", label_columns=("kind",))
    assert "an empty cell in the column kind: b.png\nwhere: " in message
    assert "labels.json, entry 2\n" in message
    assert "list cannot be a label column: lists" in refused_with(
        folder, rows, "labels.json", label_columns=("list",)
    )


def test_column_of_one_value_is_refused_when_wanted_and_a_file_without_categories_says_why(folder):
    text = "file,all,id\na,x,1\nb,x,2\nc,x,3\nd,x,4\n"
    assert "all cannot be a label column: one value" in refused_with(
        folder, text, label_columns=("all",)
    )
    assert "no column holds categories: all (one value), id (4 different values)\n" in refused_with(
        folder, text
    )


def test_D44_unknown_column_names_those_that_are_there(folder):
    message = refused_with(folder, TYPES, label_columns=("typ",))
    assert (
        "typ cannot be a label column: there is no such column; the columns are type\n" in message
    )
    assert "--image-folder.label-columns type" in message


def test_row_that_fits_several_images_is_refused(tmp_path):
    for name in ("x/a", "y/a", "y/b"):
        paint(tmp_path / f"{name}.png", 1)
    message = refused_with(tmp_path, "file,type\na,fire\nb,water\n")
    assert "1 rows of the labels name several images each: a\n" in message


def test_classes_that_differ_in_case_alone_are_refused(folder):
    assert "differ only in case or accents: Fire, fire" in refused_with(
        folder, TYPES.replace("a.png,fire", "a.png,Fire"), label_columns=("type",)
    )


def test_class_whose_images_are_all_corrupt_is_left_out_by_name(folder, caplog):
    for name in "bd":
        (folder / f"{name}.png").write_bytes(b"corrupt")
    (folder / "labels.csv").write_text(TYPES)
    data = read(folder)
    assert data.label_sets[0].classes == ("fire",)
    assert "classes without a usable image are left out: water" in caplog.text


def test_D49_paths_that_lead_outside_name_no_image(folder):
    for name in ("../x.png", "/etc/x.png", "..\\..\\x"):
        assert "name files that are not there" in refused_with(folder, TYPES + f"{name},fire\n")


# ── broken files ──────────────────────────────────────────────────────────────────────────────────

BROKEN_CSV = {  # content, and what the message says
    "D44-no-header": (
        "a.png,fire\nb.png,water\n",
        "has no header row: it begins with a.png, fire",
    ),
    "D44-column-twice": (
        "file,type,type\na,b,c\n",
        "has empty or repeated column names: file, type, type",
    ),
    "D44-column-without-name": ("file,\na,b\n", "has empty or repeated column names"),
    "D45-quote-that-never-ends": (
        'file,type\na,"b\n',
        "cannot be read as CSV: unexpected end of data\nwhere: .*, line 2\n",
    ),
    "D46-latin-1": (
        "file,type\na.png,caf\xe9\n".encode("latin-1"),
        "byte 0xe9 at offset 19\nwhere: .*, line 2\n",
    ),
    "D46-cut-letter": (
        b"\xef\xbb\xbffile,type\na\xff,b\n",
        "byte 0xff at offset 14\nwhere: .*, line 2\n",
    ),
    "D46-utf-16": (TYPES.encode("utf-16"), "is not UTF-8 text: byte 0xff at offset 0\n"),
    "D46-nul": ("file,type\na,b\0\n", "byte 0x00 at offset 13\nwhere: .*, line 2\n"),
    "D48-too-short": (
        "file,type\na.png\n",
        "has a row of 1 cells below a header of 2, separated by ','\nwhere: .*, line 2\n",
    ),
    "D48-too-long": (
        "file,type\n\na.png,x,y\n",
        "has a row of 3 cells .*\nwhere: .*, line 3\n",
    ),
    "D50-cell-of-200000-letters": (
        f"file,type\na,{'x' * 200_000}\n",
        "field larger than field limit",
    ),
}


def test_broken_csv_is_refused_with_its_line(folder):
    for text, message in BROKEN_CSV.values():
        write(folder, text)
        with pytest.raises(DataError, match=message):
            read(folder)


def test_broken_json_is_refused(folder):
    for text in ("{", "[1, 2]", '"text"', "[" * 100_000, "[[1]]", "1" * 5000):
        assert "labels.json " in refused_with(folder, text, "labels.json"), text[:9]


def test_labels_file_that_is_not_there_is_refused_with_the_nearest(folder):
    (folder / "types.csv").write_text(TYPES)
    message = r"type\.csv does not exist\nwhere: image-folder.labels-file\n.*/types\.csv$"
    with pytest.raises(UsageError, match=message):
        read(folder, labels_file=str(folder / "type.csv"))
    with pytest.raises(UsageError, match=r"there is no labels\.csv or labels\.json"):
        read(folder, label_columns=("type",))


def test_labels_file_that_would_not_be_read_is_refused():
    for labels in ("none", "folders"):
        with pytest.raises(UsageError, match="so a labels file would not be read"):
            ImageFolder(labels=labels, labels_file="x.csv")


# ── dataset.json, as StyleGAN's programs write it ─────────────────────────────────────────────────


def shards(folder, labels):
    """Two numbered folders of images, and a dataset.json with these labels."""
    for number in range(4):
        name = f"0000{number // 2}/img{number}.png"
        save(folder / name, Image.new("RGB", (8, 8), (number, 0, 0)))
    (folder / "dataset.json").write_text(json.dumps(labels))
    return folder


PAIRS = [["00000/img0.png", 7], ["00000/img1.png", 3], ["00001/img2.png", 7], ["00001/img3.png", 3]]


def test_dataset_json_gives_the_classes_and_the_numbered_folders_do_not(tmp_path):
    data = read(shards(tmp_path, {"labels": PAIRS}))
    assert data.label_sets == (LabelSet("class", ("3", "7")),)
    assert data.labels.flatten().tolist() == [1, 0, 1, 0]


def test_dataset_json_without_two_classes_means_no_labels(tmp_path, caplog):
    for labels in (None, [], [[name, 5] for name, _ in PAIRS]):
        caplog.clear()
        assert read(shards(tmp_path, {"labels": labels})).label_sets == ()
        assert "has fewer than two classes" in caplog.text


def test_dataset_json_with_more_numbers_than_a_column_may_have_is_read(tmp_path):
    for number in range(60):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    labels = [[f"{number}.png", number % 30] for number in range(60)]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert read(tmp_path).label_sets[0].classes == tuple(map(str, range(30)))


def test_another_files_dataset_json_is_not_used_and_said(tmp_path, caplog):
    for content in ({"name": "faces"}, [], {"labels": "yes"}, 7):
        caplog.clear()
        data = read(shards(tmp_path, content))
        assert data.label_sets[0].classes == ("00000", "00001"), content
        assert "dataset.json is not used" in caplog.text


def test_labels_csv_is_taken_before_dataset_json(tmp_path):
    shards(tmp_path, {"labels": PAIRS})
    (tmp_path / "labels.csv").write_text("file,kind\nimg0,a\nimg1,b\nimg2,a\nimg3,b\n")
    assert [each.name for each in read(tmp_path).label_sets] == ["kind"]
