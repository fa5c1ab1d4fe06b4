"""Facts about `gan compare`."""

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
import tomli_w
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_plugin_plots.comparison import sheets
from gan_plugin_plots.comparison.charts import inline, points_for
from gan_plugin_plots.comparison.command import compare
from gan_plugin_plots.comparison.comparison import LOSSES, finite
from gan_plugin_plots.comparison.differences import SEEDS, differences, on_data, on_seeds
from gan_plugin_plots.comparison.figures import (
    compare_evaluations,
    compare_figure,
    effort,
    names_of,
    split_metrics,
    summarise,
)
from gan_plugin_plots.comparison.page import readable, script_block
from gan_plugin_plots.comparison.runs import RunFiles, labels, read_run
from gan_plugin_plots.comparison.sheets import gather_pictures
from gancore import UsageError

HOSTILE = '</script><b id="x">&amp;"\'</title>]]> url(#x) $\\frac{1}{2}$ \x1b[31m'
VOID = {"meta", "img", "br"}


def recipe(**changes):
    run = {"steps": 60, "epochs": 0, "batch": 8, "size": 16, "seed": 0}
    found = {
        "format": 1, "data": "creatures", "gen": "dcgan", "loss": "bce", "track": ["doctor"],
        "run": run, "adam": {"lr": 0.0002}, "frechet": {"every": 0, "images": 100}, "bce": {"average": True},
    }  # fmt: skip
    for key, value in changes.items():
        found[key] = found.get(key, {}) | value if isinstance(value, dict) else value
    return found


def row(step, **figures):
    clock = {"step": step, "epoch": 0.1 * step, "seconds": 2.0 * step, "images_per_second": 4.0}
    usual = {"critic/bce/real": 1 / step, "critic/total": 2 / step, "critic/score_real": 0.5}
    return clock | usual | figures


def metric_row(step, ratio, images=100):
    figures = {"distance": 10 * ratio, "floor": 10.0, "ratio": ratio, "images": images}
    return row(step, **{f"frechet/{name}": value for name, value in figures.items()})


def make_run(folder, rows=(), evaluation=None, about=None, pictures=(), **changes):
    (folder / "samples").mkdir(parents=True)
    (folder / "recipe.toml").write_text(tomli_w.dumps(recipe(**changes)))
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in rows))
    (folder / "run.json").write_text(json.dumps(about or {"ended": "2026-01-01", "failed": None}))
    if evaluation is not None:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    for name in pictures:
        (folder / "samples" / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), "teal").save(folder / "samples" / name)
    return folder


def add_checkpoint(run, step, data="", **versions):
    folder = run / "checkpoints" / f"step-{step:09d}"
    folder.mkdir(parents=True)
    plugins = {"adam": {"distribution": "gan-plugin-optimizers", "version": "0.1.0"}}
    (folder / "manifest.json").write_text(json.dumps({"plugins": plugins, "versions": versions}))
    (folder / "state.json").write_text(json.dumps({"data": data, "batches": step}))


def files(label="a", rows=(), **changes):
    return RunFiles(None, label, recipe(**changes), list(rows))


def ask(*words):
    done = CliRunner().invoke(compare, [str(word) for word in words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def two(tmp_path):
    rows = [metric_row(step, 9 - step / 10) for step in range(10, 61, 10)]
    plain = make_run(tmp_path / "plain", rows, pictures=["final.png", "step-000000010.png"])
    other = make_run(
        tmp_path / "other", rows[:4], pictures=["step-000000040.png"], adam={"lr": 0.1}
    )
    return plain, other


# ── recipes ───────────────────────────────────────────────────────────────────────────────────────


def test_what_differs_is_listed_and_nothing_else_components_first():
    one = files(run={"steps": 60}, reg=["instance-noise"], noise={"sigma": 0.1})
    other = files(run={"steps": 90}, adam={"lr": 0.001})
    found = [(each.section, each.key, *each.values) for each in differences([one, other])]
    assert found == [
        ("component", "reg", "instance-noise", "–"),
        ("option", "adam.lr", "0.0002", "0.001"),
        ("option", "noise.sigma", "0.1", "–"),
        ("setting", "steps", "60", "90"),
    ]


def test_versions_that_differ_are_listed_and_those_that_one_run_does_not_state_are_not(tmp_path):
    runs = []
    for name, torch in (("a", "2.6"), ("b", "2.7")):
        run = make_run(tmp_path / name)
        add_checkpoint(run, 5, torch="0.0")
        add_checkpoint(run, 20, torch=torch, **({"scipy": "1.0"} if name == "a" else {}))
        runs.append(read_run(run, name))
    assert [(each.key, each.values) for each in differences(runs)] == [("torch", ["2.6", "2.7"])]


def test_the_terminal_shows_what_differs_before_any_figure(two):
    text = ask(*two)
    assert text.index("adam.lr") < text.index("state") < text.index("frechet/ratio, last")
    assert "frechet.images" not in text
    assert "\x1b" not in text
    assert SEEDS in text and LOSSES in text


def test_the_note_on_seeds_says_how_many_runs_stand_for_a_recipe():
    one, again, other = files("a"), files("b", run={"seed": 1}), files("c", adam={"lr": 1.0})
    assert on_seeds([one, other]) == SEEDS
    assert on_seeds([one, again]).startswith("equal but for the seed: a = b: what differs comes")
    assert on_seeds([one, again, other]).startswith("equal but for the seed: a = b; no test")


def test_runs_are_called_by_the_shortest_ends_of_their_paths_that_differ(tmp_path):
    ends = ["x/plain/seed-0", "x/noise/seed-0", "y/seed-1"]
    assert labels([tmp_path / end for end in ends]) == ["plain/seed-0", "noise/seed-0", "y/seed-1"]
    assert labels([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]


# ── figures ───────────────────────────────────────────────────────────────────────────────────────


def test_a_figure_has_its_last_value_the_mean_of_three_and_the_first_of_the_best():
    rows = [metric_row(10 * i + 10, value) for i, value in enumerate([5.0, 1.0, 4.0, 1.0, 7.0])]
    found = summarise([*rows, row(60)], "frechet/ratio")
    assert (found.step, found.last, found.mean) == (50, 7, 4)
    assert (found.best, found.best_step) == (1, 20)
    assert summarise(rows, "critic/total").best is None
    assert summarise(rows[:2], "frechet/ratio").mean is None
    assert summarise([], "frechet/ratio") is None


def test_metrics_come_first_and_what_says_how_they_were_measured_is_no_figure_of_its_own():
    assert names_of([files(rows=[metric_row(10, 2.0)])]) == [
        "frechet/distance", "frechet/ratio", "critic/bce/real", "critic/total", "critic/score_real",
    ]  # fmt: skip


PLAIN = [metric_row(10, 2.0)]
INCOMPARABLE = [
    ("frechet/ratio", {"frechet": {"images": 50}}, PLAIN, ["frechet.images 100 | 50"]),
    ("frechet/ratio", {}, [metric_row(10, 2.0, images=60)], ["images 100 | 60"]),
    ("frechet/ratio", {"frechet": {"every": 7}}, PLAIN, []),
    ("frechet/ratio", {"adam": {"lr": 3.0}, "gen": "mlp", "run": {"steps": 9}}, PLAIN, []),
    ("critic/bce/real", {"bce": {"average": False}}, PLAIN, ["bce.average true | false"]),
    ("critic/total", {}, [row(10, **{"critic/gp/penalty": 1.0})], ["terms bce | bce, gp"]),
    ("critic/total", {"frechet": {"images": 50}}, PLAIN, []),
    ("critic/total", {}, [{"step": 10}], []),
]


def test_figures_that_were_measured_otherwise_are_marked_with_the_reason():
    for name, changes, rows, reasons in INCOMPARABLE:
        line = compare_figure(name, [files(rows=PLAIN), files(rows=rows, **changes)])
        assert line.reasons == reasons, (name, changes)
        first, second = line.summaries
        assert not first.mark
        assert (second is not None and second.mark) == bool(reasons), (name, changes)


def test_no_figure_of_other_data_can_be_compared(tmp_path):
    runs = []
    for name, data in (("a", "aaaa"), ("b", "bbbb"), ("c", "aaaa")):
        run = make_run(tmp_path / name, [metric_row(10, 2.0)])
        add_checkpoint(run, 10, data=data)
        runs.append(read_run(run, name))
    assert "aaaa | bbbb" in on_data(runs)
    marks = [each.mark for each in compare_figure("frechet/ratio", runs).summaries]
    assert marks == [False, True, False]
    assert on_data(runs[::2]) == ""
    # without fingerprints the recipes decide
    assert on_data([files(), files(data="mixture")])
    assert on_data([files(), files(run={"size": 32})])
    assert on_data([files(), files(run={"seed": 1})]) == ""


def test_seconds_and_images_add_up_over_the_sessions_of_a_run():
    clocks = [(1.0, 10.0), (4.0, 20.0), (2.0, 5.0)]
    rows = [{"step": 1, "seconds": clock, "images_per_second": rate} for clock, rate in clocks]
    assert effort(rows) == (4 + 2, 4 * 20 + 2 * 5)
    assert effort([]) is None
    assert effort([{"step": 1}]) is None


def test_rows_after_until_are_left_out(two):
    found = json.loads(ask(*two, "--json", "--until", 20))
    assert [run["step"] for run in found["runs"]] == [20, 20]
    assert not any("last rows" in note for note in found["notes"])
    assert any("--until 40" in note for note in json.loads(ask(*two, "--json"))["notes"])


def test_only_the_figures_asked_for_are_shown_single_terms_too(two):
    assert "critic/bce/real" not in ask(*two)
    text = ask(*two, "--figures", "critic/bce/real")
    assert "critic/bce/real, last" in text
    assert "critic/total" not in text


# ── records of gan eval ───────────────────────────────────────────────────────────────────────────


def record(value=2.0, **changes):
    features = {"id": "randconv", "sha256": "fbb29c94" + 56 * "0"}
    found = {"metric": "fd", "value": value, "n_real": 100, "n_fake": 100, "features": features}
    return (
        found | {"floor": 1.0, "ratio": 2.0, "step": 9, "split": "test", "weights": "ema"} | changes
    )


def test_records_of_two_protocols_are_never_in_one_line(tmp_path):
    others = [
        {"n_fake": 50}, {"n_real": 50}, {"split": "train"}, {"weights": "raw"}, {"data": "bbbb"},
        {"features": {"id": "randconv", "sha256": "0" * 64}}, {"features": {"id": "pixels8"}},
    ]  # fmt: skip
    for number, change in enumerate(others):
        one = make_run(tmp_path / f"a{number}", evaluation=[record(1.0), record(3.0)])
        other = make_run(tmp_path / f"b{number}", evaluation=[record(4.0, **change)])
        runs = [read_run(path, path.name) for path in (one, other)]
        found = [each["fd"] for each in compare_evaluations(runs).values()]
        assert [sum(each is not None for each in records) for records in found] == [1, 1], change
        assert split_metrics(runs) == ["fd"]


def test_of_equal_protocols_the_newest_records_are_side_by_side(tmp_path):
    one = make_run(tmp_path / "a", evaluation=[record(1.0), record(3.0)])
    other = make_run(tmp_path / "b", evaluation={"records": [record(math.nan)]})
    text = ask(one, other)
    assert "measured by gan eval: features randconv fbb29c94, n 100/100, test, ema\n" in text
    assert re.search(r"fd +3 \(floor 1, ratio 2\) +nan \(floor 1, ratio 2\)", text)
    assert split_metrics([read_run(one, "a"), read_run(other, "b")]) == []


def test_a_damaged_file_beside_the_log_is_as_one_that_is_absent(tmp_path):
    for number, content in enumerate(["{", "[[]]", '[{"metric": 1}]', "[" * 100_000, "\0", "7"]):
        run = make_run(tmp_path / str(number))
        (run / "evaluation.json").write_text(content)
        (run / "run.json").write_text(content)
        found = read_run(run, "a")
        assert (found.evaluations, found.state()) == ([], "unknown"), content


# ── the page ──────────────────────────────────────────────────────────────────────────────────────


class Page(HTMLParser):
    """A page that was parsed: that its elements are closed, what it refers to, ids, and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.ids, self.text, self.tags = [], [], [], {}, []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name.rpartition(":")[2] in ("src", "href"):
                self.addresses.append(value)
            self.ids += [value] if name == "id" else []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open = self.open[:-1] if tag not in VOID else self.open

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        place = self.open[-1] if self.open else ""
        self.text[place] = self.text.get(place, "") + data


def write(folder, *runs):
    out = folder / "compare.html"
    ask(*runs, "-o", out)
    return out.read_text()


def test_the_page_is_one_file_that_asks_for_no_other(two, tmp_path):
    text = write(tmp_path, *two)
    page = Page(text)
    assert [each for each in page.addresses if not each.startswith(("data:image/png", "#"))] == []
    assert "@import" not in text and "link" not in page.tags
    assert len(set(page.ids)) == len(page.ids)
    assert re.findall(r'<section id="(\w+)"', text) == [
        "differences", "figures", "curves", "pictures", "commands", "records",
    ]  # fmt: skip
    # without scripts that run
    assert re.findall(r"<script[^>]*>", text) == [
        '<script type="application/json" id="comparison">'
    ]
    assert len(text) < 5e6


def test_every_chart_has_a_title_and_a_description(two, tmp_path):
    charts = re.findall(r"<svg.*?</svg>", write(tmp_path, *two), re.DOTALL)
    assert len(charts) == 5
    space = "{http://www.w3.org/2000/svg}"
    found = [ElementTree.fromstring(chart) for chart in charts]
    assert found[1].find(f"{space}title").text == "frechet/ratio"
    assert found[1].find(f"{space}desc").text == "plain: 3 at step 60; other: 5 at step 40"
    assert all(chart.find(f"{space}title") is not None for chart in found)


def test_two_pages_of_the_same_runs_have_the_same_bytes(two, tmp_path):
    assert write(tmp_path, *two) == write(tmp_path, *two)


def test_the_records_of_a_page_are_what_json_prints(two, tmp_path):
    block = Page(write(tmp_path, *two)).text["script"]
    assert json.loads(block) == json.loads(ask(*two, "--json"))


def test_hostile_texts_are_shown_and_do_nothing(tmp_path):
    name = HOSTILE.replace("/", "")
    one = make_run(
        tmp_path / "<i>a",
        [row(10, **{f"critic/{HOSTILE}": 1.0, HOSTILE: 2.0}), row(20)],
        [record(metric=HOSTILE, features={"id": HOSTILE, "sha256": HOSTILE})],
        {"failed": HOSTILE, "device": HOSTILE},
        [f"{name}/{name}.png"],
        data=HOSTILE,
        **{HOSTILE: {HOSTILE: HOSTILE}},
    )
    other = make_run(tmp_path / "b'\"", [row(10)])
    text = write(tmp_path, one, other)
    page = Page(text)
    assert "b" in page.tags  # of captions
    assert "<b id" not in text and "<i>a" not in text and "\x1b" not in text
    assert page.tags.count("script") == 1 and "x" not in page.ids
    assert json.loads(page.text["script"])["runs"][0]["recipe"]["data"] == HOSTILE
    assert "\x1b" not in ask(one, other)


@settings(max_examples=20)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_any_records_come_back_from_a_script_block(value):
    block = script_block(finite(value))
    assert "<" not in block
    assert json.loads(block) == finite(value)


@given(st.text())
def test_no_control_character_reaches_a_page(text):
    assert all(letter.isprintable() or letter == "\n" for letter in readable(text))


@given(st.text(st.sampled_from("<>&\"'#x/title-]!")))
def test_any_title_leaves_an_svg_well_formed(text):
    svg = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><g id="a"/></svg>'
    found = ElementTree.fromstring(inline(svg, 3, text, text))
    assert found[0].text == (text or None)
    assert found[2].get("id") == "c3-a"


def test_runs_without_rows_with_one_evaluation_and_that_failed_are_shown(tmp_path):
    empty = make_run(tmp_path / "empty", about={"started": "2026"})
    (empty / "metrics.jsonl").unlink()
    single = make_run(tmp_path / "single", [metric_row(10, 2.0)])
    failed = make_run(
        tmp_path / "failed",
        [metric_row(10, 3.0), metric_row(20, math.nan), metric_row(30, 1.0)],
        about={"failed": "critic/total became nan at step 20\nwhere: x"},
    )
    text = write(tmp_path, empty, single, failed)
    page = Page(text)
    assert "0 of 60" in text and "not ended" in text
    assert "failed: critic/total became nan at step 20<" in text
    # NaN is no row, and what follows in the log is not trusted
    found = json.loads(page.text["script"])["figures"]["frechet/ratio"]["runs"]
    assert [each and each["last"] for each in found] == [None, 2, 3]
    assert "No run has logged a figure yet" in write(tmp_path, empty, make_run(tmp_path / "new"))


def test_a_run_that_is_training_is_read_and_nothing_in_it_is_written(two, tmp_path):
    with (two[0] / "metrics.jsonl").open("a") as log:
        log.write('{"step": 70, "crit')
    before = {path: path.read_bytes() for path in two[0].rglob("*") if path.is_file()}
    write(tmp_path, *two)
    assert {path: path.read_bytes() for path in two[0].rglob("*") if path.is_file()} == before
    assert json.loads(ask(*two, "--json"))["runs"][0]["step"] == 60


def test_the_newest_pictures_are_shown_and_links_are_not_followed(two, tmp_path):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (2, 2)).save(secret)
    (two[1] / "samples" / "step-000000050.png").symlink_to(secret)
    (two[1] / "samples" / "final.png").symlink_to(secret)
    (two[0] / "samples" / "strip").mkdir()
    (two[0] / "samples" / "strip" / "step-000000010.png").write_text("no picture")
    found = gather_pictures(list(two))
    assert [each.caption for each in found[""]] == [
        "samples/final.png",
        "samples/step-000000040.png",
    ]
    assert [each.caption for each in found["strip"]] == [
        "samples/strip/step-000000010.png cannot be read: UnidentifiedImageError",
        "no picture",
    ]


def test_pictures_are_scaled_down_until_the_page_is_small(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "BUDGET", 200_000)
    runs = []
    for number in range(4):
        run = make_run(tmp_path / str(number))
        # noise, which PNG cannot make smaller
        Image.effect_noise((700, 500), 80).convert("RGB").save(run / "samples" / "final.png")
        runs.append(run)
    found = gather_pictures(runs)[""]
    assert sum(len(each.uri) for each in found) * 3 / 4 <= 200_000
    assert all(each.uri and "scaled to" in each.caption for each in found)


def test_more_curves_have_fewer_points():
    assert points_for(0) == points_for(10) == 400
    assert points_for(600) == 100
    assert points_for(10**6) == 40


# ── errors ────────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_be_compared_is_refused_with_a_fix(two, tmp_path):
    broken = make_run(tmp_path / "broken")
    (broken / "recipe.toml").write_text("= 1")
    blocked = tmp_path / "file"
    blocked.write_text("")
    cases = [
        (two[:1], "nothing to compare"),
        ((two[0], two[0]), "named twice"),
        ((two[0], tmp_path / "othre"), "did you mean"),
        ((two[0], tmp_path), "no run"),
        ((two[0], two[1] / "samples"), "part of the run"),
        ((two[0], broken), "no recipe"),
        ((*two, "--figures", "critic/totl"), "any of frechet/distance"),
        ((*two, "-o", "page.pdf"), "'page.pdf' is no .html file"),
        ((*two, "-o", "."), "'.' is no .html file"),
        ((*two, "-o", ""), "'.' is no .html file"),
        ((*two, "-o", blocked / "page.html"), "cannot be written"),
    ]
    for words, text in cases:
        with pytest.raises(UsageError, match=text) as raised:
            ask(*words)
        assert raised.value.fix, words
