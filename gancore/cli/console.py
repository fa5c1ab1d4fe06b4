"""Prints results to stdout and messages to stderr, with control characters escaped."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from gancore.errors import GanError, NumbersError, PeerError
from gancore.errors import clean as clean

LONGEST_LINE = 1000  # characters of a line of an error, which may quote a file's content


def process_label() -> str:
    """Return `process N` in a process of rank N > 0, and '' in rank 0, which prints for all."""
    rank = os.environ.get("RANK", "0") if "MASTER_ADDR" in os.environ else "0"
    return "" if rank == "0" else f"process {rank}"


def say(text: str) -> None:
    """Write one line to stderr, in rank 0 only."""
    if not process_label():
        write_stderr(text)


def write_stderr(text: str) -> None:
    """Write one line to stderr in any process; drop it if stderr is closed or broken."""
    # a run must not end because its terminal went away
    try:
        click.echo(clean(text), err=True)
    except (OSError, ValueError):
        pass


def tell(text: str) -> None:
    """Write lines to stdout."""
    for line in text.split("\n"):
        click.echo(clean(line))


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun: `1 batch`, `1,200 batches`."""
    return f"{number:,} {one if number == 1 else many}"


def note(text: str) -> None:
    """Write a note, which does not stop the run, to stderr."""
    say(f"note: {text}")


def complain(error: GanError) -> None:
    """Write an error in its three parts to stderr.

    Errors that every process raises are written by rank 0 only.
    """
    lines = str(error).splitlines() or [""]
    label = process_label()
    if label and isinstance(error, PeerError | NumbersError):
        return
    for line in [f"{label} error: {lines[0]}".lstrip(), *lines[1:]]:
        write_stderr(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} …")


def show_traceback() -> None:
    """Write the traceback of the error that is being handled to stderr."""
    for line in traceback.format_exc().splitlines():
        write_stderr(line)


def show_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table: with rich on a terminal, as plain aligned columns otherwise."""
    cells = [list(map(clean, row)) for row in rows]
    if sys.stdout.isatty():
        _draw_table(header, cells)
        return
    columns = zip(header, *cells, strict=True)
    widths = [max(map(len, column)) for column in columns]
    for row in [header, *cells]:
        padded = map(str.ljust, row, widths)
        click.echo("  ".join(padded).rstrip())


def _draw_table(header: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=None, header_style="bold", pad_edge=False)
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)
