"""Label images by the folder in which they lie."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from unicodedata import normalize

import numpy as np

from gan_plugin_image_folder.file_index import FileIndex
from gan_plugin_image_folder.labels.image_labels import ImageLabels, unlabelled
from gan_plugin_image_folder.names import printable
from gan_plugin_image_folder.scan import has_readable_suffix
from gancore import DataError, LabelSet

TRAINING_SPLITS = ("train", "training", "trainset")
OTHER_SPLITS = ("test", "testing", "testset", "val", "valid", "validation", "dev", "eval")
SPLITS = TRAINING_SPLITS + OTHER_SPLITS


def labels_from_folders(files: FileIndex, folders: Sequence[str]) -> ImageLabels:
    """Label images by folder; a flat folder of images gives no labels. Raises DataError."""
    classes = find_classes(files, folders)
    if not classes:
        return unlabelled(files)
    numbers = np.full((len(files), 1), -1, np.int64)
    for number, name in enumerate(classes):
        span = files.span_of(name)
        numbers[span.start : span.stop] = number
    notes = []
    known = set(classes)
    empty = [name for name in folders if name not in known]
    if empty:
        notes.append(f"class folders without an image are left out: {printable(*empty)}")
    if all(re.fullmatch(r"0\d{4,}", name) for name in classes):
        numbered = "are numbered like parts of one set; if they are, --image-folder.labels none"
        notes.append(f"the class folders {printable(*classes)} {numbered}")
    label_set = LabelSet("class", tuple(map(printable, classes)))
    return ImageLabels(files, (label_set,), numbers, notes)


def find_classes(files: FileIndex, folders: Sequence[str]) -> list[str]:
    """Return the folders that hold images, in order; none where all images lie at the top level.

    Raises DataError where it is not clear what the classes are.
    """
    spans = list(map(files.span_of, folders))
    classes = []
    for folder, span in zip(folders, spans, strict=True):
        if any(has_readable_suffix(files[index]) for index in span):
            classes.append(folder)
    if not classes:
        return []
    outside = np.ones(len(files), bool)
    for span in spans:
        outside[span.start : span.stop] = False
    refuse("images lie beside the class folders", images_of(files.select(outside)))
    # One slash a file in a folder: more of them mean that some file lies deeper.
    if files.slash_count > sum(map(len, spans)):
        deeper = (name for name in files if name.count("/") > 1)
        refuse("images lie deeper than in the class folders", images_of(deeper))
    refuse("class folders have names that differ only in case or accents", alike(classes))
    return classes


def images_of(names: Iterable[str]) -> list[str]:
    """Return the names with the suffix of a supported image."""
    return list(filter(has_readable_suffix, names))


def refuse(fault: str, names: Sequence[str]) -> None:
    """Raise DataError if any names are at fault."""
    if names:
        what = f"{fault}: {printable(*names)}"
        fix = "move or rename them, or --image-folder.labels none to use all images without labels"
        raise DataError(what, where="image-folder.path", fix=fix)


def refuse_splits(root: str, folders: Sequence[str]) -> None:
    """Raise DataError where all folders are splits of a data set, such as `train` and `test`."""
    if folders and all(name.casefold() in SPLITS for name in folders):
        training = [name for name in folders if name.casefold() in TRAINING_SPLITS]
        path = os.path.join(root, next(iter(training), folders[0]))
        what = f"{printable(*folders)} are splits of a data set, not classes"
        fix = f"--data {printable(path)}, or --image-folder.labels none for all without classes"
        raise DataError(what, where="image-folder.path", fix=fix)


def alike(names: Sequence[str]) -> list[str]:
    """Return the names that differ from another only in case or in the encoding of accents."""
    # macOS writes an accent as a letter of its own, Linux usually as part of the letter.
    normalized = [normalize("NFC", name).casefold() for name in names]
    counts = Counter(normalized)
    return [name for name, same in zip(names, normalized, strict=True) if counts[same] > 1]
