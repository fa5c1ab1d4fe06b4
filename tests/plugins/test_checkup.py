"""`gan plugins --check` names every fault of a plugin, and a class that could never act is refused."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image
from support.plugin_shelf import FINE, RUN, VIEW, Shelf, listed, newest, trick
from support.tables import every_row

# ── all faults at once ────────────────────────────────────────────────────────────────────────────
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

pytestmark = pytest.mark.xdist_group("checkup")  # the fixtures check every plugin once


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


@every_row(
    "name", [pytest.param(name, id=f"{row}-{name}") for row, all_ in ROWS.items() for name in all_]
)
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


def test_faulty_plugins_that_are_not_chosen_change_no_bit_of_a_run(
    faults, gan_here, tmp_path, monkeypatch
):
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
    shelf.publish(
        trick("@hookimpl\ndef recognizes(self, path):\n    raise OSError('oh')\n"), kind="data"
    )
    changes = trick(VIEW, head="torch.set_default_dtype(torch.float64)")
    shelf.publish(changes, name="doubles", kind="data")
    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
    words = ("--batch", "2", "--dcgan.width", "4", "--dcgan-critic.width", "4")
    assert "image-folder" in gan_here("run", "--data", "./images", *words, "--dry-run").stdout


# ── classes that could never act as they seem ─────────────────────────────────────────────────────
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
