"""Verify the folder of a checkpoint: each file that SHA256SUMS lists is checked before it is used.

Nothing here needs torch. Sums show damage, not malice: someone who changes a file can write a new
sum. So every file is checked against the limits of the format too, and no file is read before its
size is known to be right.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from reprlib import repr as shortly
from typing import Any

from attrs import frozen

from gancore.errors import CheckpointError
from gancore.run import atomic, strict_json
from gancore.run.checkpoint import safetensors_header, schema, tensor_table
from gancore.run.listing import shortened

CHECKPOINT_FORMAT = 1
KIND = "gancore-checkpoint"
SUMS = "SHA256SUMS"
MANIFEST = "manifest.json"
STATE = "state.json"
TENSORS = ".safetensors"
LARGEST_FILES = {SUMS: 1 << 16, MANIFEST: 1 << 20, STATE: 1 << 24}  # bytes
STEM = re.compile(r"step-([0-9]{9,18})")
SUM_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_-][A-Za-z0-9._-]{0,63})\n")
OF_DESKTOPS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # created by file managers

# From the number of an older format to a function that turns a snapshot of it into one of the next.
# Files are not rewritten. Format 1 is the first.
MIGRATIONS: dict[int, Callable[[Any], Any]] = {}


@frozen
class VerifiedFolder:
    """A folder whose sums and manifest are right.

    Its other files are checked when they are read.
    """

    folder: Path
    sums: Mapping[str, str]
    manifest: Mapping[str, Any]

    def read(self, name: str) -> tuple[bytes, Any]:
        """Read a listed file, and check its size, its sum and its format. Raises CheckpointError.

        Return its bytes and its contents: type and shape of its tensors by stored name, or the
        state.
        """
        content = read_file(self.folder, name, self.sums[name], self.manifest["files"][name])
        try:
            if name.endswith(TENSORS):
                return content, safetensors_header.check(content)
            state = strict_json.parse(content)
            if self.manifest["format"] == CHECKPOINT_FORMAT:
                schema.check_state(state, self.manifest["step"])
        except ValueError as error:
            raise CheckpointError(
                f"{self.folder.name}: {name} is refused: {error}", where=str(self.folder)
            ) from None
        return content, state

    def state(self) -> dict[str, Any]:
        """Read state.json alone. Raises CheckpointError."""
        return dict(self.read(STATE)[1])

    def compare(self, contents: Mapping[str, Any]) -> list[str]:
        """List where tensors differ from the table in state.json.

        `contents` maps files to what `read` returned.
        """
        table = (
            contents.get(STATE, {}).get("tensors")
            if self.manifest["format"] == CHECKPOINT_FORMAT
            else None
        )
        if table is None:  # written before states had such a table, or damaged itself
            return []
        found = {}
        for name, each in contents.items():
            if name != STATE:
                found[name.removesuffix(TENSORS)] = each
        try:
            wrong = tensor_table.differences_from_table(table, found)
        except ValueError as error:
            wrong = [f"{STATE} is refused: {error}"]
        return [f"{self.folder.name}: {each}" for each in wrong]

    def notes(self) -> list[str]:
        """Name the files in the folder that SHA256SUMS does not list; they are never opened."""
        try:
            there = set(os.listdir(self.folder))
        except OSError:  # a training process has pruned it meanwhile
            there = set()
        extra = sorted(there - self.sums.keys() - OF_DESKTOPS - {SUMS})
        if not extra:
            return []
        names = shortened(extra, ", ")
        return [f"{self.folder.name} holds files that do not belong to it: {names}"]


def folder_name(step: int) -> str:
    """Return the folder name of a step."""
    return f"step-{step:09d}"


def step_of(folder: Path) -> int:
    """Return the step that a checkpoint folder is named after; -1 for another name."""
    digits = STEM.fullmatch(folder.name)
    step = int(digits[1]) if digits else -1
    return step if folder.name == folder_name(step) else -1


def open_folder(folder: Path) -> VerifiedFolder:
    """Read a checkpoint's sums and manifest. Raises CheckpointError naming the file at fault."""
    where = str(folder)
    if not _is_folder(folder):
        raise CheckpointError(f"{folder.name} is no folder", where=where)
    sums = _read_sums(folder)
    # before anything else is opened: a file without a sum cannot be trusted
    if not {MANIFEST, STATE} <= sums.keys():
        raise CheckpointError(
            f"{folder.name}: {SUMS} is damaged (it lists no {MANIFEST} or {STATE})", where=where
        )
    try:
        manifest = strict_json.parse(read_file(folder, MANIFEST, sums[MANIFEST]))
        _check_format(folder, manifest)
        schema.check_manifest(manifest)
        _check_files(sums, manifest["files"])
        if manifest["format"] == CHECKPOINT_FORMAT:
            files = [name for name in manifest["files"] if name != STATE]
            schema.check_parts(name.removesuffix(TENSORS) for name in files)
        # a copy under any other name is allowed, but not under the name of another step
        if step_of(folder) not in (-1, manifest["step"]):
            raise ValueError(f"it is of step {manifest['step']}")
    except ValueError as error:
        raise CheckpointError(
            f"{folder.name}: {MANIFEST} is refused: {error}", where=where
        ) from None
    return VerifiedFolder(folder, sums, manifest)


def faults(folder: Path) -> list[str]:
    """List what is wrong with the files of a checkpoint; nothing if it is intact."""
    try:
        opened = open_folder(folder)
    except CheckpointError as error:
        return [error.what]
    found = []
    contents: dict[str, Any] = {}
    for name in opened.manifest["files"]:
        try:
            contents[name] = opened.read(name)[1]
        except CheckpointError as error:
            found.append(error.what)
    return found + opened.compare(contents)


def read_file(folder: Path, name: str, digest: str = "", size: int | None = None) -> bytes:
    """Read a file of a checkpoint.

    Raises CheckpointError unless its size and its SHA-256 are as given.
    """
    where = str(folder)
    try:
        # opened once: what is checked here is what is parsed later, whatever the path is then
        with os.fdopen(atomic.open_regular(folder / name), "rb") as file:
            there = os.fstat(file.fileno()).st_size
            if there > LARGEST_FILES.get(name, there):
                raise CheckpointError(
                    f"{folder.name}: {name} is larger than {LARGEST_FILES[name]:,} bytes",
                    where=where,
                )
            if size not in (None, there):
                raise CheckpointError(
                    f"{folder.name}: {name} is damaged (it has {there:,} bytes, not {size:,})",
                    where=where,
                )
            content = file.read(there)
    except OSError as error:
        why = "it is a link" if (folder / name).is_symlink() else error.strerror
        raise CheckpointError(f"{folder.name}: {name} cannot be read: {why}", where=where) from None
    if digest and sha256(content).hexdigest() != digest:
        raise CheckpointError(
            f"{folder.name}: {name} is damaged (its SHA-256 differs)", where=where
        )
    return content


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _read_sums(folder: Path) -> dict[str, str]:
    lines = read_file(folder, SUMS).decode("ascii", "replace").splitlines(keepends=True)
    sums: dict[str, str] = {}
    for line in lines:
        if found := SUM_LINE.fullmatch(line):
            sums[found[2]] = found[1]
    # fewer sums than lines: a line is malformed, or names a file for the second time
    if len(sums) != len(lines) or list(sums) != sorted(sums):
        raise CheckpointError(f"{folder.name}: {SUMS} is damaged", where=str(folder))
    return sums


def _check_format(folder: Path, manifest: Any) -> None:
    """Raise CheckpointError for a manifest of another format or another program."""
    is_ours = isinstance(manifest, dict) and manifest.get("kind") == KIND
    if not is_ours or type(manifest.get("format")) is not int:
        raise CheckpointError(
            f"{folder.name}: {MANIFEST} is not of a gancore checkpoint", where=str(folder)
        )
    number = manifest["format"]
    formats = f"(format {number}); this one reads {CHECKPOINT_FORMAT}"
    if number > CHECKPOINT_FORMAT:
        what = f"{folder.name} was written by a newer gancore {formats}"
        raise CheckpointError(what, where=str(folder), fix="upgrade gancore")
    if not all(older in MIGRATIONS for older in range(number, CHECKPOINT_FORMAT)):
        what = f"{folder.name} was written by an older gancore {formats}"
        raise CheckpointError(what, where=str(folder), fix="open it with the gancore that wrote it")


def _check_files(sums: Mapping[str, str], files: Mapping[str, int]) -> None:
    if files.keys() != sums.keys() - {MANIFEST}:
        differing = sorted(files.keys() ^ (sums.keys() - {MANIFEST}))
        raise ValueError(f"it and {SUMS} do not list the same files: {shortly(differing)}")
    for name in files:
        if name != STATE and not name.endswith(TENSORS):
            raise ValueError(f"{name} is no part of a checkpoint")
    # whole files are read into memory
    total = sum(files.values())
    memory = _memory()
    if total > memory:
        raise ValueError(f"its files have {total:,} bytes; this machine has {memory:,} of memory")


def _memory() -> int:
    """Return the bytes of memory of this machine; 1 TiB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 40
