"""Write the generated reference pages; `--check` only says which are stale."""

from __future__ import annotations

import ast
import inspect
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import click

from gancore import hookspecs
from gancore.cli import gan
from gancore.cli.plugins import show_type
from gancore.cli.published import commands
from gancore.plugins import discovery, loading
from gancore.plugins.component import SPECS, info_of, options_of
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


def hooks_page() -> str:
    """Write the page of all hooks, with exact signatures."""
    parts = [f"# Hooks\n\n{NOTICE}{inspect.getdoc(hookspecs)}\n"]
    for name in SPECS:
        spec = getattr(hookspecs, name)
        signature = str(inspect.signature(spec)).replace("'", "")
        parts.append(
            f"## `{name}`\n\n```python\n{name}{signature}\n```\n\n{inspect.getdoc(spec)}\n"
        )
    return "\n".join(parts)


def components_page() -> str:
    """Write the page of all first-party components: docstring, source, tags, options."""
    rows = [row for row in discovery.installed() if row.distribution.startswith("gan-plugin-")]
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
    card, options = info_of(cls), options_of(cls)
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
    "faults.md": faults_page,
    "hooks.md": hooks_page,
    "components.md": components_page,
    "commands.md": commands_page,
    "recipes.md": recipes_page,
}


def main(check: bool) -> int:
    """Write every page, or say which are stale."""
    stale = []
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page().rstrip() + "\n"
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.write_text(text)
    if check and stale:
        print(f"stale: {', '.join(stale)}; run `uv run python docs/generate.py`")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
