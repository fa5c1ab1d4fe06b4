"""Save the checkpoints of a run: add facts about the run, retry failed saves, remove old ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from gancore.errors import CheckpointError, NumbersError
from gancore.recipe.compose import Composition
from gancore.run import directory
from gancore.run.checkpoint import reader, writer
from gancore.run.checkpoint.state import Snapshot, capture, describe_label_set
from gancore.run.metrics_log import MetricsLog
from gancore.run.resume_checks import fixed_part
from gancore.train.loop import Training

MOST_FAILURES = 3  # saves that fail one after another before the run ends


@define(eq=False)
class Checkpoints:
    """The checkpoints of one run, with the facts that are stored beside the state of the training.

    `rows` is the number of rows of the log when it was last opened, `row_step` the step of the
    newest.
    """

    folder: Path
    composition: Composition
    notes: list[str] = field(factory=list)
    data: str = ""  # fingerprint
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
        """The newest checkpoint in words, e.g. `last checkpoint: step-000000200`."""
        saved = writer.steps(self.checkpoints)
        return f"last checkpoint: {saved[-1].name if saved else 'none'}"

    def save(self, training: Training, log: MetricsLog, *, last: bool = False) -> None:
        """Write a checkpoint.

        On a write error warn and retry at the next save; raise CheckpointError after three in a
        row. The first and the last save of a run must succeed.
        """
        try:
            self._write(training, log)
            self.unsaved = 0
        except (CheckpointError, OSError) as error:
            self.unsaved += 1
            if isinstance(error, CheckpointError):
                what = error.what
                fix = error.fix
            else:
                what = f"the log cannot be written: {error.strerror}"
                fix = writer.fix_of(error)
            # A first save that fails will hardly succeed later, and after the last there is no next
            # one to make up for it.
            if last or self.unsaved >= MOST_FAILURES or training.step == 0:
                where = f"{self.folder}; {self.last}"
                raise CheckpointError(what, where=where, fix=f"{fix}, then --resume") from error
            self.notes.append(f"{what}; training goes on, and the next save tries again")

    def _write(self, training: Training, log: MetricsLog) -> None:
        if moved := self.misplaced():
            what = f"the checkpoint of step {training.step} was not saved: {moved}"
            raise CheckpointError(what, where=str(self.folder), fix="give the folder its name back")
        log.sync()  # a checkpoint may not be newer than the log that it counts the rows of
        snapshot = self.capture(training, log)
        check_weights(snapshot, training.step)
        settings = self.composition.settings
        writer.write(self.checkpoints, snapshot, self.plugins())
        # old ones go only now that a newer one is safe on the disk
        writer.prune(self.checkpoints, settings.keep, settings.keep_every)

    def misplaced(self) -> str:
        """Return how the run's folder was moved while the run trains; empty if it was not."""
        return self.held.misplaced() if self.held is not None else ""

    def capture(self, training: Training, log: MetricsLog) -> Snapshot:
        """Copy everything that a resumed run needs."""
        plan = training.context.plan
        snapshot = capture(training)
        label_sets = [describe_label_set(each) for each in plan.label_sets]
        # no time, host or path: a resumed run must write the same bytes as one never stopped
        state = {
            **snapshot.state,
            "attempt": training.context.streams.attempt,
            "seed": self.composition.settings.seed,
            "recipe": fixed_part(self.composition),
            "data": self.data,
            "rows": log.rows,
            "row_step": self.row_step,
            "shape": list(plan.shape),
            "label_sets": label_sets,
        }
        return evolve(snapshot, state=state)

    def plugins(self) -> dict[str, Any]:
        """Return component, distribution and version by the name of the component."""
        found = {}
        for each in self.composition.chosen:
            found[each.name] = {
                "component": each.component_name,
                "distribution": each.distribution,
                "version": each.version,
            }
        return found

    def newest(self) -> reader.Checkpoint | None:
        """Read the newest intact checkpoint, None before the first.

        Raises CheckpointError if all are damaged.
        """
        found, warnings = reader.newest(self.checkpoints)
        self.notes += [f"passed over a damaged checkpoint: {warning}" for warning in warnings]
        if found is None and warnings:
            # to begin at step 0 without a word would lose what was trained
            raise CheckpointError(
                f"no checkpoint of {self.folder} is intact",
                where="; ".join(warnings),
                fix="start a new run",
            )
        return found


def check_weights(snapshot: Snapshot, step: int) -> None:
    """Raise NumbersError naming the first weight or moment that is not finite.

    Such a state is never saved.
    """
    for part in ("generator", "critic", "optim"):
        for name, tensor in snapshot.files[part].items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise NumbersError(
                    f"{part}: {name} is no longer finite at step {step}",
                    fix="lower the learning rate",
                )
