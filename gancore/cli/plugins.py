"""`gan plugins`: list the installed components, their distributions and their status."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from operator import attrgetter
from typing import Any, Union, get_args, get_origin

import click

from gancore import hookspecs
from gancore.cli.choices import layer_of_words
from gancore.cli.composition import split_argument
from gancore.cli.console import note, show_table, tell
from gancore.cli.flags import component_options, flag_names
from gancore.cli.page import page_of
from gancore.errors import UsageError, did_you_mean
from gancore.plugins import discovery
from gancore.plugins.component import Option
from gancore.plugins.discovery import Row
from gancore.plugins.loading import is_file
from gancore.plugins.slots import KINDS, hyphened, kind_in_words
from gancore.recipe.options import show

IN_WORDS = {bool: "true/false", int: "whole number", float: "number", str: "text"}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name", required=False)
@component_options
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
def plugins(name: str | None, extra: tuple[str, ...], as_json: bool, check: bool) -> None:
    """List the installed components, those of one kind, or everything about one NAME.

    NAME may be a file, ./my_trick.py or ./my_trick.py:Class: its components are trained in tiny
    compositions, and everything that is wrong with them is printed, with line and fix. The exit
    code is 0 where nothing is, else 1. Their options, --my-trick.weight 2, are those of this check.
    """
    name, extra = split_argument(name, extra)
    words = layer_of_words({}, extra, flag_names(), "gan plugins")
    if name and is_file(name):
        from gancore.cli.plugin_file import check_file

        options = {table: values for table, values in words.options.items() if values}
        check_file(name, options, as_json)
        return
    if extra:
        fix = "gan plugins ./FILE.py --COMPONENT.OPTION VALUE checks a file"
        raise UsageError("options are for the components of a file", where=" ".join(extra), fix=fix)
    rows = list(discovery.installed())
    # as written first: a name with an underscore is listed too, with the reason why it is refused
    if name and name not in [row.name for row in rows]:
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
    columns = ("kind", "name", "version", "distribution", "status", "summary")
    show_table(columns, list(map(attrgetter(*columns), rows)))


def passed_over() -> Iterator[str]:
    """Yield a sentence for each distribution that is not listed: a second copy, or unreadable."""
    first: dict[str, metadata.Distribution] = {}
    for each in metadata.distributions():
        place = each.locate_file("")
        try:
            name = each.metadata["Name"]
            publishes = [entry.group for entry in each.entry_points]
        except Exception as error:
            yield f"a distribution in {place} cannot be read: {error}"
            continue
        # Python searches `sys.path` in order, so the first copy is the one that is imported
        used = first.setdefault(name, each)
        ours = any(group.startswith("gancore.") for group in publishes)
        # a second copy of any other distribution has nothing to do with gancore
        if ours and used is not each:
            used_place = used.locate_file("")
            yield (
                f"{name} is installed twice: "
                f"{used.version} in {used_place} is used, {each.version} in {place} is not"
            )


def _object(row: Row) -> dict[str, str]:
    return {
        "name": row.name,
        "kind": row.kind,
        "distribution": row.distribution,
        "version": row.version,
        "summary": row.summary,
        "status": row.status,
    }


def describe(name: str, rows: list[Row], as_json: bool) -> None:
    """Print the page of the component with this name. Raises UsageError where there is none."""
    # DISTRIBUTION:NAME tells two components of one name apart; the name alone shows both
    found = [row for row in rows if name in (row.name, f"{row.distribution}:{row.name}")]
    if not found:
        known = [row.name for row in rows]
        # a kind in English is understood too: `generator` for `gen`
        kinds = dict(zip(map(kind_in_words, KINDS), KINDS, strict=True))
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
        return  # the source of what is broken may not be readable, and the status says why
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
    describe_hooks(page.hooks)
    describe_options(row.name, page.options)


def describe_hooks(hooks: Sequence[str]) -> None:
    """Print the hooks of a component, and which version of gancore they need."""
    # not at the top: every command imports this module, and few show a page
    from packaging.version import Version

    infos = {hook: hookspecs.hook_info(hook) for hook in hooks}
    newest = max((info.since for info in infos.values()), key=Version, default="")
    tell(f"hooks: {', '.join(hooks)} (gancore {newest} or later)")
    for hook, info in infos.items():
        if info.deprecated:
            tell(f"{hook} is deprecated since gancore {info.deprecated}: {info.instead}")


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
    # `int | None` and `Optional[int]` are of different types before Python 3.14
    if origin in (Union, types.UnionType):
        return f"{show_type(get_args(kind)[0])} or none"
    if origin is tuple:
        return f"list of {show_type(get_args(kind)[0])}s"
    return IN_WORDS.get(kind, str(kind))
