"""A run on disk: its composition, its training and the folder that keeps both.

Start, resume or load one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from attrs import define, evolve, field
from torch import Tensor

from gancore.distributed.group import ProcessGroup
from gancore.errors import CheckpointError, DataError, UsageError
from gancore.guard.hooks import guarded
from gancore.hardware.device import choose_runtime, precision_note
from gancore.plugins.loading import is_file
from gancore.recipe.compose import Composition, resolve
from gancore.recipe.settings import RESUMABLE
from gancore.recipe.toml import Layer, read_recipe
from gancore.run import directory, plugins, postmortem, previous_session
from gancore.run.checkpoint import reader, schema
from gancore.run.checkpoint.policy import Checkpoints
from gancore.run.checkpoint.state import restore, restore_generator
from gancore.run.load import open_generator, open_players, stored_plan
from gancore.run.plan_length import plan_steps
from gancore.run.prepare import (
    adapt_data_of,
    open_data_of,
    prepare,
    read_data_of,
    with_chosen_size,
    with_fitting_choices,
)
from gancore.run.remarks import few_note, label_note
from gancore.run.resume_checks import expect_recipe, recipe_changes
from gancore.train.build import require_slots
from gancore.train.context import TrainingContext
from gancore.train.data import Data, DataOrder, data_tags
from gancore.train.loop import Training
from gancore.train.precision import Runtime
from gancore.train.rng import Streams
from gancore.train.sampling import draw_samples


def open_new(
    composition: Composition, runtime: Runtime, minutes: float | None = None
) -> tuple[Composition, Data]:
    """Open the data of a new run.

    Return the composition with what is decided now: what its recipes choose for such data, the size
    of images, and the length of a run that is to take so many `minutes`.
    """
    read = read_data_of(composition, runtime)
    composition = with_chosen_size(with_fitting_choices(composition, read))
    if minutes is not None:
        composition = plan_steps(composition, read, runtime, minutes)
    return composition, adapt_data_of(composition, read)


def make_folder(composition: Composition, out: Path | None, overwrite: bool) -> Path:
    """Make a run's folder, `runs/GEN-LOSS-K` where none is named, with its resolved recipe.

    Raises UsageError.
    """
    if out is None:
        gen = _short_name(composition, "gen")
        loss = _short_name(composition, "loss")
        folder = directory.claim(f"{gen}-{loss}")
    else:
        folder = out
    if overwrite and out is not None and folder.exists():
        directory.set_aside(folder)
    directory.create(folder, composition.recipe())
    return folder


def _short_name(composition: Composition, slot: str) -> str:
    """Return the name of a slot's component without alias, folder and extension."""
    wanted = composition.slots[slot][0].rpartition("=")[2]
    return Path(wanted).stem


@define(eq=False, repr=False)
class Session:
    """A run on disk, at the step that its training has reached. `gancore.Run` adds the loop.

    - `folder`: the directory of the run.
    - `composition`: its components and settings.
    - `training`: its networks, optimisers and counters.
    - `notes`: sentences for the user, in the order in which they arose.

    Internal: `checkpoints`, `longer`.
    """

    folder: Path
    composition: Composition
    training: Training
    notes: list[str] = field(factory=list)
    checkpoints: Checkpoints = field(init=False, repr=False)
    _new: bool = field(default=False, init=False)  # its folder was made for it

    @checkpoints.default
    def _checkpoints(self) -> Checkpoints:
        return Checkpoints(self.folder, self.composition, self.notes)

    def __repr__(self) -> str:
        """Name the run and say where it is, in one short line."""
        return f"<{type(self).__name__} {self.folder}: {self.position}>"

    @property
    def group(self) -> ProcessGroup:
        """The processes that share this run."""
        return self.training.context.runtime.group

    @classmethod
    def start(
        cls,
        composition: Composition,
        out: Path | str | None = None,
        *,
        overwrite: bool = False,
        minutes: float | None = None,
    ) -> Self:
        """Make a new run: open the data, build the networks, then create the directory with the
        resolved recipe. What recipes choose for such data is chosen now.

        With `overwrite` a folder that is in the way is moved aside, never deleted. Raises
        UsageError for one without. `minutes` (above 0) replaces the length that the settings give
        by as many steps as this machine trains in that time; some steps are measured first.
        """
        composition = guarded(composition)
        runtime = choose_runtime(composition.settings)
        wanted = None if out is None else Path(out)
        require_slots(composition)
        if runtime.group.is_main:
            directory.expect_free(wanted, overwrite=overwrite)
        composition, data = open_new(composition, runtime, minutes)
        training = prepare(composition, data, runtime)
        fingerprint = data.fingerprint()
        made = ""
        if runtime.group.is_main:
            # only now: a run that is refused before leaves no folder behind
            made = str(make_folder(composition, wanted, overwrite))
        # the first process alone knows which K of `runs/NAME-K` was free
        folder = Path(runtime.group.broadcast_text(made))
        notes = [*composition.notes, *composition.check(data_tags(data))]
        run = cls(folder, composition, training, notes)
        run.checkpoints.data = fingerprint
        run._new = runtime.group.is_main
        run.notes += [*precision_note(runtime), *postmortem.room_note(folder, training)]
        run.notes += [*few_note(data, composition.settings.batch), *label_note(composition, data)]
        return run

    @classmethod
    def resume(
        cls,
        folder: Path | str,
        changes: Sequence[Layer] = (),
        files: Callable[[str], bool] = lambda _: False,
        *,
        changed_data: bool = False,
    ) -> Self:
        """Take a run up where its newest intact checkpoint left it.

        From step 0 where it has none yet.

        `changes` may only touch settings that do not alter what is computed. Raises UsageError for
        a folder that is no run or a change that is not allowed, GanError where another process
        trains the run, CheckpointError where checkpoints exist but none is intact, DataError for
        other data than the run was trained on unless `changed_data` allows them.
        """
        folder = Path(folder)
        composition = reopen(folder, changes, files)
        runtime = choose_runtime(composition.settings)
        if runtime.group.is_main:
            # a run that goes back to a checkpoint is resumed by the process that holds its lock
            directory.refuse_in_use(folder, by_others=True)
        data = open_data_of(composition)
        run = cls(folder, composition, prepare(composition, data, runtime))
        checkpoints = run.checkpoints
        fingerprint = data.fingerprint()
        checkpoints.data = fingerprint
        found = checkpoints.newest()
        if found is not None:
            state = found.snapshot.state
            if state["data"] != fingerprint and not changed_data:
                raise DataError(
                    "the data is not what the run was trained on",
                    where=str(folder),
                    fix="give back the data it had, or --accept-changed-data",
                )
            recipe = str(folder / directory.RECIPE)
            expect_recipe(composition, state, recipe, changed_data=changed_data)
            notes = plugins.compare_versions(found.manifest.get("plugins", {}), composition)
            restore(run.training, found.snapshot)
            run.training.retry(state["attempt"])
            checkpoints.rows = state["rows"]
            checkpoints.row_step = state.get("row_step", 0)
            run.notes += [*found.notes, *notes]
        manifest = found.manifest if found is not None else {}
        run.notes += previous_session.remarks(folder, run.training.step, runtime.device, manifest)
        if found is not None and run.share >= 1:
            run.notes.append(
                f"nothing is left to train: the run is at {run.position}; "
                f"to go on, e.g. {run.longer}"
            )
        return run

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        device: str = "auto",
        files: Callable[[str], bool] = lambda _: False,
    ) -> Self:
        """Open a run to draw samples from its newest intact checkpoint; the data need not be there.

        No optimiser is built, and the critic only when something asks for it.
        """
        folder = Path(folder)
        directory.expect(folder)
        recorded = read_recipe(folder / directory.RECIPE).layer
        lost = plugins.absent(recorded)
        composition = guarded(resolve([plugins.spare(recorded, lost, folder)], files, exact=True))
        found, notes = reader.newest(folder / directory.CHECKPOINTS, schema.PARTS - {"optim"})
        if found is None:
            raise CheckpointError(
                f"{folder} has no checkpoint to sample from", fix=f"gan run --resume {folder}"
            )
        snapshot = found.snapshot
        settings = composition.settings
        # where components are lost it differs for sure, and notes say so
        changes = [] if lost else recipe_changes(composition, snapshot.state)
        if changes:
            notes.append(f"the recipe was changed since the run was trained: {'; '.join(changes)}")
        streams = Streams(settings.seed)
        runtime = choose_runtime(evolve(settings, device=device))
        plan = stored_plan(composition, streams, snapshot)
        if lost:
            gan = open_generator(composition.hooks, plan, streams, runtime.device)
        else:
            gan, runtime = open_players(composition, plan, streams, runtime, snapshot)
        # no data and batches of one: nothing is trained
        context = TrainingContext(gan, composition.hooks, plan, streams, runtime, None)
        training = Training(context, DataOrder(1, 1, streams))
        try:
            restore_generator(training, snapshot, whole=not lost)
        except CheckpointError:
            # what is lost explains the error better, where anything is
            plugins.require(lost, folder)
            raise
        training.retry(snapshot.state["attempt"])
        for each in lost:
            notes.append(f"{each.wanted} is not installed; the generator is sampled without it")
        return cls(folder, composition, training, notes)

    # ── where it is ─────────────────────────────────────────────────────────────────────────

    @property
    def share(self) -> float:
        """How much of the run is done, from 0 to 1; 1 for a run of no steps."""
        settings = self.composition.settings
        training = self.training
        if settings.epochs:
            return min(1.0, training.epoch / settings.epochs)
        return min(1.0, training.step / settings.steps) if settings.steps else 1.0

    @property
    def position(self) -> str:
        """Say where the run is and how long it is to be, e.g. `step 400 of 1000`."""
        settings = self.composition.settings
        training = self.training
        if settings.epochs:
            return f"epoch {training.epoch:.4g} of {settings.epochs}"
        return f"step {training.step} of {settings.steps}"

    @property
    def longer(self) -> str:
        """Return the words that would make the run twice as long as it is now."""
        settings = self.composition.settings
        training = self.training
        if settings.epochs:
            return f"--epochs {max(1, math.ceil(2 * training.epoch))}"
        return f"--steps {max(1, 2 * training.step)}"

    def sample(
        self, n: int, labels: Tensor | None = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw n samples `[n, *shape]` (images in [-1, 1]) and their labels `[n, L]` on the CPU, in
        evaluation mode.

        Labels have the frequencies of the data unless `labels [n, L]` are given. The same `seed`
        gives the same latents. There may be fewer rows, where a component selects.
        """
        return draw_samples(
            self.training.context, n, "sample", -1 if seed is None else seed, labels=labels
        )


def reopen(folder: Path, changes: Sequence[Layer], files: Callable[[str], bool]) -> Composition:
    """Resolve a run's own recipe exactly, with changed settings.

    Raises UsageError for changes that are not allowed.
    """
    directory.expect(folder)
    for layer in changes:
        for slot, given in layer.slots.items():
            if not all(map(is_file, layer.names(slot))):
                raise UsageError(
                    f"{slot} cannot change when a run is resumed",
                    where=given.where,
                    fix="leave it out, or start a new run",
                )
        for table, options in layer.options.items():
            for name, given in options.items():
                if table != "run" or name not in RESUMABLE:
                    label = name if table == "run" else f"{table}.{name}"
                    raise UsageError(
                        f"{label} cannot change when a run is resumed",
                        where=given.where,
                        fix=f"only {', '.join(sorted(RESUMABLE))} may; or start a new run",
                    )
    kept = [evolve(layer, slots={}) for layer in changes]
    recorded = read_recipe(folder / directory.RECIPE).layer
    plugins.require(plugins.absent(recorded), folder)
    return guarded(resolve([recorded, *kept], files, exact=True))
