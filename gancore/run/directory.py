"""The directory of a run: create it, lock it while it trains, read its rows and its facts."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import socket
import stat
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w
from attrs import frozen

from gancore.errors import GanError, UsageError, nearest
from gancore.run import atomic

MetricsRow = dict[str, Any]

RECIPE = "recipe.toml"
METRICS = "metrics.jsonl"
ABOUT = "run.json"
LOCK = "lock"
DATA_REPORT = "data-report.json"
CHECKPOINTS = "checkpoints"
FAILED = "failed"
RUNS = Path("runs")  # where runs go without --out
FOLDERS = (CHECKPOINTS, "samples")
LOCKS = (LOCK, f"*/{LOCK}", f"*/*/{LOCK}")  # of a run, and of the runs of a sweep: OUT/ARM/seed-N
# Limits in bytes on what is read at once: a run may be downloaded, and its files of any size.
LONGEST_ROW = 1 << 20
LARGEST_ABOUT = 1 << 20


def claim(name: str, root: Path = RUNS) -> Path:
    """Create and return the first folder `runs/NAME-K` that does not exist.

    No two processes get the same.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = root / f"{name}-{number}"
            # not asked whether it exists: another process could create it before the answer is used
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise _not_made(root / f"{name}-1", error) from None
    raise AssertionError("unreachable")


def refuse_taken(folder: Path) -> None:
    """Raise UsageError where a folder is not free for a new run."""
    if os.path.exists(folder / RECIPE):
        raise UsageError(
            f"{folder} already holds a run",
            where="--out",
            fix=f"--resume {folder}, or another --out",
        )
    if not os.path.exists(folder):
        return
    fix = "name a folder that is new or empty"
    if not os.path.isdir(folder):
        raise UsageError(f"{folder} is a file", where="--out", fix=fix)
    left = f".{RECIPE}.tmp"  # by a run that was killed before it had a recipe
    if any(path.name != left for path in folder.iterdir()):
        raise UsageError(f"{folder} is not empty", where="--out", fix=fix)


def expect_free(out: Path | None, *, overwrite: bool = False) -> None:
    """Raise UsageError where no new run can be created, before any work is done for it.

    `overwrite` allows a folder that is not empty, unless a run in it is training: then GanError is
    raised.
    """
    if out is not None:
        (refuse_in_use if overwrite else refuse_taken)(out)
    probe(RUNS if out is None else out)


def probe(folder: Path) -> None:
    """Create and remove a file where a run is to be, or in the nearest folder above it that exists.

    Raises UsageError where that fails.
    """
    try:
        os.lstat(folder)
    except FileNotFoundError:
        pass
    except OSError as error:  # a name that is too long, or a file where a folder is wanted
        raise _not_made(folder, error) from None
    place = _nearest_existing(folder)
    trial = place / f".trial-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        atomic.write_new(trial, b"gancore")
        trial.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            trial.unlink()
        raise _not_made(folder, error) from None


def _nearest_existing(folder: Path) -> Path:
    for path in (folder, *folder.absolute().parents):
        if os.path.lexists(path):
            return path
    return folder


def _not_made(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{folder} cannot be made: {error.strerror}",
        where="--out",
        fix="name a folder you may write to",
    )


def set_aside(folder: Path) -> Path:
    """Rename a folder to the first free name `FOLDER.old-K`, and return it.

    Raises GanError where a run in it is training.
    """
    refuse_in_use(folder)
    for number in itertools.count(1):
        aside = folder.with_name(f"{folder.name}.old-{number}")
        if not aside.exists():
            folder.rename(aside)
            return aside
    raise AssertionError("unreachable")


def create(folder: Path, recipe: dict[str, Any]) -> None:
    """Create a run's directory and write its resolved recipe.

    Raises UsageError where it cannot be written.
    """
    refuse_taken(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_recipe(folder, recipe)  # first, so that a run that is killed here can be resumed
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)
    except OSError as error:
        raise _not_made(folder, error) from None


def withdraw(folder: Path) -> None:
    """Remove a run that was refused before its first step.

    The next attempt can then have its name.
    """
    with contextlib.suppress(OSError):  # the user needs to read why the run was refused, not this
        atomic.remove(folder)


def write_recipe(folder: Path, recipe: dict[str, Any]) -> None:
    """Write a run's resolved recipe; again on resume, when its length may have changed."""
    atomic.replace(folder / RECIPE, tomli_w.dumps(recipe).encode())


def expect(folder: Path) -> None:
    """Raise UsageError unless a folder holds a run."""
    if os.path.isfile(folder / RECIPE):
        return
    if around := _run_around(folder):
        what = f"{folder} is a part of the run {around}, not a run"
        raise UsageError(what, where=str(folder), fix=f"name the run: {around}")
    why = f"it has no {RECIPE}" if os.path.isdir(folder) else "there is no such folder"
    fix = runs_like(folder) or "name a folder that `gan run` made"
    raise UsageError(f"{folder} is no run: {why}", where=str(folder), fix=fix)


def _run_around(folder: Path) -> Path | None:
    """Return the run that a path lies in, such as RUN for `RUN/checkpoints/step-000000100`."""
    # as the user wrote it first, so that a relative path gives a relative suggestion
    for path in (*folder.parents, *Path(os.path.abspath(folder)).parents):
        if (path / RECIPE).is_file():
            return path
    return None


def runs_like(folder: Path) -> str:
    """Suggest runs with a name like that of `folder`, or else list the newest runs beside it."""
    found: dict[Path, float] = {}  # the time of each run's recipe
    try:
        for place in (folder.parent, RUNS):
            for recipe in place.glob(f"*/{RECIPE}"):
                found[recipe.parent] = recipe.stat().st_mtime
    except OSError:  # a name that is too long, or a place that cannot be read
        return ""
    names = nearest(folder.name, [run.name for run in found])
    near = [str(run) for run in found if run.name in names]
    if near:
        return f"did you mean {' or '.join(near)}?"
    if not found:
        return ""
    newest = sorted(found, key=found.__getitem__, reverse=True)[:5]
    return f"runs here, the newest first: {', '.join(map(str, newest))}"


def read_rows(folder: Path | str) -> list[MetricsRow]:
    """Read the metrics rows of a run; an incomplete last line is left out.

    Raises UsageError for a folder that holds no run or no row yet.
    """
    expect(Path(folder))
    path = Path(folder) / METRICS
    rows = rows_in(path) if path.is_file() else []
    if not rows:
        raise UsageError(
            f"{folder} has no metrics row yet", where=str(path), fix=f"gan run --resume {folder}"
        )
    return rows


def rows_in(path: Path) -> list[MetricsRow]:
    """Read a metrics log up to the first incomplete line.

    Raises UsageError for a link or a file that is not regular.
    """
    return _rows_from(path, 0)[0]


class RowReader:
    """Read the new metrics rows of a run at each call, and each row once.

    `RowReader(run)` takes the folder of a run. Keep it in a `cached()` field.
    """

    def __init__(self, run: Path) -> None:
        self._path = run / METRICS
        self._end = 0

    def more(self) -> list[MetricsRow]:
        """Return the rows since the last call, up to the first incomplete line.

        Raises UsageError for a link or a file that is not regular.
        """
        if not os.path.lexists(self._path):
            return []
        rows, self._end = _rows_from(self._path, self._end)
        return rows


def _rows_from(path: Path, start: int) -> tuple[list[MetricsRow], int]:
    """Read rows from a byte offset on; also return the offset after the last."""
    rows: list[MetricsRow] = []
    try:
        with os.fdopen(atomic.open_regular(path), "rb") as file:
            file.seek(start)
            line = file.readline(LONGEST_ROW)
            while (row := _row_of(line)) is not None:
                rows.append(row)
                start += len(line)
                line = file.readline(LONGEST_ROW)
    except OSError as error:
        why = "it is a link" if path.is_symlink() else error.strerror
        raise UsageError(
            f"{path} cannot be read: {why}", where=str(path), fix="put the run's own log back"
        ) from None
    return rows, start


def last_row(folder: Path) -> MetricsRow | None:
    """Return the newest complete row of a run, which may be training, or None."""
    try:
        with os.fdopen(atomic.open_regular(folder / METRICS), "rb") as file:
            # the end alone: a long run has a long log, and a sweep asks again and again
            file.seek(max(0, os.fstat(file.fileno()).st_size - LONGEST_ROW))
            lines = file.read().splitlines(keepends=True)
    except OSError:
        return None
    for line in reversed(lines):
        row = _row_of(line)
        if row is not None:
            return row
    return None


def _row_of(line: bytes) -> MetricsRow | None:
    if not line.endswith(b"\n"):  # not written to its end yet, or cut by a crash
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if is_row(row) else None


def is_row(value: Any) -> bool:
    """Return whether a value read from a log is a row: finite numbers by name, and a step."""
    if not isinstance(value, dict):
        return False
    step = value.get("step")
    # `type() is int`, since True is an instance of int
    if type(step) is not int or not 0 <= step < 1 << 63:
        return False
    return all(map(_is_finite_number, value.values()))


def _is_finite_number(value: Any) -> bool:
    # compared, not asked by math.isfinite, which fails for whole numbers beyond all floats
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


@frozen
class Held:
    """The lock of the run that this process trains. It also notices that the folder was moved."""

    folder: Path
    line: str
    place: os.stat_result
    descriptor: int

    def misplaced(self) -> str:
        """Return how the folder was renamed or removed since it was locked; empty if it was not."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self.folder), self.place):
                return ""
        with contextlib.suppress(OSError):
            # some network drives change the inode of a folder that was not moved
            if (self.folder / LOCK).read_text(errors="replace") == self.line:
                return ""
        with contextlib.suppress(OSError):
            now = Path(os.readlink(f"/proc/self/fd/{self.descriptor}"))
            if now.exists():
                return f"{self.folder} was renamed to {now.parent} while it trained"
        return f"{self.folder} was renamed or removed while it trained"


@contextmanager
def locked(folder: Path) -> Iterator[Held]:
    """Hold a run's lock, which the system releases however the process ends.

    Raises GanError where another process holds it, UsageError where the folder has links or cannot
    be written.
    """
    refuse_links(folder)
    try:
        # The file stays for good: the lock is the system's and not the file, so that a process that
        # is killed leaves no lock behind.
        descriptor = atomic.open_regular(folder / LOCK, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        what = f"{folder} cannot be written: {error.strerror}"
        raise UsageError(
            what, where=str(folder / LOCK), fix="make it a folder you may write to"
        ) from None
    try:
        if holder := _take(descriptor):
            raise _in_use(folder, holder)
        line = f"{os.getpid()} {socket.gethostname()} {now()}\n"
        os.ftruncate(descriptor, 0)
        os.write(descriptor, line.encode())
        yield Held(folder, line, os.stat(folder), descriptor)
    finally:
        os.close(descriptor)


def refuse_in_use(folder: Path, *, by_others: bool = False) -> None:
    """Raise GanError where a process trains the run in a folder, or a run of the sweep in it.

    With `by_others` this process itself may.
    """
    for pattern in LOCKS:
        for path in folder.glob(pattern):
            try:
                descriptor = atomic.open_regular(path, os.O_RDWR)
            except OSError:
                continue
            try:
                holder = _take(descriptor)
            finally:
                os.close(descriptor)
            if holder and not (by_others and _is_this_process(holder)):
                raise _in_use(path.parent, holder)


def _is_this_process(holder: Sequence[str]) -> bool:
    return holder[:2] == [str(os.getpid()), socket.gethostname()]


def _take(descriptor: int) -> list[str]:
    """Lock an open file.

    If another process has locked it, return that process, its host and the time, if known.
    """
    try:
        import fcntl
    except ImportError:  # a system without flock, where the user has to see to it
        return []
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 200).decode(errors="replace").split() or ["unknown"]
    except OSError:  # some network drives cannot lock
        pass
    return []


def _in_use(folder: Path, holder: Sequence[str]) -> GanError:
    by = "process {} on {}, since {}".format(*holder) if len(holder) == 3 else "another process"
    return GanError(
        f"{folder} is in use by {by}", where=str(folder / LOCK), fix="wait for it, or end it"
    )


def refuse_links(folder: Path) -> None:
    """Raise UsageError for a run with links or pipes.

    A downloaded run could make us write elsewhere by them.
    """
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                what = f"{path} is {'a link' if stat.S_ISLNK(mode) else 'neither file nor folder'}"
                raise UsageError(
                    what,
                    where=str(folder),
                    fix="a run keeps its files in its own folder: remove it",
                )
        # os.walk descends into what this list keeps; the reader of checkpoints checks those itself
        if CHECKPOINTS in folders:
            folders.remove(CHECKPOINTS)


def note_facts(folder: Path, **facts: Any) -> None:
    """Write facts into `run.json`, which is for people.

    Errors are ignored, since nothing depends on it.
    """
    content = json.dumps({**noted(folder), **facts}, indent=1) + "\n"
    with contextlib.suppress(OSError):
        atomic.replace(folder / ABOUT, content.encode())


def noted(folder: Path) -> dict[str, Any]:
    """Read the facts of `run.json`; none where it cannot be read."""
    try:
        with os.fdopen(atomic.open_regular(folder / ABOUT), "rb") as file:
            about = json.loads(file.read(LARGEST_ABOUT))
    except (OSError, ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


def write_data_report(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write which files of a data set were used and which were skipped, for people."""
    atomic.replace(folder / DATA_REPORT, (json.dumps(facts, indent=1) + "\n").encode())


def now() -> str:
    """Return the time of day, for people."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
