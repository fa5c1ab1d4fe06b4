"""A step that failed: its traceback is kept, and a short error names the component, the hook and
the step.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from gancore.errors import GanError, PluginError, UsageError
from gancore.guard.hooks import culprit_of, origin
from gancore.hardware.memory import MIB, peak_memory
from gancore.plugins.calling import Component
from gancore.plugins.slots import ROLES
from gancore.run import atomic, directory
from gancore.run.checkpoint import verified, writer
from gancore.train.data import machine_memory
from gancore.train.loop import Training
from gancore.train.networks import GAN

OF_A_FLAG = re.compile(r"--\S+ [\d,x]+$")  # where a number was given on the command line
# By the function that does it: the innermost of these in a traceback says where memory ended.
PHASES = {
    "update_critic": "the critic's update",
    "update_generator": "the generator's update",
    "update_both": "the update of both players",
    "update_in_turn": "the update of both players",
    "draw_samples": "the drawing of samples",
    "make_row": "the measuring of a row",
    "save": "the saving of a checkpoint",
}


def report(
    error: Exception, folder: Path, training: Training, chosen: Sequence[Component]
) -> Exception:
    """Keep the traceback in `failed/step-N/` and return what to tell.

    Our own errors, which have no cause, stay.

    So do those of the disk, which name their file themselves.
    """
    step = training.step
    short = explain_memory(error, training)
    own = isinstance(error, GanError) and not (isinstance(error, PluginError) and error.__cause__)
    if short is None and (own or isinstance(error, OSError)):
        return error
    kept = keep_traceback(error, folder, step)
    saved = writer.steps(folder / directory.CHECKPOINTS)
    fix = f"read {kept}; " if kept else ""
    fix += (
        f"`gan run --resume {folder}` goes on from {saved[-1].name}"
        if saved
        else "--debug shows the traceback"
    )
    if short is not None:
        return GanError(short.what, where=str(folder), fix=f"{short.fix}; {fix}")
    if isinstance(error, PluginError):
        return PluginError(error.what, where=f"{error.where}, {folder}", fix=fix)
    culprit, line = culprit_of(error, chosen)
    what = f"step {step} failed: {type(error).__name__}: {error}"
    if culprit is None:
        return GanError(what, where=str(folder), fix=fix)
    return PluginError(
        f"{culprit.name} failed: {what}", where=f"{origin(culprit)}, {line}, {folder}", fix=fix
    )


def keep_traceback(error: Exception, folder: Path, step: int) -> Path | None:
    """Write the traceback of a failed step; None where even that cannot be written."""
    path = folder / directory.FAILED / verified.folder_name(step) / "traceback.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.replace(path, "".join(traceback.format_exception(error)).encode(errors="replace"))
    except OSError:
        return None
    return path


# ── memory that ends ─────────────────────────────────────────────────────────────────────────


def explain_memory(error: BaseException, training: Training) -> GanError | None:
    """Say which part of a step did not fit, and what would; None for an error of another kind."""
    causes = list(_causes(error))
    if not any(map(_is_memory, causes)):
        return None
    plan = training.context.plan
    device = training.context.gan.device
    sides = "×".join(map(str, plan.shape))
    smaller = f"--batch {max(1, plan.batch // 2)}"
    if plan.images:
        smaller += ", or a smaller --size"
    return GanError(
        f"out of memory in {_phase_of(causes)} at step {training.step}, "
        f"with {plan.batch} samples of {sides} ({_memory(device)})",
        fix=f"{smaller} (in a new run), or end other programs and --resume",
    )


def _phase_of(causes: Sequence[BaseException]) -> str:
    phase = "this step"
    for cause in causes:
        for frame in traceback.extract_tb(cause.__traceback__):
            phase = PHASES.get(frame.name, phase)
    return phase


@contextmanager
def memory_explained(doing: str, origins: Mapping[str, str]) -> Iterator[None]:
    """Raise UsageError where memory ends while data or networks are made, with the options that ask
    for so much.

    `origins` says where each option was given, as `Composition.origins` does; those of the command
    line are named.
    """
    try:
        yield
    except Exception as error:
        causes = list(filter(_is_memory, _causes(error)))
        if not causes:
            raise
        asked = re.search(r"allocate ([\d.]+) ?(bytes|[KMGT]iB)", str(causes[-1]))
        amount = f": {_readable(asked[1], asked[2])} were asked for at once" if asked else ""
        raise UsageError(
            f"out of memory while {doing}{amount}", where=_machine(), fix=_smaller(origins)
        ) from error


def weight_count(gan: GAN) -> int:
    """Count the weights of both players, one number each."""
    count = 0
    for role in ROLES:
        count += sum(weight.numel() for weight in gan.player(role).parameters)
    return count


def expect_weights_fit(weights: int, origins: Mapping[str, str]) -> None:
    """Raise UsageError for networks on the CPU whose weights and gradients are more than the
    machine's memory.
    """
    needed = 8 * weights  # four bytes each, and four of its gradient
    total = machine_memory()
    if total and needed > total:
        size = f"{needed / 2**30:,.0f} GiB"
        what = f"the networks have {weights:,} weights, which take {size} with their gradients"
        raise UsageError(what, where=_machine(), fix=_smaller(origins))


def _readable(amount: str, unit: str) -> str:
    return f"{int(amount) / 2**30:,.1f} GiB" if unit == "bytes" else f"{float(amount):g} {unit}"


def _machine() -> str:
    total = machine_memory()
    return f"a machine with {total / 2**30:.0f} GiB of memory" if total else ""


def _smaller(origins: Mapping[str, str]) -> str:
    given: dict[str, int] = {}
    for where in origins.values():
        if OF_A_FLAG.match(where):
            given[where] = max(map(int, re.findall(r"\d+", where)))
    # whatever the options mean: the largest numbers ask for the most memory
    largest = sorted(given, key=given.__getitem__, reverse=True)[:2]
    return f"smaller values: {', '.join(largest)}" if largest else "a smaller --size or --batch"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and "can't allocate memory" in str(error)  # of torch's allocator on the CPU
    )


def _memory(device: torch.device) -> str:
    if device.type == "cuda":
        used = torch.cuda.max_memory_allocated(device)
        total = torch.cuda.mem_get_info(device)[1]
    else:
        used = int(peak_memory() * MIB)
        if not used:
            return "memory unknown"
        total = machine_memory()
        if not total:
            return "memory unknown"
    return f"at most {used / 2**30:.1f} of {total / 2**30:.1f} GiB were used"
