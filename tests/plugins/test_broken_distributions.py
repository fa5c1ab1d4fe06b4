"""A distribution that cannot be used is a row with its reason, and harms only those who choose it."""

import json
import locale
import random
import sys
import warnings

import pytest
import torch
from support.plugin_shelf import FINE, RUN, TINY, VIEW, Shelf, listed, newest, trick
from support.tables import every_row

from gancore.process import global_state


# ── found, but not usable ─────────────────────────────────────────────────────────────────────────
@every_row(
    ("code", "status", "error"),
    [
        pytest.param("def broken(:\n", "cannot be read", "SyntaxError", id="P01-syntax"),
        pytest.param("x = (\x00)\n", "cannot be read", "null bytes", id="P01-null-bytes"),
        pytest.param(
            'raise RuntimeError("out of order")\n',
            "raises when imported",
            "line 1",
            id="P01-raises",
        ),
        pytest.param(
            'def f():\n    raise OSError("gone")\n\nf()\nclass Trick: pass\n',
            "ok",
            "line 2",
            id="P01-raises-deeper",
        ),
        pytest.param(
            "from gancore import nothing_of_ours as Trick\n",
            "ok",
            "ImportError",
            id="P01-import-error",
        ),
        pytest.param("import scopy\n", "needs scopy", "pip install scopy", id="P02-needs"),
        pytest.param(
            None, "there is no module", "No module named 'gan_faulty'", id="P03-no-module"
        ),
        pytest.param("x = 1\n", "there is no Trick", "no attribute 'Trick'", id="P03-no-attribute"),
        pytest.param("class Trick:\n    pass\n", "ok", "no component class", id="P03-no-component"),
        pytest.param("def Trick():\n    pass\n", "ok", "<function Trick", id="P03-a-function"),
        pytest.param(
            "import sys\nclass Trick: pass\nsys.exit(3)\n", "ok", "SystemExit: 3", id="P04-sys-exit"
        ),
    ],
)
def test_a_broken_module_is_a_row_and_an_error_for_who_chooses_it(
    gan_here, refused, shelf, code, status, error
):
    shelf.publish(code)
    assert status in listed(gan_here, "reg")["faulty"]["status"]
    said = refused(*RUN, "--reg", "faulty")
    assert error in said
    assert "gan-faulty 1.0.0, gan_faulty:Trick" in said


@every_row("value", ["", "gan faulty:Trick", ":Trick", "gan_faulty:", "a = b", "..x:Trick"])
def test_an_entry_point_that_means_nothing_hides_no_other_P03(gan_here, shelf, value):
    shelf.publish(FINE, entries=f"[gancore.reg]\nodd = {value}\n")
    shelf.publish(FINE, name="well")
    rows = listed(gan_here)
    assert rows["well"]["status"] == "ok"
    assert rows.get("odd", {}).get("status") != "ok"


@pytest.mark.parametrize("file", ["METADATA", "entry_points.txt"])
def test_metadata_that_cannot_be_read_hides_no_other_and_are_remarked_P03(gan_here, shelf, file):
    shelf.publish(FINE)
    shelf.publish(FINE, name="well")
    (shelf.folder / "gan_faulty-1.0.0.dist-info" / file).write_bytes(
        b"\xff\xfe\x00[gancore.reg]\xc3\x28\n"
    )
    shelf.forget()
    done = gan_here("plugins", "--json")
    assert "well" in {row["name"] for row in json.loads(done.stdout)}
    assert "cannot be read" in done.stderr


@every_row(
    "name",
    [
        "Faulty",
        "two words",
        "dotted.name",
        "-flag",
        "a" * 65,
        "under_score",
        "nörm",
        "x--y",
        "loss",
        "run",
        "format",
    ],
)
def test_a_bad_name_is_listed_and_refused_P11(gan_here, refused, shelf, name):
    shelf.publish(FINE, entries=f"[gancore.reg]\n{name} = gan_faulty:Trick\n")
    status = {
        row["name"]: row["status"] for row in json.loads(gan_here("plugins", "--json").stdout)
    }[name]
    assert status.startswith("the name")
    assert status in refused(*RUN, "--reg=" + name, code=2)


def test_a_name_cannot_hold_an_equals_sign_P11(gan_here, shelf):
    shelf.publish(FINE, entries="[gancore.reg]\na=b = gan_faulty:Trick\n")
    assert listed(gan_here, "reg")["a"]["status"] != "ok"


def test_a_name_published_by_two_distributions_must_be_told_apart_P09(gan_here, refused, shelf):
    shelf.publish(FINE, name="he", kind="init", dist="gan-twin")
    rows = [
        row
        for row in json.loads(gan_here("plugins", "init", "--json").stdout)
        if row["name"] == "he"
    ]
    assert {row["distribution"] for row in rows} == {"gan-twin", "gan-plugin-initializers"}
    assert {row["status"] for row in rows} == {"the name is published twice"}
    said = refused(*RUN, "--init", "he", code=2)
    assert "gan-twin:he" in said
    assert "gan-plugin-initializers:he" in said
    gan_here(*RUN, "--init", "gan-plugin-initializers:he")


def test_a_name_published_twice_by_one_distribution_is_refused_P09(gan_here, refused, shelf):
    entries = "[gancore.reg]\nfaulty = gan_faulty:Trick\nfaulty = gan_faulty:Other\n"
    shelf.publish(FINE, entries=entries)
    assert listed(gan_here, "reg")["faulty"]["status"] == "the name is published twice"
    said = refused(*RUN, "--reg", "faulty", code=2)
    assert "2 components are called 'faulty'" in said
    assert "uninstall gan-faulty" in said


def test_of_a_distribution_installed_twice_the_first_on_the_path_is_used_with_a_note_P10(
    gan_here, shelf, tmp_path, monkeypatch
):
    shelf.publish(FINE, version="1.0.0")
    second = Shelf(tmp_path / "other")
    second.publish(FINE, version="2.0.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(second.folder)])
    shelf.forget()
    done = gan_here("plugins", "reg", "--json")
    rows = [row for row in json.loads(done.stdout) if row["name"] == "faulty"]
    assert [row["version"] for row in rows] == ["1.0.0"]
    assert "gan-faulty is installed twice: 1.0.0" in done.stderr
    gan_here(*RUN, "--reg", "faulty")
    assert newest("r", tmp_path).manifest["plugins"]["faulty"]["version"] == "1.0.0"


# ── what an import may do to others ───────────────────────────────────────────────────────────────


def foreign_locale():
    """Return a locale other than the present one that is installed here."""
    now = locale.setlocale(locale.LC_ALL)
    for name in ("C.UTF-8", "C", "POSIX"):
        try:
            if locale.setlocale(locale.LC_ALL, name) != now:
                return name
        except locale.Error:
            continue
        finally:
            locale.setlocale(locale.LC_ALL, now)
    return pytest.skip("only one locale is installed here")


CHANGES = {
    "dtype": (
        "torch.set_default_dtype(torch.float64)",
        "torch's default dtype from torch.float32 to torch.float64",
    ),
    "device": ('torch.set_default_device("meta")', "torch's default device from cpu to meta"),
    "threads": ("torch.set_num_threads(torch.get_num_threads() + 1)", "torch's number of threads"),
    "determinism": ("torch.use_deterministic_algorithms(True)", "torch's deterministic algorithms"),
    "precision": (
        'torch.set_float32_matmul_precision("medium")',
        "the precision of torch's matmuls",
    ),
    "signals": (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "the signal handlers",
    ),
    "locale": ("import locale; locale.setlocale(locale.LC_ALL, LOCALE)", "the locale"),
}


@every_row("change", CHANGES)
def test_an_import_that_changes_the_process_is_refused_and_undone_P07(
    refused, shelf, same_process, change
):
    code, said = CHANGES[change]
    name = foreign_locale() if change == "locale" else ""
    shelf.publish(trick(VIEW, head=code.replace("LOCALE", repr(name))))
    error = refused(*RUN, "--reg", "faulty")
    assert f"the import of faulty changes {said}" in error
    assert "gan-faulty 1.0.0" in error


@every_row("change", CHANGES)
def test_a_hook_that_changes_the_process_is_refused_and_undone_P07(
    refused, shelf, same_process, change
):
    code, said = CHANGES[change]
    name = foreign_locale() if change == "locale" else ""
    body = f"@hookimpl\ndef critic_view(self, images):\n    {code.replace('LOCALE', repr(name))}\n    return images\n"
    shelf.publish(trick(body))
    error = refused(*RUN, "--reg", "faulty")
    assert f"faulty.critic_view changes {said}" in error
    assert "gan-faulty 1.0.0" in error


def test_a_build_that_changes_the_process_is_refused_P07(refused, shelf, same_process):
    shelf.publish(
        trick("@hookimpl\ndef critic_shape(self, shape):\n    torch.set_num_threads(7)\n")
    )
    assert "faulty.critic_shape changes torch's number of threads" in refused(
        *RUN, "--reg", "faulty"
    )


def test_an_import_that_draws_or_forbids_gradients_moves_nobody_P07(gan_here, shelf, same_process):
    head = """
        import random, warnings
        torch.manual_seed(1), random.seed(1), torch.set_grad_enabled(False), warnings.simplefilter("ignore")
    """
    shelf.publish(trick(VIEW, head=head))
    torch.manual_seed(5), random.seed(5)
    numbers, state, filters = torch.get_rng_state(), random.getstate(), warnings.filters[:]
    gan_here("run", "--help", "--reg", "faulty")
    assert "gan_faulty" in sys.modules
    assert torch.equal(torch.get_rng_state(), numbers)
    assert random.getstate() == state
    assert warnings.filters == filters
    assert torch.is_grad_enabled()


def test_a_hook_that_forbids_gradients_stops_nobody_else_P07(gan_here, shelf):
    shelf.publish(trick("@hookimpl\ndef before_step(self):\n    torch.set_grad_enabled(False)\n"))
    gan_here("run", *TINY, "--steps", "12", "--out", "r", "--reg", "faulty")


def test_a_late_change_is_found_by_the_next_row_and_named_with_debug_P07(
    refused, debugged, shelf, same_process
):
    body = "@hookimpl\ndef before_step(self, step):\n    step < 11 or torch.use_deterministic_algorithms(True)\n"
    shelf.publish(trick(body))
    words = ("run", *TINY, "--steps", "20", "--log-every", "5", "--reg", "faulty")
    said = refused(*words, "--out", "r")
    assert (
        "a component changed torch's deterministic algorithms from False to True before step 12"
        in said
    )
    said = debugged(*words, "--out", "s")
    assert "faulty.before_step changes torch's deterministic algorithms" in said


def test_what_plugins_print_comes_on_stderr_under_their_name_and_json_stays_json_P06(
    gan, shelf, monkeypatch
):
    body = "@hookimpl\ndef critic_view(self, images, step):\n    print('in a hook', step)\n"
    head = "import warnings\nprint('hello\\x1b[31m')\nprint('{\"run\": 1}')\nwarnings.warn('an old way')\n"
    shelf.publish(trick(body, head=head))
    monkeypatch.setenv("PYTHONPATH", str(shelf.folder))
    done = gan(*RUN, "--reg", "faulty", "--json")
    assert json.loads(done.stdout)["run"] == "r"
    assert "faulty: hello\\x1b[31m" in done.stderr
    assert 'faulty: {"run": 1}' in done.stderr
    assert "UserWarning: an old way" in done.stderr
    assert "in a hook 1" in done.stderr


def test_a_slow_import_says_what_is_waited_for_P05(gan_here, shelf, monkeypatch):
    monkeypatch.setattr(global_state, "SLOW_IMPORT", 0.01)
    shelf.publish(trick(VIEW, head="import time\ntime.sleep(0.5)"))
    assert "importing faulty …" in gan_here("run", "--help", "--reg", "faulty").stderr
