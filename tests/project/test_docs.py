"""What the documentation shows, runs."""

import re
import shlex
import subprocess
import sys
import tomllib

import pytest
from support.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GENERATED = {"hooks.md", "objects.md", "components.md", "commands.md", "recipes.md"}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


SHOWING_PYTHON = [page for page in PAGES if page.name not in GENERATED and blocks(page, "python")]


@pytest.mark.parametrize("page", SHOWING_PYTHON, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path):
    (tmp_path / "page.py").write_text("\n".join(blocks(page, "python")))
    done = subprocess.run(
        [sys.executable, "page.py"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "page", [ROOT / "docs" / "tutorial" / "first-model.md"], ids=lambda page: page.name
)
def test_the_commands_of_a_tutorial_run_in_their_order(page, gan_here):
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[:4] == ["$", "uv", "run", "gan"]
        gan_here(*words[4:])


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_generated_pages_are_fresh():
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_readme_is_short_and_names_every_first_party_component():
    from gancore.plugins import discovery

    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 150
    for row in discovery.installed():
        if row.distribution.startswith("gan-plugin-"):
            assert f"`{row.name}`" in text, row.name


def test_every_condition_with_measured_figures_is_installed():
    from gancore.plugins import discovery

    by_hand = (ROOT / "docs" / "how-to" / "classes.md").read_text().partition("## All there are")[0]
    first_cells = re.findall(r"^\| (`[^|]*)\|", by_hand, re.MULTILINE)
    named = [name for cell in first_cells for name in re.findall(r"`([\w-]+)`", cell)]
    installed = {row.name for row in discovery.installed() if row.kind == "cond"}
    assert named
    assert not set(named) - installed


def test_every_fault_has_a_test():
    faults = tomllib.loads((ROOT / "docs" / "promises.toml").read_text())["fault"]
    numbers = {"C": 27, "D": 70, "P": 31}
    wanted = {
        f"{letter}{number:02}" for letter, most in numbers.items() for number in range(1, most + 1)
    }
    assert set(faults) == wanted
    assert [key for key, fault in faults.items() if not fault["tests"]] == []
