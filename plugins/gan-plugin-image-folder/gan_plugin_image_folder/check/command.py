"""The command `gan data check`."""

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from gan_plugin_image_folder.check.advice import suggest, warnings_of
from gan_plugin_image_folder.check.examine import examine_folder
from gan_plugin_image_folder.check.facts import facts_of
from gan_plugin_image_folder.check.text import describe_set
from gan_plugin_image_folder.exclude_list import write_exclude_list
from gan_plugin_image_folder.names import printable
from gan_plugin_image_folder.scan import resolve_folder, scan_folder
from gancore import UsageError


@click.group()
def data() -> None:
    """Examine data before a run."""


@data.command()
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON on stdout.")
@click.option(
    "--fix-list",
    metavar="FILE",
    help="Write the files to leave out, one a line; none if all are usable.",
)
@click.pass_context
def check(context: click.Context, path: str, as_json: bool, fix_list: str | None) -> None:
    """Examine the images of the folder PATH, one at a time, and suggest options of `gan run`.

    Exits as `gan run --data PATH` would: with 0 where it trains, though some files are left out;
    with 1 where it refuses the set or its labels; with 2 where PATH is not a folder. The list is
    read by `gan run --data PATH --image-folder.leave-out FILE`.
    """
    root = folder_of(path)
    examination = examine_folder(root, scan_folder(root))
    facts = {"path": root, **facts_of(examination)}
    if fix_list is not None:
        write_exclude_list(Path(fix_list), list(examination.faults))
    suggestions = list(suggest(facts, fix_list or ""))
    words = ["gan", "run", "--data", path]
    for each in suggestions:
        words += each.words
    facts["suggested"] = [
        {"option": " ".join(each.words), "reason": each.reason} for each in suggestions
    ]
    facts["warnings"] = list(warnings_of(facts))
    facts["command"] = shlex.join(words)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    else:
        print_lines(lines_of(facts))
    context.exit(examination.exit_code)


def folder_of(path: str) -> str:
    """Return the folder at a path. Raises UsageError in the words of this command."""
    try:
        return resolve_folder(path, Path())
    except UsageError as error:
        fix = error.fix.replace("--data", "gan data check")
        raise UsageError(error.what, where="gan data check PATH", fix=fix) from None


def lines_of(facts: Mapping[str, Any]) -> list[str]:
    """Return all lines to print."""
    lines = list(describe_set(facts))
    lines += [f"warning: {warning}" for warning in facts["warnings"]]
    for each in facts["suggested"]:
        lines.append(f"suggested: {each['option']}    ({each['reason']})")
    if facts["images"]["usable"]:
        lines.append(f"try: {facts['command']}")
    return lines


def print_lines(lines: Iterable[str]) -> None:
    """Print lines; escape control characters, and letters that stdout cannot encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for line in lines:
        click.echo(printable(line).encode(encoding, "backslashreplace").decode(encoding))
