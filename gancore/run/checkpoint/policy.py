"""What a run keeps of its training: checkpoints, written whole, tried again where the disk is full, and thinned out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from gancore.errors import CheckpointError, NumbersError
from gancore.recipe.compose import Composition
from gancore.run import directory
from gancore.run.checkpoint import reader, writer
from gancore.run.checkpoint.state import Snapshot, capture
from gancore.run.metrics_log import MetricsLog
from gancore.run.resume_checks import fixed_part
from gancore.train.loop import Training

PERSISTENCE = 3  # saves that may fail, one after another


@define(eq=False)
class Checkpoints:
    """Keeps the checkpoints of one run, and what they must know beside the training.

    `rows` counts the rows of the log when it was last opened, `row_step` is the step of the newest.
    """

    folder: Path
    composition: Composition
    notes: list[str] = field(factory=list)
    data: str = ""  # the fingerprint
    rows: int = 0
    row_step: int = 0
    unsaved: int = 0  # saves that failed, one after another
    held: directory.Held | None = None  # while the run trains

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / directory.CHECKPOINTS

    @property
    def last(self) -> str:
        """Say which checkpoint is the newest."""
        saved = writer.steps(self.checkpoints)
        return f"last checkpoint: {saved[-1].name if saved else 'none'}"

    def save(self, training: Training, log: MetricsLog, *, last: bool = False) -> None:
        """Write a checkpoint. A disk that takes none is told and tried again; after three, CheckpointError is raised.

        The first and the last save of a run must succeed.
        """
        try:
            self._write(training, log)
            self.unsaved = 0
        except (CheckpointError, OSError) as error:
            self.unsaved += 1
            what = error.what if isinstance(error, CheckpointError) else f"the log cannot be written: {error.strerror}"
            if last or self.unsaved >= PERSISTENCE or training.step == 0:
                where = f"{self.folder}; {self.last}"
                fix = error.fix if isinstance(error, CheckpointError) and error.fix else "free some space"
                raise CheckpointError(what, where=where, fix=f"{fix}, then --resume") from error
            self.notes.append(f"{what}; training goes on, and the next save tries again")

    def _write(self, training: Training, log: MetricsLog) -> None:
        if moved := self.misplaced():
            what = f"the checkpoint of step {training.step} was not saved: {moved}"
            raise CheckpointError(what, where=str(self.folder), fix="give the folder its name back")
        log.sync()
        snapshot = self.capture(training, log)
        check_weights(snapshot, training.step)
        settings = self.composition.settings
        writer.write(self.checkpoints, snapshot, self.plugins())
        writer.prune(self.checkpoints, settings.keep, settings.keep_every)

    def misplaced(self) -> str:
        """Say that the run's folder was renamed or removed while it trains; '' where it is in its place."""
        return self.held.misplaced() if self.held is not None else ""

    def capture(self, training: Training, log: MetricsLog) -> Snapshot:
        """Copy out everything that a resume needs."""
        plan, snapshot = training.context.plan, capture(training)
        state = {
            **snapshot.state,
            "attempt": training.context.streams.attempt,
            "seed": self.composition.settings.seed,
            "recipe": fixed_part(self.composition),
            "data": self.data,
            "rows": log.rows,
            "row_step": self.row_step,
            "shape": list(plan.shape),
            "label_sets": [{"name": each.name, "classes": list(each.classes)} for each in plan.label_sets],
        }
        return evolve(snapshot, state=state)

    def plugins(self) -> dict[str, Any]:
        """Say which component of which distribution goes by each name."""
        return {
            each.name: {"component": each.component_name, "distribution": each.distribution, "version": each.version}
            for each in self.composition.chosen
        }

    def newest(self) -> reader.Checkpoint | None:
        """Read the newest intact checkpoint, None before the first. Raises CheckpointError if all are damaged."""
        found, warnings = reader.newest(self.checkpoints)
        self.notes += [f"passed over a damaged checkpoint: {warning}" for warning in warnings]
        if found is None and warnings:
            raise CheckpointError(
                f"no checkpoint of {self.folder} is intact", where="; ".join(warnings), fix="start a new run"
            )
        return found


def check_weights(snapshot: Snapshot, step: int) -> None:
    """Raise NumbersError naming the first stored weight or moment that is not finite: such a state is never saved."""
    for part in ("generator", "critic", "optim"):
        for name, tensor in snapshot.files[part].items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise NumbersError(f"{part}: {name} is no longer finite at step {step}", fix="lower the learning rate")
