"""All writing of files: whole or not at all, and on the disk before anything says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """Create a file that was not there, and wait until the disk has it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, content: bytes) -> None:
    """Replace a file, or create it; a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    write_new(temporary, content)
    os.replace(temporary, path)
    sync_folder(path.parent)


def append(descriptor: int, line: bytes) -> None:
    """Append one line by one write."""
    written = os.write(descriptor, line)
    while written < len(line):
        written += os.write(descriptor, line[written:])


def sync_folder(folder: Path) -> None:
    """Wait until the disk has a folder's entries. Systems that cannot open folders need no such wait."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def commit(temporary: Path, final: Path) -> None:
    """Rename a finished folder to its final name, durably."""
    sync_folder(temporary)
    os.rename(temporary, final)
    sync_folder(final.parent)


def remove(folder: Path) -> None:
    """Remove a folder: out of sight first, then for good."""
    trash = folder.with_name(f".trash-{folder.name.lstrip('.')}-{os.getpid()}")
    shutil.rmtree(trash, ignore_errors=True)
    os.rename(folder, trash)
    shutil.rmtree(trash, ignore_errors=True)
