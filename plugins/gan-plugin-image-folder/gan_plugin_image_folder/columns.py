"""Which columns of a labels file are label sets, and what their classes are."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from gan_plugin_image_folder.folder import alike, shown
from gan_plugin_image_folder.table import Row, Table
from gancore import DataError

MOST_WORDS, MOST_NUMBERS = 100, 20  # different values of a column that is taken unasked
WITHOUT = "--image-folder.labels folders to do without the file"


def number(text: str) -> float | None:
    """Read a number, or return None."""
    try:
        return float(text)
    except ValueError:
        return None


def why_not(cells: Sequence[str | None]) -> str:
    """Say why a column is not taken unasked; nothing for one that is.

    It is taken if it has two values or more, each on two images or more on average: at most 100, or 20 if all of them
    are whole numbers. Fractions, and lists of JSON, are no classes.
    """
    if None in cells:
        return "lists"
    values = {cell for cell in cells if cell}
    numbers = [number(value) for value in values]
    if len(values) < 2:
        return "one value" if values else "no value"
    if None not in numbers and (len(values) > MOST_NUMBERS or not all(each.is_integer() for each in numbers)):
        return "numbers"
    return f"{len(values)} different values" if len(values) > min(MOST_WORDS, len(cells) / 2) else ""


def choose(table: Table, unfit: Mapping[int, str], wanted: Sequence[str]) -> list[int]:
    """Return the label columns: those wanted, else all that are not unfit.

    Raises DataError where there is none, and for a wanted one that is not there or has less than two values.
    """
    names = {table.columns[place]: place for place in unfit}
    for name in wanted:
        why = unfit[names[name]] if name in names else "there is no such column"
        if why in ("there is no such column", "no value", "one value", "lists"):
            what = f"{shown(name)} cannot be a label column: {why}; the columns are {shown(*names) or 'none'}"
            near = get_close_matches(name, names, n=1)
            fix = f"--image-folder.label-columns {shown(*near)}" if near and name not in names else "leave it out"
            raise DataError(what, where=f"{shown(table.path)}, image-folder.label-columns", fix=fix)
    chosen = [names[name] for name in dict.fromkeys(wanted)] or [place for place, why in unfit.items() if not why]
    if not chosen:
        about = shown(*(f"{table.columns[place]} ({why})" for place, why in unfit.items())) or "there is none"
        fix = f"--image-folder.label-columns COLUMN,… takes some of them, {WITHOUT}"
        raise DataError(f"no column holds categories: {about}", where=shown(table.path), fix=fix)
    return chosen


def agree(table: Table, rows: Mapping[str, Sequence[Row]], columns: Sequence[int]) -> None:
    """Raise DataError where the rows of one image differ in a label column."""
    for name, (first, *others) in rows.items():
        for row in others:
            for column in columns:
                one, other = first.cells[column], row.cells[column]
                if one != other:
                    what = f"{shown(name)} is labelled twice: {shown(f'{table.columns[column]} is {one}, and {other}')}"
                    raise DataError(what, where=table.at([first, row]), fix="leave one of the rows out")


def classes_of(table: Table, column: int, rows: Mapping[str, Row]) -> list[str]:
    """Return the classes of a column in order: numbers by value, words by their letters.

    Raises DataError for images with an empty cell, and for classes that differ in case or accents alone.
    """
    name = shown(table.columns[column])
    empty = [(row, image) for image, row in rows.items() if not row.cells[column]]
    fix = f"fill them in, --image-folder.label-columns COLUMN,… names the columns to use, or {WITHOUT}"
    table.refuse(f"have an empty cell in the column {name}", empty, fix)
    values = sorted({row.cells[column] for row in rows.values()})
    if twins := alike(values):
        what = f"classes of {name} are named alike but for case or accents: {shown(*twins)}"
        raise DataError(what, where=shown(table.path), fix="spell each class in one way")
    return values if None in map(number, values) else sorted(values, key=float)
