"""What lies in a folder, by names alone: image files, and which folders are classes."""

import os
import struct
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import numpy as np

from gan_plugin_image_folder.files import Files, spelt, told
from gancore import DataError, UsageError

READABLE = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
PICTURES = (".avif", ".eps", ".heic", ".heif", ".jp2", ".jxl", ".pdf", ".psd", ".svg")
FOREIGN = (*PICTURES, ".avi", ".mkv", ".mov", ".mp4", ".webm")  # not read, but counted as not supported
NAMED_LIKE_IMAGES = tuple(map(str.encode, READABLE + FOREIGN))
SPLITS = ("train", "training", "trainset", "test", "testing", "testset", "val", "valid", "validation", "dev", "eval")
ENDS = (b"\0", b"/\0")  # of a file's name in a list, and of a folder's
LITTER_NAMES = (  # of systems and of network storage, in lower case; besides those that begin with a dot
    b"__macosx", b"desktop.ini", b"thumbs.db", b"@eadir", b"@tmp", b"@recycle", b"@__thumb", b"#recycle", b"#snapshot",
    b"$recycle.bin", b"system volume information", b"lost+found", b"__pycache__",
)  # fmt: skip
LITTER = {name + end for name in LITTER_NAMES for end in ENDS}
OF_A_RUN = {name + end for name in (b"recipe.toml", b"checkpoints") for end in ENDS}  # both lie in the folder of a run
# Bytes of a file, and in nanoseconds the times of the last change of its content and of anything about it. The second
# cannot be set by a program, so that it shows content that was changed although its own time was put back.
STAMP = struct.Struct("=qqq")


class Found(NamedTuple):
    """What lies in a folder, in the order of bytes: image files, its own sub-folders; what was passed over."""

    names: Files
    folders: list[str]
    hidden: int  # files and folders that begin with a dot, and litter
    others: int  # files that are not named like images
    runs: list[str]  # folders of runs, whose samples are no data


def path_of(root: str, name: str) -> bytes:
    """Return the path of a file below the root as the system knows it, whatever the locale."""
    return os.path.join(os.fsencode(root), spelt(name))


def shown(*names: str) -> str:
    """List the first five names, control characters and lone surrogates escaped."""
    text = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def folder_at(given: str, base: Path) -> str:
    """Return the folder that a user's path means, seen from `base`. Raises UsageError for anything but a folder."""
    path = base / os.path.expanduser(given)
    if given and os.path.isdir(path):
        return str(path)
    if given and os.path.lexists(path):
        what, fix = f"{shown(str(path))} is no folder", "give the folder in which the images lie; unpack an archive"
    else:
        what = f"the folder {shown(str(path))} does not exist" if given else "image-folder.path is empty"
        beside = {each.name: str(each) for each in path.parent.glob("*")}
        near = get_close_matches(path.name, beside, n=1)
        fix = f"--data {shown(beside[near[0]]) if near else 'FOLDER'}"
    raise UsageError(what, where="image-folder.path", fix=fix)


def walk(root: str, passed: dict[str, list[str]] | None = None, stamped: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """Yield (path below root, stamp) in the order of their bytes; the path of a folder ends with `/`.

    A stamp is of what is named like an image, if it is wanted, else empty. Links to folders are not followed. Hidden
    files, litter, and what lies in the folder of a run are passed over, and kept in `passed` under `hidden` and `runs`.
    Raises DataError for a folder that cannot be listed, UsageError where the root is a run.
    """
    waiting, passed = [b"\0"], {} if passed is None else passed
    while waiting:
        path, _, stamp = waiting.pop().partition(b"\0")
        if path:
            yield path, stamp
            if not path.endswith(b"/"):
                continue
        entries = listed(root, told(path), stamped)
        if len(OF_A_RUN.intersection(entries)) == 2:
            if not path:
                what, fix = f"{shown(root)} is the folder of a run", "give the folder of the images it was trained on"
                raise UsageError(f"{what}: its samples would be trained on", where="image-folder.path", fix=fix)
            passed.setdefault("runs", []).append(told(path))
            continue
        if litter := {each for each in entries if each.startswith(b".") or each.lower() in LITTER}:
            passed.setdefault("hidden", []).extend(told(path + each.partition(b"\0")[0]) for each in litter)
            entries = [each for each in entries if each not in litter]
        entries.sort(reverse=True)
        waiting.extend(path + each for each in entries)


def listed(root: str, folder: str, stamped: bool) -> list[bytes]:
    """List one folder below the root: of each entry its name, `/` if it is a folder, a zero byte, and the stamp.

    In one object of bytes, for there may be a million of them. Raises DataError where that fails.
    """
    try:
        with os.scandir(path_of(root, folder)) as entries:
            return [
                entry.name + b"/\0"
                if entry.is_dir(follow_symlinks=False)
                else entry.name + b"\0" + (stamp_of(entry) if stamped and is_image(entry.name) else b"")
                for entry in entries
            ]
    except OSError as error:
        what = f"the folder {shown(os.path.join(root, folder)[:400])} cannot be listed: {error.strerror}"
        raise DataError(what, where="image-folder.path", fix="make it readable, or move it away") from None


def stamp_of(entry: os.DirEntry[bytes]) -> bytes:
    """Return what changes when a file does."""
    try:
        about = entry.stat()
        return STAMP.pack(about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    except OSError:
        return STAMP.pack(-1, -1, -1)


def is_image(name: bytes) -> bool:
    """Whether a file is named like an image, readable or not."""
    return name.lower().endswith(NAMED_LIKE_IMAGES)


def is_readable(name: str) -> bool:
    """Whether a file is named like an image that is read."""
    return name.lower().endswith(READABLE)


def find_images(root: str) -> Found:
    """Return what lies below `root`. Raises DataError where there is no image, UsageError where it is a run."""
    passed: dict[str, list[str]] = {}
    spelling, bounds, stamps = bytearray(), array("q", [0]), bytearray()
    folders, others = [], 0
    for name, stamp in walk(root, passed, stamped=True):
        if stamp:
            spelling += name
            stamps += stamp
            bounds.append(len(spelling))
        elif not name.endswith(b"/"):
            others += 1
        elif name.count(b"/") == 1:
            folders.append(name.removesuffix(b"/"))
    if not spelling:
        what = f"no images in {shown(root)}; looked for {' '.join(READABLE)}"
        raise DataError(what, where="image-folder.path", fix="give the folder that holds them")
    files = Files(spelling, np.frombuffer(bounds, np.int64), np.frombuffer(stamps, np.int64).reshape(-1, 3))
    runs = passed.get("runs", [])
    of_runs = {top for top in {run.partition("/")[0] for run in runs} if not files.below(top)}
    kept = [folder for folder in map(told, sorted(folders)) if folder not in of_runs]
    return Found(files, kept, len(passed.get("hidden", [])), others, runs)


def find_classes(files: Files, folders: Sequence[str]) -> list[str]:
    """Return the class folders that hold images, in order; none where all images lie at the top level.

    Raises DataError where it is not clear what the classes are.
    """
    spans = [files.below(folder) for folder in folders]
    filled = [any(is_readable(files[place]) for place in span) for span in spans]
    if not any(filled):
        return []
    beside, nested = np.ones(len(files), bool), sum(map(len, spans))
    for span in spans:
        beside[span.start : span.stop] = False
    refuse("images lie beside the class folders", filter(is_readable, files.only(beside)))
    deeper = (name for name in files if name.count("/") > 1) if files.slashes > nested else ()
    refuse("images lie deeper than in the class folders", filter(is_readable, deeper))
    full = [name for name, holds in zip(folders, filled, strict=True) if holds]
    refuse("class folders are named alike but for case or accents", alike(full))
    return full


def refuse_splits(root: str, folders: Sequence[str]) -> None:
    """Raise DataError where all folders that hold images are parts of a set, such as `train` and `test`."""
    if folders and all(name.casefold() in SPLITS for name in folders):
        training = next((name for name in folders if name.casefold() in SPLITS[:3]), folders[0])
        what = f"{shown(*folders)} are parts of a data set, not classes"
        fix = f"--data {shown(os.path.join(root, training))}, or --image-folder.labels none for all without classes"
        raise DataError(what, where="image-folder.path", fix=fix)


def alike(names: Sequence[str]) -> list[str]:
    """Return the names that differ from another in case or in the spelling of accents alone."""
    spelt = {name: normalize("NFC", name).casefold() for name in names}
    counts = Counter(spelt.values())
    return [name for name in names if counts[spelt[name]] > 1]


def refuse(fault: str, names: Iterable[str]) -> None:
    """Raise DataError if any names are at fault."""
    if names := list(names):
        fix = "move or rename them, or --image-folder.labels none to use all images without labels"
        raise DataError(f"{fault}: {shown(*names)}", where="image-folder.path", fix=fix)
