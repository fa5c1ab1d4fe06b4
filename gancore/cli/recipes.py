"""`gan recipes`: the recipes that installed distributions publish."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gancore import discovery
from gancore.cli.console import clean, show_table
from gancore.errors import UsageError, did_you_mean


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects: name summary file.")
def recipes(name: str | None, as_json: bool) -> None:
    """List the installed recipes, or print the one called NAME."""
    files = discovery.recipe_files()
    if name is not None:
        if name not in files:
            raise UsageError(f"no recipe is called {name!r}", mend=did_you_mean(name, files) or "gan recipes")
        for line in files[name].read_text().splitlines():
            click.echo(clean(line))
        return
    if as_json:
        found = [{"name": key, "summary": summary(path), "file": str(path)} for key, path in files.items()]
        click.echo(json.dumps(found, indent=1))
        return
    show_table(("recipe", "summary"), [(key, summary(path)) for key, path in files.items()])


def summary(path: Path) -> str:
    """Return the first comment of a recipe."""
    first = path.read_text().partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
