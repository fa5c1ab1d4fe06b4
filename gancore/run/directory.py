"""The directory of a run: created once, locked while it trains."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from gancore.errors import GanError, UsageError, did_you_mean
from gancore.run import _fs

Row = dict[str, Any]

RECIPE, METRICS, ABOUT, LOCK = "recipe.toml", "metrics.jsonl", "run.json", "lock"
DATA = "data-report.json"
FOLDERS = ("checkpoints", "samples")


def claim(name: str, root: Path = Path("runs")) -> Path:
    """Make and return the first folder `runs/NAME-K` that was not there yet; no other process gets the same."""
    root.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = root / f"{name}-{number}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("the natural numbers ended")


def refuse_taken(folder: Path) -> None:
    """Raise UsageError where something is in the way of a new run."""
    if (folder / RECIPE).exists():
        raise UsageError(f"{folder} already holds a run", where="--out", mend=f"--resume {folder}, or another --out")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", where="--out", mend="name a folder that is new or empty")
    left = f".{RECIPE}.tmp"  # by a run that was killed before it had a recipe
    if folder.exists() and any(path.name != left for path in folder.iterdir()):
        raise UsageError(f"{folder} is not empty", where="--out", mend="name a folder that is new or empty")


def probe(folder: Path) -> None:
    """Raise UsageError where nothing can be written into a folder, or into the nearest one above it that is there."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    trial = there / f".gan-probe-{os.getpid()}"
    try:
        _fs.write_new(trial, b"")
        trial.unlink()
    except OSError as error:
        what = f"{there} takes no files: {error.strerror}"
        raise UsageError(what, where="--out", mend="name a folder you may write to") from None


def set_aside(folder: Path) -> Path:
    """Rename a folder to the first free name `FOLDER.old-K`, and return it."""
    for number in itertools.count(1):
        aside = folder.with_name(f"{folder.name}.old-{number}")
        if not aside.exists():
            folder.rename(aside)
            return aside
    raise AssertionError("the natural numbers ended")


def create(folder: Path, recipe: dict[str, Any]) -> None:
    """Create a run's directory and write its resolved recipe. Raises UsageError where it cannot be written."""
    refuse_taken(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_recipe(folder, recipe)  # first, so that a run that is killed here can be resumed
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be made: {error.strerror}", where="--out", mend="name a folder you may write to"
        ) from None


def write_recipe(folder: Path, recipe: dict[str, Any]) -> None:
    """Write a run's resolved recipe; a resumed run may have another length than it began with."""
    _fs.replace(folder / RECIPE, tomli_w.dumps(recipe).encode())


def expect(folder: Path) -> None:
    """Raise UsageError unless a folder holds a run."""
    if not (folder / RECIPE).is_file():
        siblings = [path.parent.name for path in folder.parent.glob(f"*/{RECIPE}")] if folder.parent.is_dir() else []
        near = did_you_mean(folder.name, siblings)
        why = f"it has no {RECIPE}" if folder.is_dir() else "there is no such folder"
        raise UsageError(
            f"{folder} is no run: {why}", where=str(folder), mend=near or "name a folder that `gan run` made"
        )


def read_rows(folder: Path | str) -> list[Row]:
    """Read the metrics rows of a run; a torn last line is left out.

    Raises UsageError for a folder that holds no run or no row yet.
    """
    expect(Path(folder))
    path = Path(folder) / METRICS
    rows = rows_in(path) if path.exists() else []
    if not rows:
        raise UsageError(f"{folder} has no metrics row yet", where=str(path), mend=f"gan run --resume {folder}")
    return rows


def rows_in(path: Path) -> list[Row]:
    """Read a metrics log up to the first line that is torn."""
    rows = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's lock, which the system frees however the process ends. Raises GanError where another holds it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _take(descriptor, folder)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # a system without flock: one process a run is then up to the user
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode(errors="replace").split()
        by = f"process {holder[0]} on {holder[1]}" if len(holder) == 2 else "another process"
        raise GanError(f"{folder} is in use by {by}", where=str(folder / LOCK), mend="wait for it, or end it") from None
    except OSError:  # some network drives cannot lock
        return


def note(folder: Path, **facts: Any) -> None:
    """Write facts into `run.json`, which serves people; nothing is ever decided by it."""
    path = folder / ABOUT
    try:
        about = json.loads(path.read_text()) if path.exists() else {}
    except ValueError:
        about = {}
    _fs.replace(path, (json.dumps({**about, **facts}, indent=1) + "\n").encode())


def describe_data(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write what became of the files of a data set, for people."""
    _fs.replace(folder / DATA, (json.dumps(facts, indent=1) + "\n").encode())


def now() -> str:
    """Return the time of day, for people."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
