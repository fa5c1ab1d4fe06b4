"""Faults of recipes and command lines, by the rows of the reliability specification: refused with
exit code 2.

One real process meets them all, in this order, and reports for each what it said and which plugins
it had imported. Other rows, or other halves of these, have their tests beside what they test: look
for the identifier.
"""

import json
import os
import subprocess
import sys
import tomllib

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.tables import every_row

from gancore import compose
from gancore.plugins import discovery
from gancore.recipe.compose import resolve
from gancore.recipe.toml import layer_of, read_recipe

TINY = ("--data", "mixture", "--gen", "mlp", "--critic", "mlp-critic", "--batch", "4")
DRIVER = """
import contextlib, io, json, sys
from gancore.cli import main

def answer(words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as ended:
            code = ended.code
    imported = sorted({name.partition(".")[0] for name in sys.modules if name.startswith("gan_plugin")})
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "imported": imported}

print(json.dumps([answer(words) for words in json.load(sys.stdin)]))
"""

# (identifier, recipe, what is said): none may import a plugin
OF_A_FILE = [
    (
        "C01-key-of-a-component-that-is-not-chosen",
        "sigma = 1",
        ["no key 'sigma'", "it.toml:1:1", "belongs to"],
    ),
    (
        "C01-key-of-one-component-alone",
        "fresh-reals = 1",
        ["no key 'fresh-reals'", "belongs to n-critic: --schedule n-critic chooses it"],
    ),
    (
        "C01-key-of-the-run",
        "\n\n  batch = 3",
        ["it.toml:3:3", "a setting of the run: --batch VALUE, or [run]"],
    ),
    (
        "C02-unknown-component-in-a-list",
        'reg = [\n"instance-nose",\n]',
        ["did you mean instance-noise?", "it.toml:1:1"],
    ),
    (
        "C03-wrong-kind",
        'loss = "instance-noise"',
        ["is of kind regularizer, not loss", "--reg instance-noise"],
    ),
    ("C10-nothing-after-the-equals", "[run]\nsteps = ", ["is no TOML", "it.toml:2:9"]),
    ("C10-bare-word", "gen = dcgan", ["is no TOML", "it.toml:1:7"]),
    ("C10-open-string", 'gen = "dcgan\nloss = "bce"', ["is no TOML", "it.toml:1:13"]),
    ("C11-key-twice", 'gen = "dcgan"\ngen = "mlp"\n', ["Cannot overwrite a value", "it.toml:2:12"]),
    ("C11-table-twice", "[run]\nsteps = 1\n[run]\nbatch = 2\n", ["Cannot declare", "it.toml:3:5"]),
    ("C11-table-over-a-key", "run.steps = 1\n[run]\nbatch = 2\n", ["is no TOML", "it.toml:2:5"]),
    ("C13-utf-16", 'gen = "dcgan"'.encode("utf-16"), ["cannot be read", "saved as UTF-8"]),
    ("C13-latin-1", 'gen = "é"'.encode("latin-1"), ["cannot be read", "byte 0xe9"]),
    (
        "C15-include",
        'include = "other.toml"',
        ["no key 'include'", 'extends = "NAME"; there are no variables'],
    ),
    ("C22-newer-format", "\nformat = 2", ["format 2; this gancore reads 1", "it.toml:2:1"]),
    ("C25-nested-1000-deep", "gen = " + "[" * 1000 + "]" * 1000, ["no TOML"]),
    ("C25-tables-1000-deep", "[" + ".".join("a" * 1000) + "]\nx = 1", ["no TOML"]),
    ("C25-10-MB-string", 'gen = "' + "x" * (10 << 20) + '"', ["larger than 1 MiB"]),
    (
        "C25-string-below-the-limit",
        'gen = "' + "x" * (1 << 19) + '"',
        ["no generator is called 'xxx", " …\n"],
    ),
    ("C25-date-for-a-name", "\ndata = 2026-01-01", ["must be one name", "it.toml:2:1"]),
    (
        "C07-more-digits-than-python-reads",
        "[run]\nseed = " + "9" * 5000,
        ["no TOML", "4300 digits"],
    ),
    ("C01-nul-in-a-name", 'gen = "\\u0000"', ["no generator is called '\\x00'"]),
    ("C12-nul-in-extends", 'extends = "\\u0000.toml"', ["\\x00.toml cannot be read"]),
    (
        "C12-extends-of-no-name",
        'extends = "no"',
        ["no recipe is called 'no'", "where: extends, in C12-extends-of-no-name/it.toml"],
    ),
    ("C24-component-file", 'reg = ["./trick.py"]', ["would run code", "--reg"]),
    ("C24-component-file-by-alias-and-class", 'reg = ["a=./trick.py:Trick"]', ["would run code"]),
    ("C24-nul-in-a-component-file", 'reg = ["./\\u0000.py"]', ["there is no file"]),
]
# (identifier, name of the file, what is said)
OF_NO_RECIPE = [
    ("C12-missing", "missing.toml", ["there is no such file"]),
    ("C12-folder", "folder.toml", ["it is a folder or device"]),
    ("C12-fifo", "fifo.toml", ["it is a folder or device"]),
    ("C12-unreadable", "unreadable.toml", ["cannot be read: Input/output error"]),
    ("C12-no-name-at-all", "", ["no recipe is called ''"]),
]
OF_WORDS = [
    (
        "C01-flag-of-one-component",
        ["--hidden", "3"],
        ["belongs to mlp, maxout-critic, mlp-critic", "--NAME.hidden VALUE"],
    ),
    ("C12-recipe-that-is-a-folder", ["--recipe", "folder.toml"], ["folder or device"]),
    (
        "C14-setting-twice",
        ["--batch", "4", "--batch", "4"],
        ["--batch is given twice", "--batch 4 --batch 4"],
    ),
    ("C14-slot-twice", ["--gen", "mlp", "--gen", "dcgan"], ["--gen is given twice"]),
    ("C14-out-twice", ["--out", "a", "--out", "b"], ["--out is given twice"]),
    (
        "C14-setting-by-two-spellings",
        ["--batch", "4", "--run.batch", "4"],
        ["--run.batch is given twice"],
    ),
    (
        "C17-resume-with-a-recipe",
        ["--resume", "r", "--recipe", "default"],
        ["cannot be combined with --recipe"],
    ),
    ("C17-small-without-a-recipe", ["--small"], ["--small is a variant of a recipe"]),
    ("C26-setting-cut-short", ["--bat", "4"], ["no option '--bat'", "did you mean --batch?"]),
    ("C26-slot-cut-short", ["--crit", "mlp-critic"], ["no option '--crit'", "--critic"]),
    ("C26-switch-cut-short", ["--dry"], ["no option '--dry'"]),
    ("C26-name-of-a-component-cut-short", ["--gen", "colorpick"], ["did you mean colorpicker?"]),
    ("C13-word-that-is-no-utf-8", ["--image-folder.path", "\udcff"], ["bytes that are no UTF-8"]),
]
# these need the chosen components, and those alone
OF_OPTIONS = [
    (
        "C01-option-of-one-that-is-not-chosen",
        "[mlp]\nsigma = 1",
        ["mlp has no option 'sigma'", "it.toml:2:1"],
    ),
    (
        "C01-key-in-an-inline-table",
        "mlp = { hiden = [3] }",
        ["did you mean hidden?", "it.toml:1:9"],
    ),
    ("C01-dotted-key", "mlp.hiden = [3]", ["did you mean hidden?", "it.toml:1:1"]),
    (
        "C01-component-that-is-not-chosen",
        "[instance-noise]\nsigma = 1",
        ["--reg instance-noise chooses it", "it.toml:2"],
    ),
    (
        "C04-text-for-a-number",
        '[adam]\nlr = "0.2"',
        ["adam.lr is '0.2', but must be a number", "it.toml:2:1"],
    ),
    (
        "C04-true-for-a-whole-number",
        "[run]\nsteps = true",
        ["run.steps is True, but must be a whole number"],
    ),
    ("C04-fraction-for-a-whole-number", "[run]\nsteps = 1.5", ["must be a whole number"]),
    (
        "C05-out-of-range",
        "[adam]\nlr = -1",
        ["must be at least 0", "it.toml:2:1", "the default is"],
    ),
    ("C06-nan", "[adam]\nlr = nan", ["must be a finite number"]),
    ("C06-inf", "[adam]\nlr = inf", ["must be a finite number"]),
    ("C06-1e400", "[adam]\nlr = 1e400", ["must be a finite number"]),
    ("C06-negative-zero", "[adam]\nlr = -0.0", ["must be 0 without a sign"]),
    ("C07-64-bits", "[run]\nseed = 9223372036854775808", ["at most 63 bits", "it.toml:2:1"]),
    ("C07-as-a-number", "[adam]\nlr = 1" + "0" * 400, ["must be a finite number"]),
    (
        "C08-list-where-one-is-due",
        "[adam]\nbeta1 = [0.5, 0.9]",
        ["must be a number", "it.toml:2:1"],
    ),
    (
        "C09-no-choice",
        '[bce]\nmode = "minimax"',
        ["one of non-saturating, saturating", "it.toml:2:1"],
    ),
    (
        "C15-variable",
        '[run]\nsteps = "${STEPS}"',
        ["must be a whole number", "there are no variables"],
    ),
    ("C18-critic-steps-0", "[n-critic]\ncritic = 0", ["the critic would never learn"]),
    ("C20-negative-seed", "[run]\nseed = -1", ["run.seed is -1", "at least 0"]),
    ("C25-date-for-a-number", "[adam]\nlr = 2026-01-01", ["must be a number", "it.toml:2:1"]),
    ("C25-table-for-a-number", "[adam]\nlr = { a = 1 }", ["must be a number"]),
    ("C09-fault-of-a-variant", '[small.bce]\nmode = "minimax"', ["it.toml:2:1"], "--small"),
]
TABLE = [
    *((name, ["--recipe", f"{name}/it.toml"], said, False) for name, _, said in OF_A_FILE),
    *((name, ["--recipe", file], said, False) for name, file, said in OF_NO_RECIPE),
    *((name, words, said, False) for name, words, said in OF_WORDS),
    *(
        (name, ["--recipe", f"{name}/it.toml", *TINY, *more], said, True)
        for name, _, said, *more in OF_OPTIONS
    ),
    ("C20-seed-of-64-bits", ["--seed", str(2**63), *TINY], ["at most 63 bits"], True),
    (
        "C19-cuda-7",
        ["--device", "cuda:7", *TINY],
        ["device 'cuda:7' is not available: torch sees"],
        True,
    ),
    ("C19-no-device", ["--device", "tpu", *TINY], ["no device is called 'tpu'"], True),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What a real process answers to every row of the table."""
    folder = tmp_path_factory.mktemp("faults")
    for name, content, *_ in [*OF_A_FILE, *OF_OPTIONS]:
        (folder / name).mkdir()
        (folder / name / "it.toml").write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
    (folder / "trick.py").write_text("raise SystemExit('a component file ran')")
    (folder / "folder.toml").mkdir()
    os.mkfifo(folder / "fifo.toml")
    (folder / "unreadable.toml").symlink_to("/proc/self/mem")  # also root cannot read its beginning
    words = json.dumps([["run", *words, "--dry-run"] for _, words, *_ in TABLE])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=words,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=600,
        check=True,
    )
    assert not (folder / "runs").exists()
    return dict(zip([row[0] for row in TABLE], json.loads(done.stdout), strict=True))


@every_row("row", TABLE, ids=[row[0] for row in TABLE])
def test_a_fault_of_recipe_or_words_exits_2_and_says_what_where_and_how_to_fix_it(answers, row):
    name, words, expected, _ = row
    answer = answers[name]
    assert answer["code"] == 2, answer["err"]
    assert answer["out"] == ""
    assert answer["err"].startswith("error: ")
    for part in expected:
        assert part in answer["err"], answer["err"]
    assert len(answer["err"]) < 5000
    assert "Traceback" not in answer["err"]


def test_no_plugin_is_imported_that_was_not_chosen(answers):
    both = (
        compose(),
        compose(data="mixture", gen="mlp", critic="mlp-critic"),
    )  # what is asked for, and instead of what
    chosen = {each.component_name for made in both for each in made.chosen}
    allowed = {
        row.object.partition(":")[0].partition(".")[0]
        for row in discovery.installed()
        if row.name in chosen
    }
    for name, _, _, builds in TABLE:
        assert set(answers[name]["imported"]) <= (allowed if builds else set()), name


def test_a_list_that_is_too_long_for_the_image_is_refused_C08(gan_here):
    words = ("--dcgan.widths", "8,4,2,2,2,2", "--size", "16", "--sprites.count", "48", "--dry-run")
    assert "6 maps, but there is room for 3" in gan_here("run", *words, check=2).stderr


@every_row("size", ["7", "0", "-1", "100000", "64x", "8x8x8", "٦٤٦٤٦٤"])
def test_an_image_size_that_fits_nothing_is_refused_C18(gan_here, size):
    assert "must be N or HxW" in gan_here("run", f"--size={size}", "--dry-run", check=2).stderr


def test_a_run_of_0_steps_is_built_and_saved_C18(gan_here, tmp_path):
    gan_here("run", "--steps", "0", "--out", "r", *TINY)
    assert (tmp_path / "r" / "checkpoints" / "latest").read_text() == "step-000000000\n"


def test_an_empty_recipe_is_what_recipes_lie_on_C12(gan_here, tmp_path):
    (tmp_path / "it.toml").touch()
    plain, empty = (
        json.loads(gan_here("run", *words, *TINY, "--dry-run", "--json").stdout)["recipe"]
        for words in (["--recipe", "base"], ["--recipe", "it.toml"])
    )
    assert plain == empty


def test_a_flag_wins_over_the_file_and_both_origins_are_told_C14(gan_here, tmp_path):
    (tmp_path / "it.toml").write_text("[adam]\nlr = 0.25\nbeta1 = 0.25\n")
    words = ("--recipe", "it.toml", "--adam.lr", "0.5", *TINY, "--dry-run", "--json")
    about = json.loads(gan_here("run", *words).stdout)
    assert (about["recipe"]["adam"]["lr"], about["recipe"]["adam"]["beta1"]) == (0.5, 0.25)
    assert (about["origins"]["adam.lr"], about["origins"]["adam.beta1"]) == (
        "--adam.lr 0.5",
        "it.toml:3:1",
    )


def test_a_run_without_data_is_refused_C16(gan_here, tmp_path):
    gan_here("run", "--steps", "0", "--out", "r", *TINY)
    recipe = tmp_path / "r" / "recipe.toml"
    kept = tomllib.loads(recipe.read_text())
    recipe.write_text(
        tomli_w.dumps({key: value for key, value in kept.items() if key not in ("data", "mixture")})
    )
    assert "--data NAME|PATH" in gan_here("run", "--resume", "r", check=2).stderr


@every_row("word", [("--gen", "dcgan"), ("--seed", "3"), ("--adam.lr", "1"), ("--out", "s")])
def test_what_a_resumed_run_is_cannot_be_given_again_C17(gan_here, word):
    gan_here("run", "--steps", "0", "--out", "r", *TINY)
    assert word[0].lstrip("-") in gan_here("run", "--resume", "r", *word, check=2).stderr


def test_auto_takes_the_cpu_where_there_is_no_cuda_and_says_so_C19(gan):
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    assert (
        f", on {device}\n"
        in gan("run", "--device", "auto", "--steps", "0", "--out", "r", *TINY).stderr
    )


def test_the_folder_of_the_data_is_no_place_for_a_run_and_a_run_inside_it_is_never_trained_on_C21(
    gan_here, tmp_path
):
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for shade in range(4):
        Image.new("L", (8, 8), shade).save(tmp_path / "pictures" / f"{shade}.png")
    assert (
        "is not empty"
        in gan_here(
            "run", "--data", "pictures", "--out", "pictures", "--steps", "0", check=2
        ).stderr
    )
    assert len(list((tmp_path / "pictures").iterdir())) == 4
    for out in ("pictures/run", "pictures/../pictures/a/b"):
        gan_here("run", "--data", "pictures", "--out", out, "--steps", "0")
        assert json.loads((tmp_path / out / "data-report.json").read_text())["used"] == 4


def test_an_environment_variable_that_nothing_reads_is_told_and_changes_nothing_C23(
    gan_here, monkeypatch
):
    words = ("run", "--dry-run", "--json", *TINY)
    plain = gan_here(*words)
    monkeypatch.setenv("GAN_STEPS", "7")
    warned = gan_here(*words)
    assert warned.stdout == plain.stdout
    assert "GAN_STEPS is set, but gancore does not read it" in warned.stderr
    assert "GAN_" not in plain.stderr


# ── what is written is read back ──────────────────────────────────────────────────────────────────

CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "loss": st.sampled_from(["bce", "wgan", "wgan-gp"]),
        "optim": st.sampled_from(["adam", "rmsprop", "sgd"]),
        "reg": st.lists(
            st.sampled_from(["instance-noise", "more=instance-noise", "ema"]), unique=True
        ),
        "latent": st.sampled_from(["normal", "uniform"]),
    },
)
RUN = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(0, 2**63 - 1), "seed": st.integers(0, 2**63 - 1), "batch": st.integers(1, 2**31),
        "keep": st.integers(1, 99), "device": st.text(max_size=9), "force": st.booleans(),
        "size": st.sampled_from(["64", "48x32", "none"]),
    },
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    CHOICES,
    RUN,
    st.floats(0, 1e300).map(abs),
    st.lists(st.integers(1, 999), min_size=1, max_size=4),
)
def test_the_resolved_recipe_reads_back_to_the_equal_recipe_C27(
    tmp_path_factory, choices, run, sigma, hidden
):
    # forced: what a run may hold is not the question here
    options = {"run": {**run, "force": True}, "mlp": {"hidden": hidden}}
    if "instance-noise" in choices.get("reg", []):
        options["instance-noise"] = {"sigma": sigma}
    plain = {"data": "mixture", "gen": "mlp", "critic": "mlp-critic"}
    made = resolve([layer_of("test", {**plain, **choices, **options})]).recipe()
    path = tmp_path_factory.mktemp("recipes") / "recipe.toml"
    path.write_text(tomli_w.dumps(made))
    again = resolve([read_recipe(path).layer], exact=True).recipe()
    assert again == made
    assert tomli_w.dumps(again) == path.read_text()
