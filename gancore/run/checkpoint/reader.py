"""Read a checkpoint: the one in a folder, or the newest of a run that verifies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from gancore.errors import CheckpointError
from gancore.run.checkpoint import schema, tensor_table, verified
from gancore.run.checkpoint.verified import CHECKPOINT_FORMAT, MIGRATIONS, STATE, TENSORS
from gancore.run.checkpoint.writer import steps

if TYPE_CHECKING:
    from torch import Tensor

    from gancore.run.checkpoint.state import Snapshot


@frozen
class Checkpoint:
    """The contents of a verified folder; `notes` are remarks about the folder itself."""

    folder: Path
    snapshot: Snapshot
    manifest: Mapping[str, Any]
    notes: list[str] = field(factory=list)


def problem(folder: Path) -> str:
    """Return what is wrong with a checkpoint folder; empty if it is intact."""
    return "; ".join(verified.faults(folder))


def read(folder: Path, parts: Collection[str] = schema.PARTS) -> Checkpoint:
    """Read and verify one checkpoint. Raises CheckpointError naming the damaged file.

    Every file is verified, but only the tensors of these `parts` are loaded; the other parts stay
    empty.
    """
    from gancore.run.checkpoint.state import Snapshot

    opened = verified.open_folder(folder)
    is_older = opened.manifest["format"] != CHECKPOINT_FORMAT  # a migration may want any part
    contents: dict[str, Any] = {}
    files: dict[str, dict[str, Tensor]] = {}
    for name in opened.manifest["files"]:
        raw, contents[name] = opened.read(name)
        stem = name.removesuffix(TENSORS)
        if name != STATE:
            files[stem] = _tensors(folder, name, raw) if stem in parts or is_older else {}
    if wrong := opened.compare(contents):
        raise CheckpointError("; ".join(wrong), where=str(folder))
    snapshot = Snapshot(files, contents[STATE])
    try:
        for number in range(opened.manifest["format"], CHECKPOINT_FORMAT):
            snapshot = MIGRATIONS[number](snapshot)
            schema.check_parts(snapshot.files)
            schema.check_state(snapshot.state, opened.manifest["step"])
    except ValueError as error:
        raise CheckpointError(f"{folder.name} is refused: {error}", where=str(folder)) from None
    return Checkpoint(folder, _by_own_names(snapshot), opened.manifest, opened.notes())


def _tensors(folder: Path, name: str, raw: bytes) -> dict[str, Tensor]:
    from safetensors.torch import load

    try:
        return load(raw)
    except Exception as error:  # the library raises several types and documents none of them
        what = f"{folder.name}: {name} holds tensors that cannot be read: {error}"
        raise CheckpointError(what, where=str(folder)) from error


def _by_own_names(snapshot: Snapshot) -> Snapshot:
    """Rename tensors from the names in their files to their own. A file cannot hold every name."""
    state = dict(snapshot.state)
    files = dict(snapshot.files)
    for stem, listed in state.pop("tensors", {}).items():
        stored = tensor_table.stored_names(map(tensor_table.unescaped, listed))
        by_own_name = {}
        for name, kept in stored.items():
            # a part that was not asked for is empty, though the table lists its tensors
            if kept in files[stem]:
                by_own_name[name] = files[stem][kept]
        files[stem] = by_own_name
    return evolve(snapshot, files=files, state=state)


def newest(
    folder: Path, parts: Collection[str] = schema.PARTS
) -> tuple[Checkpoint | None, list[str]]:
    """Read the newest checkpoint that verifies, or some of its parts.

    Return it, or None where there is none, and what is wrong with newer ones.
    """
    damaged: dict[Path, str] = {}
    while True:
        # list twice: a listing during a rename by a training process may show neither name
        listed = steps(folder) or steps(folder)
        left = [path for path in listed if path not in damaged]
        if not left:
            return None, list(damaged.values())
        latest = left[-1]
        try:
            return read(latest, parts), list(damaged.values())
        except CheckpointError as error:
            # where it is gone, a training process has pruned it, and there is a newer one to list
            if latest.exists():
                damaged[latest] = error.what
