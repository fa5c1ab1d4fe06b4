"""The metrics log: one JSON object a row, one row a line, each written whole."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gancore.errors import NumbersError, PluginError
from gancore.run import _fs
from gancore.run.directory import Row
from gancore.run.snapshot import Snapshot


class MetricsLog:
    """A log of so many rows, the last of them at `step`; opened, it forgets what a lost run wrote after them.

    `notes` says so where the file holds fewer rows than that: they are counted on, yet not made again.
    """

    def __init__(self, path: Path, rows: int, step: float = math.inf) -> None:
        self.rows, self.notes = rows, list[str]()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        with path.open("rb") as file:
            kept = list(islice(file, rows))
        while kept and (not kept[-1].endswith(b"\n") or _step_of(kept[-1]) > step):
            kept.pop()
        os.ftruncate(self._descriptor, sum(map(len, kept)))
        if len(kept) < rows:
            self.notes.append(
                f"{path.name} holds {len(kept)} of the {rows} rows up to step {step}; the others are lost"
            )

    def write(self, row: Row) -> None:
        """Append one row."""
        _fs.append(self._descriptor, (json.dumps(row, allow_nan=False) + "\n").encode())
        self.rows += 1

    def sync(self) -> None:
        """Wait until the disk has every row."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _step_of(line: bytes) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1


def numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """Turn figures into numbers, with one wait for the device."""
    tensors = {name: value for name, value in figures.items() if isinstance(value, Tensor)}
    device = max((value.device for value in tensors.values()), key=lambda each: each.type != "cpu", default=None)
    gathered = [value.double().reshape(()).to(device) for value in tensors.values()]
    found = dict(zip(tensors, torch.stack(gathered).tolist() if gathered else [], strict=True))
    try:
        return {name: found[name] if name in found else float(value) for name, value in figures.items()}
    except (TypeError, ValueError) as error:
        raise PluginError(f"a logged figure is no number: {error}", mend="log numbers and 0-d tensors") from None


def check_weights(snapshot: Snapshot, step: int) -> None:
    """Raise NumbersError naming the first stored weight or moment that is not finite: such a state is never saved."""
    for part in ("generator", "critic", "optim"):
        for name, tensor in snapshot.files[part].items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise NumbersError(f"{part}: {name} is no longer finite at step {step}", mend="lower the learning rate")


def check_finite(figures: Mapping[str, Any], step: int) -> None:
    """Raise NumbersError naming the first figure that is not finite, terms before totals."""
    tensors = [value for value in figures.values() if isinstance(value, Tensor)]
    if not tensors or torch.stack([value.double().reshape(()) for value in tensors]).isfinite().all():
        return
    wrong = [(name, value) for name, value in numbers(figures).items() if not math.isfinite(value)]
    name, value = next(((name, value) for name, value in wrong if name.count("/") == 2), wrong[0])
    role, _, what = name.partition("/")
    raise NumbersError(
        f"the {role}'s {what.replace('/', '.')} became {value} at step {step}",
        mend="lower the learning rate, or look at the term's options",
    )
