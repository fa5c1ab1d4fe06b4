"""What is said about many images: a few lines for people, and all of it for the report of a run."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from math import prod
from typing import Any

from gan_plugin_image_folder.decode.decoded import About, Form, How
from gan_plugin_image_folder.decode.image_file import Picture
from gan_plugin_image_folder.decode.target_size import remarks_of
from gan_plugin_image_folder.file_index import spelt
from gan_plugin_image_folder.scan import Found, shown

Faults = dict[str, str]  # name of a file → why it cannot be used


def by_reason(faults: Faults) -> dict[str, list[str]]:
    """Return the names of files under each reason why they cannot be used."""
    names: dict[str, list[str]] = {}
    for name in sorted(faults, key=spelt):
        names.setdefault(faults[name], []).append(name)
    return names


def tally(faults: Faults) -> str:
    """Count faults by reason with their first names: `2 truncated (a.png, b.png); 1 empty (c.png)`."""
    return "; ".join(f"{len(each)} {reason} ({shown(*each)})" for reason, each in by_reason(faults).items())


def report(form: Form, digests: dict[Picture, bytes], faults: Faults, how: How, plain: int) -> Iterator[str]:
    """Yield a line on files that were left out, one on sizes that differ, one on images changed or there twice,
    and one of advice.
    """
    channels, height, width = form
    if faults:
        yield f"{len(digests)} images used, {len(faults)} skipped: {tally(faults)}"
    sizes = sorted({picture.size for picture in digests}, key=prod)
    if len(sizes) > 1:
        (low, narrow), (high, wide) = sizes[0], sizes[-1]
        yield f"{len(sizes)} sizes from {low}×{narrow} to {high}×{wide} become {height}×{width} by {how.fit}"
    elif sizes[0] != (height, width) and not how.size:
        yield f"images of {sizes[0][0]}×{sizes[0][1]} pixels become {height}×{width}, which is quick to train"
    if len(digests) > 1 and (plain == len(digests) or len(set(digests.values())) == 1):
        alike = "of one colour" if plain == len(digests) else "the same"
        yield f"all images are {alike}: there is no variance to learn"
    counts = Counter(remark for picture in digests for remark in picture.remarks)
    counts[f"enlarged to {height}×{width}"] = sum(p.size[0] < height or p.size[1] < width for p in digests)
    counts["in colour, made grey"] = sum(channels == 1 and not picture.grey for picture in digests)
    counts["of one colour"] = plain
    equal = "equal to another image" + (" and left out" if how.once else "")
    counts[equal] = len(digests) - len(set(digests.values()))
    if remarks := [f"{count} {remark}" for remark, count in counts.items() if count]:
        yield f"of {len(digests)} images, " + "; ".join(remarks)
    if advice := list(remarks_of(list(digests), (height, width), how.size is not None, how.fit)):
        yield "advice: " + "; ".join(advice)


def remarked(lines: Sequence[str]) -> Iterator[str]:
    """Yield a line on what decoders wrote to stderr, if anything."""
    if lines:
        yield f"decoders of rotten images wrote {len(lines)} lines, kept back; the first: {shown(lines[0][:200])}"


def passed_over(found: Found, left: Collection[str], absent: Collection[str]) -> Iterator[str]:
    """Yield a line on folders of runs among the images, and one on names to leave out that are `absent`."""
    if found.runs:
        yield f"folders of runs are passed over: {shown(*found.runs)}"
    if absent:
        names = shown(*sorted(absent, key=spelt))
        yield f"{len(absent)} of {len(left)} names to leave out are no images of the folder: {names}"


def report_of(about: About, left: int, found: Found, lines: Sequence[str]) -> dict[str, Any]:
    """Say what became of every file, in words and numbers of JSON."""
    counts = {"used": len(about.digests), "skipped": len(about.faults), "left_out": left}
    passed = {"hidden": found.hidden, "other_files": found.others, "runs": found.runs}
    return {**counts, **passed, "skipped_files": by_reason(about.faults), "notes": list(lines)}
