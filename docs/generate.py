"""Write the generated reference pages; `--check` only says which are stale."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import click
import members

import gancore
from gancore import hookspecs, testing
from gancore.cli import gan
from gancore.cli.plugins import show_type
from gancore.cli.published import commands
from gancore.plugins import discovery, loading
from gancore.plugins.component import SPECS, info_of, options_of, published_options
from gancore.plugins.slots import KINDS
from gancore.recipe import lookup
from gancore.recipe.options import show

REFERENCE = Path(__file__).parent / "reference"
FAULTS = (
    "<!-- made by `uv run python docs/generate.py`; edit docs/promises.toml instead -->\n\n"
    "Every fault below has a test, whose name says what happens.\n"
)
PROMISES = "<!-- made by `uv run python docs/generate.py`; edit docs/promises.toml instead -->\n"
NOTICE = "<!-- made by `uv run python docs/generate.py`; edit the docstrings instead -->\n\n"


# the classes of `gancore.__all__` on the page of objects, in the order in which authors meet them
OBJECTS = {
    "What networks are built from": (
        "Plan", "LabelSet", "Values", "ConditionalLayer", "Layers", "Crop", "Frozen", "Tail",
        "Head", "Critic",
    ),
    "Samples and their labels": ("DataSpec", "Data", "StoredData", "Subset"),
    "What an update is made of": (
        "Update", "UpdateId", "Batch", "Side", "CriticOutput", "Sample", "GAN", "Player",
        "ProcessGroup",
    ),
    "Records and pictures": ("Progress", "RowReader"),
    "Trainings and runs in Python": ("Composition", "Settings", "Training", "Run"),
}  # fmt: skip
CLASSES = tuple(name for names in OBJECTS.values() for name in names)
MADE_BY_AUTHORS = {
    "ConditionalLayer", "CriticOutput", "Crop", "DataSpec", "Frozen", "Head", "LabelSet", "Layers",
    "RowReader", "Sample", "StoredData", "Subset", "Tail", "Update", "Values",
}  # fmt: skip
ERRORS = """## Errors

Each is made as `DataError(what, where=…, fix=…)`: what is wrong, where it was given, how to fix it.
`gan` prints the three parts, and the traceback only with `--debug`.
"""
HOOKIMPL = """### `hookimpl`

```python
@hookimpl
@hookimpl(tryfirst=True)
@hookimpl(trylast=True)
```

Mark a method as the implementation of the hook of its name. See [hooks](hooks.md) for the order in
which components are called.
"""
LISTING = "public-api.txt"
CLASSES_PAGE = "how-to/classes.md"
INTERFACE = """# The public interface: a change here may break a published plugin.
# Made by `uv run python docs/generate.py`; never edited by hand."""
CHANGED = f"""the public interface is not that of docs/reference/{LISTING} (- listed, + now)
Is the change meant, and does it break a published plugin? Then write it into CHANGELOG.md, and
run `uv run python docs/generate.py`."""
QUESTIONS = "[questions authors ask](../how-to/questions-of-authors.md)"
READ_ON = f"""The members of every object are on [the page of objects](objects.md).
Short answers with examples are on the page of {QUESTIONS}.
"""


def hooks_page() -> str:
    """Write the page of all hooks, with exact signatures and links to the objects in them."""
    parts = [f"# Hooks\n\n{NOTICE}{READ_ON}\n{linked(inspect.getdoc(hookspecs))}\n"]
    for name in SPECS:
        spec = getattr(hookspecs, name)
        signature = str(inspect.signature(spec)).replace("'", "")
        named = [
            f"[{each}](objects.md#{each.lower()})" for each in CLASSES if spells(signature, each)
        ]
        lines = [f"## `{name}`\n", f"```python\n{name}{signature}\n```\n"]
        objects = f" Objects: {', '.join(named)}." if named else ""
        lines.append(f"{versions(name)}{objects}\n")
        lines.append(f"{linked(inspect.getdoc(spec))}\n")
        parts.append("\n".join(lines))
    return "\n".join(parts)


def versions(hook: str) -> str:
    """Say since which version of gancore a hook and its later arguments are there."""
    info = hookspecs.hook_info(hook)
    words = [f"Since gancore {info.since}."]
    words += [f"`{name}` since {version}." for name, version in info.added.items()]
    if info.deprecated:
        words.append(f"**Deprecated since {info.deprecated}: {info.instead}.**")
    return " ".join(words)


def spells(text: str, name: str) -> bool:
    """Return whether a text holds a name as a word of its own."""
    return re.search(rf"(?<![\w.]){name}\b", text) is not None


def linked(text: str, page: str = "objects.md", own: str = "") -> str:
    """Link the first mention of each public name in backticks to its entry.

    Indented code stays as it is, and so does an entry's `own` name.
    """
    seen = {own}

    def link(found: re.Match[str]) -> str:
        name = found[2]
        public = name in CLASSES or (found[1] and name in gancore.__all__)
        if not public or name in seen:
            return found[0]
        seen.add(name)
        return f"[{found[0]}]({page}#{name.lower()})"

    lines = []
    for line in text.split("\n"):
        is_code = line.startswith("    ")
        lines.append(line if is_code else re.sub(r"`(gancore\.)?(\w+)(\([^`]*\))?`", link, line))
    return "\n".join(lines)


def objects_page() -> str:
    """Write the page of all public classes, functions and errors.

    Ends the program where a public member has no documentation.
    """
    missing = [fault for name in CLASSES for fault in members.undocumented(getattr(gancore, name))]
    if missing:
        sys.exit(f"not documented: {', '.join(missing)} (docs/members.py says where it belongs)")
    intro = (
        "Every public name of `gancore`: what a hook is given or returns, and what a component "
        "may call. Names of shapes, such as `[N, L]`, are those of [the page of hooks](hooks.md). "
        f"Short answers with examples are on the page of {QUESTIONS}.\n"
    )
    parts = [f"# Objects and functions\n\n{NOTICE}{intro}"]
    for title, names in OBJECTS.items():
        parts.append(f"## {title}\n")
        parts += [object_section(getattr(gancore, name)) for name in names]
    parts.append("## Functions\n")
    for name in gancore.__all__:
        thing = getattr(gancore, name)
        if name == "hookimpl":
            parts.append(HOOKIMPL)
        elif inspect.isfunction(thing):
            parts.append(function_section(thing))
    parts.append(ERRORS)
    for name in gancore.__all__:
        thing = getattr(gancore, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            code = f"Ends `gan` with exit code {thing.exit_code}."
            parts.append(f"### `{name}`\n\n{members.docstring(thing)}\n\n{code}\n")
    return "\n".join(parts)


def object_section(cls: type) -> str:
    """Write the section of one class: its docstring, its hooks, and each public member."""
    name = cls.__name__
    lines = [f"### `{name}`\n"]
    if name in MADE_BY_AUTHORS:
        lines.append(f"```python\n{members.constructor(cls)}\n```\n")
    lines.append(f"{linked(members.prose(cls), '', name)}\n")
    hooks = [
        hook for hook in SPECS if spells(str(inspect.signature(getattr(hookspecs, hook))), name)
    ]
    if hooks:
        lines.append(
            "Hooks: " + ", ".join(f"[`{hook}`](hooks.md#{hook})" for hook in hooks) + ".\n"
        )
    for each in members.members(cls):
        others = [other for other in CLASSES if other != name and spells(each.shown, other)]
        links = "".join(f" [{other}](#{other.lower()})" for other in others)
        doc = linked(each.doc[0].upper() + each.doc[1:], "", name).replace("\n", "\n  ")
        entry = f"- `{each.shown}`{links}\\\n  {doc}"
        lines.append(re.sub(r" +$", "", entry, flags=re.MULTILINE))
    return "\n".join([*lines, ""])


def function_section(function: Any) -> str:
    """Write the section of one function."""
    name = function.__name__
    code = f"```python\n{name}{members.signature(function)}\n```"
    return f"### `{name}`\n\n{code}\n\n{linked(members.docstring(function), '', name)}\n"


def components_page() -> str:
    """Write the page of all first-party components: docstring, source, tags, options."""
    rows = first_party()
    parts = [f"# Components\n\n{NOTICE}"]
    for kind in KINDS:
        of_kind = [row for row in rows if row.kind == kind]
        if of_kind:
            parts.append(f"## {kind}\n")
            parts += [component_section(row) for row in of_kind]
    return "\n".join(parts)


def component_section(row: discovery.Row) -> str:
    """Write the section of one component."""
    cls = loading.load(row)
    card = info_of(cls)
    options = published_options(row.name, card, options_of(cls))
    lines = [
        f"### `{row.name}`\n",
        f"{inspect.getdoc(cls)}\n",
        f"Source: {card.source}. Distribution: `{row.distribution}`.\n",
    ]
    if card.provides:
        lines.append("Provides: " + ", ".join(f"`{tag}`" for tag in sorted(card.provides)) + ".\n")
    for rule in card.rules:
        cite = f" ({rule.cite})" if rule.cite else ""
        lines += [f"{rule.verb.capitalize()} `{rule.tag}`: {rule.reason}{cite}.\n"]
    if options:
        lines += [
            "| option | default | type | range | meaning |",
            "| --- | --- | --- | --- | --- |",
        ]
        for name, option in options.items():
            cells = (
                f"`--{row.name}.{name}`",
                f"`{show(option.default)}`",
                show_type(option.type),
                option.range,
                option.help,
            )
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def commands_page() -> str:
    """Write the page of all commands, from their own help."""
    parts = [f"# Commands\n\n{NOTICE}"]
    published = {row.name: loading.load_object(row) for row in commands().values()}
    shown = {**gan.commands, **published}
    for name, command in list(shown.items()):
        shown |= {f"{name} {each}": one for each, one in getattr(command, "commands", {}).items()}
    for name, command in [("", gan), *sorted(shown.items())]:
        context = click.Context(
            command, info_name=f"gan {name}".strip(), max_content_width=100, terminal_width=100
        )
        title = f"gan {name}".strip()
        parts.append(f"## `{title}`\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def recipes_page() -> str:
    """Write the page of all first-party recipes: what each shows, what its source reported, what
    --compat changes.
    """
    parts = [
        (
            f"# Recipes\n\n{NOTICE}`gan run --recipe NAME [--small] [--compat]`, "
            "and `gan sweep NAME` for the sweeps.\n"
        )
    ]
    for name in lookup.recipe_files():
        chain = lookup.recipe_chain(name)
        about = {key: value for each in chain for key, value in each.about.items()}
        parts.append(f"## `{name}`\n\n{chain[-1].summary}.\n")
        lines = [
            f"- {key}: {'; '.join(value) if isinstance(value, list) else value}"
            for key, value in about.items()
        ]
        arms = chain[-1].sweep.get("arms", {})
        lines += [f"- arms: {', '.join(f'`{arm}`' for arm in arms)}"] if arms else []
        lines += [f"- claim: {each['says']}" for each in chain[-1].sweep.get("claims", [])]
        parts.append("\n".join([*lines, ""] if lines else []))
    return "\n".join(parts)


def interface_listing() -> str:
    """List what plugins rely on: names, members, signatures, hooks, options. One line each."""
    lines = [INTERFACE]
    for module in (gancore, testing):
        lines.append(f"\n{module.__name__}\n")
        for name in sorted(module.__all__):
            lines += [f"  {line}" for line in interface_of(name, getattr(module, name))]
    lines.append("\nhooks\n")
    for name in sorted(SPECS):
        info = hookspecs.hook_info(name)
        added = "".join(f", {each} since {version}" for each, version in info.added.items())
        deprecated = f", deprecated since {info.deprecated}" if info.deprecated else ""
        signature = members.signature(getattr(hookspecs, name))
        lines.append(f"  {name}{signature}  since {info.since}{added}{deprecated}")
    lines.append("\ncomponents and their options\n")
    for row in first_party():
        lines.append(f"  {row.kind} {row.name}")
        for name, option in options_of(loading.load(row)).items():
            allowed = f", {option.range}" if option.range else ""
            default = show(option.default) or '""'
            lines.append(f"    {row.name}.{name} = {default}  {show_type(option.type)}{allowed}")
    return "\n".join(lines)


def interface_of(name: str, thing: Any) -> list[str]:
    """List one public name: a class with its members, a function with its arguments."""
    if inspect.isfunction(thing):
        return [f"{name}{members.signature(thing)}"]
    if not isinstance(thing, type):
        return [name]
    if issubclass(thing, Exception):
        return [f"{name}({thing.__base__.__name__})"]
    made = thing.__module__.startswith(testing.__name__) or name in {*MADE_BY_AUTHORS, "Settings"}
    head = members.constructor(thing) if made else name
    # of a class of the kit its own members alone: it is built on parts of the core
    home = testing.__name__ if thing.__module__.startswith(testing.__name__) else "gancore."
    return [head, *(f"  {name}.{each.shown}" for each in members.members(thing, home))]


def interface_changes(before: str, now: str) -> str:
    """Say how the public interface differs from its listing; empty where it does not."""
    changes = [
        line
        for line in difflib.unified_diff(before.splitlines(), now.splitlines(), lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    return "\n".join([CHANGED, *changes]) if changes else ""


def first_party() -> list[discovery.Row]:
    """List the components that gancore's own distributions publish."""
    return [row for row in discovery.installed() if row.distribution.startswith("gan-plugin-")]


def faults_page() -> str:
    """Write the page of all faults: what goes wrong, and the tests that say what happens then."""
    titles = {"C": "Configuration", "D": "Data", "P": "Plugins"}
    faults, places = read_promises()["fault"], places_of_tests()
    parts = [f"# Faults\n\n{FAULTS}"]
    for letter, title in titles.items():
        lines = [f"## {title}\n", "| fault | what goes wrong | tests |", "| --- | --- | --- |"]
        for key in sorted(faults):
            if key.startswith(letter):
                tests = "<br>".join(f"`{places[name]}::{name}`" for name in faults[key]["tests"])
                lines.append(f"| {key} | {faults[key]['what']} | {tests} |")
        parts.append("\n".join([*lines, ""]))
    return "\n".join(parts)


def promises_page() -> str:
    """Write the table below what is written by hand on the page of promises."""
    by_hand = (REFERENCE.parent / "promises.md").read_text().partition(PROMISES)[0]
    places = places_of_tests()
    lines = ["| fault | outcome | test |", "| --- | --- | --- |"]
    lines += [
        f"| {row['fault']} | {row['outcome']} | `{places[row['test']]}::{row['test']}` |"
        for row in read_promises()["promise"]
    ]
    return by_hand + PROMISES + "\n".join(["", *lines, ""])


def classes_page() -> str:
    """Write the table of conditionings below what is written by hand on the page of classes."""
    by_hand = (REFERENCE.parent / CLASSES_PAGE).read_text().partition(NOTICE.strip())[0]
    lines = ["| component | what it does | labels |", "| --- | --- | --- |"]
    for row in first_party():
        if row.kind == "cond":
            rules = info_of(loading.load(row)).rules
            is_needed = ("requires", "data.labels") in [(rule.verb, rule.tag) for rule in rules]
            needed = "needed" if is_needed else "not needed"
            lines.append(f"| `{row.name}` | {row.summary} | {needed} |")
    return by_hand + NOTICE + "\n".join(lines)


def read_promises() -> dict[str, Any]:
    """Read the promises and faults, with the names of their tests."""
    return tomllib.loads((REFERENCE.parent / "promises.toml").read_text())


@cache
def places_of_tests() -> dict[str, str]:
    """Map the name of every test to its file; a name that no test bears is a KeyError in the page
    that uses it.
    """
    root = REFERENCE.parent.parent
    places = {}
    for path in sorted([*root.glob("tests/**/test_*.py"), *root.glob("plugins/**/test_*.py")]):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                places[node.name] = path.relative_to(root).as_posix()
    return places


PAGES = {
    "../promises.md": promises_page,
    f"../{CLASSES_PAGE}": classes_page,
    "faults.md": faults_page,
    "hooks.md": hooks_page,
    "objects.md": objects_page,
    LISTING: interface_listing,
    "components.md": components_page,
    "commands.md": commands_page,
    "recipes.md": recipes_page,
}


def main(check: bool) -> int:
    """Write every page, or say which are stale."""
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page().rstrip() + "\n"
        before = path.read_text() if path.exists() else ""
        if before == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text)
        elif name == LISTING:
            print(interface_changes(before, text))
    if check and stale:
        print(f"stale: {', '.join(stale)}; run `uv run python docs/generate.py`")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
