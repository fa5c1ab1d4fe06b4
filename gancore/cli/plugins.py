"""`gan plugins`: list the installed components, their distributions and their status."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, Union, get_args, get_origin

import click

from gancore.cli.console import note, show_table, tell
from gancore.cli.page import page_of
from gancore.errors import UsageError, did_you_mean
from gancore.plugins import discovery
from gancore.plugins.component import Option
from gancore.plugins.discovery import Row
from gancore.plugins.loading import is_file
from gancore.plugins.slots import KINDS, hyphened, kind_in_words
from gancore.recipe.options import show


@click.command()
@click.argument("name", required=False)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a list of objects: name kind distribution version summary status.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Import each plugin in a process of its own and report what fails.",
)
def plugins(name: str | None, as_json: bool, check: bool) -> None:
    """List the installed components, those of one kind, or everything about one NAME.

    NAME may be a file, ./my_trick.py or ./my_trick.py:Class: its components are trained in tiny
    compositions, and everything that is wrong with them is printed, with line and fix. The exit
    code is 0 where nothing is, else 1.
    """
    if name and is_file(name):
        from gancore.cli.plugin_file import check_file

        check_file(name, as_json)
        return
    rows = list(discovery.installed())
    if name and not any(row.name == name for row in rows):
        name = hyphened(name)
    for text in passed_over():
        note(text)
    if name and name not in KINDS:
        describe(name, rows, as_json)
        return
    rows = [row for row in rows if name in (None, row.kind)]
    if check:
        from gancore.cli.checkup import checked

        rows = checked(rows)
    if as_json:
        click.echo(json.dumps([_object(row) for row in rows], indent=1))
        return
    header = ("kind", "name", "version", "distribution", "status", "summary")
    show_table(
        header,
        [
            (row.kind, row.name, row.version, row.distribution, row.status, row.summary)
            for row in rows
        ],
    )


def passed_over() -> Iterator[str]:
    """Yield a sentence for each distribution that is not listed: a second copy, or unreadable."""
    first: dict[str, metadata.Distribution] = {}
    for each in metadata.distributions():
        place = each.locate_file("")
        try:
            name, ours = (
                each.metadata["Name"],
                any(entry.group.startswith("gancore.") for entry in each.entry_points),
            )
        except Exception as error:
            yield f"a distribution in {place} cannot be read: {error}"
            continue
        used = first.setdefault(name, each)
        if ours and used is not each:
            used_place = used.locate_file("")
            yield (
                f"{name} is installed twice: "
                f"{used.version} in {used_place} is used, {each.version} in {place} is not"
            )


def _object(row: Row) -> dict[str, str]:
    fields = ("name", "kind", "distribution", "version", "summary", "status")
    return {name: getattr(row, name) for name in fields}


def describe(name: str, rows: list[Row], as_json: bool) -> None:
    """Print the page of the component with this name. Raises UsageError where there is none."""
    found = [row for row in rows if name in (row.name, f"{row.distribution}:{row.name}")]
    if not found:
        known = [row.name for row in rows]
        kinds = {kind_in_words(kind): kind for kind in KINDS}
        near = did_you_mean(kinds.get(name, name), [*known, *KINDS]) or discovery.meant(name)
        fix = near or f"`gan plugins` lists the {len(rows)} there are; kinds are {', '.join(KINDS)}"
        raise UsageError(f"no plugin is called {name!r}", fix=fix)
    if as_json:
        click.echo(json.dumps([_object(row) for row in found], indent=1))
        return
    for row in found:
        describe_row(row)


def describe_row(row: Row) -> None:
    """Print one component's page: origin, docstring, options, tags, rules."""
    tell(f"{row.name}    {row.kind}, {row.distribution} {row.version}, {row.status}\n")
    if row.status != "ok":
        return
    page = page_of(row)
    info = page.info
    tell(page.doc)
    tell(f"\nsource: {info.source}")
    if info.provides:
        tell(f"provides: {', '.join(sorted(info.provides))}")
    if info.defaults:
        tell(f"defaults: {json.dumps(dict(info.defaults))}")
    for tag, choices in info.defaults_with.items():
        tell(f"defaults with {tag}: {json.dumps(dict(choices))}")
    for rule in info.rules:
        tell(f"{rule.verb} {rule.tag}: {rule.reason}" + (f" ({rule.cite})" if rule.cite else ""))
    describe_options(row.name, page.options)


def describe_options(name: str, options: Mapping[str, Option]) -> None:
    """Print a component's options, with type, default, range and help."""
    for option_name, option in options.items():
        allowed = f", {option.range}" if option.range else ""
        about = f"{show_type(option.type)}{allowed}"
        tell(f"\n  --{name}.{option_name} {show(option.default)}    ({about})")
        tell(f"      {option.help}")


def show_type(kind: Any) -> str:
    """Name a type in the user's words."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return f"{show_type(get_args(kind)[0])} or none"
    if origin is tuple:
        return f"list of {show_type(get_args(kind)[0])}s"
    return {bool: "true/false", int: "whole number", float: "number", str: "text"}.get(
        kind, str(kind)
    )
