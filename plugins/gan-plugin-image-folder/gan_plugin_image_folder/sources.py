"""Where labels are looked for: in the file that was named, in one beside the images, in the folders, or nowhere."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from gan_plugin_image_folder.folder import Found, shown
from gan_plugin_image_folder.labels import Labels, by_file, by_folder
from gan_plugin_image_folder.table import file_at, found_beside, read_table
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
    labels = from_file(root, found.names, wanted, base)
    kept = [name for name in (labels or found).names if name not in left]
    if not kept:
        what = f"all {len((labels or found).names)} images are left out"
        raise DataError(what, where="image-folder.leave-out", mend="name fewer of them in the list")
    if labels is None or not labels.sets:
        notes = [] if labels is None else labels.notes
        labels = Labels(kept) if wanted.labels == "none" else by_folder(kept, found.folders)
        labels = labels._replace(notes=notes)
    alone = [f"{each.name} has one class alone, {each.classes[0]}" for each in labels.sets if len(each) == 1]
    return labels._replace(names=kept, notes=[*labels.notes, *alone])


def from_file(root: str, names: Sequence[str], wanted: Wanted, base: Path) -> Labels | None:
    """Return what a labels file says, None where there is none; without sets where it names none of the images."""
    asked = bool(wanted.file or wanted.columns)
    path = found_beside(root, names) if wanted.labels == "auto" else None
    path = file_at(wanted.file, base) if wanted.file else path
    if path is None and asked:
        what = f"label-columns names columns, but there is no labels.csv or labels.json in {shown(root)}"
        raise UsageError(what, where="image-folder.label-columns", mend="--image-folder.labels-file FILE")
    if path is None:
        return None
    table = read_table(path)
    labels = by_file(table, root, names, wanted.columns, wanted.allow_missing)
    if labels is None and asked:
        what = f"the labels name none of the {len(names)} images; the columns are {shown(*table.columns) or 'none'}"
        mend = "a column called file with their paths, separated by , ; or tab"
        raise DataError(what, where=f"{shown(path)}; looked for in {shown(root)}", mend=mend)
    return labels or Labels(names, notes=[f"{shown(path)} names none of the images, so it is not used"])
