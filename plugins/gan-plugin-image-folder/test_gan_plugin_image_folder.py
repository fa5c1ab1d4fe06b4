"""The component: what it is given, what it finds below a folder, and what it returns."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import SHARED, encoded, good, noise, only, put, read, read_and_notes, refused
from PIL import Image

from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_image_folder.decode.image_file import reason_of
from gan_plugin_image_folder.file_index import FileIndex
from gan_plugin_image_folder.names import encode_name
from gan_plugin_image_folder.scan import scan_folder, walk
from gancore import DataSpec, UsageError
from gancore.testing import check_component

needs_pokemon = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the folder {SHARED} is missing")


def test_conforms(tmp_path):
    put(tmp_path / "cat", a_png=noise(seed=1), b_png=noise(seed=2))
    put(tmp_path / "dog", c_png=noise(seed=3))
    check_component(ImageFolder, path=str(tmp_path))


@needs_pokemon
def test_pokemon64_has_the_classes_and_colours_that_its_readme_states():
    data = read(SHARED / "pokemon64")
    values = data.samples.double() / 127.5 - 1
    assert data.samples.shape == (1209, 3, 64, 64)
    assert data.label_sets[0].classes[:3] == ("bug", "dark", "dragon")
    assert data.labels.flatten().bincount()[:5].tolist() == [77, 50, 44, 47, 47]
    assert values.mean((0, 2, 3)).tolist() == pytest.approx([0.680, 0.656, 0.627], abs=6e-4)
    assert values.std((0, 2, 3)).tolist() == pytest.approx([0.482, 0.491, 0.525], abs=6e-4)


@needs_pokemon
def test_two_reads_have_one_fingerprint():
    assert read(SHARED / "pokemon-csv").fingerprint() == read(SHARED / "pokemon-csv").fingerprint()


def test_fingerprint_of_known_images_is_the_one_that_runs_recorded_before(tmp_path):
    levels = {"cat/a": 10, "cat/b": 20, "dog/c": 30}
    for name, level in levels.items():
        folder, file = name.split("/")
        put(tmp_path / folder, **{f"{file}_png": Image.new("RGB", (4, 2), (level, 0, 255))})
    # A recipe that was trained on these images resumes only while this stays.
    assert read(tmp_path).fingerprint() == "b6fc651518c357a538aec72b679db257"


def test_one_thread_and_many_give_the_same_samples(tmp_path, monkeypatch):
    good(tmp_path, 20)
    many = read(tmp_path, (9, 11))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert torch.equal(many.samples, read(tmp_path, (9, 11)).samples)


def test_D70_images_are_sorted_by_the_bytes_of_their_paths(tmp_path):
    levels = {"a/b.png": 1, "a-b/c.png": 2, "B.png": 3, "é.png": 4, "z.png": 5}
    for name, level in levels.items():
        put((tmp_path / name).parent, **{Path(name).name: Image.new("L", (8, 8), level)})
    assert read(tmp_path, labels="none").samples[:, 0, 0, 0].tolist() == [3, 2, 1, 5, 4]


def test_D31_one_image_is_enough(tmp_path):
    assert len(only(tmp_path, a_png=noise())) == 1


def test_D28_equal_images_are_used_and_counted(tmp_path, caplog):
    put(good(tmp_path), again_png=noise(seed=0))
    count, said = read_and_notes(tmp_path, caplog)
    assert count == 4
    assert said.splitlines()[0] == "of 4 images, 1 equal to another image"


def test_good_images_give_no_warning(tmp_path, caplog):
    count, notes = read_and_notes(good(tmp_path), caplog)
    assert count == 3
    assert notes.startswith("advice: 3 images are few: --reg augment-views ")
    assert len(notes.splitlines()) == 1


def test_D64_files_are_closed_after_reading(tmp_path):
    before = (
        len(os.listdir("/proc/self/fd"))
        if os.path.isdir("/proc/self/fd")
        else pytest.skip("no /proc")
    )
    data = read(put(good(tmp_path, 30), a_png=b"text", b_png=encoded(noise())[:300]))
    assert len(data) >= 30
    assert len(os.listdir("/proc/self/fd")) == before


# ── options ───────────────────────────────────────────────────────────────────────────────────────


def test_D29_missing_path_file_and_empty_path_are_refused_before_anything_is_read(tmp_path):
    put(tmp_path / "pokemon", a_png=noise())
    with pytest.raises(UsageError, match=r"/pokemno does not exist\n(.*\n)*.*--data .*/pokemon$"):
        read(tmp_path / "pokemno")
    with pytest.raises(UsageError, match=r"a\.png is not a folder"):
        read(tmp_path / "pokemon" / "a.png")
    with pytest.raises(UsageError, match="image-folder.path is empty"):
        ImageFolder().make_data(DataSpec())


def test_path_is_seen_from_the_folder_of_the_run(tmp_path):
    put(tmp_path / "pictures", a_png=noise())
    assert len(ImageFolder(path="pictures").make_data(DataSpec(folder=tmp_path))) == 1


def test_background_that_is_not_an_opaque_colour_is_refused():
    message = "which is not an opaque colour\nwhere: image-folder.background\n"
    for background in ("", "nope", "#12", "#ff000080", "white\x1b"):
        with pytest.raises(UsageError, match=message):
            ImageFolder(background=background)


def test_recognizes_a_folder_of_images_at_any_depth_and_nothing_else(tmp_path):
    ask = ImageFolder().recognizes
    assert ask(tmp_path) == 0
    put(tmp_path / "a" / "b", x_PNG=noise(), y_txt=b"")
    assert ask(tmp_path) == 1
    assert ask(tmp_path / "a" / "b" / "x.PNG") == ask(tmp_path / "missing") == 0


# ── what lies below a folder ──────────────────────────────────────────────────────────────────────


def test_a_folder_is_walked_in_the_order_of_the_bytes_of_its_paths(tmp_path):
    for name in ("a/z", "a/b/c", "a-b/c", "a.png/x", "a0/x", "B", "é", "a/b.d", "z"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    walked = [path for path, _ in walk(str(tmp_path))]
    every = (
        path.relative_to(tmp_path).as_posix() + "/" * path.is_dir() for path in tmp_path.rglob("*")
    )
    assert walked == sorted(map(os.fsencode, every))
    assert scan_folder(str(tmp_path)).folders == ["a", "a-b", "a.png", "a0"]


def test_stamp_is_of_the_file_a_link_leads_to_and_minus_one_where_it_leads_nowhere(
    tmp_path,
):
    (tmp_path / "b.png").write_bytes(b"x" * 47)  # 47 is the byte of /
    os.utime(tmp_path / "b.png", ns=(0, 1))
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "c.png").symlink_to("nowhere")
    found = scan_folder(str(tmp_path)).files
    changed = (tmp_path / "b.png").stat().st_ctime_ns
    assert list(found) == ["a.png", "b.png", "c.png"]
    assert found.stamps.tolist() == [[47, 1, changed], [47, 1, changed], [-1, -1, -1]]


def test_D30_folder_without_images_says_what_was_looked_for(tmp_path):
    put(tmp_path, notes_txt=b"hello")
    assert "looked for .png .jpg" in refused(tmp_path)


def test_D30_folder_of_unusable_files_alone_is_refused(tmp_path):
    assert "2 of 2 images cannot be used" in refused(put(tmp_path, a_png=b"", b_png=b"text"))


def test_D07_files_without_an_image_suffix_are_ignored(tmp_path):
    put(good(tmp_path), noname=noise(), labels_csv=b"a,b")
    assert len(read(tmp_path)) == 3


def test_D36_litter_and_hidden_files_are_ignored(tmp_path):
    put(
        good(tmp_path),
        **{"Thumbs.db": b"x", "desktop.ini": b"x", "._x.jpg": b"x", ".DS_Store": b"x"},
    )
    for name in ("__MACOSX", ".git"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"x")
    assert len(read(tmp_path)) == 3
    assert read(tmp_path).label_sets == ()


def test_D40_nesting_of_200_levels_is_walked(tmp_path):
    put(tmp_path.joinpath(*["d"] * 200), a_png=noise())
    assert len(read(tmp_path, labels="none")) == 1


@pytest.fixture
def as_anybody():
    """Return a folder that anybody may enter; be anybody meanwhile, for root may read all."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        if os.geteuid():
            yield Path(folder)
            return
        os.seteuid(65534)
        yield Path(folder)
        os.seteuid(0)


def test_D22_unreadable_file_is_skipped_and_unreadable_folder_refused(as_anybody, caplog):
    folder = as_anybody / "set"
    put(good(folder), secret_png=noise())
    (folder / "secret.png").chmod(0)
    assert "1 permission denied (secret.png)" in read_and_notes(folder, caplog)[1]
    (folder / "closed").mkdir(0)
    assert "cannot be listed: Permission denied" in refused(folder)


def test_D22_errors_of_the_system_are_named_as_it_names_them():
    assert reason_of(PermissionError(13, "Permission denied"), b"") == "permission denied"


def test_D23_linked_files_are_used_linked_folders_are_not_and_dangling_links_are_skipped(
    tmp_path, caplog
):
    folder = good(tmp_path / "data")
    put(tmp_path / "outside", x_png=noise(seed=8))
    (folder / "inside.png").symlink_to("good0.png")
    (folder / "outside.png").symlink_to(tmp_path / "outside" / "x.png")
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "again").symlink_to(folder)
    count, said = read_and_notes(folder, caplog)
    assert count == 5
    assert "1 no such file or directory (dangling.png)" in said
    assert "(loop.png)" in said


def test_D24_fifos_are_skipped_unopened_and_folders_named_like_images_are_walked(tmp_path, caplog):
    os.mkfifo(good(tmp_path) / "fifo.png")
    assert "1 not a regular file (fifo.png)" in read_and_notes(tmp_path, caplog)[1]
    put(tmp_path / "folder.png", inner_png=noise(seed=7))
    assert len(read(tmp_path, labels="none")) == 4


def test_D25_odd_names_are_used_and_shown_escaped(tmp_path, caplog):
    names = [
        "\x1b[31m.png",
        " x.png",
        "%s.png",
        "-rf.png",
        "<b>.png",
        "[red].png",
        "a\nb\t.png",
        "é" * 125 + ".png",
    ]
    names.append(os.fsdecode(b"\xff\xfe.png"))
    for name in names:
        (good(tmp_path / "bad", 10) / name).write_bytes(b"text")
        (good(tmp_path / "good", 1) / name).write_bytes(encoded(noise(), "PNG"))
    said = read_and_notes(tmp_path / "bad", caplog)[1]
    assert "9 not an image (\\x1b[31m.png,  x.png, %s.png, -rf.png, <b>.png and 4 more)" in said
    assert len(read(tmp_path / "good")) == 10
    for name in names[:6]:
        (tmp_path / "bad" / name).unlink()
    said = read_and_notes(tmp_path / "bad", caplog)[1]
    assert "3 not an image (a\\nb\\t.png, ééé" in said
    assert "\\udcff\\udcfe.png)" in said


def test_D27_file_names_in_both_spellings_are_two_images(tmp_path):
    put(tmp_path, **{"caf\u00e9_png": noise(seed=1), "cafe\u0301_png": noise(seed=2)})
    assert len(read(tmp_path)) == 2


# ── the index of files ────────────────────────────────────────────────────────────────────────────

LETTERS = st.text(st.sampled_from("ab-0é.\udcff "), min_size=1, max_size=4)
NAMES = st.lists(
    st.lists(LETTERS, min_size=1, max_size=3).map("/".join), unique=True, min_size=1, max_size=12
)


def index_of(names):
    lengths = [0, *(len(encode_name(name)) for name in names)]
    stamps = np.arange(2 * len(names), dtype=np.int64).reshape(-1, 2)
    encoded_names = b"".join(map(encode_name, names))
    return FileIndex(encoded_names, np.cumsum(lengths, dtype=np.int64), stamps)


@settings(deadline=None, max_examples=50)
@given(NAMES, st.data())
def test_an_index_is_a_sequence_of_its_names(names, data):
    names = sorted(names, key=encode_name)
    index = index_of(names)
    assert list(index) == names
    assert len(index) == len(names)
    assert index[-1] == names[-1]
    assert index[1:3] == names[1:3]
    assert [index[place] for place in range(len(index))] == names
    assert index.slash_count == "".join(names).count("/")
    with pytest.raises(IndexError):
        index[len(names)]
    wanted = data.draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    some = index.select(np.array(wanted))
    assert list(some) == [name for name, each in zip(names, wanted, strict=True) if each]
    assert some.stamps.tolist() == index.stamps[np.array(wanted)].tolist()


@settings(deadline=None, max_examples=50)
@given(NAMES)
def test_files_of_a_folder_are_those_whose_names_begin_with_it(names):
    names = sorted(names, key=encode_name)
    index = index_of(names)
    for folder in {name.rpartition("/")[0] for name in names} - {""}:
        below = [names[place] for place in index.span_of(folder)]
        assert below == [name for name in names if name.startswith(f"{folder}/")]
