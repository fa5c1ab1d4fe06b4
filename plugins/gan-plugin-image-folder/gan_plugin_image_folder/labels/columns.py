"""Choose the columns of a labels file that are label sets, and their classes."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from gan_plugin_image_folder.labels.class_folders import alike
from gan_plugin_image_folder.labels.table import Row, Table
from gan_plugin_image_folder.names import printable
from gancore import DataError

# Limits of a column that is chosen automatically: one with more different values is rather a name
# or a measurement than a class. A user may still name it.
MOST_WORDS = 100  # different values of a column that is chosen automatically
MOST_NUMBERS = 20  # the same, where all values are whole numbers
NO_COLUMN = "there is no such column"
NEVER_LABELS = (NO_COLUMN, "no value", "one value", "lists")  # even where the user names the column
WITHOUT = "--image-folder.labels folders to do without the file"


def parse_number(text: str) -> float | None:
    """Return the number that a text spells, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def reason_against(cells: Sequence[str | None]) -> str:
    """Return why a column is not chosen automatically; an empty text for one that is.

    A column is chosen if it has two values or more, each on two images or more on average: at most
    100, or 20 if all are whole numbers. Fractions, and lists of JSON, are not classes.
    """
    if None in cells:
        return "lists"
    values = {cell for cell in cells if cell}
    if not values:
        return "no value"
    if len(values) == 1:
        return "one value"
    if are_measurements(values):
        return "numbers"
    if len(values) > min(MOST_WORDS, len(cells) / 2):
        return f"{len(values)} different values"
    return ""


def are_measurements(values: set[str]) -> bool:
    """Return whether all values are numbers, but too many or not whole, so no classes."""
    numbers = []
    for value in values:
        number = parse_number(value)
        if number is None:  # a single word makes them all words
            return False
        numbers.append(number)
    return len(numbers) > MOST_NUMBERS or not all(map(float.is_integer, numbers))


def choose_columns(table: Table, reasons: Mapping[int, str], wanted: Sequence[str]) -> list[int]:
    """Return the label columns: those wanted, else all without a reason against them.

    Raises DataError where there is none, and for a wanted one that is missing or has fewer than two
    values.
    """
    indices = {table.columns[index]: index for index in reasons}
    for name in wanted:
        reason = reasons[indices[name]] if name in indices else NO_COLUMN
        if reason in NEVER_LABELS:
            refuse_column(table, name, reason, list(indices))
    if wanted:
        return [indices[name] for name in dict.fromkeys(wanted)]
    chosen = [index for index, reason in reasons.items() if not reason]
    if not chosen:
        rejected = [f"{table.columns[index]} ({reason})" for index, reason in reasons.items()]
        what = f"no column holds categories: {printable(*rejected) or 'there is none'}"
        fix = f"--image-folder.label-columns COLUMN,… takes some of them, {WITHOUT}"
        raise DataError(what, where=printable(table.path), fix=fix)
    return chosen


def refuse_column(table: Table, name: str, reason: str, names: Sequence[str]) -> None:
    """Raise DataError for a column that the user names and that cannot be a label set."""
    columns = f"the columns are {printable(*names) or 'none'}"
    what = f"{printable(name)} cannot be a label column: {reason}; {columns}"
    near = get_close_matches(name, names, n=1)
    fix = "leave it out"
    if near and name not in names:
        fix = f"--image-folder.label-columns {printable(*near)}"
    raise DataError(what, where=f"{printable(table.path)}, image-folder.label-columns", fix=fix)


def refuse_contradictions(
    table: Table, rows: Mapping[str, Sequence[Row]], columns: Sequence[int]
) -> None:
    """Raise DataError where the rows of one image differ in a label column."""
    for image, (first, *others) in rows.items():
        for row in others:
            for column in columns:
                one = first.cells[column]
                other = row.cells[column]
                if one != other:
                    values = printable(f"{table.columns[column]} is {one}, and {other}")
                    what = f"{printable(image)} is labelled twice: {values}"
                    where = table.place_of([first, row])
                    raise DataError(what, where=where, fix="leave one of the rows out")


def classes_of(table: Table, column: int, rows: Mapping[str, Row]) -> list[str]:
    """Return the classes of a column in order: numbers by value, words by code point.

    Raises DataError for images with an empty cell, and for classes that differ only in case or
    accents.
    """
    name = printable(table.columns[column])
    empty = [(row, image) for image, row in rows.items() if not row.cells[column]]
    other = "--image-folder.label-columns COLUMN,… names the columns to use"
    fix = f"fill them in, {other}, or {WITHOUT}"
    table.refuse(f"have an empty cell in the column {name}", empty, fix)
    values = sorted({row.cells[column] or "" for row in rows.values()})
    twins = alike(values)
    if twins:
        what = f"classes of {name} differ only in case or accents: {printable(*twins)}"
        raise DataError(what, where=printable(table.path), fix="spell each class in one way")
    if None in map(parse_number, values):
        return values
    return sorted(values, key=float)
