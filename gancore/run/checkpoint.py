"""Checkpoints: folders of safetensors and JSON that are complete by construction and verified when read.

checkpoints/step-000001200/   generator, critic, optim, components .safetensors; state.json; manifest.json; SHA256SUMS
checkpoints/latest            one line, a hint; the truth is which folders verify
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from attrs import frozen
from safetensors.torch import load, save

from gancore.errors import CheckpointError
from gancore.run import _fs
from gancore.run.snapshot import Snapshot

FORMAT = 1
KIND = "gancore-checkpoint"
SUMS = "SHA256SUMS"
STEM = re.compile(r"step-(\d{9,})")
SUM_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_-][A-Za-z0-9._-]{0,63})")
LARGEST = {"manifest.json": 1 << 20, "state.json": 1 << 24, SUMS: 1 << 16}  # bytes


@frozen
class Checkpoint:
    """What a verified folder holds."""

    folder: Path
    snapshot: Snapshot
    manifest: Mapping[str, Any]


def name_of(step: int) -> str:
    """Return the folder name of a step."""
    return f"step-{step:09d}"


def write(folder: Path, snapshot: Snapshot, plugins: Mapping[str, Any]) -> Path:
    """Write one checkpoint below `folder` (a run's `checkpoints/`) and return its path.

    Everything is on the disk in a temporary folder before one rename makes it a checkpoint. No time, host or path is
    stored, so a resumed run writes the same bytes as one that never stopped. Raises CheckpointError, leaving older
    checkpoints as they were.
    """
    step = snapshot.state["step"]
    final = folder / name_of(step)
    if final.exists():
        if not problem(final):
            return final
        _fs.remove(final)
    temporary = folder / f".tmp-{final.name}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(exist_ok=True)  # a run may have been killed before it was made
        temporary.mkdir(mode=0o700)
        _write_files(temporary, snapshot, step, plugins)
        os.chmod(temporary, 0o777 & ~_umask())
        _fs.commit(temporary, final)
        _fs.replace(folder / "latest", f"{final.name}\n".encode())
    except OSError as error:
        _discard(temporary)
        raise CheckpointError(
            f"the checkpoint of step {step} was not saved: {error.strerror}", where=str(folder), mend="free some space"
        ) from error
    return final


def _write_files(temporary: Path, snapshot: Snapshot, step: int, plugins: Mapping[str, Any]) -> None:
    contents = {
        f"{stem}.safetensors": save({name: tensor.contiguous() for name, tensor in tensors.items()})
        for stem, tensors in snapshot.files.items()
    }
    contents["state.json"] = _json(snapshot.state)
    contents["manifest.json"] = _json(
        {
            "format": FORMAT,
            "kind": KIND,
            "step": step,
            "files": {name: len(content) for name, content in sorted(contents.items())},
            "plugins": plugins,
            "versions": {
                "gancore": version("gancore"),
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
    )
    for name, content in contents.items():
        _fs.write_new(temporary / name, content)
    sums = "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in sorted(contents.items()))
    _fs.write_new(temporary / SUMS, sums.encode())


def _json(value: Any) -> bytes:
    return (json.dumps(value, allow_nan=False, indent=1, sort_keys=True) + "\n").encode()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _discard(temporary: Path) -> None:
    for path in temporary.glob("*"):
        path.unlink(missing_ok=True)
    if temporary.is_dir():
        temporary.rmdir()


def steps(folder: Path) -> list[Path]:
    """List the checkpoint folders below a run's `checkpoints/`, oldest first."""
    found = [path for path in folder.glob("step-*") if STEM.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints and what crashed saves left behind, oldest first."""
    for path in [*steps(folder)[:-keep], *folder.glob(".tmp-step-*"), *folder.glob(".trash-*")]:
        _fs.remove(path)


def problem(folder: Path) -> str:
    """Say what is wrong with a checkpoint folder, or nothing."""
    try:
        read_files(folder)
    except CheckpointError as error:
        return error.what
    return ""


def read(folder: Path) -> Checkpoint:
    """Read and verify one checkpoint. Raises CheckpointError naming the file at fault; nothing is loaded before."""
    contents = read_files(folder)
    manifest = parse_json(contents["manifest.json"], "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise CheckpointError(f"{folder.name}: manifest.json is not of a gancore checkpoint", where=str(folder))
    if manifest.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder.name} was written in format {manifest.get('format')!r}; this gancore reads {FORMAT}",
            where=str(folder),
            mend="upgrade gancore",
        )
    stems = [name for name in contents if name.endswith(".safetensors")]
    try:
        files = {name.removesuffix(".safetensors"): load(contents[name]) for name in stems}
    except Exception as error:
        raise CheckpointError(f"{folder.name} holds tensors that cannot be read: {error}", where=str(folder)) from error
    state = parse_json(contents["state.json"], "state.json")
    wanted = {"step": int, "batches": int, "optimizers": dict, "components": dict}
    formed = isinstance(state, dict) and all(isinstance(state.get(key), kind) for key, kind in wanted.items())
    if not formed or not {"generator", "critic", "optim", "components"} <= files.keys():
        raise CheckpointError(f"{folder.name} lacks a part of a checkpoint", where=str(folder))
    return Checkpoint(folder, Snapshot(files, state), manifest)


def read_files(folder: Path) -> dict[str, bytes]:
    """Read every listed file once and compare it with its SHA-256. Raises CheckpointError."""
    sums = _read(folder, SUMS).decode("ascii", "replace")
    lines = [SUM_LINE.fullmatch(line) for line in sums.removesuffix("\n").split("\n")]
    listed = {line[2]: line[1] for line in lines if line is not None}
    if len(listed) != len(lines) or not sums.endswith("\n") or not {"manifest.json", "state.json"} <= listed.keys():
        raise CheckpointError(f"{folder.name}: {SUMS} is damaged", where=str(folder))
    contents = {name: _read(folder, name) for name in listed}
    for name, content in contents.items():
        if sha256(content).hexdigest() != listed[name]:
            raise CheckpointError(f"{folder.name}: {name} is damaged (its SHA-256 differs)", where=str(folder))
    return contents


def _read(folder: Path, name: str) -> bytes:
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            limit = LARGEST.get(name, -1)
            content = file.read(limit + 1 if limit > 0 else -1)
    except OSError as error:
        raise CheckpointError(f"{folder.name}: {name} cannot be read: {error.strerror}", where=str(folder)) from None
    if name in LARGEST and len(content) > LARGEST[name]:
        raise CheckpointError(f"{folder.name}: {name} is larger than {LARGEST[name]} bytes", where=str(folder))
    return content


def parse_json(raw: bytes, name: str) -> Any:
    """Parse JSON as strictly as it was written: no repeated keys, no NaN. Raises CheckpointError."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in items}) < len(items):
            raise ValueError("a key is repeated")
        return dict(items)

    def constant(word: str) -> Any:
        raise ValueError(f"{word} is no number")

    try:
        return json.loads(raw.decode(), object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} cannot be read: {error}") from None


def newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Read the newest checkpoint that verifies; also say why newer ones did not."""
    warnings: list[str] = []
    for path in reversed(steps(folder)):
        try:
            return read(path), warnings
        except CheckpointError as error:
            if not path.exists():  # it was pruned while it was read, so a newer one is there
                return newest(folder)
            warnings.append(error.what)
    return None, warnings
