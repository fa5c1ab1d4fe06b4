"""A distribution states the versions of gancore that it works with; others are refused."""

import tomllib

from packaging.requirements import Requirement
from support.paths import ROOT
from support.plugin_shelf import RUN, listed, trick
from support.tables import every_row

from gancore.plugins import discovery

VERSION = discovery.installed_version()

MADE_FOR = [
    # line of the metadata, what is required that is not met
    ("gancore", ""),
    ("gancore>=0.1", ""),
    ("gancore>=0.1,<0.2", ""),
    ("gancore (>=0.1)", ""),
    ("gancore~=0.1", ""),
    ("torch>=99", ""),
    ("gancore-extras>=99", ""),
    ('gancore>=99; extra == "new"', ""),
    ("gancore>=,", ""),
    ("gancore>=99", ">=99"),
    ("Gancore >= 0.2, < 0.4", "<0.4,>=0.2"),
    ("gancore<0.1", "<0.1"),
    ("gancore[all]>=99", ">=99"),
]


@every_row("line, unmet", MADE_FOR)
def test_a_requirement_on_gancore_is_compared_with_the_installed_one(line, unmet):
    assert discovery.unmet_versions(["torch>=2.6", line]) == unmet


def test_a_plugin_for_another_gancore_is_shown_so_and_refused_when_chosen(
    shelf, gan_here, tmp_path
):
    module = shelf.publish(trick("raise SystemExit('was imported')"))
    metadata = shelf.folder / f"{module}-1.0.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text() + "Requires-Dist: gancore>=0.7,<0.9\n")
    shelf.forget(module)
    sentence = f"needs gancore<0.9,>=0.7, but {VERSION} is installed"
    assert listed(gan_here)["faulty"]["status"] == sentence
    assert listed(gan_here)["instance-noise"]["status"] == "ok"
    assert sentence in gan_here("plugins", "faulty").stdout
    said = gan_here(*RUN, "--reg", "faulty", check=2).stderr
    assert f"error: faulty is made for gancore<0.9,>=0.7, but {VERSION} is installed" in said
    assert "gan-faulty 1.0.0" in said
    assert "fix: pip install --upgrade gancore gan-faulty" in said
    assert not (tmp_path / "r").exists()


def test_the_example_to_copy_declares_versions_that_hold():
    project = tomllib.loads(
        (ROOT / "examples" / "third-party-plugin" / "pyproject.toml").read_text()
    )
    (line,) = [each for each in project["project"]["dependencies"] if each.startswith("gancore")]
    assert Requirement(line).specifier.contains(VERSION)
    assert {each.operator for each in Requirement(line).specifier} == {">=", "<"}
