"""Which labels the images bear: by their class folders, or by the rows of a labels file."""

import os
import posixpath
import re
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gan_plugin_image_folder.classes import Classes
from gan_plugin_image_folder.columns import agree, choose, classes_of, why_not
from gan_plugin_image_folder.files import Files
from gan_plugin_image_folder.folder import find_classes, shown
from gan_plugin_image_folder.table import Row, Table
from gancore import LabelSet

FILE_COLUMNS = {"file", "filename", "file_name", "path", "image", "name", "id"}


class Labels(NamedTuple):
    """The N images to read, the L label sets, the classes of the images as int64 `[N, L]`, and what to note.

    A class of -1 is that of a file which is no image after all.
    """

    names: Files
    sets: tuple[LabelSet, ...]
    of: np.ndarray
    notes: Sequence[str] = ()
    settled: bool = False  # whether there are no labels because a file says so, so that folders are not asked

    def only(self, wanted: np.ndarray) -> "Labels":
        """Return what is said of the images that are wanted, bool `[N]`."""
        return self._replace(names=self.names.only(wanted), of=self.of[wanted])

    def without(self, names: Container[str]) -> Classes:
        """Return the classes of the images but those."""
        return Classes(self.sets, self.of[[name not in names for name in self.names]] if names else self.of)


def unlabelled(names: Files, notes: Sequence[str] = ()) -> Labels:
    """Label images by nothing."""
    return Labels(names, (), np.empty((len(names), 0), np.int64), notes)


def by_folder(names: Files, folders: Sequence[str]) -> Labels:
    """Label images by the folder in which they lie; where all lie at the top level, by nothing. Raises DataError."""
    classes = find_classes(names, folders)
    if not classes:
        return unlabelled(names)
    of = np.full((len(names), 1), -1, np.int64)
    for number, name in enumerate(classes):
        span = names.below(name)
        of[span.start : span.stop] = number
    notes = []
    if empty := [name for name in folders if name not in set(classes)]:
        notes.append(f"class folders without an image are left out: {shown(*empty)}")
    if all(re.fullmatch(r"0\d{4,}", name) for name in classes):
        numbered = "are numbered like parts of one set; if they are, --image-folder.labels none"
        notes.append(f"the class folders {shown(*classes)} {numbered}")
    return Labels(names, (LabelSet("class", tuple(map(shown, classes))),), of, notes)


def stem(name: str) -> str:
    """Leave out the extension."""
    return posixpath.splitext(name)[0]


def spellings(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the images by what a row may call them: path or bare name, either without extension; the exact wins."""
    known: dict[str, list[str]] = {}
    for spell in (str, stem, posixpath.basename, lambda name: stem(posixpath.basename(name))):
        spelt: dict[str, list[str]] = {}
        for name in names:
            spelt.setdefault(spell(name), []).append(name)
        known = spelt | known
    return known


def match(table: Table, root: str, names: Sequence[str]) -> tuple[int, list[list[str]]]:
    """Return the column that names files, and the images that each row's cell in it means.

    Of the columns called like it, and the first, it is the one whose cells name most images. A cell may be a path seen
    from the folder of images or from that of the labels file.
    """
    known = spellings(names)
    above = os.path.relpath(root, os.path.dirname(table.path)).replace(os.sep, "/") + "/"

    def images(cell: str | None) -> list[str]:
        path = posixpath.normpath((cell or "").replace("\\", "/"))
        return next((known[each] for each in (cell, path, path.removeprefix(above)) if each in known), [])

    called = [place for place, name in enumerate(table.columns) if name.casefold() in FILE_COLUMNS]
    found = [(place, [images(row.cells[place]) for row in table.rows]) for place in dict.fromkeys([*called, 0])]
    return max(found, key=lambda each: sum(map(bool, each[1])))


def rows_by_image(
    table: Table, root: str, column: int, images: Sequence[Sequence[str]], allow_missing: bool
) -> dict[str, list[Row]]:
    """Return the rows of each image. Raises DataError for rows that name several, or none unless that is allowed."""
    named = [(row, row.cells[column] or "(empty)", each) for row, each in zip(table.rows, images, strict=True)]
    several = [(row, cell) for row, cell, each in named if len(each) > 1]
    table.refuse("name several images each", several, "write the path of one, seen from the folder of images")
    missing = [] if allow_missing else [(row, cell) for row, cell, each in named if not each]
    fix = "put the files there, or --image-folder.allow-missing true to train without those rows"
    table.refuse("name files that are not there", missing, fix, f"; looked for in {shown(root)}")
    rows: dict[str, list[Row]] = {}
    for row, _, each in named:
        for name in each:
            rows.setdefault(name, []).append(row)
    return rows


def by_file(table: Table, root: str, names: Files, wanted: Sequence[str], allow_missing: bool) -> Labels | None:
    """Label images by the rows of a table; those without a row are left out. None where it names no image at all.

    Raises DataError for rows that name no image (unless allowed) or several, for rows of one image that contradict
    each other, for empty cells, and for columns that cannot be a label set.
    """
    column, images = match(table, root, names) if table.columns else (0, [])
    if not any(images):
        return None
    rows = rows_by_image(table, root, column, images, allow_missing)
    firsts = {name: rows[name][0] for name in names if name in rows}
    unfit = {
        place: why_not([row.cells[place] for row in firsts.values()])
        for place in range(len(table.columns))
        if place != column
    }
    columns = choose(table, unfit, wanted)
    agree(table, rows, columns)
    classes = {place: classes_of(table, place, firsts) for place in columns}
    sets = [LabelSet(shown(table.columns[place]), tuple(map(shown, each))) for place, each in classes.items()]
    numbers = [(place, {value: number for number, value in enumerate(each)}) for place, each in classes.items()]
    of = [[known[row.cells[place]] for place, known in numbers] for row in firsts.values()]
    left = [
        f"{table.columns[place]} ({why or 'not asked for'})" for place, why in unfit.items() if place not in columns
    ]
    notes = list(remarks(table, sets, left, images, len(names) - len(firsts)))
    labelled = np.array([name in firsts for name in names])
    return Labels(names.only(labelled), tuple(sets), np.array(of, np.int64), notes)


def remarks(
    table: Table, sets: Sequence[LabelSet], left: Sequence[str], images: Sequence[Sequence[str]], without: int
) -> Iterator[str]:
    """Yield a line on the columns that are used, and one on images without a row and rows without an image."""
    used = ", ".join(f"{each.name} ({len(each)} classes)" for each in sets)
    yield f"labels from {shown(table.path)}: {used}" + (f"; columns left out: {shown(*left)}" if left else "")
    absent, named = sum(not each for each in images), [each[0] for each in images if each]
    counts = {
        "images without a row left out": without,
        "rows without an image left out": absent,
        "rows repeat another": len(named) - len(set(named)),
    }
    if any(counts.values()):
        yield f"{shown(os.path.basename(table.path))}: " + "; ".join(f"{n} {what}" for what, n in counts.items() if n)
