"""Collect what `gan data check` found, in numbers and words of JSON."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from gan_plugin_image_folder.check.examine import Examination, ExaminedFile
from gan_plugin_image_folder.decode.image_file import ImageInfo
from gan_plugin_image_folder.decode.report import names_by_reason
from gan_plugin_image_folder.decode.target_size import aspect_of, choose_size
from gan_plugin_image_folder.labels.image_labels import ImageLabels


def facts_of(examination: Examination) -> dict[str, Any]:
    """Return a JSON-serialisable description of a set of images."""
    found = examination.found
    files = examination.files
    infos = [file.info for file in files]
    remarks: Counter[str] = Counter()
    for info in infos:
        remarks.update(info.remarks)
    return {
        "images": {
            "found": len(found.files),
            "usable": len(files),
            "unusable": len(examination.faults),
        },
        "unusable": names_by_reason(examination.faults),
        "sizes": describe_sizes(infos),
        "size": list(choose_size(infos)) if infos else [],
        "modes": dict(Counter(file.mode for file in files).most_common()),
        "grey": sum(info.grey for info in infos),
        "remarks": dict(remarks),
        "equal": duplicate_names(files),
        "labels": count_classes(examination.labels),
        "labels_refused": examination.labels_refused,
        "passed_over": {
            "hidden": found.hidden,
            "other_files": found.other_files,
            "runs": found.runs,
            "lines_of_decoders": len(examination.stderr_lines),
        },
    }


def duplicate_names(files: Sequence[ExaminedFile]) -> list[list[str]]:
    """Return groups of names of files with the same pixels."""
    groups: dict[str, list[str]] = {}
    for file in files:
        groups.setdefault(file.digest, []).append(file.info.name)
    return [names for names in groups.values() if len(names) > 1]


def describe_sizes(infos: Sequence[ImageInfo]) -> dict[str, Any]:
    """Return the number of sizes, and least, median and largest height, width and aspect ratio."""
    if not infos:
        return {"different": 0}
    sizes = [info.size for info in infos]
    heights, widths = zip(*sizes, strict=True)
    return {
        "different": len(set(sizes)),
        "height": three_numbers(heights),
        "width": three_numbers(widths),
        "aspect": three_numbers(list(map(aspect_of, infos))),
    }


def three_numbers(values: Sequence[float]) -> list[float]:
    """Return the least, the median and the largest value."""
    return [round(min(values), 3), round(median(values), 3), round(max(values), 3)]


def count_classes(labels: ImageLabels | None) -> dict[str, dict[str, int]]:
    """Count the usable images of each class of each label set."""
    counts = {}
    if labels is not None:
        for label_set, column in zip(labels.sets, labels.numbers.T, strict=True):
            images = np.bincount(column, minlength=len(label_set)).tolist()
            counts[label_set.name] = dict(zip(label_set.classes, images, strict=True))
    return counts
