"""A stranger's plugin joins in from a wheel; a broken one is a row with its reason and harms
nobody.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from support.paths import ROOT
from support.tables import every_row

BROKEN = {
    "syntax": ("def broken(:\n", "cannot be read"),
    "raises": ('raise RuntimeError("out of order")\n', "raises when imported"),
    "needs": ("import a_module_that_is_not_there\n", "needs a_module_that_is_not_there"),
    "empty": ("x = 1\n", "there is no Trick"),
}


pytestmark = pytest.mark.xdist_group("wheels")  # built once


def run(*command, **more):
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **more,
    )
    assert done.returncode == more.get("expect", 0), done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Make a fresh environment that sees gancore and its plugins as installed here, and nothing
    else of this folder.
    """
    folder = tmp_path_factory.mktemp("group")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    site = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    )
    (site / "here.pth").write_text(
        "import site; site.addsitedir(" + repr(sysconfig.get_path("purelib")) + ")\n"
    )
    return python, site, folder


def install(group, project):
    """Build a wheel with the project's own build backend, without the network, and unpack it as an
    installer does.
    """
    _, site, folder = group
    shutil.copytree(project, folder / project.name)
    code = "import hatchling.build as b; print(b.build_wheel('.'))"
    name = run(sys.executable, "-c", code, cwd=folder / project.name).stdout.split()[-1]
    run(sys.executable, "-m", "zipfile", "-e", folder / project.name / name, site)


def rows(group):
    python, _, folder = group
    return {
        row["name"]: row
        for row in json.loads(run(python, "-m", "gancore", "plugins", "--json", cwd=folder).stdout)
    }


@pytest.fixture(scope="module")
def published(group):
    install(group, ROOT / "examples" / "third-party-plugin")
    return group


def test_a_wheel_from_somebody_else_is_listed_with_its_distribution(published):
    row = rows(published)["mean-features"]
    assert (row["kind"], row["distribution"], row["version"], row["status"]) == (
        "reg",
        "gan-feature-matching",
        "1.0.0",
        "ok",
    )
    assert row["summary"].startswith("Match the mean features")


def test_a_wheel_from_somebody_else_trains_and_brings_its_recipe(published):
    python, _, folder = published
    words = ("--steps", "2", "--batch", "4", "--size", "16", "--sprites.count", "16", "--out", "r")
    run(python, "-m", "gancore", "run", "--recipe", "matched-features", *words, cwd=folder)
    row = json.loads((folder / "r" / "metrics.jsonl").read_text().splitlines()[-1])
    assert row["generator/mean-features/distance"] > 0


def test_the_published_plugin_passes_the_conformance_kit(published):
    python, _, folder = published
    run(
        python,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "test_feature_matching.py",
        cwd=folder / "third-party-plugin",
    )


@pytest.fixture(scope="module")
def broken(group):
    """Install every broken plugin."""
    _, site, _ = group
    for fault, (text, _) in BROKEN.items():
        about = site / f"gan_broken_{fault}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: gan-broken-{fault}\nVersion: 1.0\n"
        )
        (about / "entry_points.txt").write_text(
            f"[gancore.reg]\nbroken-{fault} = gan_broken_{fault}:Trick\n"
        )
        (site / f"gan_broken_{fault}.py").write_text(text)
    return group


def test_a_broken_plugin_is_a_row_with_its_reason_and_harms_no_other(broken):
    listed = rows(broken)
    assert listed["instance-noise"]["status"] == "ok"
    for fault, (_, reason) in BROKEN.items():
        assert reason in listed[f"broken-{fault}"]["status"]


@every_row("fault", BROKEN)
def test_a_broken_plugin_that_is_chosen_is_refused_by_its_distribution(broken, fault):
    python, _, folder = broken
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [python, "-m", "gancore", "run", "--reg", f"broken-{fault}", "--dry-run"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"gan-broken-{fault} 1.0" in done.stderr


def test_two_distributions_of_one_name_are_told_apart_by_their_distribution(group):
    python, site, folder = group
    about = site / "gan_twin-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: gan-twin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[gancore.init]\nhe = gan_plugin_initializers.he:He\n")
    listed = [
        row
        for row in json.loads(
            run(python, "-m", "gancore", "plugins", "init", "--json", cwd=folder).stdout
        )
        if row["name"] == "he"
    ]
    assert {row["distribution"] for row in listed} == {"gan-twin", "gan-plugin-initializers"}
    assert {row["status"] for row in listed} == {"the name is published twice"}
    done = subprocess.run(
        [python, "-m", "gancore", "run", "--init", "he", "--dry-run"],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 2
    assert "gan-plugin-initializers:he" in done.stderr


def test_a_component_in_one_file_is_used_by_its_path(gan_here, tmp_path):
    words = (
        "--steps",
        "1",
        "--batch",
        "4",
        "--size",
        "16",
        "--sprites.count",
        "16",
        "--out",
        "r",
        "--drift.weight",
        "0.5",
    )
    gan_here("run", "--reg", ROOT / "examples" / "my_trick.py", *words)
    row = json.loads((tmp_path / "r" / "metrics.jsonl").read_text())
    assert "critic/drift/scores" in row
