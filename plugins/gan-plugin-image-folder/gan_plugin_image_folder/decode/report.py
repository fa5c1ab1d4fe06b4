"""Report the files that a run uses, skips and changes, as lines and as `data-report.json`."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from gan_plugin_image_folder.decode.decoded import DecodeOptions, DecodeSummary, Faults, Shape
from gan_plugin_image_folder.decode.image_file import ImageInfo
from gan_plugin_image_folder.decode.target_size import aspects_vary
from gan_plugin_image_folder.names import encode_name, printable
from gan_plugin_image_folder.scan import ScanResult

FEW = 1000  # images below which a critic can memorize each of them


class KindCounts(NamedTuple):
    """How many of the decoded images are of one colour, and how many in grey."""

    uniform: int
    grey: int


def names_by_reason(faults: Faults) -> dict[str, list[str]]:
    """Return the names of files under each reason why they cannot be used."""
    names: dict[str, list[str]] = {}
    for name in sorted(faults, key=encode_name):
        names.setdefault(faults[name], []).append(name)
    return names


def count_by_reason(faults: Faults) -> str:
    """Count faults, with first names: `2 truncated (a.png, b.png); 1 empty (c.png)`."""
    groups = names_by_reason(faults).items()
    return "; ".join(f"{len(names)} {reason} ({printable(*names)})" for reason, names in groups)


def decode_notes(
    shape: Shape,
    digests: Mapping[ImageInfo, bytes],
    faults: Faults,
    options: DecodeOptions,
    kinds: KindCounts,
) -> Iterator[str]:
    """Yield lines on skipped files, sizes, missing variance, changed images, and fitting options.

    `digests` holds the pixel digest of each usable image.
    """
    uniform = kinds.uniform
    if faults:
        skipped = f"{len(faults)} skipped: {count_by_reason(faults)}"
        yield f"{len(digests)} images used, {skipped}"
    yield from size_notes(shape, digests, options)
    different = len(set(digests.values()))
    if len(digests) > 1 and uniform == len(digests):
        yield "all images are of one colour: there is no variance to learn"
        if all(info.transparent for info in digests):
            # such as white drawings on nothing
            other = "black" if sum(options.background) > 3 * 127 else "white"
            yield f"they are transparent: --image-folder.background {other} may show what they hold"
    elif len(digests) > 1 and different == 1:
        yield "all images are the same: there is no variance to learn"
    counts = count_changes(shape, digests)
    counts["of one colour"] = uniform
    duplicate = "equal to another image" + (" and left out" if options.unique else "")
    counts[duplicate] = len(digests) - different
    remarks = [f"{count} {remark}" for remark, count in counts.items() if count]
    if remarks:
        yield f"of {len(digests)} images, " + "; ".join(remarks)
    grey = shape[0] == 3 and kinds.grey == len(digests)
    advice = list(suggest_options(list(digests), options, grey))
    if advice:
        yield "advice: " + "; ".join(advice)


def size_notes(shape: Shape, infos: Collection[ImageInfo], options: DecodeOptions) -> Iterator[str]:
    """Yield a line where images are resized: from which size, and how to choose another."""
    _, height, width = shape
    sizes = sorted({info.size for info in infos}, key=prod)
    smallest = "{}×{}".format(*sizes[0])
    largest = "{}×{}".format(*sizes[-1])
    if sizes == [(height, width)]:
        return
    given = f"images have {len(sizes)} sizes from {smallest} to {largest}"
    if len(sizes) == 1:
        given = f"images are {smallest}"
    training = f"training at {height}×{width} pixels by {options.fit}"
    hint = "" if options.size else " (--size HxW for another)"
    yield f"{given}; {training}{hint}"


def count_changes(shape: Shape, infos: Collection[ImageInfo]) -> Counter[str]:
    """Count what decoding changes about images."""
    channels, height, width = shape
    counts: Counter[str] = Counter()
    for info in infos:
        counts.update(info.remarks)
    smaller = [info for info in infos if info.size[0] < height or info.size[1] < width]
    counts[f"enlarged to {height}×{width}"] = len(smaller)
    if channels == 1:
        counts["converted from colour to grey"] = sum(not info.grey for info in infos)
    return counts


def suggest_options(
    infos: Sequence[ImageInfo], options: DecodeOptions, grey: bool
) -> Iterator[str]:
    """Yield options of `gan run` that fit: how images are fitted, channels, augmentation.

    `grey` is whether all images have three equal channels.
    """
    if grey and options.channels is None:
        yield "--image-folder.channels 1 trains in grey, as all images are"
    if options.fit == "crop" and aspects_vary(infos):
        yield "--image-folder.fit pad avoids cropping shapes that differ so much"
    if len(infos) < FEW:
        counted = "1 image is" if len(infos) == 1 else f"{len(infos)} images are"
        yield f"{counted} few: --reg augment-views keeps the critic from memorizing each of them"


def stderr_notes(lines: Sequence[str]) -> Iterator[str]:
    """Yield a line on what decoders wrote to stderr, if anything."""
    if lines:
        first = printable(lines[0][:200])
        yield f"image decoders wrote {len(lines)} lines to stderr, not shown; the first: {first}"


def scan_notes(
    found: ScanResult, excluded: Collection[str], absent: Collection[str]
) -> Iterator[str]:
    """Yield a line on run directories, and one on `absent` names among those to leave out."""
    if found.runs:
        yield f"run directories are skipped: {printable(*found.runs)}"
    if absent:
        names = printable(*sorted(absent, key=encode_name))
        of_list = f"{len(absent)} of {len(excluded)} names to leave out"
        yield f"{of_list} are not images of the folder: {names}"


def json_report(
    summary: DecodeSummary, left_out: int, found: ScanResult, notes: Sequence[str]
) -> dict[str, Any]:
    """Return a JSON-serialisable report of the files used and skipped."""
    return {
        "used": len(summary.digests),
        "skipped": len(summary.faults),
        "left_out": left_out,
        "hidden": found.hidden,
        "other_files": found.other_files,
        "runs": found.runs,
        "skipped_files": names_by_reason(summary.faults),
        "notes": list(notes),
    }
