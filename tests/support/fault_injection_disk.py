"""Disks that fail, crash or lose power on demand, and checkpoints small enough to save thousands of
times.
"""

import contextlib
import errno
import json
import os
import stat
from functools import partial
from hashlib import sha256
from itertools import combinations, product

import torch

from gancore.run.checkpoint.state import Snapshot

# ── checkpoints ───────────────────────────────────────────────────────────────────────────────────


def snapshot(step, **state):
    """Return what a run of two weights would save at a step."""
    weights = {"weight": torch.full((2, 3), float(step)), "steps": torch.tensor(step)}
    return Snapshot(
        {
            "generator": weights,
            "critic": {"weight": torch.full((3,), step + 0.5)},
            "optim": {"critic/weight/exp_avg": torch.zeros(3)},
            "components": {"trick/seen": torch.tensor([True, False])},
        },
        {
            "step": step,
            "batches": 2 * step,
            "attempt": 0,
            "seed": 7,
            "data": "0123",
            "rows": step,
            "row_step": step,
            "shape": [2],
            "label_sets": [{"name": "kind", "classes": ["a", "b"]}],
            "optimizers": {
                "generator": [{"lr": 0.1}],
                "critic": [{"lr": 0.1, "betas": [0.0, 0.9], "foreach": None}],
            },
            "components": {
                "trick": {
                    "component": "trick",
                    "distribution": "gan-plugin-trick",
                    "version": "1.0",
                    "state_version": 1,
                    "state": {"mean": 0.5},
                }
            },
            **state,
        },
    )


def reseal(folder, manifest=True):
    """Write the sizes and sums of whatever now lies in a checkpoint folder, as whoever changed it
    could.
    """
    if manifest:
        content = json.loads((folder / "manifest.json").read_text())
        content["files"] = {
            path.name: path.stat().st_size
            for path in sorted(folder.iterdir())
            if path.name not in ("manifest.json", "SHA256SUMS")
        }
        (folder / "manifest.json").write_text(json.dumps(content))
    names = sorted(
        path.name for path in folder.iterdir() if path.is_file() and path.name != "SHA256SUMS"
    )
    sums = "".join(
        f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    )
    (folder / "SHA256SUMS").write_text(sums)


# ── operations ────────────────────────────────────────────────────────────────────────────────────


class CrashError(BaseException):
    """The process is gone: nothing after this touches the disk, no clean-up either."""


class Disk:
    """Watch every change below a folder as the system is asked for it, and let the n-th fail or be
    the last.

    `kind` is "crash", or the name of an error, which comes once, or `for_good` from then on. A
    write that fails or is the last leaves half of what it was given. Nothing waits for a real disk.
    """

    ON_PATHS = ("mkdir", "rmdir", "unlink", "remove", "rename", "replace", "chmod")
    ON_DESCRIPTORS = ("write", "fsync", "close", "ftruncate")

    def __init__(self, root, monkeypatch, n=0, kind="", for_good=False):
        self.root, self.n, self.kind, self.for_good = os.path.realpath(root), n, kind, for_good
        self.count, self.trace, self.dead = 0, [], False  # the trace is of what succeeded
        self._open_paths, self._monkeypatch = {}, monkeypatch
        self._real = {
            name: getattr(os, name) for name in (*self.ON_PATHS, *self.ON_DESCRIPTORS, "open")
        }

    @contextlib.contextmanager
    def watched(self):
        with self._monkeypatch.context() as patch:
            patch.setattr(os, "open", self._open)
            for name in self.ON_PATHS:
                patch.setattr(os, name, partial(self._on_path, name))
            for name in self.ON_DESCRIPTORS:
                patch.setattr(os, name, partial(self._on_descriptor, name))
            yield self

    def _place(self, path, dir_fd=None):
        """Return a path relative to the root, or None for what lies elsewhere."""
        place = os.path.relpath(
            os.path.join(self._open_paths.get(dir_fd, os.getcwd()), os.fspath(path)), self.root
        )
        return None if place.startswith("..") else place

    def _fails(self):
        """Count an operation, and return whether it is one that fails."""
        self.count += not self.dead
        return self.dead or self.count == self.n or (self.for_good and 0 < self.n < self.count)

    def _fail(self):
        if self.kind == "crash":
            self.dead = True
            raise CrashError
        number = getattr(errno, self.kind)
        raise OSError(number, os.strerror(number))

    def _open(self, path, flags, mode=0o777, *, dir_fd=None):
        place = self._place(path, dir_fd) if isinstance(path, str | os.PathLike) else None
        creates = place is not None and flags & os.O_CREAT
        if creates and self._fails():
            self._fail()
        descriptor = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        self._open_paths.pop(descriptor, None)
        if creates:
            self.trace.append(("create", place))
        if place is not None and (creates or stat.S_ISDIR(os.fstat(descriptor).st_mode)):
            self._open_paths[descriptor] = os.path.normpath(os.path.join(self.root, place))
        return descriptor

    def _on_path(self, name, path, *more, **keywords):
        place = self._place(path, keywords.get("dir_fd"))
        if place is None:
            return self._real[name](path, *more, **keywords)
        if self._fails():
            self._fail()
        self._real[name](path, *more, **keywords)
        self.trace.append(
            (name, place, *(self._place(each) for each in more if not isinstance(each, int)))
        )
        return None

    def _on_descriptor(self, name, descriptor, *more):
        path = self._open_paths.get(descriptor)
        if path is None:
            return self._real[name](descriptor, *more)
        if name == "close" and os.path.isdir(path):  # which tells of nothing
            del self._open_paths[descriptor]
            return self._real["close"](descriptor)
        was_dead, content = self.dead, [bytes(each) for each in more if name == "write"]
        fails = self._fails()
        if name == "close":
            del self._open_paths[descriptor]
            self._real["close"](descriptor)
        if fails:
            if content and not was_dead:
                self._real["write"](descriptor, content[0][: len(content[0]) // 2])
            self._fail()
        self.trace.append((name, os.path.relpath(path, self.root), *content))
        return None if name in ("fsync", "close") else self._real[name](descriptor, *more)


# ── power ─────────────────────────────────────────────────────────────────────────────────────────


class File:
    """A file in a model of a disk: what was written, and what of it is there for certain."""

    def __init__(self, data=b"", synced=None):
        self.data, self.synced = data, synced

    def after(self, torn):
        """Return what is left by a power cut, where what was not synced is `torn`."""
        if self.data == self.synced or torn == "whole":
            return self.data
        half = len(self.data) // 2
        return {"empty": b"", "half": self.data[:half], "zeroed": bytes(len(self.data))}[torn]


class Folder:
    """A folder in a model of a disk: its entries, and those that are there for certain."""

    def __init__(self):
        self.entries, self.synced = {}, {}

    @classmethod
    def of(cls, path):
        made = cls()
        for each in path.iterdir():
            content = None if each.is_dir() else each.read_bytes()
            made.entries[each.name] = Folder.of(each) if content is None else File(content, content)
        made.synced = dict(made.entries)
        return made

    def at(self, place):
        found = self
        for part in () if place == "." else place.split("/"):
            found = found.entries[part]
        return found

    def do(self, operation, place, *more):
        """Carry out one operation of a trace."""
        parent, name = self.at(os.path.dirname(place) or "."), os.path.basename(place)
        if operation == "create":
            parent.entries[name] = File()
        elif operation == "mkdir":
            parent.entries[name] = Folder()
        elif operation == "write":
            self.at(place).data += more[0]
        elif operation == "fsync":
            found = self.at(place)
            found.synced = dict(found.entries) if isinstance(found, Folder) else found.data
        elif operation in ("rename", "replace"):
            self.at(os.path.dirname(more[0]) or ".").entries[os.path.basename(more[0])] = (
                parent.entries.pop(name)
            )
        elif operation in ("unlink", "remove", "rmdir"):
            del parent.entries[name]

    def unsynced(self):
        """Name the entries of this folder that a power cut may bring back, or lose."""
        return [
            name
            for name in {*self.entries, *self.synced}
            if self.entries.get(name) is not self.synced.get(name)
        ]

    def after(self, torn, kept, below):
        """Return as nested tables what a power cut leaves.

        Of the entries that were not synced, those in `kept` are as they were, the others as they
        were when the folder was last synced; in folders below all are kept, or none.
        """
        left = {}
        for name in sorted({*self.entries, *self.synced}):
            found = (self.entries if name in kept else self.synced).get(name)
            if isinstance(found, File):
                left[name] = found.after(torn)
            elif found is not None:
                left[name] = found.after(torn, found.entries if below else (), below)
        return left


def power_cuts(folder):
    """Yield what may be left of a model disk: each entry that was not synced dropped or kept, files
    torn or whole.
    """
    loose = folder.unsynced()
    subsets = [kept for size in range(len(loose) + 1) for kept in combinations(loose, size)]
    for kept, torn, below in product(subsets, ("empty", "half", "zeroed", "whole"), (False, True)):
        yield folder.after(torn, kept, below)


def use_channels_last(content, path):
    """Write nested tables as folders and files."""
    path.mkdir()
    for name, each in content.items():
        if isinstance(each, dict):
            use_channels_last(each, path / name)
        else:
            (path / name).write_bytes(each)
