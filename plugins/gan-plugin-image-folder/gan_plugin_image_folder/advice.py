"""Which options of `gan run` fit a set of images."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

UNEVEN = 10  # times as many images in the largest class as in the smallest
WIDE = 1.5  # ratio of the widest to the narrowest shape above which cropping shows too little


class Advice(NamedTuple):
    """An option as one would type it, and why."""

    words: tuple[str, ...]
    reason: str


def advise(facts: Mapping[str, Any], fix_list: str) -> Iterator[Advice]:
    """Yield the options that fit; `fix_list` is the file that lists what cannot be used, if one was written."""
    sizes, images = facts["sizes"], facts["images"]
    if not images["usable"]:
        return
    if images["unusable"] and fix_list:
        yield Advice(("--image-folder.leave-out", fix_list), f"{images['unusable']} files cannot be used")
    yield from of_size(sizes)
    if facts["labels_refused"]:
        yield Advice(("--image-folder.labels", "none"), "the labels are refused; or mend what is said of them")
    elif any(len(counts) == 1 for counts in facts["labels"].values()):
        yield Advice(("--image-folder.labels", "none"), "one class alone tells nothing apart")
    if facts["equal"]:
        yield of_equal(facts)


def of_size(sizes: Mapping[str, Any]) -> Iterator[Advice]:
    """Yield the size to train at, unless the images share one that networks bear, and how to bring them to it."""
    height, width = sizes["height"], sizes["width"]
    if sizes["different"] > 1 or max(height[2], width[2]) > 1024 or min(height[0], width[0]) < 8:
        shorter = min(height[1], width[1])
        side = next((side for side in (128, 64, 32) if shorter >= side), 16)
        why = f"{sizes['different']} sizes" if sizes["different"] > 1 else f"{height[0]:g}×{width[0]:g} pixels"
        yield Advice(("--size", str(side)), f"{why}; the median's shorter side has {shorter:g} pixels")
    if sizes["different"] > 1 and sizes["aspect"][2] > WIDE * sizes["aspect"][0]:
        yield Advice(("--image-folder.fit", "pad"), "the shapes differ so much that cropping would cut off a lot")


def of_equal(facts: Mapping[str, Any]) -> Advice:
    """Return what to do with images that are there more than once: keep one, with all its classes if it has several."""
    owners = [{name.partition("/")[0] for name in names} for names in facts["equal"]]
    several = "class" in facts["labels"] and any(len(each) > 1 for each in owners)
    again = sum(map(len, facts["equal"])) - len(facts["equal"])
    how = "merge" if several else "first"
    why = f"{again} images repeat another" + (", some of another class" if several else "")
    return Advice(("--image-folder.duplicates", how), why)


def warnings_of(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what no option mends."""
    images = facts["images"]
    if images["unusable"] > images["usable"]:
        yield "more than half of the images cannot be used: `gan run` refuses the set until they are left out"
    for name, counts in facts["labels"].items():
        few, many = min(counts.values()), max(counts.values())
        if not few:
            empty = next(each for each, count in counts.items() if not count)
            yield f"the class {empty} of {name} has no usable image: `gan run` refuses it"
        elif many > UNEVEN * few:
            yield f"the classes of {name} are uneven: the largest has {many / few:.0f} times the images of the smallest"
    plain = facts["remarks"].get("of one colour", 0)
    if images["usable"] > 1 and (
        plain == images["usable"] or facts["equal"][:1] and len(facts["equal"][0]) == images["usable"]
    ):
        yield "all images are the same or of one colour: there is no variance to learn"
