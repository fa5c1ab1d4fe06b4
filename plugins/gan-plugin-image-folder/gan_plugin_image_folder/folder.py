"""What lies in a folder, by names alone: image files, and which folders are classes."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from unicodedata import normalize

from gancore import DataError, UsageError

READABLE = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
FOREIGN = (".avif", ".eps", ".heic", ".heif", ".jxl", ".psd", ".svg")  # pictures too, but counted as not supported
LITTER = {"__macosx", "desktop.ini", "thumbs.db"}  # besides all that begins with a dot


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


def walk(root: str) -> Iterator[tuple[str, bool]]:
    """Yield (path below root, whether it is a folder) of all but hidden files and litter; links are not followed.

    Raises DataError for a folder that cannot be listed.
    """
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower() in LITTER:
                        continue
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if is_folder:
                        waiting.append(f"{folder}{entry.name}/")
                    yield folder + entry.name, is_folder
        except OSError as error:
            what = f"the folder {shown(os.path.join(root, folder)[:400])} cannot be listed: {error.strerror}"
            raise DataError(what, where="image-folder.path", mend="make it readable, or move it away") from None


def is_image(name: str) -> bool:
    """Whether a file is named like an image, readable or not."""
    return name.lower().endswith(READABLE + FOREIGN)


def find_images(root: str) -> tuple[list[str], list[str]]:
    """Return the image files below `root` and its own sub-folders, both sorted as bytes.

    Raises DataError where there is no image.
    """
    found = sorted(walk(root), key=lambda each: os.fsencode(each[0]))
    names = [name for name, is_folder in found if not is_folder and is_image(name)]
    if not names:
        what = f"no images in {shown(root)}; looked for {' '.join(READABLE)}"
        raise DataError(what, where="image-folder.path", mend="give the folder that holds them")
    return names, [name for name, is_folder in found if is_folder and "/" not in name]


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
