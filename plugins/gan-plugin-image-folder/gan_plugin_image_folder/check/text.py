"""Write the facts of `gan data check` as lines for people."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gan_plugin_image_folder.names import printable

MOST_CLASSES = 20  # whose counts are printed


def describe_set(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines that describe a set of images."""
    images = facts["images"]
    counts = f"{images['usable']} usable, {images['unusable']} not"
    yield f"images: {images['found']} found, {counts}"
    for reason, names in facts["unusable"].items():
        yield f"  {len(names)} {reason}: {printable(*names)}"
    if images["usable"]:
        yield f"sizes:  {describe_sizes(facts['sizes'])}"
        modes = [f"{mode} {count}" for mode, count in facts["modes"].items()]
        yield f"modes:  {', '.join(modes)}"
    for remark, count in facts["remarks"].items():
        yield f"  {count} {remark}"
    for name, classes in facts["labels"].items():
        yield f"labels: {name}, {describe_classes(classes)}"
    if facts["labels_refused"]:
        yield f"labels: refused by `gan run`: {facts['labels_refused'].splitlines()[0]}"
    if facts["equal"]:
        yield f"equal:  {describe_duplicates(facts['equal'])}"
    ignored = describe_ignored(facts["passed_over"])
    if ignored:
        yield f"ignored: {ignored}"


def describe_sizes(sizes: Mapping[str, Any]) -> str:
    """Describe sizes: `2 different; least / median / largest height 8 / 9 / 10; …`."""
    parts = []
    for name in ("height", "width", "aspect"):
        numbers = " / ".join(f"{number:g}" for number in sizes[name])
        parts.append(f"{name} {numbers}")
    return f"{sizes['different']} different; least / median / largest {'; '.join(parts)}"


def describe_classes(counts: Mapping[str, int]) -> str:
    """List classes by falling number of images: `2 classes: fire 30, water 12`."""
    names = sorted(counts, key=counts.__getitem__, reverse=True)
    listed = [f"{name} {counts[name]}" for name in names[:MOST_CLASSES]]
    more = len(names) - len(listed)
    return f"{len(names)} classes: {', '.join(listed)}" + (f" and {more} more" if more else "")


def describe_duplicates(groups: Sequence[Sequence[str]]) -> str:
    """Describe images with the same pixels."""
    files = sum(map(len, groups))
    return f"{files} images show {len(groups)} pictures; first: {printable(*groups[0])}"


def describe_ignored(ignored: Mapping[str, Any]) -> str:
    """Count what was ignored: `2 hidden, 1 runs`."""
    parts = []
    for name, value in ignored.items():
        count = len(value) if isinstance(value, list) else value
        if count:
            parts.append(f"{count} {name.replace('_', ' ')}")
    return ", ".join(parts)
