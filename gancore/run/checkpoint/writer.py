"""Write a checkpoint, complete or not at all, and remove old ones.

torch is imported only where tensors are written, so that listing checkpoints needs no torch.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import secrets
import shutil
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gancore.errors import CheckpointError
from gancore.run import atomic, strict_json
from gancore.run.checkpoint import safetensors_header, schema, tensor_table, verified
from gancore.run.checkpoint.verified import (
    CHECKPOINT_FORMAT,
    KIND,
    LARGEST_FILES,
    MANIFEST,
    STATE,
    SUMS,
    TENSORS,
    folder_name,
    step_of,
)

if TYPE_CHECKING:
    from torch import Tensor

    from gancore.run.checkpoint.state import Snapshot


NO_SPACE = (errno.ENOSPC, errno.EDQUOT)  # a full disk, or a user's share of it
LEFT_OVER = (".tmp-step-*", f"{atomic.TRASH}*", ".latest.tmp")  # by saves that were killed


def write(folder: Path, snapshot: Snapshot, plugins: Mapping[str, Any]) -> Path:
    """Write one checkpoint below `folder` (a run's `checkpoints/`) and return its path.

    Everything is synced to disk in a temporary folder before one rename makes it a checkpoint. No
    time, host or path is stored, so a resumed run writes the same bytes as an uninterrupted one.
    Raises CheckpointError; older checkpoints stay as they are then.
    """
    step = snapshot.state["step"]
    final = folder / folder_name(step)
    temporary = folder / f".tmp-{final.name}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(exist_ok=True)
        _sweep(folder)
        if final.exists() and not verified.faults(final):
            # an earlier save may have failed between its rename and its sync
            atomic.sync_folder(folder)
        else:
            temporary.mkdir(mode=0o700)
            _write_files(temporary, snapshot, plugins)
            # a damaged checkpoint of this step: a folder cannot be renamed onto one that has files
            if os.path.lexists(final):
                atomic.remove(final)
            atomic.commit(temporary, final)
    except OSError as error:
        _discard(temporary)
        raise _not_saved(step, folder, snapshot, error) from error
    except (ValueError, TypeError) as error:
        _discard(temporary)
        raise CheckpointError(
            f"the checkpoint of step {step} was not saved: {error}",
            where=str(folder),
            fix="let state() hold tensors, finite numbers, text, None, lists and dicts of these",
        ) from error
    with contextlib.suppress(OSError):  # `latest` is only a hint, and the checkpoint is safe
        atomic.replace(folder / "latest", f"{final.name}\n".encode())
    return final


def _write_files(temporary: Path, snapshot: Snapshot, plugins: Mapping[str, Any]) -> None:
    """Write every file, and the sums last.

    Raises ValueError for content that `verified.py` would refuse.
    """
    import torch

    sizes: dict[str, int] = {}
    sums: dict[str, str] = {}

    def add(name: str, content: bytes) -> None:
        if len(content) > LARGEST_FILES.get(name, len(content)):
            raise ValueError(
                f"{name} would have {len(content):,} bytes, more than {LARGEST_FILES[name]:,}"
            )
        atomic.write_new(temporary / name, content)
        sizes[name] = len(content)
        sums[name] = sha256(content).hexdigest()

    table: dict[str, dict[str, str]] = {}
    for stem, tensors in snapshot.files.items():
        content, table[stem] = _tensors_as_file(tensors)
        add(f"{stem}{TENSORS}", content)
    add(STATE, _json({**snapshot.state, "tensors": table}, schema.check_state))
    manifest = {
        "format": CHECKPOINT_FORMAT,
        "kind": KIND,
        "step": snapshot.state["step"],
        "files": dict(sorted(sizes.items())),
        "plugins": plugins,
        "versions": {
            "gancore": version("gancore"),
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
    }
    add(MANIFEST, _json(manifest, schema.check_manifest))
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
    add(SUMS, "".join(lines).encode())


def _tensors_as_file(tensors: Mapping[str, Tensor]) -> tuple[bytes, dict[str, str]]:
    """Return the content of a file of tensors, and its part of the table in state.json.

    Raises ValueError for content that could not be read again.
    """
    from safetensors.torch import save

    stored = tensor_table.stored_names(tensors)
    content = save({stored[name]: tensor.contiguous() for name, tensor in tensors.items()})
    # checked as if it were read: what cannot be read again must fail now, not when it is needed
    types = safetensors_header.check(content)
    table: dict[str, str] = {}
    for name in sorted(tensors):
        table[tensor_table.escaped(name)] = types[stored[name]]
    return content, table


def _json(value: Any, check: Any) -> bytes:
    # sorted, so that equal trainings write equal bytes
    content = (json.dumps(value, allow_nan=False, indent=1, sort_keys=True) + "\n").encode()
    check(strict_json.parse(content))
    return content


def _not_saved(step: int, folder: Path, snapshot: Snapshot, error: OSError) -> CheckpointError:
    what = f"the checkpoint of step {step} was not saved: {error.strerror}"
    if error.errno in NO_SPACE:
        need = 0
        for tensors in snapshot.files.values():
            need += sum(tensor.nbytes for tensor in tensors.values())
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(folder).free
            what += f" (need {need / 1e6:,.1f} MB, {free / 1e6:,.1f} MB free)"
    return CheckpointError(what, where=str(folder), fix=fix_of(error))


def fix_of(error: OSError) -> str:
    """Return what to do about a file that could not be written."""
    if error.errno in NO_SPACE:
        return "free some space"
    return "see that the folder can be written"


def _discard(temporary: Path) -> None:
    shutil.rmtree(temporary, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what killed saves left behind; what cannot be removed is left to the next save."""
    for pattern in LEFT_OVER:
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                atomic.remove(path)


def steps(folder: Path) -> list[Path]:
    """List the checkpoint folders below a run's `checkpoints/`, oldest first."""
    named = [path for path in folder.glob("step-*") if step_of(path) >= 0]
    return sorted(filter(Path.is_dir, named), key=step_of)


def kept_for_good(found: list[Path], every: int) -> list[Path]:
    """Return the first checkpoint of each `every` steps, which is never removed; none for 0."""
    first: dict[int, Path] = {}
    if not every:
        return []
    for path in found:
        first.setdefault(step_of(path) // every, path)
    return list(first.values())


def _newest_intact(found: list[Path]) -> Path | None:
    for path in reversed(found):
        if not verified.faults(path):
            return path
    return None


def prune(folder: Path, keep: int, every: int = 0) -> list[Path]:
    """Remove all but the newest `keep` checkpoints and those of `every`.

    Return those removed, oldest first.

    The newest that verifies always stays: damaged ones that are newer do not count. Raises
    CheckpointError where one cannot be removed.
    """
    found = steps(folder)
    kept = kept_for_good(found, every)
    removed = [path for path in found[:-keep] if path not in kept]
    if not removed:
        return []
    intact = _newest_intact(found)
    removed = [path for path in removed if path != intact]
    for path in removed:
        try:
            atomic.remove(path)
        except OSError as error:
            what = f"the old checkpoint {path.name} was not removed: {error.strerror}"
            raise CheckpointError(
                what, where=str(folder), fix="see that the folder can be written"
            ) from error
    return removed
