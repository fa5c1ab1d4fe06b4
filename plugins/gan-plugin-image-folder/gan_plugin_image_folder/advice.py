"""Which options of `gan run` fit a set of images."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gan_plugin_image_folder.sizing import FEW, WIDE

UNEVEN = 10  # times as many images in the largest class as in the smallest


class Advice(NamedTuple):
    """An option as one would type it, and why."""

    words: tuple[str, ...]
    reason: str


def advise(facts: Mapping[str, Any], fix_list: str) -> Iterator[Advice]:
    """Yield the options that fit; `fix_list` is the file that lists what cannot be used, if one was written."""
    images = facts["images"]
    if not images["usable"]:
        return
    if images["unusable"] and fix_list:
        yield Advice(("--image-folder.leave-out", fix_list), f"{images['unusable']} files cannot be used")
    yield from of_size(facts)
    if facts["labels_refused"]:
        yield Advice(("--image-folder.labels", "none"), "the labels are refused; or fix what is said of them")
    elif any(len(counts) == 1 for counts in facts["labels"].values()):
        yield Advice(("--image-folder.labels", "none"), "one class alone tells nothing apart")
    if facts["equal"]:
        yield of_equal(facts)
    if 1 < images["usable"] < FEW:
        few = f"{images['usable']} images are few, and a critic soon knows each of them"
        yield Advice(("--reg", "augment-views"), few)


def of_size(facts: Mapping[str, Any]) -> Iterator[Advice]:
    """Yield the size that `gan run` takes by itself, where it is not the images' own, and how to fit them into it."""
    sizes, (high, wide) = facts["sizes"], facts["size"]
    height, width = sizes["height"], sizes["width"]
    several = sizes["different"] > 1
    if several or (height[0], width[0]) != (high, wide):
        why = f"{sizes['different']} sizes" if several else f"{height[0]:g}×{width[0]:g} pixels"
        text = f"{high}" if high == wide else f"{high}x{wide}"
        yield Advice(("--size", text), f"{why}; `gan run` takes this size by itself, and any other that you name")
    if several and sizes["aspect"][2] > WIDE * sizes["aspect"][0]:
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
    """Yield what no option fixes."""
    images = facts["images"]
    if images["unusable"] > images["usable"]:
        yield "more than half of the images cannot be used: `gan run` refuses the set until they are left out"
    for name, counts in facts["labels"].items():
        few, many = min(counts.values()), max(counts.values())
        if not few:
            empty = next(each for each, count in counts.items() if not count)
            yield f"the class {empty} of {name} has no usable image: `gan run` leaves it out"
        elif many > UNEVEN * few:
            yield f"the classes of {name} are uneven: the largest has {many / few:.0f} times the images of the smallest"
    plain = facts["remarks"].get("of one colour", 0)
    if images["usable"] > 1 and (
        plain == images["usable"] or facts["equal"][:1] and len(facts["equal"][0]) == images["usable"]
    ):
        yield "all images are the same or of one colour: there is no variance to learn"
