"""A labels file, CSV or JSON, as rows of text cells."""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from gan_plugin_image_folder.files import Files, spelt
from gan_plugin_image_folder.folder import is_image, shown
from gancore import DataError, UsageError

DATASET = "dataset.json"  # of StyleGAN's programs: {"labels": [[file, class], …]}, or null for none
FOUND = ("labels.csv", "labels.json", DATASET)  # found by themselves, in this order
SEPARATORS = ",;\t"
MOST_BYTES = 256 << 20
LINES, ENTRIES = ("line", "lines"), ("entry", "entries")


class Row(NamedTuple):
    """Where a row stands (line of a CSV, entry of a JSON file, from 1), and its cells; None for a list."""

    place: int
    cells: tuple[str | None, ...]


class Table(NamedTuple):
    """A labels file: its path, what `Row.place` counts (one, several), the names of its columns, and its rows."""

    path: str
    unit: tuple[str, str]
    columns: tuple[str, ...]
    rows: list[Row]
    stylegan: bool = False  # whether it has the form of a dataset.json, so that its columns are known

    def at(self, rows: Sequence[Row]) -> str:
        """Say where rows stand: `labels.csv, lines 2, 3, 5, 6, 8, …`."""
        places = ", ".join(str(row.place) for row in rows[:5]) + (", …" if len(rows) > 5 else "")
        return f"{shown(self.path)}, {self.unit[len(rows) > 1]} {places}"

    def refuse(self, fault: str, found: Sequence[tuple[Row, str]], fix: str, where: str = "") -> None:
        """Raise DataError if any rows, each with what it names, are at fault."""
        if found:
            rows, names = zip(*found, strict=True)
            what = f"{len(rows)} rows of the labels {fault}: {shown(*names)}"
            raise DataError(what, where=self.at(rows) + where, fix=fix)


def file_at(given: str, base: Path) -> str:
    """Return the file that a user's path means, seen from `base`. Raises UsageError where it is no file."""
    path = base / os.path.expanduser(given)
    if os.path.isfile(path):
        return str(path)
    beside = {each.name: str(each) for each in path.parent.glob("*") if each.is_file()}
    near = get_close_matches(path.name, beside, n=1)
    fix = f"--image-folder.labels-file {shown(beside[near[0]]) if near else 'FILE'}"
    raise UsageError(f"the file {shown(str(path))} does not exist", where="image-folder.labels-file", fix=fix)


def found_beside(root: str, files: Files) -> str | None:
    """Return labels.csv or labels.json in the folder of images, or in the one above it where that is flat."""
    above = [] if files.slashes else [os.path.dirname(os.path.abspath(root))]
    paths = [os.path.join(folder, name) for folder in (root, *above) for name in FOUND]
    return next((path for path in paths if os.path.isfile(path)), None)


def broken(path: str, what: str, where: str = "") -> DataError:
    """Say what is wrong with a labels file."""
    fix = "fix the file, or --image-folder.labels folders to do without it"
    return DataError(f"{shown(os.path.basename(path))} {what}", where=f"{shown(path)}{where}", fix=fix)


def read_table(path: str) -> Table:
    """Read a labels file, JSON if it is named so, else CSV. Raises DataError for one that is broken."""
    text = read_text(path)
    return read_json(path, text) if path.lower().endswith(".json") else read_csv(path, text)


def read_text(path: str) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark. Raises DataError."""
    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise broken(path, f"is larger than {MOST_BYTES >> 20} MiB")
        raw = Path(path).read_bytes()
    except OSError as error:
        raise broken(path, f"cannot be read: {error.strerror}") from None
    try:
        text = raw.decode("utf-8-sig")
        fault = raw.find(b"\0")
    except UnicodeDecodeError as error:
        fault = error.start + (3 if raw.startswith(b"\xef\xbb\xbf") else 0)  # the mark is not counted
    if fault >= 0:
        line = raw.count(b"\n", 0, fault) + 1
        raise broken(path, f"is no text in UTF-8: byte 0x{raw[fault]:02x} at offset {fault}", f", line {line}")
    return text


def read_csv(path: str, text: str) -> Table:
    """Read a CSV file whose first row names the columns, separated by what splits that row into most.

    Raises DataError for a header that cannot be one, and for a row that is longer or shorter.
    """
    header = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=lambda each: len(next(csv.reader([header], delimiter=each), [])))
    rows = list(csv_rows(path, text, separator))
    if not rows:
        return Table(path, LINES, (), [])
    line, columns = rows.pop(0)
    if is_image(spelt(columns[0])):
        raise broken(path, f"has no header row: it begins with {shown(*columns)}", f", line {line}")
    if "" in columns or len(set(columns)) < len(columns):
        raise broken(path, f"has columns without a name of their own: {shown(*columns)}", f", line {line}")
    for row in rows:
        if len(row.cells) != len(columns):
            what = f"has a row of {len(row.cells)} cells below a header of {len(columns)}, separated by {separator!r}"
            raise broken(path, what, f", line {row.place}")
    return Table(path, LINES, columns, rows)


def csv_rows(path: str, text: str, separator: str) -> Iterator[Row]:
    """Yield the rows of a CSV file that are not empty, with the line on which each begins. Raises DataError."""
    reader, line = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield Row(line, tuple(map(as_text, cells)))
            line = reader.line_num + 1
    except csv.Error as error:
        raise broken(path, f"cannot be read as CSV: {error}", f", line {line}") from None


def as_text(value: Any) -> str | None:
    """Write a cell as text without spaces around it: `true` for True, nothing for null and NaN, None for a list."""
    if isinstance(value, list | tuple):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else str(value).strip()
    return "" if text.casefold() == "nan" else text


def read_json(path: str, text: str) -> Table:
    """Read `{file: label}`, `{file: {column: label, …}}`, `[{"file": …, column: label, …}, …]` or a dataset.json.

    Raises DataError.
    """
    try:
        content = json.loads(text, object_pairs_hook=tuple)  # objects as tuples of pairs: repeated files stay
    except (ValueError, RecursionError) as error:
        raise broken(path, f"cannot be read as JSON: {error}") from None
    if (pairs := pairs_of(content)) is not None:
        places = enumerate(pairs, 1)
        rows = [Row(place, (as_text(name), as_text(label))) for place, (name, label) in places]
        return Table(path, ENTRIES, ("file", "class"), rows, stylegan=True)
    if isinstance(content, tuple):
        content = [(("file", name), *(about if is_object(about) else [("label", about)])) for name, about in content]
    if not isinstance(content, list) or not all(map(is_object, content)):
        raise broken(path, "is neither an object of labels by file nor a list of objects")
    columns = tuple(dict.fromkeys(name for entry in content for name, _ in entry))
    entries = [{name: as_text(value) for name, value in entry} for entry in content]
    rows = [Row(place, tuple(entry.get(name, "") for name in columns)) for place, entry in enumerate(entries, 1)]
    return Table(path, ENTRIES, columns, rows)


def pairs_of(content: Any) -> list[list[Any]] | None:
    """Return the pairs [file, label] of a dataset.json as StyleGAN's programs write it; None for another form."""
    if not is_object(content) or "labels" not in dict(content):
        return None
    labels = dict(content)["labels"]
    if labels is None:
        return []
    if isinstance(labels, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in labels):
        return labels
    return None


def is_object(value: Any) -> bool:
    """Whether a JSON value is an object."""
    return isinstance(value, tuple)
