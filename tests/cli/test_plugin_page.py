"""`gan plugins NAME`: a component's page, read from its source without importing it."""

import subprocess
import sys

import pytest
from attrs import evolve
from support.tables import every_row

from gancore.cli.page import (
    LONGEST_IMPORT_CHAIN,
    NotPlain,
    Source,
    imported_page,
    page_of,
    read_page,
)
from gancore.plugins import discovery, loading

OURS = [
    row
    for row in discovery.installed()
    if row.distribution.startswith("gan-plugin-") and row.status == "ok"
]


def comparable(page):
    rules = [evolve(rule, when=None) for rule in page.info.rules]  # conditions are not shown
    return page.doc, evolve(page.info, rules=rules), list(page.options.items()), page.hooks


def test_the_page_of_every_component_is_the_same_from_source_as_when_imported():
    different, imported = [], []
    for row in OURS:
        cls = loading.load(row)
        wanted = imported_page(cls)
        try:
            if comparable(read_page(row)) != comparable(wanted):
                different.append(row.name)
        except NotPlain:
            imported.append(row.name)
            assert comparable(page_of(row)) == comparable(wanted)
    assert different == []
    # those whose options come from a base class, or whose rules from a function
    assert len(imported) < len(OURS) / 10


def test_a_page_is_shown_without_torch():
    code = """
import sys
sys.modules["torch"] = None
from gancore.cli import main
main(["plugins", "dcgan"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--dcgan.width" in done.stdout


UNPLAIN = """
from gancore import component, hookimpl, option

def choose():
    return 3

@component(source="a test")
class Odd:
    '''Decide its default when imported.'''

    width: int = option(choose(), ge=1, help="a width")

    @hookimpl
    def before_step(self):
        pass
"""


@every_row(
    "text", ["choose()", "[each for each in ()]", "open('x')", "f'{1!r}'", "nowhere", "{**{}}"]
)
def test_what_only_running_would_tell_is_not_guessed(tmp_path, monkeypatch, text):
    (tmp_path / "unplain_text.py").write_text(f"def choose():\n    return 3\n\nX = {text}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotPlain):
        Source("unplain_text").named("X")


def test_a_name_is_followed_through_no_more_modules_than_the_longest_chain(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "chained_0.py").write_text("X = 3\n")
    for number in range(1, LONGEST_IMPORT_CHAIN + 2):
        text = f"from chained_{number - 1} import X\n"
        (tmp_path / f"chained_{number}.py").write_text(text)
    assert Source(f"chained_{LONGEST_IMPORT_CHAIN}").named("X") == 3
    with pytest.raises(NotPlain):
        Source(f"chained_{LONGEST_IMPORT_CHAIN + 1}").named("X")


def test_a_name_that_two_modules_import_from_each_other_has_no_value(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "first_of_two.py").write_text("from second_of_two import X\n")
    (tmp_path / "second_of_two.py").write_text("from first_of_two import X\n")
    with pytest.raises(NotPlain):
        Source("first_of_two").named("X")


CHOICES = """
from gancore import option

MORE = {"b": len}
mode: str = option("a", choices=tuple({"a": abs, **MORE}), help="a mode")
"""


def test_choices_that_another_dict_adds_to_are_not_guessed(tmp_path, monkeypatch):
    (tmp_path / "spread_choices.py").write_text(CHOICES)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotPlain):
        Source("spread_choices").named("mode")


def test_a_component_that_is_not_plain_is_imported(tmp_path, monkeypatch):
    (tmp_path / "unplain_component.py").write_text(UNPLAIN)
    monkeypatch.syspath_prepend(tmp_path)
    row = discovery.Row("odd", "reg", "x", "1", "", "ok", "unplain_component:Odd")
    assert page_of(row).options["width"].default == 3


def test_a_preset_s_page_shows_the_defaults_that_it_sets_for_itself(gan_here):
    page = gan_here("plugins", "dragan").stdout
    assert "--dragan.at around-reals " in page
    assert "--dragan.target 1 " in page
    assert "--gradient-penalty.at between " in gan_here("plugins", "gradient-penalty").stdout
