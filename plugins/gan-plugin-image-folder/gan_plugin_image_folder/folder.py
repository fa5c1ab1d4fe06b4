"""What lies in a folder, by names alone: image files, and which folders are classes."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from gancore import DataError, UsageError

READABLE = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")
PICTURES = (".avif", ".eps", ".heic", ".heif", ".jp2", ".jxl", ".pdf", ".psd", ".svg")
FOREIGN = (*PICTURES, ".avi", ".mkv", ".mov", ".mp4", ".webm")  # not read, but counted as not supported
LITTER = {"__macosx", "desktop.ini", "thumbs.db"}  # besides all that begins with a dot
OF_A_RUN = {"recipe.toml", "checkpoints"}  # what lies in the folder of a run


class Found(NamedTuple):
    """What lies in a folder, in the order of bytes: image files, its own sub-folders; what was passed over."""

    names: list[str]
    folders: list[str]
    hidden: int  # files and folders that begin with a dot, and litter
    others: int  # files that are not named like images
    runs: list[str]  # folders of runs, whose samples are no data


def spelt(name: str) -> bytes:
    """Return the bytes of a name, which are the same in every locale."""
    return name.encode("utf-8", "surrogateescape")


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
        what, mend = f"{shown(str(path))} is no folder", "give the folder in which the images lie; unpack an archive"
    else:
        what = f"the folder {shown(str(path))} does not exist" if given else "image-folder.path is empty"
        beside = {each.name: str(each) for each in path.parent.glob("*")}
        near = get_close_matches(path.name, beside, n=1)
        mend = f"--data {shown(beside[near[0]]) if near else 'FOLDER'}"
    raise UsageError(what, where="image-folder.path", mend=mend)


def walk(root: str, passed: dict[str, list[str]] | None = None) -> Iterator[tuple[str, bool]]:
    """Yield (path below root, whether it is a folder); links to folders are not followed.

    Hidden files, litter, and what lies in the folder of a run are passed over, and kept in `passed` under `hidden` and
    `runs`. Raises DataError for a folder that cannot be listed, UsageError where the root is a run.
    """
    waiting, passed = [""], {} if passed is None else passed
    while waiting:
        folder = waiting.pop()
        entries = listed(root, folder)
        if {name for name, _ in entries} >= OF_A_RUN:
            if not folder:
                what, mend = f"{shown(root)} is the folder of a run", "give the folder of the images it was trained on"
                raise UsageError(f"{what}: its samples would be trained on", where="image-folder.path", mend=mend)
            passed.setdefault("runs", []).append(folder)
            continue
        for name, is_folder in entries:
            if name.startswith(".") or name.lower() in LITTER:
                passed.setdefault("hidden", []).append(folder + name)
                continue
            if is_folder:
                waiting.append(f"{folder}{name}/")
            yield folder + name, is_folder


def listed(root: str, folder: str) -> list[tuple[str, bool]]:
    """List one folder below the root: names, and whether each is a folder. Raises DataError where that fails."""
    try:
        with os.scandir(path_of(root, folder)) as entries:
            each = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError as error:
        what = f"the folder {shown(os.path.join(root, folder)[:400])} cannot be listed: {error.strerror}"
        raise DataError(what, where="image-folder.path", mend="make it readable, or move it away") from None
    return [(name.decode("utf-8", "surrogateescape"), is_folder) for name, is_folder in each]


def is_image(name: str) -> bool:
    """Whether a file is named like an image, readable or not."""
    return name.lower().endswith(READABLE + FOREIGN)


def find_images(root: str) -> Found:
    """Return what lies below `root`. Raises DataError where there is no image, UsageError where it is a run."""
    passed: dict[str, list[str]] = {}
    found = sorted(walk(root, passed), key=lambda each: spelt(each[0]))
    files = [name for name, is_folder in found if not is_folder]
    names, runs = list(filter(is_image, files)), passed.get("runs", [])
    if not names:
        what = f"no images in {shown(root)}; looked for {' '.join(READABLE)}"
        raise DataError(what, where="image-folder.path", mend="give the folder that holds them")
    of_runs = {run.partition("/")[0] for run in runs} - {name.partition("/")[0] for name in names}
    folders = [name for name, is_folder in found if is_folder and "/" not in name and name not in of_runs]
    return Found(names, folders, len(passed.get("hidden", [])), len(files) - len(names), runs)


def find_classes(names: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Return the class folders in order; none where all images lie at the top level.

    Raises DataError where it is not clear what the classes are.
    """
    names = [name for name in names if name.lower().endswith(READABLE)]
    if not any("/" in name for name in names):
        return []
    filled = {name.partition("/")[0] for name in names}
    refuse("images lie beside the class folders", [name for name in names if "/" not in name])
    refuse("images lie deeper than in the class folders", [name for name in names if name.count("/") > 1])
    refuse("class folders hold no image", [folder for folder in folders if folder not in filled])
    refuse("class folders are named alike but for case or accents", alike(folders))
    return list(folders)


def alike(names: Sequence[str]) -> list[str]:
    """Return the names that differ from another in case or in the spelling of accents alone."""
    spelt = {name: normalize("NFC", name).casefold() for name in names}
    counts = Counter(spelt.values())
    return [name for name in names if counts[spelt[name]] > 1]


def refuse(fault: str, names: Sequence[str]) -> None:
    """Raise DataError if any names are at fault."""
    if names:
        mend = "move or rename them, or --image-folder.labels none to use all images without labels"
        raise DataError(f"{fault}: {shown(*names)}", where="image-folder.path", mend=mend)
