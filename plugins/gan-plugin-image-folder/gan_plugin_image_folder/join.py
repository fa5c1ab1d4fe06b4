"""Join decoded images and their labels to the dataset of a run."""

from collections.abc import Iterable

import numpy as np
import torch

from gan_plugin_image_folder.decode.decoded import DecodedImages
from gan_plugin_image_folder.decode.duplicates import group_duplicates
from gan_plugin_image_folder.labels.image_labels import ClassNumbers
from gan_plugin_image_folder.labels.merge import count_contradictions, merge_labels
from gan_plugin_image_folder.log import warn
from gan_plugin_image_folder.names import printable
from gan_plugin_image_folder.storage.dataset import HashedData, MappedData
from gancore import LabelSet


def join_labels(images: DecodedImages, classes: ClassNumbers, mode: str) -> HashedData:
    """Return the dataset of images and labels; `mode` is the option `duplicates`.

    Warns of images in several classes, and of classes that no image has.
    """
    warn_of_unused_classes(classes)
    digests = images.summary.digests
    duplicates = group_duplicates(digests)
    contradictions = count_contradictions(classes, duplicates)
    if contradictions:
        note = f"{contradictions} images lie in several classes"
        if mode == "keep":
            note += "; --image-folder.duplicates merge keeps each once"
        warn([note])
    if mode == "keep":
        duplicates = None
    labels, sets = merge_labels(classes, duplicates, all_classes=mode == "merge")
    if duplicates is not None:
        warn_of_lost_classes(classes.sets, sets)
        digests = digests[duplicates.firsts]
    # Images in a cache file are an array, those in memory a tensor.
    mapped = isinstance(images.samples, np.ndarray)
    kind = MappedData if mapped else HashedData
    return kind(images.samples, torch.from_numpy(labels), sets, digests=digests)


def warn_of_unused_classes(classes: ClassNumbers) -> None:
    """Name the classes without a usable image."""
    for label_set, column in zip(classes.sets, classes.numbers.T, strict=True):
        counts = np.bincount(column, minlength=len(label_set))
        unused = [label_set.classes[number] for number in np.flatnonzero(counts == 0)]
        if unused:
            warn([f"classes without a usable image are left out: {printable(*unused)}"])


def warn_of_lost_classes(before: Iterable[LabelSet], after: Iterable[LabelSet]) -> None:
    """Name the classes that no image keeps, since each keeps its first."""
    kept: set[tuple[str, str]] = set()
    for label_set in after:
        kept.update((label_set.name, name) for name in label_set.classes)
    lost = []
    for label_set in before:
        lost += [name for name in label_set.classes if (label_set.name, name) not in kept]
    if lost:
        warn([f"classes that are the first of no image are left out: {printable(*lost)}"])
