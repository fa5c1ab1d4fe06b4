"""Scan a folder: list the image files below it by name, without opening one."""

import os
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_plugin_image_folder.file_index import FileIndex
from gan_plugin_image_folder.names import decode_name, nearest_sibling, path_below, printable
from gancore import DataError, UsageError

READABLE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
UNSUPPORTED_SUFFIXES = (  # not decoded, but counted as not supported instead of being ignored
    ".avif", ".eps", ".heic", ".heif", ".jp2", ".jxl", ".pdf", ".psd", ".svg",
    ".avi", ".mkv", ".mov", ".mp4", ".webm",
)  # fmt: skip
IMAGE_SUFFIXES = tuple(map(str.encode, READABLE_SUFFIXES + UNSUPPORTED_SUFFIXES))
SYSTEM_NAMES = (  # of operating systems and network storage, in lower case
    b"__macosx", b"desktop.ini", b"thumbs.db", b"@eadir", b"@tmp", b"@recycle", b"@__thumb",
    b"#recycle", b"#snapshot", b"$recycle.bin", b"system volume information", b"lost+found",
    b"__pycache__",
)  # fmt: skip
RUN_NAMES = (b"recipe.toml", b"checkpoints")  # every run directory holds both
# Size, mtime and ctime in nanoseconds. A program can set mtime back, but not ctime: it shows a
# change of the content that mtime hides.
STAMP = struct.Struct("=qqq")


def entry_forms(names: tuple[bytes, ...]) -> set[bytes]:
    """Return these names in the two forms of `list_entries`: as a file and as a folder."""
    return {name + b"\0" for name in names} | {name + b"/\0" for name in names}


SYSTEM_ENTRIES = entry_forms(SYSTEM_NAMES)
RUN_ENTRIES = entry_forms(RUN_NAMES)


class ScanResult(NamedTuple):
    """The image files below a folder, its direct sub-folders, and what was ignored."""

    files: FileIndex
    folders: list[str]  # direct sub-folders, sorted by bytes
    hidden: int  # files and folders that begin with a dot, and those that systems create
    other_files: int  # files without the suffix of an image
    runs: list[str]  # run directories: their samples are not data


def resolve_folder(given: str, base: Path) -> str:
    """Return the folder at a path that the user gave, relative to `base`.

    Raises UsageError for anything but a folder.
    """
    path = base / os.path.expanduser(given)
    if given and os.path.isdir(path):
        return str(path)
    if given and os.path.lexists(path):
        what = f"{printable(str(path))} is not a folder"
        fix = "give the folder that holds the images; unpack an archive first"
    else:
        what = f"the folder {printable(str(path))} does not exist"
        if not given:
            what = "image-folder.path is empty"
        fix = f"--data {nearest_sibling(path) or 'FOLDER'}"
    raise UsageError(what, where="image-folder.path", fix=fix)


def walk(
    root: str, ignored: dict[str, list[str]] | None = None, with_stamps: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """Yield (path below root, stamp) in the order of the paths' bytes; folders end with `/`.

    A stamp is packed as `STAMP` for names with the suffix of an image, if asked for, else empty.
    Links to folders are not followed. Hidden files, files of the system and run directories are
    left out; their names are added to `ignored` under `hidden` and `runs`. Raises DataError for a
    folder that cannot be listed, UsageError where the root is a run directory.
    """
    if ignored is None:
        ignored = {}
    # Depth first with a stack of our own: recursion would end at some hundred levels. Each item is
    # a path, a zero byte, which no path holds, and the stamp.
    stack = [b"\0"]
    while stack:
        path, _, stamp = stack.pop().partition(b"\0")
        if path:
            yield path, stamp
            if not path.endswith(b"/"):
                continue
        entries = list_entries(root, decode_name(path), with_stamps)
        if len(RUN_ENTRIES.intersection(entries)) == len(RUN_NAMES):
            refuse_run(root, path)
            ignored.setdefault("runs", []).append(decode_name(path))
            continue
        hidden = set(filter(is_hidden, entries))
        if hidden:
            names = [decode_name(path + entry.partition(b"\0")[0]) for entry in hidden]
            ignored.setdefault("hidden", []).extend(names)
            entries = [entry for entry in entries if entry not in hidden]
        entries.sort(reverse=True)  # the stack is emptied from its end
        stack.extend(path + entry for entry in entries)


def refuse_run(root: str, path: bytes) -> None:
    """Raise UsageError for a run directory that is the root itself, so that `path` is empty."""
    if not path:
        what = f"{printable(root)} is a run directory: its samples would be used as training data"
        fix = "give the folder of the images that it was trained on"
        raise UsageError(what, where="image-folder.path", fix=fix)


def is_hidden(entry: bytes) -> bool:
    """Return whether an entry of `list_entries` is hidden or belongs to the system."""
    return entry.startswith(b".") or entry.lower() in SYSTEM_ENTRIES


def list_entries(root: str, folder: str, with_stamps: bool) -> list[bytes]:
    """List one folder below the root. Raises DataError where that fails.

    Each entry is one bytes object, for there may be a million of them: the name, `/` for a folder,
    a zero byte, and the stamp.
    """
    try:
        with os.scandir(path_below(root, folder)) as entries:
            return [pack_entry(entry, with_stamps) for entry in entries]
    except OSError as error:
        path = os.path.join(root, folder)[:400]
        raise DataError(
            f"the folder {printable(path)} cannot be listed: {error.strerror}",
            where="image-folder.path",
            fix="make it readable, or move it away",
        ) from None


def pack_entry(entry: os.DirEntry[bytes], with_stamps: bool) -> bytes:
    """Return a directory entry as one bytes object."""
    if entry.is_dir(follow_symlinks=False):
        return entry.name + b"/\0"
    if with_stamps and has_image_suffix(entry.name):
        return entry.name + b"\0" + pack_stamp(entry)
    return entry.name + b"\0"


def pack_stamp(entry: os.DirEntry[bytes]) -> bytes:
    """Return size, mtime and ctime of the file that an entry leads to, packed as `STAMP`."""
    try:
        status = entry.stat()
        return STAMP.pack(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    except OSError:
        return STAMP.pack(-1, -1, -1)


def has_image_suffix(name: bytes) -> bool:
    """Return whether a file has the suffix of an image, supported or not."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def has_readable_suffix(name: str) -> bool:
    """Return whether a file has the suffix of a supported image format."""
    return name.lower().endswith(READABLE_SUFFIXES)


def scan_folder(root: str) -> ScanResult:
    """Return the images below `root`. Raises DataError for none, UsageError for a run directory."""
    ignored: dict[str, list[str]] = {}
    # Growing buffers, not lists: a million small objects would take ten times the memory.
    encoded = bytearray()
    offsets = array("q", [0])
    stamps = bytearray()
    folders = []
    other_files = 0
    for path, stamp in walk(root, ignored, with_stamps=True):
        if stamp:
            encoded += path
            stamps += stamp
            offsets.append(len(encoded))
        elif not path.endswith(b"/"):
            other_files += 1
        elif path.count(b"/") == 1:
            folders.append(path.removesuffix(b"/"))
    if not encoded:
        what = f"no images in {printable(root)}; looked for {' '.join(READABLE_SUFFIXES)}"
        raise DataError(what, where="image-folder.path", fix="give the folder that holds them")
    stamps_of_files = np.frombuffer(stamps, np.int64).reshape(-1, 3)
    files = FileIndex(encoded, np.frombuffer(offsets, np.int64), stamps_of_files)
    runs = ignored.get("runs", [])
    kept = folders_without_runs(files, sorted(folders), runs)
    return ScanResult(files, kept, len(ignored.get("hidden", [])), other_files, runs)


def folders_without_runs(files: FileIndex, folders: list[bytes], runs: list[str]) -> list[str]:
    """Return the names of the folders except those that hold run directories and no image."""
    parents = {run.partition("/")[0] for run in runs}
    only_runs = {parent for parent in parents if not files.span_of(parent)}
    return [name for name in map(decode_name, folders) if name not in only_runs]
