"""What a person reads: plain lines on stderr, results on stdout, foreign text made harmless."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from gancore.errors import GanError, NumbersError, PeerError
from gancore.errors import clean as clean

LONGEST = 1000  # letters of a line of an error: a file may put a megabyte where a name was due


def follows() -> str:
    """Name this process where it is not the first of several that share a run: only that one speaks."""
    rank = os.environ.get("RANK", "0") if "MASTER_ADDR" in os.environ else "0"
    return "" if rank == "0" else f"process {rank}"


def say(text: str) -> None:
    """Write one line to stderr; a console that went away is no reason to stop."""
    if not follows():
        write(text)


def write(text: str) -> None:
    """Write one line to stderr, whichever process this is."""
    try:
        click.echo(clean(text), err=True)
    except (OSError, ValueError):  # broken, or closed
        pass


def tell(text: str) -> None:
    """Write lines to stdout, each made harmless."""
    for line in text.split("\n"):
        click.echo(clean(line))


def note(text: str) -> None:
    """Write a remark that does not stop the run."""
    say(f"note: {text}")


def complain(error: GanError) -> None:
    """Write an error in its three parts; of several processes only the first tells what all of them met."""
    lines, name = str(error).splitlines() or [""], follows()
    if name and isinstance(error, PeerError | NumbersError):
        return
    for line in [f"{name} error: {lines[0]}".lstrip(), *lines[1:]]:
        write(line if len(line) <= LONGEST else f"{line[:LONGEST]} …")


def show_traceback() -> None:
    """Write where the error that is being handled came from."""
    for line in traceback.format_exc().splitlines():
        write(line)


def show_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table: drawn by rich on a terminal, plain aligned columns otherwise."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw_table(header, cells)
        return
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    for row in [list(header), *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _draw_table(header: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=None, header_style="bold", pad_edge=False)
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)
