"""Whatever a plugin does wrong, a plain sentence names it, and nobody who did not choose it notices."""

import json
import locale
import os
import random
import signal
import subprocess
import sys
import warnings

import pytest
import torch
from PIL import Image
from support.plugin_shelf import Shelf, looked_up, trick
from support.tables import every_row

from gancore import CheckpointError, PluginError, component, hookimpl, memory, option
from gancore.cli import main
from gancore.guard import global_state, hooks
from gancore.plugins import inspection
from gancore.run.checkpoint import reader
from gancore.run.checkpoint.state import capture, restore
from gancore.testing import check_component, check_exact_resume, train

TINY = (
    "--data",
    "mixture",
    "--mixture.finite",
    "64",
    "--gen",
    "mlp",
    "--critic",
    "mlp-critic",
    "--batch",
    "4",
    "--device",
    "cpu",
)
TINY += ("--mlp.hidden", "8", "--mlp-critic.hidden", "8")
RUN = ("run", *TINY, "--steps", "2", "--out", "r")

VIEW = "@hookimpl\ndef critic_view(self, images):\n    return images\n"
FINE = trick(VIEW)


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    made = Shelf(tmp_path / "site")
    own = inspection._look
    monkeypatch.setattr(
        inspection, "_look", lambda entry: (looked_up if entry.value.startswith("gan_plugin_") else own)(entry)
    )
    monkeypatch.syspath_prepend(str(made.folder))
    yield made
    monkeypatch.undo()
    made.forget()


@pytest.fixture
def refused(gan_here):
    """Return a runner of `gan …` that expects a failure and returns what stderr says."""
    return lambda *words, code=1: gan_here(*words, check=code).stderr


@pytest.fixture
def debugged(tmp_path, monkeypatch, capsys):
    """Return a runner of `gan --debug …` in this process that expects a failure and returns what stderr says."""

    def run(*words):
        monkeypatch.setattr(hooks, "every_call", False)
        monkeypatch.chdir(tmp_path)
        handlers = global_state.settings()
        with pytest.raises(SystemExit) as ended:
            main(["--debug", *words])
        global_state.put_back(handlers)
        assert ended.value.code == 1
        return capsys.readouterr().err

    return run


def listed(gan_here, *words):
    return {row["name"]: row for row in json.loads(gan_here("plugins", *words, "--json").stdout)}


# ── found, but not usable ─────────────────────────────────────────────────────────────────────────────────────


@every_row(
    ("code", "status", "error"),
    [
        pytest.param("def broken(:\n", "cannot be read", "SyntaxError", id="P01-syntax"),
        pytest.param("x = (\x00)\n", "cannot be read", "null bytes", id="P01-null-bytes"),
        pytest.param('raise RuntimeError("out of order")\n', "raises when imported", "line 1", id="P01-raises"),
        pytest.param(
            'def f():\n    raise OSError("gone")\n\nf()\nclass Trick: pass\n', "ok", "line 2", id="P01-raises-deeper"
        ),
        pytest.param("from gancore import nothing_of_ours as Trick\n", "ok", "ImportError", id="P01-import-error"),
        pytest.param("import scopy\n", "needs scopy", "pip install scopy", id="P02-needs"),
        pytest.param(None, "there is no module", "No module named 'gan_faulty'", id="P03-no-module"),
        pytest.param("x = 1\n", "there is no Trick", "no attribute 'Trick'", id="P03-no-attribute"),
        pytest.param("class Trick:\n    pass\n", "ok", "no component class", id="P03-no-component"),
        pytest.param("def Trick():\n    pass\n", "ok", "<function Trick", id="P03-a-function"),
        pytest.param("import sys\nclass Trick: pass\nsys.exit(3)\n", "ok", "SystemExit: 3", id="P04-sys-exit"),
    ],
)
def test_a_broken_module_is_a_row_and_an_error_for_who_chooses_it(gan_here, refused, shelf, code, status, error):
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
    (shelf.folder / "gan_faulty-1.0.0.dist-info" / file).write_bytes(b"\xff\xfe\x00[gancore.reg]\xc3\x28\n")
    shelf.forget()
    done = gan_here("plugins", "--json")
    assert "well" in {row["name"] for row in json.loads(done.stdout)}
    assert "cannot be read" in done.stderr


@every_row(
    "name",
    ["Faulty", "two words", "dotted.name", "-flag", "a" * 65, "under_score", "nörm", "x--y", "loss", "run", "format"],
)
def test_a_bad_name_is_listed_and_refused_P11(gan_here, refused, shelf, name):
    shelf.publish(FINE, entries=f"[gancore.reg]\n{name} = gan_faulty:Trick\n")
    status = {row["name"]: row["status"] for row in json.loads(gan_here("plugins", "--json").stdout)}[name]
    assert status.startswith("the name")
    assert status in refused(*RUN, "--reg=" + name, code=2)


def test_a_name_cannot_hold_an_equals_sign_P11(gan_here, shelf):
    shelf.publish(FINE, entries="[gancore.reg]\na=b = gan_faulty:Trick\n")
    assert listed(gan_here, "reg")["a"]["status"] != "ok"


def test_a_name_published_by_two_distributions_must_be_told_apart_P09(gan_here, refused, shelf):
    shelf.publish(FINE, name="he", kind="init", dist="gan-twin")
    rows = [row for row in json.loads(gan_here("plugins", "init", "--json").stdout) if row["name"] == "he"]
    assert {row["distribution"] for row in rows} == {"gan-twin", "gan-plugin-he"}
    assert {row["status"] for row in rows} == {"the name is published twice"}
    said = refused(*RUN, "--init", "he", code=2)
    assert "gan-twin:he" in said
    assert "gan-plugin-he:he" in said
    gan_here(*RUN, "--init", "gan-plugin-he:he")


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


# ── what an import may do to others ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def same_process():
    """Fail where a test leaves the settings of the process changed, and put them back."""
    before = global_state.settings()
    yield before
    assert global_state.put_back(before) == []


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
    "dtype": ("torch.set_default_dtype(torch.float64)", "torch's default dtype from torch.float32 to torch.float64"),
    "device": ('torch.set_default_device("meta")', "torch's default device from cpu to meta"),
    "threads": ("torch.set_num_threads(torch.get_num_threads() + 1)", "torch's number of threads"),
    "determinism": ("torch.use_deterministic_algorithms(True)", "torch's deterministic algorithms"),
    "precision": ('torch.set_float32_matmul_precision("medium")', "the precision of torch's products"),
    "signals": ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", "the signal handlers"),
    "locale": ("import locale; locale.setlocale(locale.LC_ALL, LOCALE)", "the locale"),
}


@every_row("change", CHANGES)
def test_an_import_that_changes_the_process_is_refused_and_undone_P07(refused, shelf, same_process, change):
    code, said = CHANGES[change]
    name = foreign_locale() if change == "locale" else ""
    shelf.publish(trick(VIEW, head=code.replace("LOCALE", repr(name))))
    error = refused(*RUN, "--reg", "faulty")
    assert f"the import of faulty changes {said}" in error
    assert "gan-faulty 1.0.0" in error


@every_row("change", CHANGES)
def test_a_hook_that_changes_the_process_is_refused_and_undone_P07(refused, shelf, same_process, change):
    code, said = CHANGES[change]
    name = foreign_locale() if change == "locale" else ""
    body = f"@hookimpl\ndef critic_view(self, images):\n    {code.replace('LOCALE', repr(name))}\n    return images\n"
    shelf.publish(trick(body))
    error = refused(*RUN, "--reg", "faulty")
    assert f"faulty.critic_view changes {said}" in error
    assert "gan-faulty 1.0.0" in error


def test_a_build_that_changes_the_process_is_refused_P07(refused, shelf, same_process):
    shelf.publish(trick("@hookimpl\ndef critic_shape(self, shape):\n    torch.set_num_threads(7)\n"))
    assert "faulty.critic_shape changes torch's number of threads" in refused(*RUN, "--reg", "faulty")


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


def test_a_late_change_is_found_by_the_next_row_and_named_with_debug_P07(refused, debugged, shelf, same_process):
    body = "@hookimpl\ndef before_step(self, step):\n    step < 11 or torch.use_deterministic_algorithms(True)\n"
    shelf.publish(trick(body))
    words = ("run", *TINY, "--steps", "20", "--log-every", "5", "--reg", "faulty")
    said = refused(*words, "--out", "r")
    assert "a component changed torch's deterministic algorithms from False to True before step 12" in said
    said = debugged(*words, "--out", "s")
    assert "faulty.before_step changes torch's deterministic algorithms" in said


def test_what_plugins_print_comes_on_stderr_under_their_name_and_json_stays_json_P06(gan, shelf, monkeypatch):
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
    monkeypatch.setattr(global_state, "PATIENCE", 0.01)
    shelf.publish(trick(VIEW, head="import time\ntime.sleep(0.5)"))
    assert "importing faulty …" in gan_here("run", "--help", "--reg", "faulty").stderr


# ── all faults at once ────────────────────────────────────────────────────────────────────────────────────────

FAULTS = {
    "exits": trick(VIEW, head="os._exit(0)"),
    "crashes": trick(VIEW, head="import signal; os.kill(os.getpid(), signal.SIGSEGV)"),
    "hangs": trick(VIEW, head="import time\nwhile True: time.sleep(1)"),
    "interrupts": trick(VIEW, head="raise KeyboardInterrupt if torch else None"),
    "patches": trick(VIEW, head="torch.randn = lambda *a, **b: torch.zeros(*a)"),
    "doubles": trick(VIEW, head="torch.set_default_dtype(torch.float64)"),
    "prints": trick(VIEW, head="os.write(1, b'[1, 2]\\n'); print('[3]')"),
    "defaults": trick(f"size: int = option(-1, ge=0, help='a size')\n{VIEW}"),
    "types": trick(f"size: complex = option(1j, help='a size')\n{VIEW}"),
    "shares": trick(f"sizes: list = option([], help='sizes')\n{VIEW}"),
    "syntax": "def broken(:\n",
    "needs": "import a_module_that_is_not_there\n",
    "fine": FINE,
}
SAID = {
    "exits": "ends the process with exit code 0",
    "crashes": "ends the process by SIGSEGV",
    "hangs": "did not end within 10 s",
    "interrupts": "KeyboardInterrupt",
    "patches": "replaces torch.randn",
    "doubles": "changes torch's default dtype",
    "prints": "ok",
    "defaults": "size is -1, but must be at least 0",
    "types": "of a type that options can have",
    "shares": "which all objects would share",
    "syntax": "cannot be read",
    "needs": "needs a_module",
    "fine": "ok",
}
ROWS = {
    "P04": ("exits", "crashes", "interrupts"), "P05": ("hangs",), "P06": ("prints",), "P07": ("doubles",),
    "P08": ("patches",), "P25": ("defaults", "types", "shares"), "P01": ("syntax", "fine"), "P02": ("needs",),
}  # fmt: skip


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """Install every faulty package at once."""
    made = Shelf(tmp_path_factory.mktemp("faults") / "site")
    for name, code in FAULTS.items():
        made.publish(code, name=name)
    made.publish(trick(VIEW, head="os._exit(5)"), name="reader", kind="reg")
    return made


@pytest.fixture(scope="module")
def verdicts(faults):
    """Run `gan plugins reg --check --json` over all of them, with a limit of ten seconds."""
    code = "from gancore.cli import checkup, main; checkup.LIMIT = 10.0; main(['plugins', 'reg', '--check', '--json'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(faults.folder)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {row["name"]: row["status"] for row in json.loads(done.stdout)}


@every_row("name", [pytest.param(name, id=f"{row}-{name}") for row, all_ in ROWS.items() for name in all_])
def test_a_check_reports_each_fault_and_goes_on_after_it(verdicts, name):
    assert SAID[name] in verdicts[name]


def test_after_every_fault_the_first_party_plugins_are_still_checked_and_ok(verdicts):
    assert verdicts["instance-noise"] == "ok"
    assert verdicts["gradient-penalty"] == "ok"


def test_listing_imports_no_plugin_P05(faults, gan_here, monkeypatch):
    monkeypatch.syspath_prepend(str(faults.folder))
    faults.forget()
    rows = listed(gan_here, "reg")
    assert set(FAULTS) <= rows.keys()
    assert rows["hangs"]["status"] == "ok"
    assert not {f"gan_{name}" for name in FAULTS} & sys.modules.keys()
    monkeypatch.undo()
    faults.forget()


def test_faulty_plugins_that_are_not_chosen_change_no_bit_of_a_run(faults, gan_here, tmp_path, monkeypatch):
    gan_here(*RUN[:-1], "without")
    monkeypatch.syspath_prepend(str(faults.folder))
    faults.forget()
    gan_here(*RUN[:-1], "with")
    gan_here("sample", "with", "-o", "points")
    one, other = newest("without", tmp_path), newest("with", tmp_path)
    assert (one.folder / "SHA256SUMS").read_bytes() == (other.folder / "SHA256SUMS").read_bytes()
    monkeypatch.undo()
    faults.forget()


def test_a_faulty_reader_that_nobody_chose_is_passed_over_when_a_path_finds_its_reader_P07(
    gan_here, shelf, tmp_path, same_process
):
    shelf.publish(trick("@hookimpl\ndef recognizes(self, path):\n    raise OSError('oh')\n"), kind="data")
    changes = trick(VIEW, head="torch.set_default_dtype(torch.float64)")
    shelf.publish(changes, name="doubles", kind="data")
    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
    words = ("--batch", "2", "--dcgan.width", "4", "--dcgan-critic.width", "4")
    assert "image-folder" in gan_here("run", "--data", "./images", *words, "--dry-run").stdout


# ── classes that could never act as they seem ─────────────────────────────────────────────────────────────────


@every_row(
    ("code", "what", "fix"),
    [
        pytest.param(
            trick("@hookimpl\ndef critic_term(self, batch):\n    return {}\n"),
            "no such hook",
            "def critic_terms(self, batch, step, rng, log)",
            id="P12-misspelt",
        ),
        pytest.param(
            trick(f"{VIEW}\ndef critic_terms(self, batch):\n    return {{}}\n"),
            "acts on no hook",
            "with @hookimpl above it",
            id="P13-no-mark",
        ),
        pytest.param(trick("w: float = option(1.0, help='w')"), "implements no hook", "@hookimpl", id="P13-no-hook"),
        pytest.param(
            trick("@hookimpl\ndef critic_view(self, pictures):\n    return pictures\n"),
            "takes pictures",
            "images, labels, step, rng, shared_rng",
            id="P14-unknown-argument",
        ),
        pytest.param(
            trick(VIEW, card='source="a test", api=2'), "hooks of version 2, but this gancore supports version 1",
            "upgrade gancore", id="P15-newer",
        ),
        pytest.param(
            trick(VIEW, card='source="a test", api=0'), "hooks of version 0, but this gancore supports version 1",
            "upgrade the plugin", id="P15-older",
        ),
    ],
)  # fmt: skip
def test_a_class_that_could_never_act_is_refused_with_its_mending(refused, shelf, code, what, fix):
    shelf.publish(code)
    said = refused(*RUN, "--reg", "faulty")
    assert what in said
    assert fix in said
    assert "gan-faulty 1.0.0" in said


# ── what hooks answer ─────────────────────────────────────────────────────────────────────────────────────────

LOSS = """
@hookimpl
def critic_terms(self, batch):
    scores = batch.fake.score
    return {critic}

@hookimpl
def generator_terms(self, batch):
    scores = batch.fake.score
    return {generator}
"""


def loss(critic='{"fake": scores.mean()}', generator='{"fake": -scores.mean()}'):
    card = 'source="a test", provides=["loss.absolute-scores"]'
    return trick(LOSS.format(critic=critic, generator=generator), card=card)


@every_row(
    ("answer", "got", "wanted"),
    [
        pytest.param("None", "None", "{name: scalar tensor}", id="P16-none"),
        pytest.param("{}", "{}", "{name: scalar tensor}", id="P16-nothing"),
        pytest.param("0.5", "0.5", "{name: scalar tensor}", id="P16-float"),
        pytest.param("[scores.mean()]", "[tensor(", "{name: scalar tensor}", id="P16-list"),
        pytest.param('{"fake": 0.5}', "{'fake': 0.5}", "scalar tensor", id="P16-dict-of-floats"),
        pytest.param('{"fake": scores}', "{'fake': a tensor of float32 [4]}", "fake.mean()", id="P16-shape"),
        pytest.param(
            '{"fake": scores.mean().detach()}',
            "{'fake': a tensor of float32 []}",
            "carries a gradient",
            id="P16-detached",
        ),
        pytest.param('{"fake": (scores > 0).sum()}', "{'fake': a tensor of int64 []}", "scalar tensor", id="P16-dtype"),
        pytest.param(
            '{"fake": scores.mean().to("meta")}',
            "{'fake': a tensor of float32 [] on meta}",
            "a tensor on cpu",
            id="P16-device",
        ),
    ],
)
@every_row("hook", ["critic", "generator"])
def test_a_term_that_is_none_is_named_at_its_first_call(refused, shelf, hook, answer, got, wanted):
    shelf.publish(loss(**{hook: answer}), kind="loss")
    said = refused(*RUN, "--loss", "faulty")
    assert f"faulty.{hook}_terms, step 0 gave {got}" in said
    assert wanted in said
    assert "gan-faulty 1.0.0" in said


def test_a_term_that_is_not_finite_is_named_P16(refused, shelf):
    shelf.publish(loss(critic='{"fake": scores.mean() * float("nan")}'), kind="loss")
    assert "the critic's faulty.fake became nan at step 1" in refused(*RUN, "--loss", "faulty")


def test_a_penalty_may_have_nothing_to_say_P16(gan_here, shelf):
    shelf.publish(trick("@hookimpl\ndef critic_terms(self, batch):\n    return None\n"))
    gan_here(*RUN, "--reg", "faulty")


@every_row(
    ("body", "said"),
    [
        ("def critic_view(self, images):\n    return images.tolist()", "critic_view, step 0 gave [["),
        ("def critic_targets(self, targets):\n    return targets[:2]", "gave a tensor of float32 [2], but a tensor of"),
        ("def critic_fakes(self, images):\n    return images", "but a tuple (images, labels) is wanted"),
        ("def learning_rate(self, rate):\n    return 'fast'", "gave 'fast', but a number is wanted"),
        ("def latent_width(self):\n    return 2.5", "latent_width gave 2.5, but a whole number is wanted"),
        ("def stop(self, row):\n    return True", "stop, step 1 gave True, but a text is wanted"),
        ("def measure(self, progress):\n    return 3.0", "measure, step 1 gave 3.0, but a dict is wanted"),
        ("def extend_critic(self):\n    return [nn.Identity()]", "gave Identity(), but a Tail or a Head is wanted"),
        ("def adapt_critic(self, net):\n    return 'net'", "adapt_critic gave 'net', but a torch module is wanted"),
    ],
)
def test_an_answer_of_another_kind_is_named_with_what_is_wanted_P16(refused, shelf, body, said):
    shelf.publish(trick(f"@hookimpl\n{body}\n"))
    assert said in refused(*RUN, "--log-every", "1", "--reg", "faulty")


NET = """
class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layer = nn.Linear(size, {out})

    def forward(self, x, labels):
        y = self.layer(x)
        return {made}
"""


def net(hook, size, out, made):
    body = f"@hookimpl\ndef {hook}(self, plan):\n    return Net({size})\n"
    return trick(body, head=NET.format(out=out, made=made))


@every_row(
    ("kind", "code", "said"),
    [
        pytest.param(
            "gen", net("make_generator", "plan.inputs", 3, "y"),
            ["the network of faulty.make_generator made a tensor of float32 [4, 3]", "floating point [4, 2] is wanted"],
            id="P17-generator-shape",
        ),
        pytest.param(
            "gen", net("make_generator", "plan.inputs", 2, "y.long()"), ["made a tensor of int64 [4, 2]"],
            id="P17-generator-dtype",
        ),
        pytest.param(
            "critic", net("make_critic", 2, 5, "y[:1]"), ["faulty.make_critic made a tensor of float32 [1, 5]"],
            id="P17-critic-shape",
        ),
        pytest.param("critic", net("make_critic", 2, 5, "None"), ["make_critic made None"], id="P17-critic-none"),
        pytest.param(
            "reg",
            trick("@hookimpl\ndef make_score(self, features):\n    return nn.Linear(features, 2)\n"),
            ["the network of faulty.make_score made a tensor of float32 [4, 2]", "[4, 1] is wanted"],
            id="P17-score-shape",
        ),
        pytest.param(
            "reg",
            trick("@hookimpl\ndef extend_critic(self):\n    return Tail(nn.Identity(), 3)\n"),
            ["the Tail of faulty.extend_critic made a tensor of float32 [4, 8]", "[4, 11] is wanted"],
            id="P17-tail-shape",
        ),
        pytest.param(
            "reg",
            trick(
                "@hookimpl\ndef adapt_generator(self, net):\n    return Half(net)\n",
                head="""
                    class Half(nn.Module):
                        def __init__(self, net):
                            super().__init__()
                            self.net = net

                        def forward(self, z, labels):
                            return self.net(z, labels)[:, :1]
                """,
            ),
            ["the network of faulty.adapt_generator made a tensor of float32 [4, 1]"],
            id="P17-adapted-shape",
        ),
    ],
)  # fmt: skip
def test_a_network_that_returns_another_form_is_named_with_both_shapes(refused, shelf, kind, code, said):
    shelf.publish(code, kind=kind)
    error = refused(*choosing(kind))
    for each in said:
        assert each in error
    assert "gan-faulty 1.0.0" in error


def choosing(kind):
    """Choose the faulty plugin; the options of a network that it replaces are left out."""
    words = [*RUN, f"--{kind}", "faulty"]
    for option_word in {"gen": ("--gen", "--mlp.hidden"), "critic": ("--critic", "--mlp-critic.hidden")}.get(kind, ()):
        place = words.index(option_word)
        del words[place : place + 2]
    return words


def test_samples_that_are_not_contiguous_or_share_memory_are_fine_P17(gan_here, shelf):
    shelf.publish(net("make_generator", "plan.inputs", 4, "y.t()[::2].t()"), kind="gen")
    gan_here(*choosing("gen"))


def test_terms_of_one_name_are_told_apart_by_their_component_P17(gan_here, shelf, tmp_path):
    body = "@hookimpl\ndef critic_terms(self, batch):\n    return {'drift': batch.fake.score.square().mean()}\n"
    shelf.publish(trick(body))
    gan_here(*RUN, "--reg", "faulty", "--reg", "again=faulty")
    row = json.loads((tmp_path / "r" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"critic/faulty/drift", "critic/again/drift"} <= row.keys()


def test_two_heads_of_one_name_are_refused_P17(refused, shelf):
    head = "class H(nn.Module):\n    def forward(self, features, labels):\n        return features\n"
    body = "@hookimpl\ndef extend_critic(self):\n    return Head('mine', H())\n"
    shelf.publish(trick(body, head=head))
    said = refused(*RUN, "--reg", "faulty", "--reg", "again=faulty", code=2)
    assert "two components give the critic a head called 'mine'" in said


# ── failing in a step ─────────────────────────────────────────────────────────────────────────────────────────

FAILING = """
@hookimpl
def critic_terms(self, batch, step):
    if step == 3 and "FAIL" in os.environ:
        {deed}
"""


@every_row(
    ("deed", "named"),
    [
        pytest.param("raise ZeroDivisionError('oh')", "ZeroDivisionError: oh", id="P18-raises"),
        pytest.param("sys.exit(0)", "SystemExit: 0", id="P18-sys-exit"),
        pytest.param("return {'x': batch.nothing}", "AttributeError", id="P18-attribute"),
        pytest.param("assert False, 'never'", "AssertionError: never", id="P18-assert"),
    ],
)
def test_a_failing_hook_is_named_with_its_step_and_the_run_can_go_on(
    gan_here, refused, shelf, tmp_path, monkeypatch, deed, named
):
    shelf.publish(trick(FAILING.format(deed=deed)))
    words = ("run", *TINY, "--steps", "5", "--save-every", "2", "--reg", "faulty", "--out")
    gan_here(*words, "whole")
    monkeypatch.setenv("FAIL", "1")
    said = refused(*words, "r")
    assert f"faulty failed in critic_terms, step 3: {named}" in said
    assert "gan-faulty 1.0.0" in said
    assert "gan_faulty.py, line" in said
    assert "goes on from step-000000002" in said
    text = (tmp_path / "r" / "failed" / "step-000000003" / "traceback.txt").read_text()
    assert "in critic_terms" in text
    monkeypatch.delenv("FAIL")
    gan_here("run", "--resume", "r")
    sums = [newest(name, tmp_path).folder / "SHA256SUMS" for name in ("whole", "r")]
    assert sums[0].read_bytes() == sums[1].read_bytes()


@pytest.mark.parametrize("kind", ["gen", "critic"])
def test_a_network_that_fails_is_named_and_not_the_loss_that_asked_it_P18(refused, shelf, kind):
    hook, size = ("make_generator", "plan.inputs") if kind == "gen" else ("make_critic", "2")
    code = net(hook, size, 2, "y if not torch.is_grad_enabled() else self.nothing(y)")
    shelf.publish(code, kind=kind)
    said = refused(*choosing(kind))
    assert "faulty failed" in said
    assert "AttributeError: 'Net' object has no attribute 'nothing'" in said
    assert "gan-faulty 1.0.0" in said
    assert "step 0" in said


def test_a_hook_that_fails_beside_the_step_is_named_with_its_step_P18(refused, shelf):
    shelf.publish(trick("@hookimpl\ndef measure(self, progress):\n    raise KeyError('oh')\n"), kind="metric")
    said = refused(*RUN, "--log-every", "1", "--metric", "faulty")
    assert "faulty failed in measure, step 1: KeyError: 'oh'" in said


@every_row(
    ("body", "said"),
    [
        ("def critic_view(self, images):\n    return images.add_(1)", "faulty.critic_view, step 0 writes into images"),
        (
            "def critic_terms(self, batch):\n    batch.fake.images.mul_(2)",
            "faulty.critic_terms, step 0 writes into batch.fake.images",
        ),
        ("def critic_targets(self, targets):\n    return targets.zero_()", "writes into targets"),
    ],
)
def test_writing_into_what_a_hook_is_given_is_refused_at_once_P19(refused, shelf, body, said):
    shelf.publish(trick(f"@hookimpl\n{body}\n"))
    assert said in refused(*RUN, "--reg", "faulty")


def test_writing_late_is_found_with_debug_P19(debugged, shelf):
    body = "@hookimpl\ndef critic_fakes(self, images, step):\n    images.mul_(2) if step > 9 else None\n"
    shelf.publish(trick(body))
    said = debugged("run", *TINY, "--steps", "12", "--out", "r", "--reg", "faulty")
    assert "faulty.critic_fakes, step 10 writes into images" in said
    assert "Traceback" in said


# ── state ─────────────────────────────────────────────────────────────────────────────────────────────────────

STATEFUL = """
seen: int = memory(0)
buffer: torch.Tensor = memory(factory=lambda: torch.zeros(3))

@hookimpl
def before_step(self, step):
    self.seen += 1
    self.buffer = self.buffer + step

def state(self):
    return {"seen": self.seen, "buffer": self.buffer}

def load_state(self, state):
    self.seen, self.buffer = state["seen"], state["buffer"]
"""


def stateful(state=None, load=None, more="", card='source="a test"'):
    text = STATEFUL + more
    if state is not None:
        text = text.replace('return {"seen": self.seen, "buffer": self.buffer}', f"return {state}")
    if load is not None:
        text = text.replace('self.seen, self.buffer = state["seen"], state["buffer"]', load)
    return trick(text, card=card)


@every_row(
    ("state", "path"),
    [
        pytest.param('{"f": lambda: 1}', "state.f is <function", id="P20-lambda"),
        pytest.param('{"f": object()}', "state.f is <object", id="P20-object"),
        pytest.param('{"buffer": [0, 1, 2, float("nan")]}', "state.buffer[3] is nan", id="P20-nan"),
        pytest.param('{"f": float("inf")}', "state.f is inf", id="P20-infinity"),
        pytest.param('{"f": 1j}', "state.f is 1j", id="P20-complex"),
        pytest.param('{"f": {1, 2}}', "state.f is {1, 2}", id="P20-set"),
        pytest.param('{"f": (1, 2)}', "state.f is (1, 2)", id="P20-tuple"),
        pytest.param('{"f": 2**70}', "state.f is 118", id="P20-big"),
        pytest.param('{"f": {"g": {3: 1}}}', "state.f.g holds the key 3", id="P20-key"),
        pytest.param("{3: 1}", "state holds the key 3", id="P20-key-on-top"),
        pytest.param("{3: torch.ones(1)}", "a tensor under 3", id="P20-tensor-key"),
        pytest.param('{"f": [torch.ones(1)]}', "state.f[0] is tensor([1.])", id="P20-tensor-in-a-list"),
        pytest.param('{"f": torch.ones(1) * 1j}', "torch.complex64", id="P20-complex-tensor"),
        pytest.param('{"f": torch.eye(2).to_sparse()}', "torch.sparse_coo", id="P20-sparse"),
        pytest.param('{"f": torch.ones(1, device="meta")}', "on meta", id="P20-meta"),
        pytest.param("[1]", "state() gave [1], no dict", id="P20-list"),
        pytest.param("self.nothing", "state() failed: AttributeError", id="P20-raises"),
    ],
)
def test_state_that_cannot_be_stored_is_refused_at_step_0_with_its_path(refused, shelf, tmp_path, state, path):
    shelf.publish(stateful(state))
    said = refused(*RUN, "--reg", "faulty")
    assert "faulty cannot be saved" in said
    assert path in said
    assert "gan-faulty 1.0.0" in said
    assert not list((tmp_path / "r" / "checkpoints").glob("step-*"))


def test_tensors_that_share_memory_are_stored_each_whole_P20(gan_here, shelf, tmp_path):
    shelf.publish(
        stateful('{"seen": 1, "buffer": self.buffer, "view": self.buffer[1:], "turned": torch.ones(2, 3).t()}')
    )
    gan_here(*RUN, "--reg", "faulty")
    stored = newest("r", tmp_path).snapshot.files["components"]
    assert torch.equal(stored["faulty/buffer"][1:], stored["faulty/view"])


def paused(gan_here, shelf, code, **more):
    """Train two of four steps with a component, so that a resume finds its state."""
    shelf.publish(code, **more)
    gan_here(*RUN, "--reg", "faulty")
    return "run", "--resume", "r", "--steps", "4"


def newest(folder, root):
    found, _ = reader.newest(root / folder / "checkpoints")
    return found


@every_row(
    ("changed", "said"),
    [
        pytest.param({"load": 'raise ValueError("no")'}, "load_state() failed: ValueError: no", id="P21-raises"),
        pytest.param({"load": 'self.seen = state["sean"]'}, "failed: KeyError: 'sean'", id="P21-missing-key"),
        pytest.param({"load": 'self.seen = state["seen"]'}, "has changed buffer", id="P21-forgets-one"),
        pytest.param({"state": '{"seen": self.seen}'}, "has lost buffer", id="P21-extra-key"),
        pytest.param(
            {"state": '{"seen": self.seen, "buffer": self.buffer, "more": 1}'}, "has added more", id="P21-new-key"
        ),
        pytest.param(
            {"load": 'self.seen, self.buffer = state["seen"], state["buffer"][:2]'}, "changed buffer", id="P21-shape"
        ),
        pytest.param(
            {"load": 'self.seen, self.buffer = str(state["seen"]), state["buffer"]'}, "changed seen", id="P21-type"
        ),
    ],
)
def test_state_that_is_not_taken_back_is_refused_and_nothing_changes(gan_here, refused, shelf, tmp_path, changed, said):
    again = paused(gan_here, shelf, stateful())
    before = {path: path.read_bytes() for path in (tmp_path / "r" / "checkpoints").rglob("*") if path.is_file()}
    shelf.publish(stateful(**changed))
    error = refused(*again)
    assert "faulty does not take its stored state" in error
    assert said in error
    assert "gan-faulty 1.0.0" in error
    assert before == {path: path.read_bytes() for path in before}
    shelf.publish(stateful())
    gan_here(*again)


def test_a_store_that_is_empty_may_come_back_as_none_P21(gan_here, shelf):
    lean = '{"seen": self.seen, **({} if self.buffer is None else {"buffer": self.buffer[:0]})}'
    gan_here(*paused(gan_here, shelf, stateful(lean, 'self.seen, self.buffer = state["seen"], torch.zeros(3)')))
    shelf.publish(stateful(lean, 'self.seen, self.buffer = state["seen"], None').replace("self.buffer + step", "None"))
    gan_here("run", "--resume", "r", "--steps", "6")


def test_no_component_is_changed_where_one_does_not_take_its_state_P21():
    @component(source="a test")
    class Good:
        """Count."""

        seen: int = memory(0)

        @hookimpl
        def before_step(self):
            self.seen += 1

        def state(self):
            return {"seen": self.seen}

        def load_state(self, state):
            self.seen = state["seen"]

    @component(source="a test")
    class Bad:
        """Refuse."""

        @hookimpl
        def before_step(self):
            pass

        def state(self):
            return {}

        def load_state(self, state):
            raise ValueError("no")

    first = train(Good(), Bad())
    first.train_step()
    good = Good()
    second = train(good, Bad())
    weights = capture(second)
    with pytest.raises(CheckpointError, match="bad does not take its stored state"):
        restore(second, capture(first))
    assert good.seen == 0
    for part, tensors in capture(second).files.items():
        assert all(torch.equal(tensor, weights.files[part][name]) for name, tensor in tensors.items())


def test_a_plugin_that_is_gone_is_named_with_what_to_install_and_samples_are_still_drawn_P22(
    gan_here, refused, shelf, tmp_path
):
    again = paused(gan_here, shelf, stateful(), version="1.2.3")
    gan_here("sample", "r", "-n", "3", "-o", "before")
    shelf.remove("gan-faulty")
    said = refused(*again)
    assert "the run was trained with 'faulty', which is not installed" in said
    assert "pip install gan-faulty==1.2.3" in said
    done = gan_here("sample", "r", "-n", "3", "-o", "after")
    assert "faulty is not installed; the generator is sampled without it" in done.stderr
    assert (tmp_path / "before" / "points.csv").read_text() == (tmp_path / "after" / "points.csv").read_text()


@every_row("slot", ["loss", "critic", "gen"])
def test_of_what_is_gone_only_the_generator_is_needed_for_samples_P22(gan_here, refused, shelf, slot):
    code = {
        "loss": loss(),
        "critic": net("make_critic", 2, 5, "y"),
        "gen": net("make_generator", "plan.inputs", 2, "y"),
    }[slot]
    shelf.publish(code, kind=slot)
    gan_here(*choosing(slot))
    shelf.remove("gan-faulty")
    if slot == "gen":
        said = refused("sample", "r", "-o", "points")
        assert "pip install gan-faulty==1.0.0" in said
    else:
        gan_here("sample", "r", "-o", "points")


def test_a_plugin_that_changed_the_generator_is_needed_for_samples_P22(gan_here, refused, shelf):
    body = "@hookimpl\ndef adapt_generator(self, net):\n    net.extra = nn.Parameter(torch.ones(2))\n"
    paused(gan_here, shelf, trick(body))
    shelf.remove("gan-faulty")
    assert "pip install gan-faulty==1.0.0" in refused("sample", "r", "-o", "points")


def test_a_name_that_another_distribution_now_gives_is_refused_P22(gan_here, refused, shelf):
    again = paused(gan_here, shelf, stateful())
    shelf.remove("gan-faulty")
    shelf.publish(stateful(), dist="gan-other")
    said = refused(*again)
    assert "the run was trained with faulty of gan-faulty 1.0.0; now gan-other gives that name" in said
    assert "pip install gan-faulty==1.0.0" in said


@every_row(
    ("version", "code", "said"),
    [
        pytest.param("1.0.1", 0, "faulty was 1.0.0 then and is 1.0.1 now\n", id="P23-patch"),
        pytest.param("1.1.0", 0, "is 1.1.0 now; the run may not be bit-exact", id="P23-minor"),
        pytest.param("2.0.0", 1, "now 2.0.0 is installed", id="P23-major"),
    ],
)
def test_another_version_is_told_or_refused_by_how_far_it_is(gan_here, shelf, version, code, said):
    again = paused(gan_here, shelf, stateful())
    shelf.publish(stateful(), version=version)
    error = gan_here(*again, check=code).stderr
    assert said in error
    assert "pip install gan-faulty==1.0.0" in error or not code


MIGRATE = """
def migrate(self, state, from_version):
    return {"seen": state["count"], "buffer": state["rows"][from_version - 1]}
"""
OLD = {"state": '{"count": self.seen, "rows": torch.stack([self.buffer, self.buffer])}', "load": "pass"}


def test_state_of_another_form_is_refused_without_migrate_P23(gan_here, refused, shelf):
    again = paused(gan_here, shelf, stateful(**OLD))
    shelf.publish(stateful(card='source="a test", state_version=2'))
    said = refused(*again)
    assert "faulty stored its state in form 1, but now reads form 2" in said
    assert "install gan-faulty 1.0.0" in said


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_state_of_another_form_is_migrated_by_a_plugin_that_offers_it_P23(gan_here, shelf, tmp_path, version):
    again = paused(gan_here, shelf, stateful(**OLD))
    shelf.publish(stateful(more=MIGRATE, card='source="a test", state_version=2'), version=version)
    gan_here(*again)
    stored = newest("r", tmp_path).snapshot
    assert stored.state["components"]["faulty"]["state"] == {"seen": 4}
    assert stored.files["components"]["faulty/buffer"].tolist() == [6.0, 6.0, 6.0]  # 0 + 1 + 2 + 3


def test_a_migration_that_fails_is_named_P23(gan_here, refused, shelf):
    again = paused(gan_here, shelf, stateful())
    shelf.publish(stateful(more=MIGRATE, card='source="a test", state_version=2'))
    assert "migrate() failed: KeyError: 'count'" in refused(*again)


def test_tensors_that_change_without_state_are_told_while_running_P24(gan_here, shelf):
    forgetful = STATEFUL.partition("def state")[0]
    shelf.publish(trick(forgetful))
    words = ("run", *TINY, "--steps", "4", "--log-every", "1", "--out")
    said = gan_here(*words, "r", "--reg", "faulty").stderr
    assert said.count("faulty keeps tensors that change, but has no state()") == 1
    cached = forgetful.replace(
        "self.buffer = self.buffer + step", "self.buffer = self.buffer + 1 if step == 1 else self.buffer"
    )
    shelf.publish(trick(cached))
    assert "no state()" not in gan_here(*words, "s", "--reg", "faulty").stderr


# ── in company ────────────────────────────────────────────────────────────────────────────────────────────────


def test_options_of_one_name_belong_each_to_their_component_P25(gan_here, shelf, tmp_path):
    code = trick(f"batch: int = option(1, ge=0, help='like a setting of the run')\n{VIEW}")
    shelf.publish(code)
    shelf.publish(code, name="other")
    gan_here(*RUN, "--reg", "faulty", "--reg", "other", "--faulty.batch", "2", "--other.batch", "3")
    text = (tmp_path / "r" / "recipe.toml").read_text()
    assert "batch = 4" in text
    assert "[faulty]\nbatch = 2" in text
    assert "[other]\nbatch = 3" in text


@every_row(
    ("declared", "words", "code", "said"),
    [
        pytest.param(
            "complex = option(1, help='h')", ["--faulty.size", "2"], 2, "of a type that options", id="P25-type"
        ),
        pytest.param("int = option(-1, ge=0, help='h')", [], 2, "size is -1, but must be at least 0", id="P25-default"),
        pytest.param("list = option([1], help='h')", [], 1, "which all objects would share", id="P25-mutable"),
        pytest.param("dict = option({}, help='h')", [], 1, "which all objects would share", id="P25-mutable-dict"),
    ],
)
def test_a_bad_declaration_of_an_option_is_refused(gan_here, shelf, declared, words, code, said):
    shelf.publish(trick(f"size: {declared}\n{VIEW}"))
    assert said in gan_here(*RUN, "--reg", "faulty", *words, check=code).stderr


def test_components_that_ask_for_each_other_in_a_circle_are_named_P26(refused, shelf):
    shelf.publish(loss(), kind="loss")
    # with the default loss it wants the faulty one, and with that, which has no targets, the default again
    shelf.publish(trick(VIEW, card='source="a test", asks_with={"loss.targets": {"loss": "faulty"}}'), name="asks")
    said = refused(*RUN, "--reg", "asks", code=2)
    assert "ask for each other in a circle" in said
    assert "asks" in said


@every_row(
    ("card", "said"),
    [
        pytest.param('rules=[requires("a.thing", "it stands on it")]', "it stands on it", id="P26-missing"),
        pytest.param(
            'provides=["own"], rules=[requires("other", "it stands on it")]', "it stands on it", id="P26-not-by-itself"
        ),
        pytest.param('asks={"reg": ["nowhere"]}', "is called 'nowhere'", id="P26-asks-for-nobody"),
    ],
)
def test_what_a_component_needs_and_nobody_gives_is_refused(refused, shelf, card, said):
    shelf.publish(trick(VIEW, card=f'source="a test", {card}'))
    assert said in refused(*RUN, "--reg", "faulty", code=2)


def test_a_component_that_asks_for_itself_is_chosen_once_P26(gan_here, shelf):
    shelf.publish(trick(VIEW, card='source="a test", asks={"reg": ["faulty"]}'))
    gan_here(*RUN, "--reg", "faulty")


def test_components_that_refuse_each_other_are_named_and_wary_ones_noted_P27(gan_here, refused, shelf):
    shelf.publish(trick(VIEW, card='source="a test", rules=[conflicts("a.thing", "they pull apart")]'))
    shelf.publish(trick(VIEW, card='source="a test", provides=["a.thing"]'), name="other")
    said = refused(*RUN, "--reg", "faulty", "--reg", "other", code=2)
    assert "'faulty' and 'other' cannot be composed: they pull apart" in said
    shelf.publish(trick(VIEW, card='source="a test", rules=[warns_with("a.thing", "they pull apart")]'))
    assert "unusual pair: they pull apart" in gan_here(*RUN, "--reg", "faulty", "--reg", "other").stderr


def test_a_component_used_twice_needs_an_alias_P28(gan_here, refused, shelf, tmp_path):
    shelf.publish(trick(f"by: float = option(0.0, help='what is added')\n{VIEW}"))
    gan_here(*RUN, "--reg", "faulty", "--reg", "more=faulty", "--more.by", "2")
    recipe = (tmp_path / "r" / "recipe.toml").read_text()
    assert "[more]\nby = 2.0" in recipe
    shelf.publish(trick(VIEW), name="more")
    said = refused(*RUN[:-1], "s", "--reg", "more", "--reg", "more=faulty", code=2)
    assert "'more' is chosen twice" in said
    assert "give one an alias" in said


def test_what_a_plugin_leaves_running_does_not_keep_the_process_P30(gan, shelf, monkeypatch):
    head = """
        import threading, time
        def forever():
            while True: time.sleep(1)
        threading.Thread(target=forever, name="the-lasting-thread").start()
    """
    shelf.publish(trick(VIEW, head=head))
    monkeypatch.setenv("PYTHONPATH", str(shelf.folder))
    done = gan(*RUN, "--reg", "faulty", "--json")
    assert "a plugin left the-lasting-thread running; it is ended" in done.stderr
    assert json.loads(done.stdout)["run"] == "r"


@every_row(
    ("text", "name", "said"),
    [
        pytest.param(None, "mine.py", "there is no file", id="P31-missing"),
        pytest.param("x = 1\n", "mine.py", "holds 0 components (none)", id="P31-none"),
        pytest.param(FINE + FINE.replace("Trick", "Other"), "mine.py", "(Trick, Other)", id="P31-two"),
        pytest.param(FINE, "mine.py:Nobody", "it holds Trick", id="P31-another-name"),
    ],
)
def test_a_component_file_that_names_no_one_component_is_refused(refused, tmp_path, text, name, said):
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    assert said in refused(*RUN, "--reg", f"./{name}", code=2)


def test_a_component_of_a_file_with_two_is_chosen_by_its_name_P31(gan_here, tmp_path):
    (tmp_path / "mine.py").write_text(FINE + FINE.replace("Trick", "Other"))
    gan_here(*RUN, "--reg", "./mine.py:Other")


@every_row(
    ("text", "said"),
    [
        pytest.param("def broken(:\n", "SyntaxError", id="P31-syntax"),
        pytest.param("raise OSError('gone')\n", "mine.py, line 1", id="P31-raises"),
        pytest.param(trick("@hookimpl\ndef los(self):\n    pass\n"), "no such hook", id="P31-misspelt"),
        pytest.param(
            trick(VIEW, head="torch.set_num_threads(9)"), "changes torch's number of threads", id="P31-changes"
        ),
    ],
)
def test_a_component_file_that_is_broken_is_named(refused, tmp_path, same_process, text, said):
    (tmp_path / "mine.py").write_text(text)
    error = refused(*RUN, "--reg", "./mine.py")
    assert said in error
    assert "mine.py" in error


# ── the conformance kit finds what a run could not ────────────────────────────────────────────────────────────


def odd(**members):
    """Make a component class of these members."""
    text = members.pop("doc", "Be odd.")
    card = members.pop("card", {})
    space = {"__doc__": text, "__module__": __name__, "__annotations__": members.pop("annotations", {}), **members}
    return component(source="a test", **card)(type("Odd", (), space))


def changing(deed):
    def critic_view(self, images):
        deed()
        return images

    return odd(critic_view=hookimpl(critic_view))


@every_row(
    ("deed", "said"),
    [
        (lambda: torch.set_default_dtype(torch.float64), "changes torch's default dtype"),
        (lambda: torch.set_num_threads(torch.get_num_threads() + 1), "changes torch's number of threads"),
        (lambda: torch.set_grad_enabled(False), "changes torch's grad mode"),
        (lambda: torch.rand(()), "draws from torch's global generator"),
        (lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN), "changes the signal handlers"),
    ],
)
def test_the_kit_finds_what_changes_the_process_P07(same_process, deed, said):
    with pytest.raises(AssertionError, match=said):
        check_component(changing(deed))
    assert torch.is_grad_enabled()


def test_the_kit_finds_writing_into_what_was_given_P19():
    with pytest.raises(AssertionError, match="writes into images"):
        check_component(odd(critic_view=hookimpl(lambda self, images: images.add_(1))))
    with pytest.raises(AssertionError, match=r"writes into batch.fake.images"):
        check_component(odd(critic_terms=hookimpl(lambda self, batch: [batch.fake.images.mul_(2), None][1])))


def test_the_kit_finds_late_writing_too_P19():
    def critic_view(self, images, step):
        return images.add_(1) if step == 5 else images

    with pytest.raises(AssertionError, match="step 5 writes into images"):
        check_component(odd(critic_view=hookimpl(critic_view)))


def test_the_kit_finds_state_on_the_class_that_moves_the_numbers_P29():
    def critic_view(self, images):
        self.calls.append(1)
        return images * (1 + 1 / len(self.calls))

    def state(self):
        return {}

    cls = odd(critic_view=hookimpl(critic_view), state=state, load_state=lambda self, state: None, calls=[])
    with pytest.raises(AssertionError, match="two runs in one process differ"):
        check_component(cls)


def test_the_kit_finds_state_on_the_class_that_moves_nothing_yet_P29():
    def before_step(self):
        self.calls.append(1)

    with pytest.raises(AssertionError, match=r"Odd.calls changes while training"):
        check_component(odd(before_step=hookimpl(before_step), calls=[]))


COUNTED = {"steps": 0}


def test_the_kit_finds_state_on_the_module_P29():
    def before_step(self):
        COUNTED["steps"] += 1

    with pytest.raises(AssertionError, match=r"COUNTED changes while training"):
        check_component(odd(before_step=hookimpl(before_step)))


def test_the_kit_finds_memory_without_state_and_names_the_field_P24():
    def before_step(self):
        self.seen += 1

    def critic_view(self, images):
        return images * (1 + 0.1 * self.seen)

    cls = odd(
        before_step=hookimpl(before_step),
        critic_view=hookimpl(critic_view),
        seen=memory(0),
        annotations={"seen": int},
    )
    with pytest.raises(AssertionError, match=r"odd changes seen while training, but has no state\(\)"):
        check_component(cls)


def test_the_kit_finds_state_that_is_not_taken_back_P21():
    def before_step(self):
        self.seen += 1

    cls = odd(
        before_step=hookimpl(before_step),
        state=lambda self: {"seen": self.seen},
        load_state=lambda self, state: None,
        seen=memory(0),
        annotations={"seen": int},
    )
    with pytest.raises(CheckpointError, match="load_state\\(\\) has changed seen"):
        check_exact_resume(lambda: [cls()])


def test_the_kit_passes_what_keeps_its_memory_and_changes_nothing_else():
    @component(source="a test")
    class Drifting:
        """Add a little more every step."""

        by: float = option(0.1, ge=0, help="what is added")
        seen: int = memory(0)

        @hookimpl
        def before_step(self):
            self.seen += 1

        @hookimpl
        def critic_view(self, images):
            return images + self.by * self.seen

        def state(self):
            return {"seen": self.seen}

        def load_state(self, state):
            self.seen = state["seen"]

    check_component(Drifting)


def test_an_options_default_that_all_objects_would_share_is_refused_P25():
    with pytest.raises(PluginError, match="which all objects would share"):
        option([1, 2], help="sizes")
