"""A stranger's recipe, run or name runs no code, uses no network, writes nowhere else and steers no terminal.

The commands run in real processes under an audit hook, which sees what Python itself does, whoever asks for it.
"""

import json
import os
import pty
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from xml.etree import ElementTree

import pytest
import tomli_w
from PIL import Image
from support.paths import ROOT
from support.tables import every_row

TINY = (
    "--data",
    "mixture",
    "--gen",
    "mlp",
    "--critic",
    "mlp-critic",
    "--batch",
    "4",
    "--mlp.hidden",
    "4",
)
SHORT = (*TINY, "--mlp-critic.hidden", "4", "--steps", "2", "--log-every", "1")
TOKEN = "pwned"  # in every name and file of the stranger

WATCHER = """
import json, os, sys

token, roots, jobs = json.load(sys.stdin)
seen = []
REACHING = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.", "socket.connect",
            "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "pickle.find_class",
            "webbrowser.", "urllib.", "ftplib.", "http.client", "smtplib.", "pty.")
CHANGING = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
            "shutil.rmtree", "shutil.move", "shutil.copyfile", "tempfile.mkstemp", "tempfile.mkdtemp"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def holds(code):
    texts = repr((code.co_name, code.co_names, [each for each in code.co_consts if not hasattr(each, "co_consts")]))
    return token in texts or any(holds(each) for each in code.co_consts if hasattr(each, "co_consts"))

def watch(event, args):
    if event == "exec":
        name = args[0].co_filename
        if holds(args[0]) or not name.startswith(("<", *roots)):
            seen.append(["code", name])
    elif event == "compile":
        source = args[0].decode(errors="replace") if isinstance(args[0], bytes) else args[0]
        if isinstance(source, str) and token in source:
            seen.append(["code", str(args[1])])
    elif event == "import" and token in str(args[0]):
        seen.append(["import", str(args[0])])
    elif event == "ctypes.dlopen" and token in str(args[0]):
        seen.append(["library", str(args[0])])
    elif event.startswith(REACHING):
        seen.append(["reach", f"{event} {args}"])
    elif event == "open" and isinstance(args[0], (str, bytes)) and args[2] & WRITING:
        seen.append(["write", os.path.realpath(os.fsdecode(args[0]))])
    elif event in CHANGING and isinstance(args[0], (str, bytes, os.PathLike)):  # else a descriptor that is open
        seen.append(["write", os.path.realpath(os.fsdecode(args[0]))])

import contextlib, io
import matplotlib.font_manager, torch  # they ask the system for fonts and libraries, which is no stranger's doing

sys.addaudithook(watch)
from gancore.cli import main

def answer(words):
    del seen[:]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as ended:
            code = ended.code
    foreign = [name for name, module in list(sys.modules.items()) if token in str(getattr(module, "__file__", ""))]
    done = [*seen, *(["module", name] for name in foreign)]
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "seen": done}

answers = [answer(words) for words in jobs]
sys.stdout.write(json.dumps(answers))
"""


def watched(folder, *jobs):
    """Run commands one after the other in one process that is watched; return what each said and did."""
    script = (
        folder.parent / "watcher" / "watcher.py"
    )  # its folder, not the stranger's, is where Python looks first
    script.parent.mkdir(exist_ok=True)
    script.write_text(WATCHER)
    places = ("MPLCONFIGDIR", "HOME", "TMPDIR", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR")
    own = dict.fromkeys(places, str(script.parent))
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **own}
    roots = [str(ROOT), sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), str(script)]
    told = json.dumps([TOKEN, roots, [[str(word) for word in words] for words in jobs]])
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(
        command,
        input=told,
        capture_output=True,
        text=True,
        cwd=folder,
        env=env,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def harmful(answer, *allowed):
    """List what an answer did that it should not: all but writing into the allowed places."""
    places = [os.devnull, *(str(Path(place).resolve()) for place in allowed)]
    return [
        [what, where]
        for what, where in answer["seen"]
        if not (
            what == "write"
            and any(where == place or where.startswith(f"{place}/") for place in places)
        )
    ]


def trap(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"open({str(path.parent / 'pwned-marker')!r}, 'w').write('pwned')\n"
        "from gancore import component, hookimpl\n"
        "@component(source='pwned')\n"
        "class Pwned:\n"
        "    @hookimpl\n"
        "    def before_step(self): pass\n"
    )
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder full of a stranger's code, some of it named so that a careless import finds it."""
    folder = tmp_path_factory.mktemp("work") / "here"
    for name in (
        "pwned.py",
        "sub/pwned.py",
        "../pwned.py",
        "pwned/__init__.py",
        "pwned/toml.py",
        "pwned.toml.py",
    ):
        trap(folder / name)
    for name in ("gan_plugin_pwned.py", "conftest.py", "sitecustomize.py", "usercustomize.py"):
        trap(folder / name)
    return folder


NAMES = [
    "./pwned.py", "a=./pwned.py:Pwned", "{folder}/pwned.py", "../pwned.py", "./sub/../pwned.py:Pwned", "pwned.py",
    "pwned", "pwned:Pwned", "pwned.toml", "gan_plugin_pwned:Pwned", "os:system", "__main__", "__import__('pwned')",
    "$(touch pwned)", ".py", "file://pwned.py", "http://localhost:1/pwned.py", "./pwned.py\0", "{{7*7}}", "%(pwned)s",
]  # fmt: skip


@pytest.fixture(scope="module")
def recipes(folder):
    """Hostile recipes: each name in each kind of place."""
    contents = []
    for name in (name.replace("{folder}", str(folder)) for name in NAMES):
        contents += [
            {
                "gen": name,
                "sweep": {"arms": {name: {"track": name, "extends": name}}},
                "about": {name: name},
            },
            {"sweep": {"arms": {name: {"track": name}}}, "reg": [name], "small": {"cond": name}},
            {"extends": name},
            {name: {"x": name}},
            {"data": "image-folder", "image-folder": {"path": name, "labels-file": name}},
        ]
    (folder / "recipes").mkdir()
    paths = [folder / "recipes" / f"{number}.toml" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(tomli_w.dumps(content))
    return paths


def test_no_recipe_runs_code_or_writes_or_reaches_out(folder, recipes):
    before = sorted(folder.rglob("*"))
    jobs = [("run", "--recipe", path, "--dry-run") for path in recipes]
    jobs += [("recipes", path) for path in recipes]
    jobs += [("sweep", path, "--seeds", "1") for path in recipes if "track =" in path.read_text()]
    for words, answer in zip(jobs, watched(folder, *jobs), strict=True):
        assert harmful(answer) == [], words
        assert answer["code"] in (0, 1, 2), (words, answer["err"])
        assert "error: unexpected" not in answer["err"]
    assert sorted(folder.rglob("*")) == before


def test_the_watcher_sees_a_component_file_that_the_user_did_name(folder):
    (folder / "mine").mkdir()
    with trap(folder / "mine" / "pwned.py").open("a") as file:
        file.write("import socket\nwith socket.socket() as it: it.bind(('127.0.0.1', 0))\n")
    (answer,) = watched(folder, ("run", "--reg", "./mine/pwned.py", *SHORT, "--dry-run"))
    assert answer["code"] == 0, answer["err"]
    assert {"code", "write", "reach"} <= {what for what, _ in harmful(answer)}


def test_a_recipe_may_ask_for_no_download(folder):
    recipe = folder.parent / "fetch.toml"
    fetch = {"download": True, "path": str(folder)}
    recipe.write_text(
        tomli_w.dumps({"data": "cifar10", "cifar10": fetch, "sweep": {"arms": {"a": {}}}})
    )
    run, swept = watched(
        folder, ("run", "--recipe", recipe, "--dry-run"), ("sweep", recipe, "--seeds", "1")
    )
    for answer in (run, swept):
        assert (answer["code"], harmful(answer)) == (2, [])
        assert "--cifar10.download true" in answer["err"]


# ── runs ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def hostile_run(folder):
    """A run that was trained here, then changed by a stranger; its answer comes with it."""
    run = folder / "run"
    (answer,) = watched(
        folder, ("run", *SHORT, "--track", "curves", "--track", "tensorboard", "--out", run)
    )
    assert answer["code"] == 0, answer["err"]
    text = (run / "recipe.toml").read_text()
    trap(run / "pwned.py")
    trap(run / "samples" / "pwned.py")
    (run / "run.json").write_text('{"pwned": "__import__(\'pwned\')"}')
    (run / "checkpoints" / "latest").write_text("../../pwned\n")
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(
            json.dumps({"step": 3 + n, "critic/\x1b[31mpwned/real": 1.0}) + "\n" for n in range(60)
        )
    secret = folder.parent / "secret"
    secret.mkdir()
    Image.new("RGB", (8, 8), "red").save(secret / "step-000000009.png")
    (run / "samples" / "step-000000009.png").symlink_to(secret / "step-000000009.png")
    return run, answer, text


def test_a_run_uses_no_network_and_writes_into_its_own_folder_alone(hostile_run):
    run, answer, _ = hostile_run
    found = harmful(answer, run, run.parent.parent / "watcher")
    assert all(Path(path).name.startswith(".trial-") for _, path in found), (
        found
    )  # whether anything can be written


def test_nothing_that_opens_a_strangers_run_runs_code_or_writes_elsewhere(folder, hostile_run):
    run, out = hostile_run[0], folder.parent / "out"
    out.mkdir()  # whether samples can be written is tried in the nearest folder that is there
    copy = shutil.copytree(run, folder / "copy", symlinks=True)
    jobs = [
        ("sample", run, "-n", "2", "-o", out / "points.png"),
        ("sample", run, "-n", "2", "-o", out / "folder"),
        ("diagnose", run),
        ("diagnose", run, "--json"),
        ("curves", run, "-o", out / "c.svg"),
        ("gif", run, "-o", out / "film.gif"),
        ("compare", run, copy, "-o", out / "compare.html"),
    ]
    for words, answer in zip(jobs, watched(folder, *jobs), strict=True):
        assert answer["code"] == 0, (words, answer["err"])
        assert harmful(answer, out, folder.parent / "watcher") == [], words
        assert "\x1b" not in answer["out"] + answer["err"]
    with Image.open(out / "film.gif") as film:
        assert film.size != (8, 8), "the picture behind the link is not the run's"


def test_a_run_whose_recipe_names_code_is_refused(folder, hostile_run):
    run, _, text = hostile_run
    jobs = []
    for number, name in enumerate(
        ["./pwned.py", "../../pwned.py", "pwned:Pwned", "os:system", "a=./pwned.py:Pwned"]
    ):
        copy = folder / f"run{number}"
        shutil.copytree(run, copy, symlinks=True)
        (copy / "recipe.toml").write_text(
            text.replace("format = 1", f"format = 1\nreg = [{json.dumps(name)}]")
        )
        jobs += [
            ("sample", copy, "-o", copy / "x.png"),
            ("run", "--resume", copy),
            ("diagnose", copy),
        ]
    answers = watched(folder, *jobs)
    assert {each["code"] for each in answers} <= {0, 1, 2}
    assert all(each["code"] for each in answers[1::3]), (
        "no training goes on without what the recipe chooses"
    )
    assert not any(each["code"] for each in answers[2::3]), (
        "figures can be read whatever the recipe chooses"
    )
    copies = [folder / f"run{number // 3}" for number in range(len(answers))]
    assert [harmful(each, copy) for each, copy in zip(answers, copies, strict=True)] == [[]] * 15


# ── the terminal ──────────────────────────────────────────────────────────────────────────────────────────────

ESC = "\x1b]0;owned\x07\x1b[31m\u202ered\x00"
BAD = "\x1b\x07\u202e\x00\x9b"


def harmless(done):
    text = done.stdout + done.stderr
    assert not set(text) & set(BAD), text
    return text


def toml(value):
    return tomli_w.dumps(value)


@every_row(
    ("command", "content"),
    [
        (["recipes"], {"about": {ESC: ESC, "lines": [ESC, "two\nlines"]}, "extends": "default"}),
        (
            ["recipes"],
            {
                "sweep": {"arms": {ESC: {"latent": ESC, "extends": ESC}}},
                ESC: {ESC: ESC},
                "loss": ESC,
            },
        ),
        (["recipes", "--json"], {"about": {ESC: ESC}}),
        (["run", "--dry-run", "--recipe"], {"gen": ESC}),
        (["run", "--dry-run", "--recipe"], {ESC: ESC}),
        (["run", "--dry-run", "--recipe"], {ESC: {ESC: ESC}}),
        (["run", "--dry-run", "--recipe"], {"run": {"device": ESC}}),
        (["run", "--dry-run", "--recipe"], {"run": {ESC: 1}}),
        (["run", "--dry-run", "--recipe"], {"extends": ESC}),
        (["run", "--dry-run", "--recipe"], {"latent": "normal", "normal": {"dim": ESC}}),
        (["sweep"], {"sweep": {"arms": {ESC: {"gen": ESC}}}}),
        (
            ["sweep"],
            {
                "sweep": {
                    "arms": {"a": {}},
                    "claims": [{"says": ESC, "figure": ESC, "less": ESC, "more": "a"}],
                }
            },
        ),
    ],
)
def test_no_name_in_a_recipe_steers_the_terminal(gan_here, tmp_path, command, content):
    path = tmp_path / "\x1b[31m.toml"
    path.write_text(f"# \x1b[31m\n{toml(content)}".replace("# \x1b", "# \\u001b"))
    check = 0 if command[0] == "recipes" else 2
    assert "\\x1b" in harmless(gan_here(*command, path.name, check=check)) or "--json" in command


def test_a_command_told_for_a_shell_is_quoted(gan_here, tmp_path):
    (tmp_path / "it.toml").write_text('loss = "$(touch x)"\n["a b"]\n"c;d" = "`e`"\n')
    page = gan_here("recipes", "it.toml").stdout
    assert "--loss '$(touch x)' '--a b.c;d' '`e`'" in page


def test_no_name_of_a_class_steers_the_terminal(gan_here, tmp_path):
    for kind in ("\x1b[31mfire", "\u202ewater"):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for shade in range(3):
            Image.new("L", (8, 8), 80 * shade).save(
                tmp_path / "pets" / kind / f"\x1b[2J{shade}.png"
            )
    (tmp_path / "pets" / "\x1b[31mfire" / "\x1b[2Jbroken.png").write_bytes(b"no picture")
    size = ("--size", "8", "--dcgan.width", "2", "--dcgan-critic.width", "2", "--batch", "2")
    assert "labels: class (2 classes)" in harmless(
        gan_here("run", "--data", "pets", *size, "--dry-run")
    )
    harmless(
        gan_here(
            "run", "--data", "pets", *size, "--cond", "acgan", "--steps", "1", "--out", "\x1b[31mr"
        )
    )
    refused = gan_here("sample", "\x1b[31mr", "--labels", "class=\x1b[31mwind", check=2)
    assert "\\x1b[31mfire" in harmless(refused)
    harmless(gan_here("sample", "\x1b[31mr", "-n", "1", "-o", "\x1b[31m.png"))
    harmless(gan_here("sample", "\x1b[31m", check=2))
    assert "\\x1b[31mr" in harmless(gan_here("diagnose", "\x1b[31mrr", check=2))


@pytest.fixture
def strange_plugin(tmp_path):
    """An installed distribution whose every text tries to steer the terminal; returns the environment to see it in."""
    site = tmp_path / "site"
    about = site / "strange-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: strange\x1b[31m\nVersion: 1\x1b[31m\nSummary: \x1b[31msummary\n"
    )
    (about / "entry_points.txt").write_text(
        "[gancore.reg]\nstrange-one = strange_module:Strange\n\x1b[31mstrange-two = strange_module:Strange\n"
        "strange-three = strange_missing:X\n"
        "[gancore.latent]\nstrange-four = strange_module:Strange\n"
        "[gancore.commands]\nstrange-command = strange_module:command\n"
    )
    (site / "strange_module.py").write_text(
        "from gancore import component, hookimpl, option, warns_with\n"
        "@component(source='\\x1b[31msource', provides=['\\x1b[31mtag'], defaults={'latent': '\\x1b[31m'},\n"
        "           defaults_with={'\\x1b[31m': {'latent': 'x'}}, rules=[warns_with('\\x1b[31m', '\\x1b[31mreason')])\n"
        "class Strange:\n"
        "    '''\\x1b[31m[bold red]what[/] it does.\n\n    More \\x1b[31m of it.'''\n"
        "    x: str = option('\\x1b[31m', choices=('\\x1b[31m', 'b'), help='\\x1b[31mhelp')\n"
        "    @hookimpl\n"
        "    def before_step(self): pass\n"
        "def command():\n"
        "    '''\\x1b[31mcommand.'''\n"
    )
    return {**os.environ, "PYTHONPATH": str(site)}


@every_row(
    "words",
    [
        ["plugins"], ["plugins", "reg"], ["plugins", "strange-one"], ["plugins", "--json"], ["--help"],
        ["plugins", "latent", "--check"], ["strange-command"], ["run", "--reg", "strange-one", "--help"],
        ["run", "--reg", "strange-one", "--dry-run", *SHORT], ["--debug", "run", "--reg", "strange-three"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_text_of_a_plugin_steers_the_terminal(strange_plugin, tmp_path, words):
    command = [sys.executable, "-m", "gancore", *words]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=strange_plugin,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, 1, 2)
    assert "strange" in harmless(done)


def test_on_a_terminal_too_foreign_text_is_no_markup(strange_plugin, tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gancore", "plugins", "reg"]
    env = {**strange_plugin, "COLUMNS": "400", "TERM": "xterm", "NO_COLOR": "1"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=tmp_path, env=env) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:  # what Linux says once the other side is gone
                piece = b""
            if not piece:
                break
            text += piece
    os.close(ours)
    assert process.returncode == 0, text
    assert b"\\x1b[31m[bold red]what[/] it does." in text
    assert b"\x1b[31m" not in text


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────

EVIL = [
    '<img src=x onerror="alert(1)">', "</text><script>alert(1)</script>", '"onload="alert(1)', "]]><x>", "&amp;&#x3c;",
    "{{7*7}}", "\x1b[31m", "\u202e", "a\nb", "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_of_figures_are_text_and_nothing_else_in_an_svg(gan_here, tmp_path):
    run = tmp_path / EVIL[0].replace("/", "")
    run.mkdir()
    (run / "recipe.toml").touch()
    rows = [
        {
            "step": step,
            **{f"critic{n}/{name}".replace("/t", "t"): 1.0 for n, name in enumerate(EVIL)},
        }
        for step in (1, 2)
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = ",".join(name for name in rows[0] if name != "step" and "," not in name)
    gan_here("curves", run.name, "--figures", names, "-o", "c.svg")
    tree = ElementTree.parse(tmp_path / "c.svg")
    tags = {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert not tags & {"script", "img", "image", "foreignObject", "x", "a"}
    attributes = {key for element in tree.iter() for key in element.attrib}
    assert not any(key.lower().startswith("on") for key in attributes)
    assert not any(
        "http" in value and "w3.org" not in value
        for e in tree.iter()
        for k, value in e.attrib.items()
        if "href" in k
    )
    written = "".join(tree.getroot().itertext())
    for name in EVIL[:6]:
        assert name.replace("/t", "t") in written, name


def test_the_trust_model_is_told_in_one_page():
    page = (ROOT / "SECURITY.md").read_text()
    assert len(page.splitlines()) < 80
    for word in ("./file.py", "SHA256SUMS", "pickle", "download"):
        assert word in page
