"""Where labels are looked for: in the file that was named, in one beside the images, in the folders, or nowhere."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_plugin_image_folder.files import Files
from gan_plugin_image_folder.folder import Found, refuse_splits, shown
from gan_plugin_image_folder.labels import Labels, by_file, by_folder, unlabelled
from gan_plugin_image_folder.table import DATASET, file_at, found_beside, read_table
from gancore import DataError, UsageError


class Wanted(NamedTuple):
    """The options of image-folder that speak of labels."""

    labels: str = "auto"
    file: str = ""
    columns: Sequence[str] = ()
    allow_missing: bool = False


def find_labels(root: str, found: Found, wanted: Wanted, base: Path, left: Collection[str] = ()) -> Labels:
    """Return the labels of the images but those to leave out; a labels file may name them nonetheless.

    Raises UsageError or DataError where the labels that were asked for cannot be had.
    """
    labels = from_file(root, found.names, wanted, base) or unlabelled(found.names)
    if left:
        kept = np.array([name not in left for name in labels.names])
        if not kept.any():
            what = f"all {len(kept)} images are left out"
            raise DataError(what, where="image-folder.leave-out", fix="name fewer of them in the list")
        labels = labels.only(kept)
    if not labels.sets and wanted.labels != "none" and not labels.settled:
        if wanted.labels == "auto":
            refuse_splits(root, [name for name in found.folders if labels.names.below(name)])
        before = labels.notes
        labels = by_folder(labels.names, found.folders)
        labels = labels._replace(notes=[*before, *labels.notes])
    alone = [f"{each.name} has one class alone, {each.classes[0]}" for each in labels.sets if len(each) == 1]
    return labels._replace(notes=[*labels.notes, *alone])


def from_file(root: str, names: Files, wanted: Wanted, base: Path) -> Labels | None:
    """Return what a labels file says, None where there is none; without sets where it names none of the images."""
    asked = bool(wanted.file or wanted.columns)
    path = found_beside(root, names) if wanted.labels == "auto" else None
    path = file_at(wanted.file, base) if wanted.file else path
    if path is None and asked:
        what = f"label-columns names columns, but there is no labels.csv or labels.json in {shown(root)}"
        raise UsageError(what, where="image-folder.label-columns", fix="--image-folder.labels-file FILE")
    if path is None:
        return None
    try:
        table = read_table(path)
    except DataError as error:
        if asked or os.path.basename(path) != DATASET:
            raise
        return unlabelled(names, [f"{shown(path)} is not used: {error.what}"])
    if os.path.basename(path) == DATASET and not table.stylegan and not asked:
        return unlabelled(names, [f"{shown(path)} is not used: it has no list of labels"])
    if table.stylegan and len({row.cells[1] for row in table.rows}) < 2:
        return unlabelled(names, [f"{shown(path)} has no classes to tell apart"])._replace(settled=True)
    columns = wanted.columns or (("class",) if table.stylegan else ())
    labels = by_file(table, root, names, columns, wanted.allow_missing)
    if labels is None and asked:
        what = f"the labels name none of the {len(names)} images; the columns are {shown(*table.columns) or 'none'}"
        fix = "a column called file with their paths, separated by , ; or tab"
        raise DataError(what, where=f"{shown(path)}; looked for in {shown(root)}", fix=fix)
    return labels or unlabelled(names, [f"{shown(path)} names none of the images, so it is not used"])
