"""A labels file as a table: named columns and rows of text cells."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from gan_plugin_image_folder.names import printable
from gancore import DataError

LINES = ("line", "lines")
ENTRIES = ("entry", "entries")
ROWS_NAMED = 5  # rows whose places a message names


class Row(NamedTuple):
    """A row: its line of a CSV or entry of a JSON file, from 1, and its cells; None for a list."""

    place: int
    cells: tuple[str | None, ...]


class Table(NamedTuple):
    """A labels file; `unit` is what `Row.place` counts, as (singular, plural)."""

    path: str
    unit: tuple[str, str]
    columns: tuple[str, ...]
    rows: list[Row]
    stylegan: bool = False  # has the form of StyleGAN's dataset.json, so that its columns are known

    def place_of(self, rows: Sequence[Row]) -> str:
        """Say where rows are: `labels.csv, lines 2, 3, 5, 6, 8, …`."""
        places = ", ".join(str(row.place) for row in rows[:ROWS_NAMED])
        more = ", …" if len(rows) > ROWS_NAMED else ""
        return f"{printable(self.path)}, {self.unit[len(rows) > 1]} {places}{more}"

    def refuse(
        self, fault: str, found: Sequence[tuple[Row, str]], fix: str, where: str = ""
    ) -> None:
        """Raise DataError if any rows, each with the name to report, are at fault."""
        if found:
            rows = [row for row, _ in found]
            names = [name for _, name in found]
            what = f"{len(rows)} rows of the labels {fault}: {printable(*names)}"
            raise DataError(what, where=self.place_of(rows) + where, fix=fix)


def broken(path: str, fault: str, where: str = "") -> DataError:
    """Return the error for a labels file that cannot be read."""
    what = f"{printable(os.path.basename(path))} {fault}"
    fix = "correct the file, or --image-folder.labels folders to do without it"
    return DataError(what, where=f"{printable(path)}{where}", fix=fix)


def cell_text(value: Any) -> str | None:
    """Return a cell as text without surrounding spaces.

    `true` for True, an empty text for null and NaN, None for a list.
    """
    if isinstance(value, list | tuple):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else str(value).strip()
    return "" if text.casefold() == "nan" else text
