"""A set of images, examined file by file: what each is, and what they are together."""

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from gan_plugin_image_folder.decode.image_file import Picture, bands, opened, orientation_of, picture_of, upright
from gan_plugin_image_folder.decode.report import Faults, by_reason
from gan_plugin_image_folder.decode.target_size import size_of
from gan_plugin_image_folder.decode.worker_pool import attempt, quiet
from gan_plugin_image_folder.labels.find import Wanted, find_labels
from gan_plugin_image_folder.labels.rows import Labels
from gan_plugin_image_folder.scan import Found, path_of, shown
from gancore import DataError, GanError, progress_bar

WHITE = (255, 255, 255)
DESCRIBED = 20  # classes at most, whose counts are printed


class Seen(NamedTuple):
    """One usable file: its picture, its mode in words of Pillow, a digest of its upright pixels on white."""

    picture: Picture
    mode: str
    digest: str


class Survey(NamedTuple):
    """The usable images, why others are not, what decoders said, and the labels or why there are none."""

    found: Found
    seen: list[Seen]
    faults: Faults
    said: list[str]
    labels: Labels | None
    without: str  # why `gan run` would refuse the labels
    code: int  # that `gan run` would exit with


def examine(root: str, name: str) -> Seen:
    """Decode one file and describe it. Raises Unusable."""
    digest = blake2b(digest_size=16)
    with opened(path_of(root, name)) as image:
        picture, mode = picture_of(image, WHITE, name), image.mode
        turned = orientation_of(image) in range(2, 9)
        profiled = "icc_profile" in image.info
        image.load()
        straight = upright(image)
        digest.update(repr(straight.size).encode())
        extremes = []
        for band in bands(straight, WHITE):
            digest.update(band.tobytes())
            extremes += band.getextrema()
    low, high = zip(*extremes, strict=True)
    plain = all(len(set(low[k::3] + high[k::3])) == 1 for k in range(3))
    remarks = {"turned by EXIF": turned, "with a colour profile, which is ignored": profiled, "of one colour": plain}
    more = (remark for remark, holds in remarks.items() if holds)
    return Seen(picture._replace(remarks=(*picture.remarks, *more)), mode, digest.hexdigest())


def survey(root: str, found: Found) -> Survey:
    """Examine every image of a folder, one at a time."""
    seen: list[Seen] = []
    faults: Faults = {}
    with quiet() as said:
        for name in progress_bar(found.names, len(found.names), "examining images"):
            result = attempt(examine, root, name)
            if isinstance(result, Seen):
                seen.append(result)
            else:
                faults[name] = str(result)
        lines = said()
    labels, without = None, ""
    code = DataError.exit_code if len(faults) > len(seen) else 0
    try:
        labels = find_labels(root, found, Wanted(), Path(), faults) if seen else None
    except GanError as error:
        without, code = str(error), error.exit_code
    return Survey(found, seen, faults, lines, labels, without, code)


def facts_of(about: Survey) -> dict[str, Any]:
    """Put a survey into words and numbers of JSON."""
    pictures = [each.picture for each in about.seen]
    groups: dict[str, list[str]] = {}
    for each in about.seen:
        groups.setdefault(each.digest, []).append(each.picture.name)
    return {
        "images": {"found": len(about.found.names), "usable": len(pictures), "unusable": len(about.faults)},
        "unusable": by_reason(about.faults),
        "sizes": sizes_of(pictures),
        "size": list(size_of(pictures)) if pictures else [],
        "modes": dict(Counter(each.mode for each in about.seen).most_common()),
        "grey": sum(each.grey for each in pictures),
        "remarks": dict(Counter(remark for each in pictures for remark in each.remarks)),
        "equal": [names for names in groups.values() if len(names) > 1],
        "labels": classes_of(about.labels),
        "labels_refused": about.without,
        "passed_over": {
            "hidden": about.found.hidden,
            "other_files": about.found.others,
            "runs": about.found.runs,
            "lines_of_decoders": len(about.said),
        },
    }


def sizes_of(pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return how many sizes there are, and least, median and largest height, width and ratio of width to height."""
    if not pictures:
        return {"different": 0}
    heights, widths = zip(*(each.size for each in pictures), strict=True)
    ratios = [width / height for height, width in zip(heights, widths, strict=True)]
    spread = {"height": heights, "width": widths, "aspect": ratios}
    figures = {name: [round(figure(values), 3) for figure in (min, median, max)] for name, values in spread.items()}
    return {"different": len({each.size for each in pictures}), **figures}


def classes_of(labels: Labels | None) -> dict[str, dict[str, int]]:
    """Count the usable images of each class of each label set."""
    if labels is None:
        return {}
    counts = (np.bincount(column, minlength=len(each)) for each, column in zip(labels.sets, labels.of.T, strict=True))
    named = zip(labels.sets, counts, strict=True)
    return {each.name: dict(zip(each.classes, found.tolist(), strict=True)) for each, found in named}


def in_words(facts: Mapping[str, Any]) -> list[str]:
    """Describe a set in lines for people."""
    images, equal = facts["images"], facts["equal"]
    lines = [f"images: {images['found']} found, {images['usable']} usable, {images['unusable']} not"]
    lines += [f"  {len(names)} {reason}: {shown(*names)}" for reason, names in facts["unusable"].items()]
    if images["usable"]:
        spread = facts["sizes"].items()
        spread = "; ".join(f"{key} {' / '.join(f'{x:g}' for x in each)}" for key, each in spread if key != "different")
        lines.append(f"sizes:  {facts['sizes']['different']} different; least / median / largest {spread}")
        lines.append(f"modes:  {', '.join(f'{mode} {count}' for mode, count in facts['modes'].items())}")
    lines += [f"  {count} {remark}" for remark, count in facts["remarks"].items()]
    lines += [f"labels: {name}, {listed(counts)}" for name, counts in facts["labels"].items()]
    if facts["labels_refused"]:
        lines.append(f"labels: refused by `gan run`: {facts['labels_refused'].splitlines()[0]}")
    if equal:
        lines.append(f"equal:  {sum(map(len, equal))} images show {len(equal)} pictures; first: {shown(*equal[0])}")
    passed = {name.replace("_", " "): len(n) if isinstance(n, list) else n for name, n in facts["passed_over"].items()}
    if any(passed.values()):
        lines.append(f"passed over: {', '.join(f'{n} {name}' for name, n in passed.items() if n)}")
    return lines


def listed(counts: Mapping[str, int]) -> str:
    """List classes by falling number of images: `2 classes: fire 30, water 12`."""
    common = sorted(counts, key=counts.__getitem__, reverse=True)
    more = f" and {len(common) - DESCRIBED} more" if len(common) > DESCRIBED else ""
    return f"{len(counts)} classes: {', '.join(f'{name} {counts[name]}' for name in common[:DESCRIBED])}{more}"
