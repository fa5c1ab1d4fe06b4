"""Read a labels file, CSV or JSON, into a table."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gan_plugin_image_folder.labels.table import ENTRIES, LINES, Row, Table, broken, cell_text
from gan_plugin_image_folder.names import encode_name, printable
from gan_plugin_image_folder.scan import has_image_suffix

SEPARATORS = ",;\t"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MOST_BYTES = 256 << 20


def read_table(path: str) -> Table:
    """Read a labels file, JSON by its suffix, else CSV. Raises DataError where that fails."""
    text = read_text(path)
    return read_json(path, text) if path.lower().endswith(".json") else read_csv(path, text)


def read_text(path: str) -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark. Raises DataError."""
    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise broken(path, f"is larger than {MOST_BYTES >> 20} MiB")
        raw = Path(path).read_bytes()
    except OSError as error:
        raise broken(path, f"cannot be read: {error.strerror}") from None
    text = ""
    try:
        text = raw.decode("utf-8-sig")
        fault = raw.find(b"\0")
    except UnicodeDecodeError as error:
        # The codec counts from behind the byte order mark.
        fault = error.start + (len(BYTE_ORDER_MARK) if raw.startswith(BYTE_ORDER_MARK) else 0)
    if fault >= 0:
        line = raw.count(b"\n", 0, fault) + 1
        what = f"is not UTF-8 text: byte 0x{raw[fault]:02x} at offset {fault}"
        raise broken(path, what, f", line {line}")
    return text


# ── CSV ───────────────────────────────────────────────────────────────────────────────────────────


def read_csv(path: str, text: str) -> Table:
    """Read a CSV file whose first row names the columns.

    Raises DataError for a header that cannot be one, and for a row that is longer or shorter.
    """
    separator = guess_separator(text)
    rows = list(csv_rows(path, text, separator))
    if not rows:
        return Table(path, LINES, (), [])
    header = rows.pop(0)
    columns = tuple(cell or "" for cell in header.cells)
    check_header(path, columns, f", line {header.place}")
    for row in rows:
        if len(row.cells) != len(columns):
            lengths = f"a row of {len(row.cells)} cells below a header of {len(columns)}"
            what = f"has {lengths}, separated by {separator!r}"
            raise broken(path, what, f", line {row.place}")
    return Table(path, LINES, columns, rows)


def guess_separator(text: str) -> str:
    """Return the separator that splits the header into most columns."""
    lines = (line for line in text.splitlines() if line.strip())
    header = next(lines, "")

    def columns(separator: str) -> int:
        return len(next(csv.reader([header], delimiter=separator), []))

    return max(SEPARATORS, key=columns)


def csv_rows(path: str, text: str, separator: str) -> Iterator[Row]:
    """Yield the rows that are not empty, with the line where each begins. Raises DataError."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield Row(line, tuple(map(cell_text, cells)))
            line = reader.line_num + 1  # a quoted cell may span several lines
    except csv.Error as error:
        raise broken(path, f"cannot be read as CSV: {error}", f", line {line}") from None


def check_header(path: str, columns: tuple[str, ...], place: str) -> None:
    """Raise DataError for a header that names an image, or whose names are empty or repeated."""
    if has_image_suffix(encode_name(columns[0])):
        raise broken(path, f"has no header row: it begins with {printable(*columns)}", place)
    if "" in columns or len(set(columns)) < len(columns):
        raise broken(path, f"has empty or repeated column names: {printable(*columns)}", place)


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────


def read_json(path: str, text: str) -> Table:
    """Read JSON of one of four forms. Raises DataError for any other content.

    `{file: label}`, `{file: {column: label, …}}`, `[{"file": …, column: label, …}, …]`, or
    StyleGAN's dataset.json.
    """
    try:
        # Objects become tuples of pairs, so that a file that is named twice is not lost.
        content = json.loads(text, object_pairs_hook=tuple)
    except (ValueError, RecursionError) as error:
        raise broken(path, f"cannot be read as JSON: {error}") from None
    pairs = stylegan_pairs(content)
    if pairs is not None:
        return stylegan_table(path, pairs)
    if is_object(content):
        content = [(("file", name), *label_pairs(label)) for name, label in content]
    if not isinstance(content, list) or not all(map(is_object, content)):
        raise broken(path, "is neither an object of labels by file nor a list of objects")
    return entries_table(path, content)


def stylegan_pairs(content: Any) -> list[list[Any]] | None:
    """Return the pairs [file, label] of StyleGAN's dataset.json; None for any other content."""
    if not is_object(content) or "labels" not in dict(content):
        return None
    labels = dict(content)["labels"]
    if labels is None:
        return []
    if isinstance(labels, list) and all(map(is_pair, labels)):
        return labels
    return None


def stylegan_table(path: str, pairs: list[list[Any]]) -> Table:
    """Return the table of a dataset.json."""
    rows = []
    for place, (name, label) in enumerate(pairs, 1):
        rows.append(Row(place, (cell_text(name), cell_text(label))))
    return Table(path, ENTRIES, ("file", "class"), rows, stylegan=True)


def entries_table(path: str, content: list[tuple[tuple[str, Any], ...]]) -> Table:
    """Return the table of a list of objects; columns that an object lacks are empty."""
    columns: dict[str, None] = {}
    for entry in content:
        columns.update(dict.fromkeys(name for name, _ in entry))
    rows = []
    for place, entry in enumerate(content, 1):
        cells = {name: cell_text(value) for name, value in entry}
        rows.append(Row(place, tuple(cells.get(name, "") for name in columns)))
    return Table(path, ENTRIES, tuple(columns), rows)


def label_pairs(label: Any) -> tuple[Any, ...]:
    """Return what a file is mapped to as pairs (column, label)."""
    return label if is_object(label) else (("label", label),)


def is_object(value: Any) -> bool:
    """Return whether a JSON value is an object."""
    return isinstance(value, tuple)


def is_pair(value: Any) -> bool:
    """Return whether a JSON value is a list of two."""
    return isinstance(value, list) and len(value) == 2
