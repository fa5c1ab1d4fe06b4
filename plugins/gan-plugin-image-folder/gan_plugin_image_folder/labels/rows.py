"""Match the rows of a labels file to images, and label the images by them."""

import os
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from gan_plugin_image_folder.file_index import FileIndex
from gan_plugin_image_folder.labels.columns import (
    choose_columns,
    classes_of,
    reason_against,
    refuse_contradictions,
)
from gan_plugin_image_folder.labels.image_labels import ImageLabels
from gan_plugin_image_folder.labels.table import Row, Table
from gan_plugin_image_folder.names import printable
from gancore import LabelSet

FILE_COLUMNS = {"file", "filename", "file_name", "path", "image", "name", "id"}
Matches = Sequence[Sequence[str]]  # for each row the images that it may mean


def labels_from_table(
    table: Table, root: str, files: FileIndex, wanted: Sequence[str], allow_missing: bool
) -> ImageLabels | None:
    """Label images by the rows of a table; those without a row are left out.

    None where the table names no image at all. Raises DataError for rows that name no image (unless
    allowed) or several, for rows of one image that contradict each other, for empty cells, and for
    columns that cannot be a label set.
    """
    if not table.columns:
        return None
    file_column, matches = match_rows(table, root, files)
    if not any(matches):
        return None
    rows = rows_by_image(table, root, file_column, matches, allow_missing)
    first_rows = {name: rows[name][0] for name in files if name in rows}
    reasons = reasons_against(table, file_column, first_rows)
    columns = choose_columns(table, reasons, wanted)
    refuse_contradictions(table, rows, columns)
    classes = {column: classes_of(table, column, first_rows) for column in columns}
    sets = []
    for column, values in classes.items():
        sets.append(LabelSet(printable(table.columns[column]), tuple(map(printable, values))))
    unused = {column: reason for column, reason in reasons.items() if column not in columns}
    labelled = np.array([name in first_rows for name in files])
    notes = [columns_note(table, sets, unused), *rows_notes(table, matches, labelled)]
    numbers = class_numbers(classes, first_rows)
    return ImageLabels(files.select(labelled), tuple(sets), numbers, notes)


def match_rows(table: Table, root: str, files: FileIndex) -> tuple[int, Matches]:
    """Return the column that names files, and the images that each row means.

    Of the columns with a usual name, and the first one, it is the one whose cells name most images.
    A cell may be a path relative to the folder of images or to that of the labels file.
    """
    known = names_of_images(files)
    folder = os.path.relpath(root, os.path.dirname(table.path)).replace(os.sep, "/") + "/"

    def images_of(cell: str | None) -> list[str]:
        # tables written on Windows have backslashes
        path = posixpath.normpath((cell or "").replace("\\", "/"))
        # as it stands first: a file's name may hold a backslash elsewhere than on Windows
        for spelling in (cell, path, path.removeprefix(folder)):
            if spelling in known:
                return known[spelling]
        return []

    usual = [index for index, name in enumerate(table.columns) if name.casefold() in FILE_COLUMNS]
    best: tuple[int, Matches] = (0, [])
    most = -1
    # the first column last: where another names as many images, a usual name decides
    for index in dict.fromkeys([*usual, 0]):
        matches = [images_of(row.cells[index]) for row in table.rows]
        count = sum(map(bool, matches))
        if count > most:
            best = (index, matches)
            most = count
    return best


def names_of_images(files: FileIndex) -> dict[str | None, list[str]]:
    """Return the images by all names that a row may use: path or bare name, with or without suffix.

    A name that several of these give belongs to the first: a whole path wins over a bare name.
    """
    spellings: list[Callable[[str], str]] = [str, stem, posixpath.basename, bare_stem]
    known: dict[str | None, list[str]] = {}
    for spell in spellings:
        spelled: dict[str | None, list[str]] = {}
        for name in files:
            spelled.setdefault(spell(name), []).append(name)
        known = spelled | known
    return known


def stem(path: str) -> str:
    """Return a path without the suffix."""
    return posixpath.splitext(path)[0]


def bare_stem(path: str) -> str:
    """Return the name of a file without folder and suffix."""
    return stem(posixpath.basename(path))


def rows_by_image(
    table: Table, root: str, column: int, matches: Matches, allow_missing: bool
) -> dict[str, list[Row]]:
    """Return the rows of each image.

    Raises DataError for rows that name several images, or none unless that is allowed.
    """
    several = []
    missing = []
    rows: dict[str, list[Row]] = {}
    for row, images in zip(table.rows, matches, strict=True):
        cell = row.cells[column] or "(empty)"
        if len(images) > 1:
            several.append((row, cell))
        if not images:
            missing.append((row, cell))
        for name in images:
            rows.setdefault(name, []).append(row)
    fix = "write the path of one, relative to the folder of images"
    table.refuse("name several images each", several, fix)
    if not allow_missing:
        fix = (
            "put the files there, or --image-folder.allow-missing true to train without those rows"
        )
        where = f"; looked for in {printable(root)}"
        table.refuse("name files that are not there", missing, fix, where)
    return rows


def reasons_against(table: Table, file_column: int, rows: Mapping[str, Row]) -> dict[int, str]:
    """Return for each column but that of files why it is not chosen automatically."""
    reasons = {}
    for column in range(len(table.columns)):
        if column != file_column:
            reasons[column] = reason_against([row.cells[column] for row in rows.values()])
    return reasons


def class_numbers(classes: Mapping[int, Sequence[str]], rows: Mapping[str, Row]) -> np.ndarray:
    """Return the class of each image in each column, int64 `[N, L]`."""
    numbers = np.empty((len(rows), len(classes)), np.int64)
    for place, (column, values) in enumerate(classes.items()):
        number_of = {value: number for number, value in enumerate(values)}
        numbers[:, place] = [number_of[row.cells[column]] for row in rows.values()]
    return numbers


def columns_note(table: Table, sets: Sequence[LabelSet], unused: Mapping[int, str]) -> str:
    """Return a line on the columns that are label sets, and on those that are not."""
    used = ", ".join(f"{each.name} ({len(each)} classes)" for each in sets)
    note = f"labels from {printable(table.path)}: {used}"
    if unused:
        # without a reason against it, a column is unused because the user asked for others
        names = [f"{table.columns[at]} ({why or 'not asked for'})" for at, why in unused.items()]
        note += f"; columns left out: {printable(*names)}"
    return note


def rows_notes(table: Table, matches: Matches, labelled: np.ndarray) -> Iterator[str]:
    """Yield a line on images without a row, rows without an image, and repeated rows."""
    # no row names several images: that was refused
    named = [images[0] for images in matches if images]
    counts = {
        "images without a row left out": int((~labelled).sum()),
        "rows without an image left out": len(matches) - len(named),
        "rows repeat another": len(named) - len(set(named)),
    }
    parts = [f"{count} {what}" for what, count in counts.items() if count]
    if parts:
        yield f"{printable(os.path.basename(table.path))}: " + "; ".join(parts)
