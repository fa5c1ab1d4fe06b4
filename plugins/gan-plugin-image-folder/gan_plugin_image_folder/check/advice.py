"""Suggest options of `gan run` that fit a set of images, and warn of what no option solves."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gan_plugin_image_folder.decode.report import FEW
from gan_plugin_image_folder.decode.target_size import WIDE

UNEVEN = 10  # times as many images in the largest class as in the smallest


class Suggestion(NamedTuple):
    """An option as one types it, and the reason for it."""

    words: tuple[str, ...]
    reason: str


def suggest(facts: Mapping[str, Any], fix_list: str) -> Iterator[Suggestion]:
    """Yield the options that fit; `fix_list` is the list of unusable files, if one was written."""
    images = facts["images"]
    if not images["usable"]:
        return
    if images["unusable"] and fix_list:
        reason = f"{images['unusable']} files cannot be used"
        yield Suggestion(("--image-folder.leave-out", fix_list), reason)
    yield from suggest_size(facts)
    no_labels = ("--image-folder.labels", "none")
    if facts["labels_refused"]:
        yield Suggestion(no_labels, "the labels are refused; or correct what the message names")
    elif any(len(counts) == 1 for counts in facts["labels"].values()):
        yield Suggestion(no_labels, "a single class gives a network nothing to learn")
    if facts["equal"]:
        yield suggest_duplicates(facts)
    if 1 < images["usable"] < FEW:
        reason = f"{images['usable']} images are few, and a critic can memorize each of them"
        yield Suggestion(("--reg", "augment-views"), reason)


def suggest_size(facts: Mapping[str, Any]) -> Iterator[Suggestion]:
    """Yield the size that `gan run` chooses, where it is not the images' own, and how to fit it."""
    sizes = facts["sizes"]
    height, width = facts["size"]
    own = (sizes["height"][0], sizes["width"][0])
    several = sizes["different"] > 1
    if several or own != (height, width):
        given = f"{sizes['different']} sizes" if several else f"{own[0]:g}×{own[1]:g} pixels"
        size = f"{height}" if height == width else f"{height}x{width}"
        reason = f"{given}; `gan run` chooses this size itself, and takes any other that you give"
        yield Suggestion(("--size", size), reason)
    narrowest, _, widest = sizes["aspect"]
    if several and widest > WIDE * narrowest:
        reason = "the shapes differ so much that cropping would cut off a lot"
        yield Suggestion(("--image-folder.fit", "pad"), reason)


def suggest_duplicates(facts: Mapping[str, Any]) -> Suggestion:
    """Return the option that keeps duplicates once, with all classes if they have several."""
    repeats = 0
    several = False
    for names in facts["equal"]:
        repeats += len(names) - 1
        folders = {name.partition("/")[0] for name in names}
        several |= "class" in facts["labels"] and len(folders) > 1
    reason = f"{repeats} images repeat another" + (", some of another class" if several else "")
    return Suggestion(("--image-folder.duplicates", "merge" if several else "first"), reason)


def warnings_of(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what no option solves."""
    images = facts["images"]
    usable = images["usable"]
    if images["unusable"] > usable:
        refuses = "`gan run` refuses the set until they are left out"
        yield f"more than half of the images cannot be used: {refuses}"
    for name, counts in facts["labels"].items():
        yield from class_warnings(name, counts)
    uniform = facts["remarks"].get("of one colour", 0) == usable
    same = any(len(names) == usable for names in facts["equal"])
    if usable > 1 and (uniform or same):
        yield "all images are the same or of one colour: there is no variance to learn"


def class_warnings(name: str, counts: Mapping[str, int]) -> Iterator[str]:
    """Yield a line on a class without a usable image, else on classes of uneven size."""
    fewest = min(counts.values())
    most = max(counts.values())
    if not fewest:
        empty = min(counts, key=counts.__getitem__)
        yield f"the class {empty} of {name} has no usable image: `gan run` leaves it out"
    elif most > UNEVEN * fewest:
        times = f"the largest has {most / fewest:.0f} times the images of the smallest"
        yield f"the classes of {name} are uneven: {times}"
