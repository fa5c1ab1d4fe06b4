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

from gancore.errors import PluginError
from gancore.run import atomic
from gancore.run.directory import MetricsRow

MOST_WAITING = 1 << 24  # bytes of rows that are kept in memory while the disk is full


class MetricsLog:
    """A log of so many rows, the last of them at `step`.

    Opened, it forgets what a lost run wrote after them.

    `notes` says so where the file holds fewer rows than that: they are counted on, yet not made
    again.
    """

    def __init__(self, path: Path, rows: int, step: float = math.inf) -> None:
        self.notes = list[str]()
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        self.cut(rows, step)

    def cut(self, rows: int, step: float = math.inf) -> None:
        """Forget all but the first rows."""
        with self._path.open("rb") as file:
            kept = list(islice(file, rows))
        # Where rows were lost, later ones are among the first of the file. They are made again, and
        # no step may be there twice.
        while kept and (not kept[-1].endswith(b"\n") or _step_of(kept[-1]) > step):
            kept.pop()
        self.rows = rows
        self.waiting = b""
        self._end = sum(map(len, kept))
        os.ftruncate(self._descriptor, self._end)
        if len(kept) < rows:
            held = f"{self._path.name} holds {len(kept)} of the {rows} rows up to step {step}"
            self.notes.append(f"{held}; the others are lost")

    def write(self, row: MetricsRow) -> str:
        """Append one row.

        Where the disk takes none it waits for the next, and the reason is returned, once.
        """
        told = bool(self.waiting)
        self.waiting += (json.dumps(row, allow_nan=False) + "\n").encode()
        self.rows += 1
        try:
            self._flush()
        except OSError as error:
            if len(self.waiting) > MOST_WAITING:
                raise
            return "" if told else f"rows of the log wait in memory: {error.strerror}"
        return ""

    def _flush(self) -> None:
        try:
            atomic.append(self._descriptor, self.waiting)
        except OSError:
            os.ftruncate(self._descriptor, self._end)  # no row is ever there in part
            raise
        self._end += len(self.waiting)
        self.waiting = b""

    def sync(self) -> None:
        """Wait until the disk has every row. Raises OSError where it takes none."""
        self._flush()
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
    device = _device_to_wait_for(tensors)
    if device is None:
        found = {name: float(value) for name, value in tensors.items()}
    else:
        scalars = [value.double().reshape(()).to(device) for value in tensors.values()]
        found = dict(zip(tensors, torch.stack(scalars).tolist(), strict=True))
    result = {}
    try:
        for name, value in figures.items():
            result[name] = found[name] if name in found else float(value)
    except (TypeError, ValueError) as error:
        raise PluginError(
            f"a logged figure is no number: {error}", fix="log numbers and 0-d tensors"
        ) from None
    return result


def _device_to_wait_for(tensors: Mapping[str, Tensor]) -> torch.device | None:
    """Return the device that holds some of the tensors, None where all are on the CPU."""
    for tensor in tensors.values():
        if tensor.device.type != "cpu":
            return tensor.device
    return None
