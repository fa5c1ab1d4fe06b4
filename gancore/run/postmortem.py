"""What is kept of a run that failed: `failed/step-N/`, beside the good checkpoints and never one of
them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from gancore.errors import GanError, NumbersError
from gancore.plugins.slots import ROLES
from gancore.run import atomic, directory
from gancore.run.checkpoint import verified, writer
from gancore.run.checkpoint.state import Snapshot
from gancore.run.failure import weight_count
from gancore.train.loop import Training
from gancore.train.precision import HALF
from gancore.train.sampling import draw_samples

LARGE = 1e4  # scores beyond this come of a critic that runs away


# ── numbers that are no longer finite ────────────────────────────────────────────────────────


def keep_numbers(
    folder: Path,
    training: Training,
    error: NumbersError,
    capture: Callable[[], Snapshot],
    plugins: dict[str, Any],
) -> Path | None:
    """Write weights, the last reals and a report below a run's `failed/`.

    Return where, None where it cannot be had.

    The networks are used once more, in training mode: to continue, restore them from a checkpoint
    first.
    """
    place = folder / directory.FAILED / verified.folder_name(training.step)
    # without any of it where the disk takes none: the error itself must still reach the user
    with suppress(OSError):
        place.parent.mkdir(exist_ok=True)
        if place.exists():
            atomic.remove(place)
        with suppress(GanError):  # a component's state may be what cannot be stored
            writer.write(place.parent, capture(), plugins)
        place.mkdir(exist_ok=True)
        samples, labels = last_reals(training)
        atomic.write_new(
            place / "batch.safetensors", save({"samples": samples.contiguous(), "labels": labels})
        )
        atomic.write_new(
            place / "report.txt", "\n".join([str(error), "", *findings(training), ""]).encode()
        )
        return place
    return None


def last_reals(training: Training) -> tuple[Tensor, Tensor]:
    """Gather the reals of the newest batch again, on the CPU: samples `[N, *shape]`, labels `[N,
    L]`.
    """
    if training.context.data is None:
        return torch.empty(0), torch.empty(0, 0)
    samples, labels = training.reals(max(0, training.batches - 1))()
    return samples.cpu(), labels.cpu()


def findings(training: Training) -> Iterator[str]:
    """Say what a person would look for: rates, ranges, and in each player the first thing that is
    not finite.
    """
    gan = training.context.gan
    broken = False
    for role in ROLES:
        player = gan.player(role)
        rates = ", ".join(f"{group['lr']:.4g}" for group in player.optimizer.param_groups)
        yield f"{role}: learning rate {rates}"
        for name, weight in player.state_dict().items():
            if not _finite(weight):
                broken = True
                count = int((~weight.isfinite()).sum())
                yield f"{role}: {count} of {weight.numel()} numbers of {name} are not finite"
                break
    samples, labels = last_reals(training)
    yield f"reals: {_range(samples)}"
    with torch.no_grad():
        made = draw_samples(training.context, training.context.plan.batch, "measure")[0]
        yield f"samples: {_range(made)}"
        reals = samples.to(gan.device), labels.to(gan.device)
        module = first_wrong(gan.critic.network, *reals)
        yield f"critic: first module whose output is not finite: {module}"
        scores = gan.critic.network(*reals).score
    yield f"critic: scores of reals {_range(scores)}"
    yield "likely: " + likely_cause(training, broken, scores)


def likely_cause(training: Training, broken: bool, scores: Tensor) -> str:
    """Guess, from what is and what is not finite."""
    if broken:
        return "an update took a weight out of range: a learning rate that is too high"
    if _finite(scores) and scores.abs().max() > LARGE:
        remedy = "a constraint on its slope, or a lower learning rate of the critic"
        return f"the critic runs away: {remedy}"
    if training.context.runtime.precision in HALF:
        return f"{training.context.runtime.precision} overflowed: --precision fp32"
    return (
        "a term itself: the logarithm of 0 (use logits), "
        "or the slope of a root at 0 (add ε inside it)"
    )


def first_wrong(net: nn.Module, *inputs: Tensor) -> str:
    """Name the first module of a network whose output is not finite, or say that there is none."""
    found: list[str] = []

    def look(name: str, module: nn.Module, output: Any) -> None:
        if isinstance(output, Tensor) and not _finite(output):
            found.append(f"{name} ({type(module).__name__})")

    handles = []
    for name, module in net.named_modules():
        # those without parts of their own, so that a layer is named and not the network around it
        if name and not list(module.children()):
            handles.append(
                module.register_forward_hook(
                    lambda module, _, output, name=name: look(name, module, output)
                )
            )
    try:
        net(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else "none"


def _finite(values: Tensor) -> bool:
    return not values.is_floating_point() or bool(values.isfinite().all())


def _range(values: Tensor) -> str:
    if not values.numel():
        return "none"
    return f"from {values.min():.4g} to {values.max():.4g}, mean {values.float().mean():.4g}"


# ── room on the disk ─────────────────────────────────────────────────────────────────────────


def room_note(folder: Path, training: Training) -> list[str]:
    """Warn where a disk has no room for two checkpoints: float32 weights and two moments each."""
    free = shutil.disk_usage(folder).free
    # two, since an old checkpoint is removed only after a newer one is complete
    needed = 2 * 12 * weight_count(training.context.gan)
    if free >= needed:
        return []
    note = f"the disk has {free / 2**20:,.0f} MiB free"
    return [f"{note}, but two checkpoints need about {needed / 2**20:,.0f} MiB"]
