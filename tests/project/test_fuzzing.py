"""Whatever a stranger's files and words hold: success, or a refusal in plain words; never another
exception.

Each property meets a hundred cases here, and many more under `-m slow`.
"""

import contextlib
import gzip
import io
import json
import struct
import tarfile
import tomllib
import warnings
from functools import cache
from math import prod

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gan_plugin_cifar import Cifar10
from gan_plugin_doctor.command import report
from gan_plugin_doctor.rules import examine, unchecked
from gan_plugin_doctor.series import Log
from gan_plugin_idx import Idx
from gan_plugin_image_folder.component import ImageFolder
from gan_plugin_pictures.gif import find_frames, load
from gan_plugin_plots.series import Series
from gancore import DataSpec, read_rows
from gancore.cli import main
from gancore.cli.recipes import as_object, explain
from gancore.errors import GanError
from gancore.plugins import discovery, loading
from gancore.plugins.component import options_of
from gancore.plugins.slots import SLOTS
from gancore.recipe import lookup
from gancore.recipe.compose import make, option_values, recipe_layers, resolve
from gancore.recipe.options import Given, Text, read_value
from gancore.recipe.settings import Settings
from gancore.recipe.toml import Layer, read_recipe
from gancore.tools import study, sweep
from gancore.tools.claims import read_claims

CASES, CASES_OF_ALL = 100, 4_000
SLOW_ONES = {
    "other commands": 20,
    "recipe text": 60,
    "recipe tables": 60,
}  # of them fewer in the ordinary suite
TOGETHER = [row for row in discovery.installed() if row.distribution.startswith("gan-plugin-")]
NAMES = [row.name for row in TOGETHER]


@cache
def option_names():
    return sorted(
        {name for row in TOGETHER for name in options_of(loading.load(row))}
        | set(options_of(Settings))
    )


# ── what a file may hold ──────────────────────────────────────────────────────────────────────────

words = st.text(max_size=12) | st.sampled_from(
    ["", "none", "./x.py", "..", "/", "os:system", "a=b", "x\0y", "${x}", "\x1b[2J"]
)
numbers = (
    st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from([0, -1, 1, 2**31, 2**63, 10**400, -0.0, 1e308, 5e-324])
)
scalars = st.booleans() | numbers | words | st.dates() | st.times() | st.datetimes()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
known = st.deferred(lambda: st.sampled_from(option_names()))
components = st.sampled_from(NAMES) | words
slots = st.sampled_from([*SLOTS])
tables = st.dictionaries(known | words, values, max_size=3)
recipes = st.dictionaries(
    slots
    | components
    | words
    | st.sampled_from(
        ["run", "format", "extends", "about", "sweep", "study", "when", "small", "compat"]
    ),
    components | st.lists(components, max_size=3) | tables | values,
    max_size=5,
)
published = st.deferred(
    lambda: st.sampled_from([path.read_text() for path in lookup.recipe_files().values()])
)


@st.composite
def damaged(draw, wholes, pieces):
    """Something that is right but for a few places."""
    whole = draw(wholes)
    for _ in range(draw(st.integers(1, 3))):
        at, gone = draw(st.integers(0, len(whole))), draw(st.integers(0, 12))
        whole = whole[:at] + draw(pieces) + whole[at + gone :]
    return whole


json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
).map(json.dumps)


# ── recipes ───────────────────────────────────────────────────────────────────────────────────────


def look_at_recipe(folder, content):
    """Do with a recipe all that is done before anything is built."""
    path = folder / "it.toml"
    path.write_bytes(content)
    chain = lookup.recipe_chain(str(path))
    json.dumps(as_object(chain[-1], "it"), default=str)
    list(explain(chain))
    made = resolve(recipe_layers(str(path)), lambda name: False)
    path.write_text(tomli_w.dumps(made.recipe()))
    assert resolve([read_recipe(path).layer], exact=True).recipe() == made.recipe()


def recipe_text(folder, text):
    look_at_recipe(folder, text.encode(errors="surrogatepass") if isinstance(text, str) else text)


def recipe_tables(folder, content):
    try:
        text = tomli_w.dumps(content)
    except (ValueError, TypeError):  # what TOML cannot hold
        return
    look_at_recipe(folder, text.encode(errors="replace"))


# ── options and words ─────────────────────────────────────────────────────────────────────────────

typed = st.text(max_size=9) | numbers.map(lambda value: repr(value)[:500]) | st.lists(numbers, max_size=4).map(
    lambda items: ",".join(repr(item)[:50] for item in items)
)  # fmt: skip


@st.composite
def options_typed(draw):
    row = draw(st.sampled_from(TOGETHER))
    declared = options_of(loading.load(row))
    chosen = (
        draw(st.lists(st.sampled_from(sorted(declared)), max_size=3, unique=True))
        if declared
        else []
    )
    return row, {
        name: draw(typed | st.sampled_from([*map(str, declared[name].choices), "true"]))
        for name in chosen
    }


def option_of_a_component(folder, case):
    row, given_words = case
    cls = loading.load(row)
    declared = options_of(cls)
    taken = {
        declared[k].name: read_value(k, declared[k], Given(Text(v), "here"))
        for k, v in given_words.items()
    }
    values = plain_of(make(row.name, cls, taken, "here"))
    again = tomllib.loads(tomli_w.dumps(values))
    back = {
        declared[k].name: read_value(k, declared[k], Given(v, "here")) for k, v in again.items()
    }
    assert plain_of(make(row.name, cls, back, "here")) == values


def plain_of(component):
    class Component:
        pass

    chosen = Component()
    chosen.component = component
    return option_values(chosen)


flags = st.deferred(
    lambda: st.sampled_from([*SLOTS, *options_of(Settings), "recipe", "out", "resume"])
)
command_words = st.lists(
    flags.map("--{}".format)
    | st.builds("--{}={}".format, flags | words, words)
    | st.builds("--{}.{}".format, components, known | words)
    | components
    | words.filter(lambda word: "\0" not in word)
    | st.sampled_from(
        [
            "--",
            "-",
            "-h",
            "=",
            "--=",
            "--.",
            "--.x",
            "-x",
            "\udcff",
            "--small",
            "--json",
            "--dry-run",
        ]
    ),
    max_size=6,
)


def command_line(folder, given_words):
    """Ask for help, which composes what the words choose and builds nothing."""
    answer("run", "--help", *(word.replace("\0", "") for word in given_words))


def other_commands(folder, given_words):
    for command in ("plugins", "recipes", "sample", "diagnose", "curves", "gif", "compare"):
        out = (
            []
            if command in ("plugins", "recipes", "diagnose", "compare")
            else ["-o", str(folder / "out.png")]
        )
        answer(command, *out, *(word.replace("\0", "") for word in given_words[:2]))


def answer(*given_words):
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main(list(given_words))
    assert ended.value.code in (0, 1, 2)
    assert "error: unexpected" not in err.getvalue(), err.getvalue()
    assert "\x1b" not in out.getvalue() + err.getvalue()


# ── data ──────────────────────────────────────────────────────────────────────────────────────────

sizes = st.lists(st.integers(0, 6) | st.sampled_from([2**16, 2**31, 2**32 - 1]), max_size=5)
idx_files = st.binary(max_size=80) | st.builds(
    lambda magic, sizes, content: struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + content,
    st.sampled_from([0x801, 0x803, 0x804, 0x803, 0x80D, 0x8FF, 0xD03]) | st.integers(0, 2**32 - 1),
    sizes,
    st.binary(max_size=220),
)


def idx_of(magic, sizes, seed):
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + bytes(
        (seed + i) % 7 for i in range(prod(sizes))
    )


right_idx = st.builds(
    idx_of, st.just(0x803), st.tuples(*[st.integers(1, 4)] * 3), st.integers(0, 9)
)
right_labels = st.builds(idx_of, st.just(0x801), st.tuples(st.integers(1, 4)), st.integers(0, 9))
idx_pairs = st.tuples(
    idx_files | right_idx | damaged(right_idx, st.binary(max_size=2)),
    st.none() | idx_files | right_labels,
)


def idx_header(folder, case):
    (images, labels), zipped = case
    for name, content in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        (folder / name).unlink(missing_ok=True)
        (folder / f"{name}.gz").unlink(missing_ok=True)
        if content is not None:
            path = folder / (f"{name}.gz" if zipped else name)
            path.write_bytes(gzip.compress(content, 1) if zipped else content)
    data = Idx(path=str(folder)).make_data(DataSpec())
    assert len(data) == len(data.samples)
    data.fingerprint()


members = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "test_batch.bin",
                "cifar-10-batches-bin/test_batch.bin",
                "../test_batch.bin",
                "data_batch_1",
            ]
        ),
        st.binary(max_size=40),
        st.sampled_from(
            [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
        ),
    ),
    max_size=3,
)


def archive(entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content, kind in entries:
            about = tarfile.TarInfo(name)
            about.type, about.size, about.linkname = (
                kind,
                len(content) * (kind == tarfile.REGTYPE),
                "test_batch.bin",
            )
            tar.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


cifar_files = st.builds(
    lambda whole, zipped: gzip.compress(whole, 1) if zipped else whole,
    members.map(archive)
    | damaged(members.map(archive), st.binary(max_size=9))
    | st.binary(max_size=60),
    st.booleans(),
) | damaged(members.map(archive).map(gzip.compress), st.binary(max_size=9))


def cifar_bytes(folder, case):
    content, as_archive = case
    path = folder / ("cifar-10-binary.tar.gz" if as_archive else "test_batch.bin")
    path.write_bytes(content)
    try:
        with pytest.raises(GanError):  # none of them has the thirty million bytes of a batch
            Cifar10(path=str(path if as_archive else folder), split="test").make_data(DataSpec())
    finally:
        path.unlink()


cells = (
    words
    | numbers.map(lambda value: repr(value)[:40])
    | st.sampled_from(["a.png", "b.png", "c.png", "fire", "water"])
)
csv_texts = st.text(max_size=60) | st.builds(
    lambda rows, separator, end: end.join(separator.join(row) for row in rows),
    st.lists(st.lists(cells, min_size=1, max_size=3), max_size=5).map(lambda rows: [["file", "class"], *rows])
    | st.lists(st.lists(cells, max_size=3), max_size=5),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
)  # fmt: skip
right_csv = st.just("file,type\na.png,fire\nb.png,water\nc.png,fire\n")
right_json = st.sampled_from(
    [
        '{"a.png": "fire", "b.png": "water", "c.png": "fire"}',
        '[{"file": "a.png", "type": "fire", "hue": 3}]',
    ]
)


def label_file(name):
    def attempt(folder, text):
        if not (folder / "a.png").exists():
            for shade, stem in enumerate("abc"):
                Image.new("L", (8, 8), shade).save(folder / f"{stem}.png")
        (folder / name).write_bytes(text.encode(errors="surrogatepass"))
        data = ImageFolder(path=str(folder), cache="memory").make_data(DataSpec())
        assert len(data) <= 3
        for column, each in enumerate(data.label_sets):
            assert data.labels[:, column].max() < len(each)

    return attempt


def picture_bytes(folder, content):
    (folder / "samples").mkdir(exist_ok=True)
    (folder / "samples" / "step-1.png").write_bytes(content)
    load(find_frames(folder / "samples"))


@cache
def right_png():
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((9, 9)).convert("RGB").save(buffer, "png")
    return buffer.getvalue()


# ── logs and sweeps ───────────────────────────────────────────────────────────────────────────────

figures = st.sampled_from([
    "seconds", "critic/bce/real", "critic/bce/fake", "generator/bce/fake", "critic/score_real", "critic/total",
    "class-accuracy/fake", "class-accuracy/real", "collapse/ratio", "frechet/distance", "colorpicker/palette-usage",
]) | st.text(max_size=9)  # fmt: skip
rows_of_a_log = st.dictionaries(
    figures, numbers.filter(lambda value: abs(value) != 10**400) | values, max_size=5
)


def log_line(row, step):
    try:
        return json.dumps({**row, **({} if step is None else {"step": step})}, default=str)
    except (TypeError, ValueError):
        return "{"


logs = st.lists(
    json_texts
    | st.text(max_size=20)
    | st.builds(log_line, rows_of_a_log, st.none() | st.integers(-2, 99) | numbers)
    | st.builds(log_line, st.dictionaries(figures, st.floats(-1e300, 1e300), max_size=5), st.integers(0, 999)),
    max_size=8,
) | st.builds(
    lambda row, count: [log_line(row, step) for step in range(count)],
    st.dictionaries(figures, st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9),
    st.integers(40, 130),
)  # fmt: skip


def metrics_lines(folder, lines):
    (folder / "recipe.toml").touch()
    (folder / "metrics.jsonl").write_bytes("\n".join([*lines, ""]).encode(errors="replace"))
    rows = read_rows(folder)
    Series().add(rows).shown()
    sweep.final_figures(rows)
    log = Log(rows)
    assert log.step >= 0
    [report(finding) for finding in examine(log)]
    unchecked(log)


claims = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("says", "figure", "less", "more", "same", "other"), values)
)
arm_changes = st.dictionaries(
    slots | components | st.just("extends"), components | tables | values, max_size=3
)
sweeps = st.fixed_dictionaries(
    {},
    optional={
        "arms": st.dictionaries(words, arm_changes, max_size=3) | values,
        "seeds": numbers | values,
        "figures": st.lists(words | scalars, max_size=2) | values,
        "claims": st.lists(claims, max_size=2) | values,
        "more": values,
    },
)


right_arms = st.dictionaries(
    words.filter(bool), st.just({"latent": "uniform"}), min_size=1, max_size=1
)
right_sweeps = st.fixed_dictionaries(
    {"arms": right_arms}, optional={"seeds": st.integers(-1, 3), "figures": st.just([])}
)


def sweep_table(folder, table):
    arms = sweep.arms_of_recipe(table, [], [])
    read_claims(table, list(arms))
    sweep.plan_trials(
        arms, Layer("words"), min(2, table.get("seeds", 2)), folder, lambda name: False
    )


studies = st.fixed_dictionaries(
    {},
    optional={
        "arms": st.dictionaries(words, arm_changes, max_size=3) | values,
        "figure": words | st.just("frechet/ratio") | values,
        "better": st.sampled_from(["less", "more"]) | values,
        "scale": st.sampled_from(["log", "linear"]) | values,
        "last": st.integers(-1, 9) | values,
        "seeds": st.integers(-1, 3) | numbers | values,
        "secondary": st.lists(words | scalars, max_size=2) | values,
        "more": values,
    },
)
right_studies = st.fixed_dictionaries(
    {"arms": right_arms, "figure": st.just("frechet/ratio")},
    optional={"seeds": st.integers(-1, 3), "secondary": st.just(["seconds"])},
)


def study_table(folder, table):
    arms, against = study.read_arms(table, [], [])
    design = study.make_design(table, list(arms), against)
    sweep.plan_trials(arms, Layer("words"), min(2, design.seeds), folder, lambda name: False)


def varied_words(folder, vary):
    arms = sweep.arms_of_words(vary, [], Layer("words"))
    if len(arms) <= 4:
        sweep.plan_trials(arms, Layer("words"), 1, folder, lambda name: False)


varied = st.lists(
    st.builds(
        "{}={}".format,
        slots | known | st.builds("{}.{}".format, components, known) | words,
        components | typed,
    )
    | st.builds("{}={},{}".format, slots | known | words, components | typed, components | typed)
    | words,
    max_size=2,
)

PROPERTIES = {
    "recipe text": (
        st.binary(max_size=99) | st.text(max_size=99) | damaged(published, st.text(max_size=9)),
        recipe_text,
    ),
    "recipe tables": (recipes, recipe_tables),
    "options of a component": (options_typed(), option_of_a_component),
    "command line": (command_words, command_line),
    "other commands": (command_words, other_commands),
    "idx": (st.tuples(idx_pairs, st.booleans()), idx_header),
    "cifar": (st.tuples(cifar_files, st.booleans()), cifar_bytes),
    "labels.csv": (csv_texts | damaged(right_csv, st.text(max_size=5)), label_file("labels.csv")),
    "labels.json": (
        json_texts | st.text(max_size=40) | damaged(right_json, st.text(max_size=5)),
        label_file("labels.json"),
    ),
    "pictures": (damaged(st.builds(right_png), st.binary(max_size=9)), picture_bytes),
    "metrics": (logs, metrics_lines),
    "sweep tables": (sweeps | right_sweeps, sweep_table),
    "study tables": (studies | right_studies, study_table),
    "varied words": (varied | st.just(["batch=2,3"]), varied_words),
}


ALWAYS_REFUSED = {"cifar"}
NEVER_RAISING = {"command line", "other commands"}  # they report what they refuse


def hunt(name, cases, folder, *, anew):
    strategy, attempt = PROPERTIES[name]
    outcomes = set()

    @settings(
        max_examples=cases,
        derandomize=not anew,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def only_clean_errors(case):
        try:
            attempt(folder, case)
            outcomes.add("done")
        except GanError as error:
            assert error.what
            outcomes.add("refused")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        only_clean_errors()
    assert ("done" in outcomes) and (
        "refused" in outcomes or name in ALWAYS_REFUSED | NEVER_RAISING
    )


@pytest.mark.parametrize("name", PROPERTIES)
def test_nothing_but_success_or_a_plain_refusal_comes_of_any(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    hunt(name, SLOW_ONES.get(name, CASES), tmp_path, anew=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROPERTIES)
def test_nothing_else_comes_of_four_thousand_cases_in_all(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    hunt(name, -(-CASES_OF_ALL // len(PROPERTIES)), tmp_path, anew=True)
