"""A stranger's checkpoint or run is believed only where it has the form we write; it runs no code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from support import hostile_checkpoints as hostile
from support.example_components import Average
from support.fault_injection_disk import reseal, snapshot
from support.paths import TESTS
from support.tables import every_row

from gancore import CheckpointError, Run, UsageError, component, compose, hookimpl
from gancore.run import directory, strict_json
from gancore.run.checkpoint import reader, safetensors_header, schema, verified, writer
from gancore.run.checkpoint.state import capture, restore
from gancore.testing import assert_equal, train

CASES = hostile.cases()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return writer.write(tmp_path_factory.mktemp("pristine"), snapshot(1), {})


@pytest.fixture
def folder(pristine, tmp_path):
    """A checkpoint to be spoilt."""
    return Path(shutil.copytree(pristine, tmp_path / pristine.name))


# ── one rule broken at a time ─────────────────────────────────────────────────────────────────────


@every_row("name", CASES)
def test_a_checkpoint_that_breaks_a_rule_is_refused_with_the_reason(folder, name):
    spoil, what = CASES[name]
    spoil(folder)
    with pytest.raises(CheckpointError, match=what):
        reader.read(folder)
    assert verified.faults(folder)


@every_row("kind", ["link", "file", "pipe", "dangling-link", "nothing"])
def test_a_checkpoint_must_be_a_real_folder_item1(folder, kind):
    place = folder.with_name("step-000000002")
    make = {
        "link": lambda: place.symlink_to(folder),
        "file": lambda: place.write_text("{}"),
        "pipe": lambda: os.mkfifo(place),
        "dangling-link": lambda: place.symlink_to("nowhere"),
        "nothing": lambda: None,
    }
    make[kind]()
    with pytest.raises(CheckpointError, match="step-000000002 is no folder"):
        reader.read(place)
    found, _ = reader.newest(folder.parent)
    assert found.folder == folder
    writer.prune(folder.parent, 1)
    assert folder.exists()


def test_a_checkpoint_under_the_name_of_another_step_is_refused(folder):
    with pytest.raises(CheckpointError, match="it is of step 1"):
        reader.read(folder.rename(folder.with_name("step-000000009")))


def test_a_checkpoint_may_be_moved_to_a_folder_of_any_other_name(folder):
    assert reader.read(folder.rename(folder.with_name("backup"))).snapshot.state["step"] == 1


def test_weights_of_other_names_shapes_and_types_are_refused_item6(tmp_path):
    training = train()
    captured = capture(training)
    for name, change in {
        "missing": lambda critic: critic.popitem(),
        "unexpected": lambda critic: critic.update({"backdoor": torch.zeros(1)}),
        r"\[1, 1\]": lambda critic: critic.update(dict.fromkeys(critic, torch.zeros(1, 1))),
        "float64": lambda critic: critic.update(
            {key: each.double() for key, each in critic.items()}
        ),
    }.items():
        critic = dict(captured.files["critic"])
        change(critic)
        with pytest.raises(CheckpointError, match=name):
            restore(training, snapshot_like(captured, critic=critic))
        assert_equal(captured, capture(training))


def snapshot_like(captured, state=None, **files):
    return type(captured)({**captured.files, **files}, {**captured.state, **(state or {})})


@every_row(
    ("tensors", "groups", "what"),
    [
        (
            {"critic/nobody/momentum_buffer": torch.zeros(1)},
            None,
            "unexpected nobody/momentum_buffer",
        ),
        ({"critic/lonely": torch.zeros(1)}, None, "unexpected lonely"),
        (
            {"critic/score.weight/momentum_buffer": torch.zeros(9999)},
            None,
            "larger than its weight",
        ),
        ({}, [], "0 groups of weights, not 1"),
        ({}, [{"lr": "fast"}], "lr is 'fast', not like 0.05"),
        ({}, [{"lr": True}], "lr is True, not like 0.05"),
        ({}, [{"nesterov": {}}], "nesterov is"),
    ],
)
def test_the_state_of_another_optimiser_is_refused_before_anything_changes_item6(
    tensors, groups, what
):
    training = train()
    before = capture(training)
    state = {
        "optimizers": {
            **before.state["optimizers"],
            **({} if groups is None else {"critic": groups}),
        }
    }
    with pytest.raises(CheckpointError, match=what):
        restore(training, snapshot_like(before, state, optim={**before.files["optim"], **tensors}))
    assert_equal(before, capture(training))


@component(source="a test")
class Adam:
    """Keep two moments of a weight, and how many steps were made."""

    @hookimpl
    def make_optimizer(self, params):
        return torch.optim.Adam([weight for _, weight in params], lr=0.01)


def trained(optimizer):
    training = train(optimizer)
    training.train_step()
    return training


def whole_state(training):
    captured = capture(training)
    return type(captured)(captured.files, {**snapshot(0).state, **captured.state})


MOMENT = "critic/score.weight/exp_avg"


@every_row(
    ("change", "what"),
    [
        (
            lambda optim: optim.update({MOMENT: optim[MOMENT].int()}),
            "score.weight/exp_avg is .*int32.*, not .*float32",
        ),
        (
            lambda optim: optim.update({MOMENT: optim[MOMENT].T.contiguous()}),
            r"exp_avg is \(\[\d+, 1\].*not \(\[1, \d+\]",
        ),
        (
            lambda optim: optim.update({f"{MOMENT}erage": optim.pop(MOMENT)}),
            "missing score.weight/exp_avg",
        ),
        (
            lambda optim: optim.update({f"{MOMENT}_more": optim[MOMENT]}),
            "unexpected score.weight/exp_avg_more",
        ),
        (
            lambda optim: optim.update({"nobody/x/exp_avg": optim[MOMENT]}),
            "unexpected nobody/x/exp_avg",
        ),
    ],
)
def test_moments_that_the_optimiser_would_not_keep_are_refused_item6(change, what):
    training = trained(Adam())
    before = capture(training)
    optim = dict(before.files["optim"])
    change(optim)
    with pytest.raises(CheckpointError, match=what):
        restore(training, snapshot_like(before, optim=optim))
    assert_equal(before, capture(training))


def test_the_state_of_a_component_that_is_not_chosen_is_refused_item6():
    training = train(Average())
    before = capture(training)
    more = {**before.files["components"], "stranger/weights": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="unexpected stranger/weights"):
        restore(training, snapshot_like(before, components=more))
    state = {
        "components": {
            **before.state["components"],
            "stranger": before.state["components"]["average"],
        }
    }
    with pytest.raises(CheckpointError, match="unexpected stranger"):
        restore(training, snapshot_like(before, state))


# what is changed in a file of tensors, whose sums are then put right
MOVED = {
    "another-type": (lambda tensors, name: tensors.update({name: tensors[name].int()}), "is I32"),
    "transposed": (
        lambda tensors, name: tensors.update({name: tensors[name].reshape(1, -1)}),
        "is F32[1, ",
    ),
    "renamed": (
        lambda tensors, name: tensors.update({f"{name}x": tensors.pop(name)}),
        "is missing; ",
    ),
    "more": (
        lambda tensors, name: tensors.update({f"{name}x": tensors[name].clone()}),
        "was not saved",
    ),
    "fewer": (lambda tensors, name: tensors.pop(name), "is missing"),
}


@every_row("change", MOVED)
@every_row("part", ["generator", "critic", "optim", "components"])
def test_a_tensor_that_was_not_saved_so_is_found_and_named_without_torch(tmp_path, part, change):
    folder = writer.write(tmp_path, whole_state(trained(Average())), {})
    path = folder / f"{part}.safetensors"
    tensors = load(path.read_bytes())
    name = max(tensors, key=lambda each: tensors[each].dim())
    MOVED[change][0](tensors, name)
    path.write_bytes(save(tensors))
    reseal(folder)
    (fault,) = verified.faults(folder)
    assert f"{part}.safetensors does not hold what was saved: {name}" in fault or change == "more"
    assert MOVED[change][1] in fault
    with pytest.raises(CheckpointError, match="does not hold what was saved"):
        reader.read(folder)


# ── whole runs ────────────────────────────────────────────────────────────────────────────────────

TINY = [
    "--data",
    "mixture",
    "--gen",
    "mlp",
    "--critic",
    "mlp-critic",
    "--batch",
    "4",
    "--save-every",
    "1",
    "--device",
    "cpu",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two steps."""
    place = tmp_path_factory.mktemp("finished")
    small = {"steps": 2, "batch": 4, "save_every": 1, "device": "cpu"}
    Run.start(
        compose(data="mixture", gen="mlp", critic="mlp-critic", settings=small), place / "run"
    ).fit()
    return place / "run"


@pytest.fixture
def run(finished, tmp_path):
    """The run, beside a file of the user's that no link may reach."""
    (tmp_path / "thesis.txt").write_text("all of it")
    (tmp_path / "elsewhere").mkdir()
    return Path(shutil.copytree(finished, tmp_path / "run"))


def put(path, kind):
    """Put a link, a pipe or a folder where a file was, or a link or a file where a folder was."""
    was_folder = path.is_dir()
    if was_folder:
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(path.parent.parent / ("elsewhere" if was_folder else "thesis.txt"))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text(kind)


def untouched(place):
    return (place / "thesis.txt").read_text() == "all of it" and not any(
        (place / "elsewhere").iterdir()
    )


@every_row(
    ("name", "kind"),
    [
        *(
            (name, kind)
            for name in ("recipe.toml", "metrics.jsonl", "run.json", "lock")
            for kind in ("link", "pipe")
        ),
        *((name, kind) for name in ("samples", "checkpoints") for kind in ("link", "pipe")),
        ("samples/final.png", "link"),
        ("samples/curves.png", "link"),
        ("tensorboard", "link"),
    ],
)
def test_a_run_with_a_link_or_a_pipe_in_it_is_not_gone_on_with(run, gan_here, name, kind):
    put(run / name, kind)
    done = gan_here("run", "--resume", "run", "--steps", "3", check=2)
    assert str(name).partition("/")[0] in done.stderr
    assert untouched(run.parent)


@every_row("name", ["recipe.toml", "metrics.jsonl", "run.json", "lock"])
def test_a_folder_in_place_of_a_file_of_a_run_gives_a_sentence(run, gan_here, name):
    put(run / name, "folder")
    gan_here(
        "run",
        "--resume",
        "run",
        "--steps",
        "3",
        check={"recipe.toml": 2, "lock": 2, "run.json": 0}.get(name, 1),
    )


@every_row("name", ["samples", "checkpoints"])
def test_a_file_in_place_of_a_folder_of_a_run_gives_a_sentence(run, gan_here, name):
    put(run / name, "in the way")
    assert "in the way" not in gan_here("run", "--resume", "run", "--steps", "3", check=1).stderr


@every_row("content", ["[]", "{", "[" * 100_000, '{"a": 1}', "\0"])
def test_whatever_run_json_holds_a_run_goes_on(run, gan_here, content):
    (run / "run.json").write_text(content)
    gan_here("run", "--resume", "run", "--steps", "3")
    assert json.loads((run / "run.json").read_text())["step"] == 3


TORN = [b"", b"1\n", b"[]\n", b"null\n", b"[" * 100_000 + b"\n", b"\xff\n", bytes(2 << 20)]


@every_row("content", TORN)
def test_a_log_is_read_up_to_what_is_no_row(tmp_path, content):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + content + b'\n{"step": 2}\n')
    assert directory.rows_in(path) == [{"step": 1}]


@every_row("kind", ["link", "pipe", "folder"])
def test_a_log_that_is_no_file_is_not_read(run, kind):
    put(run / "metrics.jsonl", kind)
    with pytest.raises(UsageError, match=r"metrics.jsonl cannot be read: "):
        directory.rows_in(run / "metrics.jsonl")


def test_a_log_of_a_TiB_of_nothing_is_not_read_into_memory(run):
    os.truncate(run / "metrics.jsonl", hostile.TIB)
    assert directory.rows_in(run / "metrics.jsonl")[-1]["step"] == 2


def test_a_hostile_newest_checkpoint_is_passed_over_for_the_one_before(run, gan_here):
    newest = writer.steps(run / "checkpoints")[-1]
    CASES["item5-name-up-and-away"][0](newest)
    done = gan_here("run", "--resume", "run", "--steps", "3")
    assert (
        "step-000000002: critic.safetensors is refused: '../../x' is no name of a tensor"
        in done.stderr
    )


def test_no_hostile_checkpoint_runs_code_opens_a_socket_or_writes_outside_its_run(
    finished, tmp_path
):
    words = [sys.executable, "-m", "support.audit_hostile_checkpoints", finished, tmp_path]
    done = subprocess.run(words, cwd=TESTS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{len(CASES)} opened"


# ── any bytes at all ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=[60, pytest.param(1000, marks=pytest.mark.slow)])
def search(request):
    """Return a function that tries many values of a strategy, the same each time."""

    def run(strategy, check):
        def tried(value):
            check(value)

        quiet = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
        settings(max_examples=request.param, derandomize=True, **quiet)(given(strategy)(tried))()

    return run


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.sampled_from(
        [0, 1, 2**31 - 1, 2**63 - 1, "critic", "generator", "state.json", "../x", "lr", ""]
    )
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def spoilt(draw, value):
    """Change a JSON value somewhere: replace, remove, add or repeat a part."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 4)):
        copy = value.copy()
        key = (
            draw(st.sampled_from(sorted(value)))
            if isinstance(value, dict)
            else draw(st.integers(0, len(value) - 1))
        )
        change = draw(st.integers(0, 5))
        if change == 0:
            del copy[key]
        elif change == 1 and isinstance(copy, dict):
            copy[draw(st.text(max_size=8))] = draw(json_values)
        elif change == 1:
            copy.append(draw(json_values))
        else:
            copy[key] = draw(spoilt(value[key]))
        return copy
    return draw(json_values)


@st.composite
def bytes_of(draw, value):
    """Write a changed JSON value, at times with bytes cut, flipped or put in."""
    raw = bytearray(json.dumps(draw(spoilt(value))).encode())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        place = draw(st.integers(0, len(raw)))
        raw[place : place + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b"{", b"[[", b'"'])
        )
    return bytes(raw)


@pytest.fixture
def believed(pristine, tmp_path):
    """Return a function that puts one file into a checkpoint, sealed, and says whether it is
    believed then.
    """
    place = Path(shutil.copytree(pristine, tmp_path / pristine.name))

    def check(name, content):
        for each in ("manifest.json", "SHA256SUMS"):
            (place / each).write_bytes((pristine / each).read_bytes())
        hostile.write(place, name, content)
        try:
            reader.read(place)
        except CheckpointError:
            assert verified.faults(place)
            return False
        assert not verified.faults(place)
        return True

    return check


def test_any_manifest_is_believed_or_refused(search, believed, pristine):
    seen = set()
    content = json.loads((pristine / "manifest.json").read_text())
    search(bytes_of(content), lambda raw: seen.add(believed("manifest.json", raw)))
    assert seen == {True, False}


def test_any_state_is_believed_or_refused(search, believed):
    seen = set()
    search(bytes_of(dict(snapshot(1).state)), lambda raw: seen.add(believed("state.json", raw)))
    assert seen == {True, False}


def test_any_sums_are_believed_or_refused(search, believed, pristine):
    lines = (pristine / "SHA256SUMS").read_bytes().splitlines(keepends=True)
    odd = st.sampled_from(
        [
            *lines,
            b"\n",
            b"\r\n",
            hostile.line("x"),
            hostile.line("../x"),
            hostile.line(".x"),
        ]
    )
    some = st.lists(odd | st.binary(max_size=80) | st.sampled_from(lines), max_size=10)
    search(some.map(b"".join) | st.just(b"".join(lines)), lambda raw: believed("SHA256SUMS", raw))


def test_any_header_is_refused_or_of_a_file_that_the_library_reads_alike(search):
    header = {
        "__metadata__": {"format": "pt"},
        "a/b.c": {"dtype": "U8", "shape": [2, 2], "data_offsets": [0, 4]},
        "flag": {"dtype": "BOOL", "shape": [], "data_offsets": [4, 5]},
        "none": {"dtype": "F32", "shape": [0, 7], "data_offsets": [5, 5]},
        "z": {"dtype": "F16", "shape": [1], "data_offsets": [5, 7]},
    }
    seen = []

    def check(raw):
        content = hostile.tensors(raw, bytes(7))
        try:
            safetensors_header.check(content)
        except ValueError:
            return
        found, wanted = load(content), strict_json.parse(raw)
        wanted.pop("__metadata__", None)
        assert {name: list(tensor.shape) for name, tensor in found.items()} == {
            name: entry["shape"] for name, entry in wanted.items()
        }
        seen.append(raw)

    search(bytes_of(header), check)
    assert seen


def test_whatever_tensors_are_saved_pass_our_own_check(search):
    dtypes = st.sampled_from(
        [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
    )
    words = st.sampled_from(["generator", "blocks", "0", "weight", "exp_avg", "_orig", "my-trick"])
    names = st.builds(str.join, st.sampled_from("./"), st.lists(words, min_size=1, max_size=3))
    shapes = st.lists(st.integers(0, 4), max_size=4)
    some = st.dictionaries(names, st.builds(torch.ones, shapes, dtype=dtypes), max_size=5)
    search(some, lambda tensors: safetensors_header.check(save(tensors)))


def test_any_state_of_the_right_form_is_taken_whole_or_not_at_all(search):
    training = train()
    training.train_step()
    whole = capture(training)
    form = {**snapshot(1).state, **whole.state}

    def check(state):
        before = capture(training)
        try:
            schema.check_state(strict_json.parse(json.dumps(state).encode()))
        except ValueError:
            return
        try:
            restore(training, snapshot_like(whole, state))
        except CheckpointError:
            assert_equal(before, capture(training))

    search(
        spoilt({key: form[key] for key in ("step", "optimizers", "components")}).map(
            lambda s: merged(form, s)
        ),
        check,
    )


def merged(form, changes):
    return {**form, **changes} if isinstance(changes, dict) else form
