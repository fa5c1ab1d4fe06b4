"""`gan compare`: runs side by side, what differs in their recipes first."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from gan_plugin_plots.comparison.comparison import MARK, Comparison, compare_runs
from gan_plugin_plots.comparison.figures import names_of, shown_first
from gan_plugin_plots.comparison.runs import RunFiles, read_runs
from gan_plugin_plots.curves import printable, replace
from gancore import UsageError

PAGES = (".html", ".htm")
UNLIMITED = 10_000  # columns where no terminal wraps lines


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--figures", help="Figures to compare, e.g. `frechet/ratio,critic/total`. [all]")
@click.option("--until", type=click.IntRange(0), help="Leave out rows after this step. [none]")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON on stdout.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Also write a page with curves and pictures: one .html file.",
)
def compare(
    runs: tuple[Path, ...],
    figures: str | None,
    until: int | None,
    as_json: bool,
    out: Path | None,
) -> None:
    """Compare RUNS: what differs in their recipes, then their figures.

    Figures that were measured in different ways are marked, with the reason. Runs may still be
    training. Without `--figures` single terms of losses are on the page alone.
    """
    if out is not None and out.suffix.lower() not in PAGES:
        fix = "name a file that ends in .html"
        raise UsageError(f"{str(out)!r} is no .html file", where="-o", fix=fix)
    found = read_runs(list(runs), until)
    names = chosen(figures, found) if figures else names_of(found)
    comparison = compare_runs(found, names)
    if as_json:
        click.echo(json.dumps(comparison.as_json(), indent=2, sort_keys=True, allow_nan=False))
    else:
        show(comparison, names if figures else shown_first(names))
    if out is not None:
        save(comparison, out)
        click.echo(f"{len(names)} curves in {out}", err=as_json)


def chosen(text: str, runs: list[RunFiles]) -> list[str]:
    """Split `a,b` into names of figures. Raises UsageError for a name that occurs in no run."""
    known: dict[str, None] = {}
    for run in runs:
        for row in run.rows:
            known |= dict.fromkeys(row)
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in known or name == "step":
            what = f"no run has a figure {name!r}"
            fix = f"any of {', '.join(names_of(runs)) or 'none: no run has a row yet'}"
            raise UsageError(what, where=f"--figures {text}", fix=fix)
    return list(dict.fromkeys(wanted))


def show(comparison: Comparison, names: list[str]) -> None:
    """Print the tables: what differs first."""
    if comparison.differences:
        rows = [(f"{each.section} {each.key}", each.values) for each in comparison.differences]
        print_table("differs", comparison.labels, rows)
    else:
        click.echo("nothing differs in the recipes and versions")
    click.echo()
    print_table("run", comparison.labels, comparison.overview())
    for protocol, rows in comparison.evaluated().items():
        click.echo()
        click.echo(printable(f"measured by gan eval: {protocol}"))
        print_table("metric", comparison.labels, rows)
    if rows := comparison.figures(names):
        click.echo()
        print_table("figure", comparison.labels, rows)
    click.echo()
    for reason, found in comparison.marks(names).items():
        click.echo(printable(f"{MARK} cannot be compared: {', '.join(found)}: {reason}"))
    for note in comparison.notes():
        click.echo(printable(f"note: {note}"))


def print_table(title: str, labels: list[str], rows: list[tuple[str, list[str]]]) -> None:
    """Print a table with a column for each run."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for label in (title, *labels):
        table.add_column(Text(printable(label)), overflow="fold")
    for name, texts in rows:
        table.add_row(*[Text(printable(text)) for text in (name, *texts)])
    # a file or a pipe gets whole lines, however long
    Console(width=None if sys.stdout.isatty() else UNLIMITED).print(table)


def save(comparison: Comparison, out: Path) -> None:
    """Write the page atomically. Raises UsageError where that fails."""
    from gan_plugin_plots.comparison.page import write_page

    text = write_page(comparison)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # a surrogate, from a file name that is no UTF-8, would be no text
        replace(out, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror}", where="-o", fix="name another file"
        ) from None
