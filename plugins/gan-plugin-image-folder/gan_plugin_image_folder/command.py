"""`gan data check`: what a folder of images holds, before a run is made of it."""

import json
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from gan_plugin_image_folder.advice import advise, warnings_of
from gan_plugin_image_folder.folder import find_images, folder_at, shown
from gan_plugin_image_folder.leaving import write_list
from gan_plugin_image_folder.survey import facts_of, in_words, survey
from gancore import UsageError


@click.group()
def data() -> None:
    """Examine data before a run is made of it."""


@data.command()
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="Print what is found as JSON on stdout.")
@click.option("--fix-list", metavar="FILE", help="Write the files to leave out, one a line; none if all are usable.")
@click.pass_context
def check(context: click.Context, path: str, as_json: bool, fix_list: str | None) -> None:
    """Examine the images of the folder PATH, one at a time, and say which options of `gan run` fit.

    Exits as `gan run --data PATH` would: with 0 where it trains, though some files are left out; with 1 where it
    refuses the set or its labels; with 2 where PATH is no folder. The list is read by `gan run --data PATH
    --image-folder.leave-out FILE`.
    """
    try:
        root = folder_at(path, Path())
    except UsageError as error:
        fix = error.fix.replace("--data", "gan data check")
        raise UsageError(error.what, where="gan data check PATH", fix=fix) from None
    found = find_images(root)
    about = survey(root, found)
    facts = {"path": root, **facts_of(about)}
    if fix_list is not None:
        write_list(Path(fix_list), list(about.faults))
    fitting = list(advise(facts, fix_list or ""))
    words = ["gan", "run", "--data", path, *(word for each in fitting for word in each.words)]
    facts["suggested"] = [{"option": " ".join(each.words), "reason": each.reason} for each in fitting]
    facts["warnings"], facts["command"] = list(warnings_of(facts)), shlex.join(words)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
    else:
        lines = [*in_words(facts), *(f"warning: {each}" for each in facts["warnings"])]
        lines += [f"suggested: {' '.join(each.words)}    ({each.reason})" for each in fitting]
        show([*lines, f"try: {facts['command']}"] if about.seen else lines)
    context.exit(about.code)


def show(lines: Iterable[str]) -> None:
    """Print lines with what would steer the terminal, or what its encoding lacks, escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for line in lines:
        click.echo(shown(line).encode(encoding, "backslashreplace").decode(encoding))
