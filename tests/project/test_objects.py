"""The page of objects says what an author is given: every class, and every member of it."""

import re

import generate
import members
import pytest
from attrs import field, frozen
from support.paths import ROOT

import gancore
import gancore.testing
from gancore import hookspecs
from gancore.plugins.component import SPECS

REFERENCE = ROOT / "docs" / "reference"
EXPORTED = [
    name
    for name in gancore.__all__
    if isinstance(getattr(gancore, name), type)
    and not issubclass(getattr(gancore, name), Exception)
]
# of torch and the standard library, and gancore's names for a str and a dict
OTHERS = {
    "Any", "Callable", "False", "Iterable", "Literal", "Mapping", "Module", "ModuleDict", "None", "Optimizer",
    "Parameter", "Path", "Role", "MetricsRow", "Self", "Sequence", "Tensor", "True", "Generator",
}  # fmt: skip


def classes_in(text):
    return set(re.findall(r"\b[A-Z]\w+", re.sub(r'"[^"]*"', "", text))) - OTHERS


def test_every_public_class_is_on_the_page_of_objects():
    assert sorted(generate.CLASSES) == sorted(EXPORTED)


def test_every_public_member_says_what_it_is():
    faults = [fault for name in EXPORTED for fault in members.undocumented(getattr(gancore, name))]
    assert faults == []


def test_every_class_in_the_signature_of_a_hook_is_public_and_linked():
    page = (REFERENCE / "hooks.md").read_text()
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for hook in SPECS:
        named = classes_in(members.signature(getattr(hookspecs, hook)))
        assert named <= set(EXPORTED), hook
        for name in named:
            assert f"[{name}](objects.md#{name.lower()})" in sections[hook], hook


def test_a_member_of_what_a_hook_is_given_has_a_public_class():
    titles = set(generate.OBJECTS) - {"Trainings and runs in Python"}
    for title in titles:
        for name in generate.OBJECTS[title]:
            for member in members.members(getattr(gancore, name)):
                assert classes_in(member.shown) <= set(EXPORTED), f"{name}.{member.shown}"


def test_every_link_to_an_entry_finds_it():
    anchors = {}
    for page in ("hooks.md", "objects.md"):
        headings = re.findall(r"^#+ (.*)$", (REFERENCE / page).read_text(), re.MULTILINE)
        found = [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]
        assert len(found) == len(set(found)), page
        anchors[page] = set(found)
    for path in (ROOT / "docs").rglob("*.md"):
        for page, anchor in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", path.read_text()):
            name = (page or path.name).rpartition("/")[2]
            if name in anchors:
                assert anchor in anchors[name], f"{path}: {page}#{anchor}"


def test_the_questions_are_linked_where_an_author_begins():
    for page in ("hooks.md", "objects.md"):
        assert "questions-of-authors.md" in (REFERENCE / page).read_text()


# ── the reader of members ─────────────────────────────────────────────────────────────────────────


@frozen
class Doctored:
    """Hold a few fields.

    - `width`: a width in pixels,
      at least 1.
    - `draw(n)`: draw n of them.
    - `gone`: was removed.

    Internal: `hidden`, `unheard`.
    """

    __module__ = "gancore.of_a_test"

    width: "int"
    draw: "Callable[[int], Tensor]"  # noqa: F821 - is read and never evaluated
    hidden: "int" = 0
    bare: "int" = 0
    _own: "int" = field(default=0)

    def size(self, most: "int" = 3, *, name: "str" = "x") -> "int":
        return most


def test_members_are_read_with_their_types_and_documentation():
    found = {each.name: each for each in members.members(Doctored)}
    assert list(found) == ["width", "draw", "bare", "size"]
    assert found["width"].shown == "width: int"
    assert found["width"].doc == "a width in pixels,\nat least 1."
    assert found["draw"].shown == "draw(n) -> Tensor"
    assert found["size"].shown == 'size(most: int = 3, *, name: str = "x") -> int'
    assert members.prose(Doctored) == "Hold a few fields."


def test_what_is_not_documented_or_not_there_is_named():
    gone = "which its docstring names and which is not there"
    assert members.undocumented(Doctored) == [
        "Doctored.bare",
        "Doctored.size",
        f"Doctored.gone, {gone}",
        f"Doctored.unheard, {gone}",
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("See `gancore.Data`.", "See [`gancore.Data`](objects.md#data)."),
        ("`Data` and `Data`", "[`Data`](objects.md#data) and `Data`"),
        ("`gancore.gather(rows)`", "[`gancore.gather(rows)`](objects.md#gather)"),
        ("`state` of a run, `nothing`", "`state` of a run, `nothing`"),
        ("    code `Data`", "    code `Data`"),
    ],
)
def test_a_public_name_is_linked_at_its_first_mention(text, wanted):
    assert generate.linked(text) == wanted


# ── the listing of the public interface ───────────────────────────────────────────────────────────


def test_the_listing_names_all_that_a_plugin_may_rely_on():
    listing = generate.interface_listing()
    for name in (*gancore.__all__, *gancore.testing.__all__, *SPECS):
        assert re.search(rf"^  {name}\b", listing, re.MULTILINE), name
    for row in generate.first_party():
        assert f"  {row.kind} {row.name}\n" in f"{listing}\n"
    assert "\n    gradient-penalty.weight = 10  number, at least 0\n" in listing


def test_a_changed_interface_is_shown_line_by_line_and_asks_for_a_decision():
    before = "# listed\n\n  gather(rows: Tensor) -> Tensor\n  peers() -> ProcessGroup\n"
    assert generate.interface_changes(before, before) == ""
    said = generate.interface_changes(before, before.replace("rows: Tensor", "rows: Tensor, group"))
    assert "-  gather(rows: Tensor) -> Tensor\n+  gather(rows: Tensor, group) -> Tensor" in said
    assert "peers" not in said
    for word in ("Is the change meant", "CHANGELOG.md", "docs/generate.py"):
        assert word in said
