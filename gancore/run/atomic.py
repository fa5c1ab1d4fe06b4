"""Write files atomically: whole or not at all, and synced to disk before the call returns."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from pathlib import Path

# A system that lacks one of these lacks the danger too, or has no better way.
CAREFULLY = sum(
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | CAREFULLY
TRASH = ".trash-"


def open_regular(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that another program may have created, and return its descriptor.

    Raises OSError for a link, which is not followed, and for anything but a regular file, so that a
    pipe cannot block.
    """
    descriptor = os.open(path, flags | CAREFULLY, 0o666)
    # asked of the open file: by its path it could be replaced between the question and the opening
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return descriptor


def write_new(path: Path, content: bytes) -> None:
    """Create a file, which may not exist, and sync it to disk."""
    descriptor = os.open(path, NEW, 0o666)
    try:
        append(descriptor, content)
        # never asked twice: after a failed fsync the system may drop the data and report success
        os.fsync(descriptor)
    finally:
        os.close(descriptor)  # some file systems report a full disk only here


def replace(path: Path, content: bytes) -> None:
    """Replace a file, or create it; a reader sees the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        write_new(temporary, content)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)  # a rename survives a power cut only when its folder is synced


def append(descriptor: int, content: bytes) -> None:
    """Append by one write; by more only where the system wrote a part."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk. Windows cannot open folders and needs no such sync."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def commit(temporary: Path, final: Path) -> None:
    """Rename a finished folder to its final name, durably.

    It gets the permissions of its parent folder.
    """
    os.chmod(temporary, os.stat(final.parent).st_mode & 0o2775)  # never writable by everyone
    sync_folder(temporary)
    os.rename(temporary, final)
    sync_folder(final.parent)


def remove(path: Path) -> None:
    """Remove a file or folder.

    It is renamed first, durably, so that no crash leaves half of it under its name.
    """
    if not path.name.startswith(TRASH):
        trash = path.with_name(f"{TRASH}{path.name.lstrip('.')}-{secrets.token_hex(4)}")
        os.rename(path, trash)
        sync_folder(path.parent)
        path = trash
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()
