"""A step that failed: its traceback is kept, and a short error names the component, the hook and the step."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from gancore.errors import GanError, PluginError
from gancore.hooks import Chosen
from gancore.run import _fs, checkpoint
from gancore.run.guard import culprit_of, origin


def report(error: Exception, folder: Path, step: int, chosen: Sequence[Chosen]) -> GanError:
    """Keep the traceback in `failed/step-N/` and return what to tell; our own errors, which have no cause, stay."""
    if isinstance(error, GanError) and not (isinstance(error, PluginError) and error.__cause__):
        return error
    kept = keep_traceback(error, folder, step)
    saved = checkpoint.steps(folder / "checkpoints")
    mend = f"read {kept}; " if kept else ""
    mend += f"`gan run --resume {folder}` goes on from {saved[-1].name}" if saved else "--debug shows the traceback"
    if isinstance(error, PluginError):
        return PluginError(error.what, where=f"{error.where}, {folder}", mend=mend)
    culprit, line = culprit_of(error, chosen)
    what = f"step {step} failed: {type(error).__name__}: {error}"
    if culprit is None:
        return GanError(what, where=str(folder), mend=mend)
    return PluginError(f"{culprit.name} failed: {what}", where=f"{origin(culprit)}, {line}, {folder}", mend=mend)


def keep_traceback(error: Exception, folder: Path, step: int) -> Path | None:
    """Write the traceback of a failed step; None where even that cannot be written."""
    path = folder / "failed" / checkpoint.name_of(step) / "traceback.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fs.replace(path, "".join(traceback.format_exception(error)).encode(errors="replace"))
    except OSError:
        return None
    return path
