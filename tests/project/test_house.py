"""The rules of the house, kept as tests."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from support.paths import ROOT, SUPPORT
from support.tables import every_row

import gancore
from gancore import hookspecs
from gancore.errors import GanError
from gancore.plugins import discovery, loading
from gancore.plugins.component import SPECS, info_of, options_of
from gancore.plugins.slots import KINDS

CORE = sorted((ROOT / "gancore").rglob("*.py"))
PLUGINS = sorted(
    path for path in (ROOT / "plugins").rglob("*.py") if not path.name.startswith("test_")
)
SOURCES = [*CORE, *PLUGINS]
FIRST_PARTY = [row for row in discovery.installed() if row.distribution.startswith("gan-plugin-")]


@cache
def tree_of(path):
    return ast.parse(path.read_text())


def functions(path):
    return [
        node
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


# ── the core names no technique ───────────────────────────────────────────────────────────────────

PLAIN_WORDS = {  # of English, of torch, or of arrays before they are names of plugins
    "normal", "none", "batch", "layer", "uniform", "mixture", "gaussian", "he", "instance", "repeat", "sgd",
    "reals", "scatter", "nearest", "letters", "modes", "critic-output", "began", "accumulate",
    "pixel", "bilinear",
}  # fmt: skip
TECHNIQUES = {
    "wasserstein",
    "wgan",
    "spectral",
    "hinge",
    "softplus",
    "penalty",
    "entropy",
    "relativistic",
}


# the kit looks for layers of torch whose names are those of techniques too
UNNAMING = [path for path in CORE if "testing" not in path.parts]


@every_row("path", UNNAMING, ids=lambda path: path.name)
def test_the_core_names_no_technique_in_code_comment_or_docstring(path):
    names = {row.name for row in FIRST_PARTY} - PLAIN_WORDS
    spellings = TECHNIQUES | {
        spelt for name in names for spelt in (name, name.replace("-", "_"), name.replace("-", ""))
    }
    words = set(re.findall(r"[a-z][a-z_-]*[a-z]", path.read_text().lower()))
    assert not words & spellings


def test_the_core_imports_no_plugin():
    for path in CORE:
        for node in ast.walk(tree_of(path)):
            module = getattr(node, "module", None) or ""
            names = (
                [alias.name for alias in getattr(node, "names", [])]
                if isinstance(node, ast.Import)
                else [module]
            )
            assert not any(name.startswith("gan_plugin") for name in names), path


def test_a_plugin_imports_gancores_public_names_and_no_plugin_that_it_does_not_depend_on():
    for path in PLUGINS:
        own = path.relative_to(ROOT / "plugins").parts[0]
        allowed = {each.replace("-", "_") for each in {own, *dependencies(own)} - {"gancore"}}
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gan"):
                if node.module.partition(".")[0] in allowed:
                    continue
                assert node.module == "gancore", f"{path} imports {node.module}"
                assert {alias.name for alias in node.names} <= set(gancore.__all__), path


@cache
def dependencies(folder):
    """Return the distributions that a plugin's own pyproject.toml names, without versions."""
    listed = tomllib.loads((ROOT / "plugins" / folder / "pyproject.toml").read_text())
    return {re.match(r"[\w.-]+", each).group() for each in listed["project"]["dependencies"]}


def test_every_plugin_passes_the_conformance_kit_in_its_own_tests():
    for folder in sorted((ROOT / "plugins").iterdir()):
        classes = {
            row.object.partition(":")[2] for row in FIRST_PARTY if row.distribution == folder.name
        }
        tests = [path.read_text() for path in folder.glob("test_*.py")]
        checked = [set(re.findall(r"\w+", text)) for text in tests if "check_component(" in text]
        assert classes <= set().union(*checked), folder.name


# ── distributions ─────────────────────────────────────────────────────────────────────────────────


def test_gan_plugins_depends_on_every_first_party_plugin():
    wanted = {path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml")}
    assert set(metadata.requires("gan-plugins")) == wanted - {"gan-plugins"}
    assert {row.distribution for row in FIRST_PARTY} <= wanted


def test_every_replaced_distribution_leads_to_its_components_in_the_one_that_replaces_it():
    ours = [entry for entry, each in discovery.entries() if each.name.startswith("gan-plugin-")]
    replaced = [entry for entry in ours if entry.group == discovery.REPLACES]
    published = [entry for entry in ours if entry not in replaced]
    assert replaced
    for former in replaced:
        assert former.name not in {row.distribution for row in FIRST_PARTY}
        moved = [each for each in published if f"{each.module}.".startswith(f"{former.value}.")]
        assert moved, former.name
        for entry in moved:
            kind = entry.group.removeprefix("gancore.")
            if kind in KINDS:
                assert discovery.find(f"{former.name}:{entry.name}", kind).object == entry.value


# ── size and shape ────────────────────────────────────────────────────────────────────────────────


def test_no_function_is_longer_than_60_lines():
    for path in SOURCES:
        for node in functions(path):
            assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"


def test_nine_functions_of_ten_hold_at_most_30_lines_and_half_at_most_10():
    lengths = sorted(node.end_lineno - node.lineno + 1 for path in CORE for node in functions(path))
    assert lengths[len(lengths) // 2] <= 12
    assert lengths[len(lengths) * 9 // 10] <= 30


def test_no_file_or_class_is_named_after_nothing():
    for path in SOURCES:
        assert path.stem not in {"utils", "helpers", "common", "misc"}
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                assert not re.search(r"(Trainer|Manager|Handler|Helper|Utils)$", node.name), (
                    f"{path}: {node.name}"
                )


# ── what is banned ────────────────────────────────────────────────────────────────────────────────

BANNED_MODULES = {
    "pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "torch.hub",
}  # fmt: skip
BANNED_NAMES = {
    "eval", "exec", "__import__", "torch.load", "torch.save", "torch.hub", "torch.jit.load", "os.system", "os.popen",
    "tempfile.mktemp", "builtins.eval", "builtins.exec",
}  # fmt: skip
EVERYTHING = sorted(
    path
    for place in (".ci", "benchmarks", "docs", "examples", "gancore", "plugins", "tests")
    for path in (ROOT / place).rglob("*.py")
)


def banned_in(tree):
    """Yield what in a module could run a stranger's code, as `line: what`."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call):
            names = [ast.unparse(node.func)]
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            names += ["shell=True"] if words.get("shell", "False") != "False" else []
            names += ["allow_pickle=True"] if words.get("allow_pickle", "False") != "False" else []
            names += (
                ["extractall"]
                if names[0].endswith(".extractall") and words.get("filter") != "'data'"
                else []
            )
        for name in names:
            whole = {name, name.partition(".")[0]} & BANNED_MODULES and not isinstance(
                node, ast.Call
            )
            unpickles = re.search(r"\bdatasets\.CIFAR", name)  # torchvision's readers of CIFAR
            if (
                whole
                or unpickles
                or name in BANNED_NAMES | {"shell=True", "allow_pickle=True", "extractall"}
            ):
                yield f"{node.lineno}: {name}"


@every_row("path", EVERYTHING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_that_runs_a_strangers_code_is_used(path):
    assert not list(banned_in(tree_of(path)))


@every_row(
    "code",
    [
        "import pickle", "from pickle import loads", "import yaml", "import torch.hub", "from torch import load",
        "exec(text)", "torch.load(path)", "torch.save(x, path)", "eval(text)", "os.system(x)", "from os import system",
        "tempfile.mktemp()", "subprocess.run(x, shell=True)", "np.load(path, allow_pickle=True)", "tar.extractall(x)",
        "from torchvision.datasets import CIFAR10", "torchvision.datasets.CIFAR100(root)", "__import__(name)",
    ],
)  # fmt: skip
def test_the_search_for_what_is_banned_finds_it(code):
    assert list(banned_in(ast.parse(code)))


def test_the_step_waits_for_no_number_and_edits_no_tensor():
    for name in ("step.py", "batch.py", "fakes.py", "loop.py"):
        called = {
            ast.unparse(node.func).rpartition(".")[2]
            for node in ast.walk(tree_of(ROOT / "gancore" / "train" / name))
            if isinstance(node, ast.Call)
        }
        assert not called & {"item", "tolist", "cpu", "print", "requires_grad_"}


def test_no_bare_except_and_no_print_outside_the_command_line():
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), path
            printed = isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
            assert not printed or path.parent.name == "cli", path


# ── hooks ─────────────────────────────────────────────────────────────────────────────────────────

# hooks whose first-party plugin is still to come; each is at work in examples/, or in
# tests/support/example_components.py and tests/plugins/test_hooks.py
AWAITED = {
    "adapt_optimizer",
}


@pytest.fixture(scope="module")
def implemented():
    classes = [loading.load(row) for row in FIRST_PARTY]
    return {
        hook
        for hook in SPECS
        for cls in classes
        if hasattr(getattr(cls, hook, None), "gancore_impl")
    }


def test_every_hook_has_an_implementer(implemented):
    trials = [SUPPORT / "example_components.py", *sorted((ROOT / "examples").glob("*.py"))]
    tried = set()
    for path in trials:
        for function in functions(path):
            marks = [ast.unparse(mark) for mark in function.decorator_list]
            if any(mark.startswith("hookimpl") for mark in marks):
                tried.add(function.name)
    assert set(SPECS) - implemented == AWAITED
    assert tried >= AWAITED


def test_every_hook_has_a_test_named_after_it():
    names = [node.name for path in (ROOT / "tests").rglob("test_*.py") for node in functions(path)]
    tests = [name for name in names if name.startswith("test_")]
    untested = [hook for hook in SPECS if not any(hook in name for name in tests)]
    assert untested == []


@every_row("hook", sorted(SPECS))
def test_every_hook_is_documented_with_its_exact_signature(hook):
    spec = getattr(hookspecs, hook)
    assert inspect.getdoc(spec)
    page = (ROOT / "docs" / "reference" / "hooks.md").read_text()
    assert f"{hook}{inspect.signature(spec)}".replace("'", "") in page


# ── what is said ──────────────────────────────────────────────────────────────────────────────────


def test_exported_names_are_sorted_and_importable():
    assert gancore.__all__ == sorted(
        gancore.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    assert all(getattr(gancore, name) is not None for name in gancore.__all__)


@cache
def files_of_components():
    return {Path(inspect.getfile(loading.load(row))) for row in FIRST_PARTY}


@every_row("row", FIRST_PARTY, ids=lambda row: row.name)
def test_every_option_is_read_outside_its_declaration(row):
    cls = loading.load(row)
    siblings = files_of_components() - {Path(inspect.getfile(cls))}
    own = [path for path in PLUGINS if row.distribution in path.parts and path not in siblings]
    text = "\n".join(path.read_text() for path in own)
    for option in options_of(cls).values():
        assert len(re.findall(rf"\.{option.name}\b|\"{option.name}\"", text)) >= 1, (
            f"{row.name}.{option.name} is never read"
        )


@every_row("row", FIRST_PARTY, ids=lambda row: row.name)
def test_every_component_cites_its_source_and_says_what_it_does(row):
    cls = loading.load(row)
    assert len(info_of(cls).source) > 5
    assert len((cls.__doc__ or "").partition("\n")[0]) < 120
    assert row.summary == (cls.__doc__ or "").partition("\n")[0]


# words that say less than the field's own, in messages and docstrings, and the forms in which they
# come
BANNED_WORDS = re.compile(
    r"\b(?:mend(?:s|ed|ing)?|whoever|nobody|somebody|hears?|(?:is|are|was|were|be) told|wears?|speaks?|the middle"
    r"|a law|laws|strangers?|insides|becomes? of|company)\b",
    re.IGNORECASE,
)


def test_messages_and_docstrings_use_the_words_of_the_field():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {match.group()}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for match in BANNED_WORDS.finditer(node.value)
    ]
    assert not found, "\n".join(found)


def test_every_tag_that_somebody_speaks_of_is_provided_by_somebody():
    cards = {row: info_of(loading.load(row)) for row in FIRST_PARTY}
    players = {
        row: ("generator.", "critic.") if row.kind in ("norm", "optim") else ("",) for row in cards
    }
    provided = {
        f"{player}{tag}"
        for row, card in cards.items()
        for tag in card.provides
        for player in players[row]
    }
    provided |= {"data.points", "data.signals", "data.images", "data.volumes", "data.labels"}
    provided |= {"critic.packed", "loss.relative-scores"}  # of plugins that are still to come
    for row, card in cards.items():
        spoken = {rule.tag for rule in card.rules} | set(card.defaults_with)
        assert spoken <= provided, f"{row.name} speaks of {spoken - provided}"


def test_every_error_has_an_exit_code_and_three_parts():
    kinds = [
        GanError,
        *GanError.__subclasses__(),
        *(sub for kind in GanError.__subclasses__() for sub in kind.__subclasses__()),
    ]
    for kind in kinds:
        error = kind("what", where="here", fix="so")
        assert str(error) == "what\nwhere: here\n  fix: so"
        assert error.exit_code in (1, 2)


def test_no_file_of_the_project_names_a_registry_host_or_a_path_of_one_machine():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("no git here")
    pattern = re.compile(
        r"files\.python[h]osted|pypi\.org/simple|registry\.npm[j]s|(?<![\w.~])/(?:work|root|home)/\w"
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix in {".py", ".md", ".toml", ".lock", ".txt", ".yaml", ""}:
            assert not pattern.search(path.read_text(errors="ignore")), name
        assert path.name != "uv.lock"


def test_layers_point_down():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
