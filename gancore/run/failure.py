"""A step that failed: its traceback is kept, and a short error names the component, the hook and the step."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from gancore.errors import GanError, PluginError
from gancore.hooks import Chosen
from gancore.loop import Training
from gancore.run import _fs, checkpoint, directory
from gancore.run.guard import culprit_of, origin
from gancore.run.memory import MIB, peak_memory

UPDATES = {
    "update_critic": "the critic's update",
    "update_generator": "the generator's update",
    "update_both": "the update of both players",
    "update_in_turn": "the update of both players",
    "draw_samples": "the drawing of samples",
    "_row": "the measuring of a row",
    "save": "the saving of a checkpoint",
}


def report(error: Exception, folder: Path, training: Training, chosen: Sequence[Chosen]) -> Exception:
    """Keep the traceback in `failed/step-N/` and return what to tell; our own errors, which have no cause, stay.

    So do those of the disk, which name their file themselves.
    """
    step, short = training.step, explain_memory(error, training)
    own = isinstance(error, GanError) and not (isinstance(error, PluginError) and error.__cause__)
    if short is None and (own or isinstance(error, OSError)):
        return error
    kept = keep_traceback(error, folder, step)
    saved = checkpoint.steps(folder / directory.CHECKPOINTS)
    mend = f"read {kept}; " if kept else ""
    mend += f"`gan run --resume {folder}` goes on from {saved[-1].name}" if saved else "--debug shows the traceback"
    if short is not None:
        return GanError(short.what, where=str(folder), mend=f"{short.mend}; {mend}")
    if isinstance(error, PluginError):
        return PluginError(error.what, where=f"{error.where}, {folder}", mend=mend)
    culprit, line = culprit_of(error, chosen)
    what = f"step {step} failed: {type(error).__name__}: {error}"
    if culprit is None:
        return GanError(what, where=str(folder), mend=mend)
    return PluginError(f"{culprit.name} failed: {what}", where=f"{origin(culprit)}, {line}, {folder}", mend=mend)


def keep_traceback(error: Exception, folder: Path, step: int) -> Path | None:
    """Write the traceback of a failed step; None where even that cannot be written."""
    path = folder / directory.FAILED / checkpoint.name_of(step) / "traceback.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fs.replace(path, "".join(traceback.format_exception(error)).encode(errors="replace"))
    except OSError:
        return None
    return path


# ── memory that ends ──────────────────────────────────────────────────────────────────────────────────────────


def explain_memory(error: BaseException, training: Training) -> GanError | None:
    """Say which part of a step did not fit, and what would; None for an error of another kind."""
    causes = list(_causes(error))
    if not any(_is_memory(cause) for cause in causes):
        return None
    plan, device = training.game.plan, training.game.gan.device
    frames = [frame.name for cause in causes for frame in traceback.extract_tb(cause.__traceback__)]
    phase = next((UPDATES[name] for name in reversed(frames) if name in UPDATES), "this step")
    sides = "×".join(map(str, plan.shape))
    smaller = f"--batch {max(1, plan.batch // 2)}" + (", or a smaller --size" if plan.images else "")
    return GanError(
        f"out of memory in {phase} at step {training.step}, with {plan.batch} samples of {sides} ({_memory(device)})",
        mend=f"{smaller} (in a new run), or end other programs and --resume",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # of torch's allocator on the CPU
    )


def _memory(device: torch.device) -> str:
    if device.type == "cuda":
        used, total = torch.cuda.max_memory_allocated(device), torch.cuda.mem_get_info(device)[1]
    else:
        used = int(peak_memory() * MIB)
        if not used:
            return "memory unknown"
        try:
            total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (ValueError, OSError):
            return "memory unknown"
    return f"at most {used / 2**30:.1f} of {total / 2**30:.1f} GiB were used"
