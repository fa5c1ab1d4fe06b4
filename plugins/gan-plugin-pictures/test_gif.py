"""Facts about animations."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image, ImageSequence
from support.tables import every_row

from gan_plugin_pictures.gif import find_frames, gif, load, share_colours, thin
from gancore import UsageError

SUFFIXES = (".gif", ".webp", ".png")


def shade(number, size=(24, 16)):
    """A picture that differs from every other number's."""
    ramp = Image.linear_gradient("L").resize(size)
    bands = [
        ramp.point([(value * k + number * 7) % 256 for value in range(256)]) for k in (1, 2, 3)
    ]
    return Image.merge("RGB", bands)


def make_run(folder, steps=(5, 10, 200), mode="RGB", under=""):
    samples = folder / "samples" / under
    samples.mkdir(parents=True)
    (folder / "recipe.toml").write_text("format = 1\n")
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 1}) + "\n")
    for step in steps:
        shade(step).convert(mode).save(samples / f"step-{step}.png")
    shade(0).convert(mode).save(samples / "final.png")
    return folder


def ask(*words):
    return CliRunner().invoke(gif, [str(word) for word in words])


def durations(path):
    with Image.open(path) as film:
        found = []
        for frame in ImageSequence.Iterator(film):
            frame.load()
            found.append(round(frame.info["duration"]))
        return found


@every_row(("n", "count"), [(0, 0), (1, 1), (26, 26), (27, 27), (101, 76), (1000, 292)])
def test_rule_keeps_as_many_frames_as_the_closed_form_says(n, count):
    assert len(thin(n)) == count
    assert count == (n if n <= 26 else round(10 * (n - 1) ** 0.5) - 24)


def test_rule_keeps_early_frames_whole_and_later_ones_ever_more_thinly():
    kept = thin(2000)
    gaps = [b - a for a, b in zip(kept, kept[1:], strict=False)]
    assert kept[:26] == list(range(26))
    assert sum(gaps[:100]) < sum(gaps[100:200]) < sum(gaps[200:300])


def test_frames_are_sorted_by_number_and_not_by_name(tmp_path):
    run = make_run(tmp_path / "run", (5, 10, 200, 30))
    assert [path.stem for path in find_frames(run / "samples")] == [
        "step-5",
        "step-10",
        "step-30",
        "step-200",
    ]


def test_the_final_picture_serves_when_it_is_the_only_one(tmp_path):
    assert [path.stem for path in find_frames(make_run(tmp_path / "run", ()) / "samples")] == [
        "final"
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_has_all_frames_for_their_times(tmp_path, suffix):
    out = tmp_path / f"film{suffix}"
    result = ask(make_run(tmp_path / "run"), "-o", out, "--seconds", "0.1", "--last", "2")
    assert result.output == f"3 frames of 3 in {out}\n"
    assert durations(out) == [100, 100, 2000]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, "run"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_film_repeats_for_ever(tmp_path, suffix):
    out = tmp_path / f"film{suffix}"
    ask(make_run(tmp_path / "run"), "-o", out)
    with Image.open(out) as film:
        assert film.info["loop"] == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_pictures_give_the_same_bytes(tmp_path, suffix):
    run = make_run(tmp_path / "run")
    for name in ("one", "other"):
        ask(run, "-o", tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"other{suffix}").read_bytes()


@pytest.mark.parametrize(("suffix", "mode"), [(".webp", "RGB"), (".png", "RGB"), (".gif", "L")])
def test_colours_stay_exact_where_the_format_has_them_all(tmp_path, suffix, mode):
    out = tmp_path / f"film{suffix}"
    ask(make_run(tmp_path / "run", mode=mode), "-o", out)
    with Image.open(out) as film:
        for step, frame in zip((5, 10, 200), ImageSequence.Iterator(film), strict=True):
            assert (
                frame.convert("RGB").tobytes() == shade(step).convert(mode).convert("RGB").tobytes()
            )


def test_all_frames_of_a_gif_share_their_colours(tmp_path):
    frames = share_colours(load(find_frames(make_run(tmp_path / "run") / "samples")))
    assert len({bytes(frame.getpalette()) for frame in frames}) == 1


def test_what_stands_still_does_not_flicker(tmp_path):
    frames = [shade(number) for number in (1, 2, 3)]
    for frame in frames:
        frame.paste(shade(9, (12, 16)), (0, 0))
    halves = {
        frame.convert("RGB").crop((0, 0, 12, 16)).tobytes() for frame in share_colours(frames)
    }
    assert len(halves) == 1


def test_transparent_pixels_become_white(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "1.png")
    assert load([tmp_path / "1.png"])[0].getpixel((0, 0)) == (255, 255, 255)


def test_frames_follow_the_rule_that_is_asked_for(tmp_path):
    run, out = make_run(tmp_path / "run", range(40)), tmp_path / "film.png"
    # round(10·√39) - 24
    assert ask(run, "-o", out, "--frames", "sqrt").output.startswith("38 frames of 40")
    assert len(durations(out)) == 38


def test_other_pictures_of_the_run_can_be_animated(tmp_path):
    run, out = make_run(tmp_path / "run", (1, 2), under="class-sheet"), tmp_path / "film.gif"
    assert ask(run, "-o", out, "--from", "class-sheet").output.startswith("2 frames of 2")


def test_a_folder_that_is_not_there_is_refused_with_those_there_are(tmp_path):
    error = ask(make_run(tmp_path / "run", under="class-sheet"), "--from", "class-shet").exception
    assert isinstance(error, UsageError)
    assert error.fix == "--from class-sheet"


def test_where_the_sample_grids_are_all_there_is_that_is_said(tmp_path):
    error = ask(make_run(tmp_path / "run", (1, 2)), "--from", "nope").exception
    assert error.fix == "no --from, for the sample grids"


def test_a_run_without_pictures_is_refused(tmp_path):
    run = make_run(tmp_path / "run", ())
    (run / "samples" / "final.png").unlink()
    error = ask(run, "-o", tmp_path / "film.gif").exception
    assert isinstance(error, UsageError) and "no pictures" in error.what


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    error = ask(tmp_path).exception
    assert isinstance(error, UsageError) and "is no run" in error.what


def test_frames_of_different_sizes_are_refused(tmp_path):
    run = make_run(tmp_path / "run")
    shade(1, (8, 8)).save(run / "samples" / "step-7.png")
    error = ask(run, "-o", tmp_path / "film.gif").exception
    assert isinstance(error, UsageError)
    assert error.what == "frames differ in size: step-5.png has 24×16 pixels, step-7.png 8×8"
    assert not (tmp_path / "film.gif").exists()


def test_a_torn_picture_is_refused_by_name(tmp_path):
    run = make_run(tmp_path / "run")
    path = run / "samples" / "step-10.png"
    path.write_bytes(path.read_bytes()[:60])
    error = ask(run, "-o", tmp_path / "film.gif").exception
    assert isinstance(error, UsageError) and "step-10.png is no picture" in error.what


@pytest.mark.parametrize(
    ("out", "what"),
    [
        ("film.mp4", "'film.mp4' names no animation format"),
        (".", "'.' names no animation format"),
        ("", "'.' names no animation format"),
        ("recipe.toml/film.gif", "cannot be written"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(tmp_path, monkeypatch, out, what):
    monkeypatch.chdir(make_run(tmp_path / "run"))
    error = ask(".", "-o", out).exception
    assert isinstance(error, UsageError) and what in error.what and error.fix


def test_a_film_that_fails_leaves_the_old_one_and_no_part(tmp_path, monkeypatch):
    run, out = make_run(tmp_path / "run"), tmp_path / "film.gif"
    out.write_bytes(b"old")

    def tear(picture, path, *args, **more):
        path.write_bytes(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", tear)
    assert "No space left" in ask(run, "-o", out).exception.what
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.gif", "run"]
