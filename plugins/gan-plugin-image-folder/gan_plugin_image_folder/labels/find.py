"""Find the labels of images: in the file that is named, in one beside the images, in folders."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_plugin_image_folder.file_index import FileIndex
from gan_plugin_image_folder.labels.class_folders import labels_from_folders, refuse_splits
from gan_plugin_image_folder.labels.image_labels import ImageLabels, unlabelled
from gan_plugin_image_folder.labels.read_table import read_table
from gan_plugin_image_folder.labels.rows import labels_from_table
from gan_plugin_image_folder.labels.table import Table
from gan_plugin_image_folder.names import nearest_sibling, printable
from gan_plugin_image_folder.scan import ScanResult
from gancore import DataError, UsageError

STYLEGAN_FILE = "dataset.json"  # {"labels": [[file, class], …]}, or null for no labels
FILE_NAMES = ("labels.csv", "labels.json", STYLEGAN_FILE)  # looked for in this order


class LabelOptions(NamedTuple):
    """The options of image-folder on labels."""

    labels: str = "auto"
    file: str = ""
    columns: Sequence[str] = ()
    allow_missing: bool = False

    @property
    def asks_for_file(self) -> bool:
        """Whether the user asks for a labels file, so that one that does not fit is an error."""
        return bool(self.file or self.columns)


def find_labels(
    root: str,
    found: ScanResult,
    options: LabelOptions,
    base: Path,
    excluded: Collection[str] = (),
) -> ImageLabels:
    """Return the labels of all images except those `excluded`; paths are relative to `base`.

    Raises UsageError or DataError where the labels that are asked for cannot be had.
    """
    # Before excluding, so that a labels file may name excluded images.
    labels = labels_from_file(root, found.files, options, base) or unlabelled(found.files)
    if excluded:
        labels = exclude(labels, excluded)
    if not labels.sets and options.labels != "none" and not labels.final:
        if options.labels == "auto":
            refuse_splits(root, [name for name in found.folders if labels.files.span_of(name)])
        # After excluding, so that a class folder whose images are all excluded is no class.
        by_folder = labels_from_folders(labels.files, found.folders)
        labels = by_folder._replace(notes=[*labels.notes, *by_folder.notes])
    single = [each for each in labels.sets if len(each) == 1]
    notes = [f"label set {each.name} has only one class, {each.classes[0]}" for each in single]
    return labels._replace(notes=[*labels.notes, *notes])


def exclude(labels: ImageLabels, excluded: Collection[str]) -> ImageLabels:
    """Return the labels without the excluded images. Raises DataError where none is left."""
    kept = np.array([name not in excluded for name in labels.files])
    if not kept.any():
        what = f"all {len(kept)} images are left out"
        fix = "name fewer of them in the list"
        raise DataError(what, where="image-folder.leave-out", fix=fix)
    return labels.select(kept)


def labels_from_file(
    root: str, files: FileIndex, options: LabelOptions, base: Path
) -> ImageLabels | None:
    """Return the labels in a labels file; None without one, no label sets where it does not fit.

    Raises UsageError or DataError where a file that is asked for does not fit.
    """
    path = locate_file(root, files, options, base)
    if path is None:
        return None
    try:
        table = read_table(path)
    except DataError as error:
        # Other programs write a dataset.json too.
        if options.asks_for_file or os.path.basename(path) != STYLEGAN_FILE:
            raise
        return unlabelled(files, [f"{printable(path)} is not used: {error.what}"])
    if os.path.basename(path) == STYLEGAN_FILE and not (table.stylegan or options.asks_for_file):
        return unlabelled(files, [f"{printable(path)} is not used: it has no list of labels"])
    if table.stylegan and count_classes(table) < 2:
        note = f"{printable(path)} has fewer than two classes, so there are no labels"
        return unlabelled(files, [note])._replace(final=True)
    columns = options.columns or (("class",) if table.stylegan else ())
    labels = labels_from_table(table, root, files, columns, options.allow_missing)
    if labels is None and options.asks_for_file:
        refuse_table(table, root, files)
    note = f"{printable(path)} names none of the images, so it is not used"
    return labels or unlabelled(files, [note])


def locate_file(root: str, files: FileIndex, options: LabelOptions, base: Path) -> str | None:
    """Return the path of the labels file, if any. Raises UsageError for one that is missing."""
    if options.file:
        return resolve_file(options.file, base)
    path = find_beside(root, files) if options.labels == "auto" else None
    if path is None and options.asks_for_file:
        places = f"there is no labels.csv or labels.json in {printable(root)}"
        what = f"label-columns names columns, but {places}"
        fix = "--image-folder.labels-file FILE"
        raise UsageError(what, where="image-folder.label-columns", fix=fix)
    return path


def resolve_file(given: str, base: Path) -> str:
    """Return the file at a path that the user gave. Raises UsageError where there is no file."""
    path = base / os.path.expanduser(given)
    if os.path.isfile(path):
        return str(path)
    fix = f"--image-folder.labels-file {nearest_sibling(path, files_only=True) or 'FILE'}"
    what = f"the file {printable(str(path))} does not exist"
    raise UsageError(what, where="image-folder.labels-file", fix=fix)


def find_beside(root: str, files: FileIndex) -> str | None:
    """Return a labels file in the folder of images, or in its parent where the folder is flat."""
    folders = [root]
    if not files.slash_count:
        folders.append(os.path.dirname(os.path.abspath(root)))
    for folder in folders:
        for name in FILE_NAMES:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return path
    return None


def count_classes(table: Table) -> int:
    """Count the different classes in a dataset.json."""
    return len({row.cells[1] for row in table.rows})


def refuse_table(table: Table, root: str, files: FileIndex) -> None:
    """Raise DataError for a labels file that names no image."""
    columns = printable(*table.columns) or "none"
    what = f"the labels name none of the {len(files)} images; the columns are {columns}"
    where = f"{printable(table.path)}; looked for in {printable(root)}"
    fix = "a column called file with their paths, separated by , ; or tab"
    raise DataError(what, where=where, fix=fix)
