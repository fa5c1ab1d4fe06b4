"""Read a checkpoint back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from gancore.errors import CheckpointError
from gancore.run.checkpoint import schema, tensor_table, verified
from gancore.run.checkpoint.verified import FORMAT, MIGRATIONS, STATE, TENSORS
from gancore.run.checkpoint.verified import name_of as name_of
from gancore.run.checkpoint.writer import steps

if TYPE_CHECKING:
    from torch import Tensor

    from gancore.run.checkpoint.state import Snapshot


@frozen
class Checkpoint:
    """What a verified folder holds; `notes` are remarks about the folder itself."""

    folder: Path
    snapshot: Snapshot
    manifest: Mapping[str, Any]
    notes: list[str] = field(factory=list)


def problem(folder: Path) -> str:
    """Say what is wrong with a checkpoint folder, or nothing."""
    return "; ".join(verified.faults(folder))


def read(folder: Path, parts: Collection[str] = schema.PARTS) -> Checkpoint:
    """Read and verify one checkpoint. Raises CheckpointError naming the file at fault; nothing is loaded before.

    Every file is verified, but only the tensors of these `parts` are kept in memory; the others' are left out.
    """
    from gancore.run.checkpoint.state import Snapshot

    seal = verified.unseal(folder)
    about: dict[str, Any] = {}
    files: dict[str, dict[str, Tensor]] = {}
    for name in seal.manifest["files"]:
        content, about[name] = seal.read(name)
        stem = name.removesuffix(TENSORS)
        if name != STATE:
            files[stem] = _tensors(seal, name, content) if stem in parts or seal.manifest["format"] != FORMAT else {}
    if wrong := seal.compare(about):
        raise CheckpointError("; ".join(wrong), where=str(folder))
    snapshot = Snapshot(files, about[STATE])
    try:
        for number in range(seal.manifest["format"], FORMAT):
            snapshot = MIGRATIONS[number](snapshot)
            schema.check_parts(snapshot.files)
            schema.check_state(snapshot.state, seal.manifest["step"])
    except ValueError as error:
        raise CheckpointError(f"{folder.name} is refused: {error}", where=str(folder)) from None
    return Checkpoint(folder, _by_own_names(snapshot), seal.manifest, seal.notes())


def _tensors(seal: verified.Sealed, name: str, content: bytes) -> dict[str, Tensor]:
    from safetensors.torch import load

    try:
        return load(content)
    except Exception as error:  # the library has several kinds, and says nothing of which
        what = f"{seal.folder.name}: {name} holds tensors that cannot be read: {error}"
        raise CheckpointError(what, where=str(seal.folder)) from error


def _by_own_names(snapshot: Snapshot) -> Snapshot:
    """Give tensors their own names back, which their files may not be able to hold."""
    state, files = dict(snapshot.state), dict(snapshot.files)
    for stem, listed in state.pop("tensors", {}).items():
        stored = tensor_table.stored_names(map(tensor_table.unescaped, listed))
        files[stem] = {name: files[stem][kept] for name, kept in stored.items() if kept in files[stem]}
    return evolve(snapshot, files=files, state=state)


def newest(folder: Path, parts: Collection[str] = schema.PARTS) -> tuple[Checkpoint | None, list[str]]:
    """Read the newest checkpoint that verifies, or some of its parts; also say why newer ones did not."""
    damaged: dict[Path, str] = {}
    # a listing made while a training process renames may show neither the old folder nor the new: look twice
    while left := [path for path in (steps(folder) or steps(folder)) if path not in damaged]:
        try:
            return read(left[-1], parts), list(damaged.values())
        except CheckpointError as error:
            if left[-1].exists():  # otherwise a training process has pruned it: look what there is now
                damaged[left[-1]] = error.what
    return None, list(damaged.values())
