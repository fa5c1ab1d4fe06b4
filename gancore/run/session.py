"""A run: a composition, its training, and the directory that keeps everything."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Self

import torch
from attrs import define, evolve, field
from torch import Tensor

from gancore.distributed.group import ProcessGroup
from gancore.errors import CheckpointError, CompositionError, DataError, GanError, NumbersError, PluginError, UsageError
from gancore.guard.gradients import FirstGradients
from gancore.guard.hooks import guarded
from gancore.hardware.device import choose_runtime, compile_networks, data_on_device, precision_note
from gancore.hardware.layout import use_channels_last
from gancore.plugins.loading import is_file
from gancore.plugins.slots import ROLES, SLOTS
from gancore.recipe.compose import Composition, resolve
from gancore.recipe.settings import LARGEST_SIDE, RESUMABLE, Settings
from gancore.recipe.toml import Layer, read_recipe
from gancore.run import directory, failure, plugins, postmortem, previous_session
from gancore.run.checkpoint import reader, schema, verified
from gancore.run.checkpoint.policy import Checkpoints
from gancore.run.checkpoint.state import restore, restore_generator
from gancore.run.directory import Row
from gancore.run.finite import check_finite
from gancore.run.load import open_generator, open_players, stored_plan
from gancore.run.metrics_log import MetricsLog, numbers
from gancore.run.pictures import grid, save_picture, scatter
from gancore.run.resume_checks import expect_recipe, recipe_changes
from gancore.train.build import build, make_plan
from gancore.train.context import Figures, TrainingContext
from gancore.train.data import Data, DataOrder, DataSpec
from gancore.train.loop import Training
from gancore.train.precision import Runtime
from gancore.train.progress import Progress
from gancore.train.replicas import expect_same
from gancore.train.rng import Streams
from gancore.train.sampling import class_labels, draw_samples, draw_untrained
from gancore.train.views import expect_labels

SHEET, CLOUD = 64, 1000  # samples in a grid of images, and in a scatter of points
STOPPED = "stopped"  # the picture that a run leaves where it was stopped
GO, STOP, BACK = 0, 1, 2  # what a process wants after a step; the highest counts
PATIENCE = 1000  # steps without reals before a run by epochs is taken to be endless


def open_data(composition: Composition) -> Data:
    """Open the data and fold every `adapt_data` over it. Raises DataError, or CompositionError for its rules."""
    hooks, spec = composition.hooks, DataSpec(composition.settings.image_size)
    with failure.memory_explained("the data were opened", composition.origins):
        data = hooks.first("make_data", spec=spec)
    if data is None:
        raise CompositionError("no data is chosen", fix="--data NAME|PATH    (`gan plugins data` lists them)")
    if spec.size and len(data.shape) != 3:
        raise UsageError("a size is given, but the data are points", where="--size", fix="leave --size out")
    with failure.memory_explained("the data were adapted", composition.origins):
        adapted: Data = hooks.fold("adapt_data", {"data": data}, spec=spec)["data"]
    if len(adapted) == 0:
        raise DataError("the data is empty")
    if len(adapted.shape) == 3 and max(adapted.shape[1:]) > LARGEST_SIDE:
        sides = "×".join(map(str, adapted.shape[1:]))
        what = f"the images have {sides} pixels, more than {LARGEST_SIDE} a side"
        raise UsageError(what, where="the data's own size", fix="--size 64 makes them smaller")
    return adapted


def data_tags(data: Data) -> set[str]:
    """Return the tags that rules about the data speak of."""
    tags = {"data.images" if len(data.shape) == 3 else "data.points"}
    return tags | {"data.labels"} if data.label_sets else tags


def prepare(composition: Composition, data: Data, runtime: Runtime) -> Training:
    """Check the rules of the data, build the networks, and return a training at step 0."""
    composition.check(data_tags(data))
    require_slots(composition)
    settings, streams = composition.settings, Streams(composition.settings.seed)
    plan = make_plan(composition.hooks, streams, data.shape, data.label_sets, settings.batch, data)
    with failure.memory_explained("the networks were built", composition.origins):
        gan = build(composition.hooks, plan, streams, runtime.device)
    if runtime.device.type == "cpu":
        weights = sum(weight.numel() for role in ROLES for weight in gan.player(role).parameters)
        failure.expect_weights_fit(weights, composition.origins)
    runtime = use_channels_last(gan, plan, runtime, settings.channels_last)
    context = TrainingContext(gan, composition.hooks, plan, streams, runtime, data)
    expect_labels(context)
    compile_networks(gan, settings.compile)
    return Training(context, DataOrder(len(data), settings.batch, streams), source=data_on_device(data, runtime))


def require_slots(composition: Composition) -> None:
    """Raise CompositionError where a slot that every run needs is empty."""
    for name, slot in SLOTS.items():
        if slot.to_train and name not in composition.slots:
            raise CompositionError(f"no {name} is chosen", fix=f"--{name} NAME    (`gan plugins` lists them)")


def make_folder(composition: Composition, out: Path | None, overwrite: bool) -> Path:
    """Make a run's folder, `runs/GEN-LOSS-K` where none is named, with its resolved recipe. Raises UsageError."""
    names = [Path(composition.slots[slot][0].rpartition("=")[2]).stem for slot in ("gen", "loss")]
    folder = directory.claim("-".join(names)) if out is None else out
    if overwrite and out is not None and folder.exists():
        directory.set_aside(folder)
    directory.create(folder, composition.recipe())
    return folder


@define(eq=False, repr=False)
class Run:
    """A run on disk. Make one by `start`, `resume` or `load`."""

    folder: Path
    composition: Composition
    training: Training
    notes: list[str] = field(factory=list)
    stop_after_step: bool = field(default=False, init=False)
    _idle: int = field(default=0, init=False)  # steps without reals
    _gradients: FirstGradients = field(factory=FirstGradients, init=False)
    _compared: bool = field(default=False, init=False)  # whether this process was compared with the others
    _new: bool = field(default=False, init=False)  # its folder was made for it
    heartbeat: Callable[[], object] = field(default=lambda: None, init=False, repr=False)  # called after every step
    keeper: Checkpoints = field(init=False, repr=False)

    @keeper.default
    def _keeper(self) -> Checkpoints:
        return Checkpoints(self.folder, self.composition, self.notes)

    def __repr__(self) -> str:
        """Name the run and say where it is, in one short line."""
        return f"<{type(self).__name__} {self.folder}: {self.position}>"

    @property
    def group(self) -> ProcessGroup:
        """The processes that share this run."""
        return self.training.context.runtime.group

    # ── making one ────────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def start(cls, composition: Composition, out: Path | str | None = None, *, overwrite: bool = False) -> Self:
        """Make a new run: open the data, build the networks, then create the directory with the resolved recipe.

        With `overwrite` a folder that is in the way is moved aside, never deleted. Raises UsageError for one without.
        """
        composition = guarded(composition)
        runtime, wanted = choose_runtime(composition.settings), None if out is None else Path(out)
        require_slots(composition)
        if runtime.group.is_main:
            directory.expect_free(wanted, overwrite=overwrite)
        data = open_data(composition)
        training, fingerprint = prepare(composition, data, runtime), data.fingerprint()
        made = str(make_folder(composition, wanted, overwrite)) if runtime.group.is_main else ""
        folder = Path(runtime.group.broadcast_text(made))
        run = cls(folder, composition, training, list(composition.notes) + list(composition.check(data_tags(data))))
        run.keeper.data, run._new = fingerprint, runtime.group.is_main
        run.notes += [*precision_note(runtime), *postmortem.room_note(folder, training)]
        if len(data) < (batch := composition.settings.batch):
            run.notes.append(f"{len(data)} samples fill a batch of {batch} by repetition")
        return run

    @classmethod
    def resume(
        cls,
        folder: Path | str,
        changes: Sequence[Layer] = (),
        files: Callable[[str], bool] = lambda _: False,
        *,
        changed_data: bool = False,
    ) -> Run:
        """Take a run up where its newest intact checkpoint left it; from step 0 where it has none yet.

        `changes` may only touch settings that do not alter what is computed. Raises UsageError for a folder that is
        no run or a change that is not allowed, GanError where another process trains the run, CheckpointError where
        checkpoints exist but none is intact, DataError for other data than the run was trained on unless
        `changed_data` allows them.
        """
        folder = Path(folder)
        composition = reopen(folder, changes, files)
        runtime = choose_runtime(composition.settings)
        if runtime.group.is_main:
            directory.refuse_in_use(folder, by_others=True)  # this process itself, when it goes back to a checkpoint
        data = open_data(composition)
        run = cls(folder, composition, prepare(composition, data, runtime))
        keeper, fingerprint = run.keeper, data.fingerprint()
        keeper.data, found = fingerprint, keeper.newest()
        if found is not None:
            state = found.snapshot.state
            if state["data"] != fingerprint and not changed_data:
                raise DataError(
                    "the data is not what the run was trained on",
                    where=str(folder),
                    fix="give back the data it had, or --accept-changed-data",
                )
            expect_recipe(composition, state, str(folder / directory.RECIPE), changed_data=changed_data)
            notes = plugins.compare(found.manifest.get("plugins", {}), composition)
            restore(run.training, found.snapshot)
            run.training.retry(state["attempt"])
            keeper.rows, keeper.row_step = state["rows"], state.get("row_step", 0)
            run.notes += [*found.notes, *notes]
        step, manifest = run.training.step, found.manifest if found is not None else {}
        run.notes += previous_session.remarks(folder, step, runtime.device, manifest)
        if found is not None and run.share >= 1:
            run.notes.append(f"nothing is left to train: the run is at {run.position}; to go on, e.g. {run.longer}")
        return run

    @classmethod
    def load(cls, folder: Path | str, *, device: str = "auto", files: Callable[[str], bool] = lambda _: False) -> Run:
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
            raise CheckpointError(f"{folder} has no checkpoint to sample from", fix=f"gan run --resume {folder}")
        snapshot, settings = found.snapshot, composition.settings
        if not lost and (changes := recipe_changes(composition, snapshot.state)):
            notes.append(f"the recipe was changed since the run was trained: {'; '.join(changes)}")
        streams, runtime = Streams(settings.seed), choose_runtime(evolve(settings, device=device))
        plan = stored_plan(composition, streams, snapshot)
        if lost:
            gan = open_generator(composition.hooks, plan, streams, runtime.device)
        else:
            gan, runtime = open_players(composition, plan, streams, runtime, snapshot)
        training = Training(
            TrainingContext(gan, composition.hooks, plan, streams, runtime, None), DataOrder(1, 1, streams)
        )
        try:
            restore_generator(training, snapshot, whole=not lost)
        except CheckpointError:
            plugins.require(lost, folder)
            raise
        training.retry(snapshot.state["attempt"])
        notes += [f"{each.wanted} is not installed; the generator is sampled without it" for each in lost]
        return cls(folder, composition, training, notes)

    # ── training ──────────────────────────────────────────────────────────────────────────────────────────────

    def fit(self, *, progress: bool = True) -> Run:
        """Train to the end, saving and drawing on the way.

        With `progress` stderr shows how it goes, as `gan run` does: a bar on a terminal, plain lines otherwise, and
        the run's notes. Set `stop_after_step` in a component or another thread to end early, saved.
        """
        from gancore.run.display import shown, with_notes

        for _ in with_notes(self, shown(self)) if progress else self.steps():
            pass
        return self

    def rows(self) -> Iterator[Row]:
        """Train to the end, yielding each metrics row as it is written. Set `stop_after_step` to end early, saved."""
        return (row for row in self.steps() if row is not None)

    def steps(self) -> Iterator[Row | None]:
        """Train to the end, yielding after every step: its metrics row, or None where it has none.

        Of several processes only the one that leads writes, so that the others have no rows.
        """
        device = self.training.context.gan.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            if not self.group.is_main:
                yield from self._follow()
                return
            with directory.locked(self.folder) as held:
                self.keeper.held = held
                try:
                    yield from self._lead()
                except (UsageError, DataError):
                    if self._new and self.training.step == 0:
                        directory.withdraw(self.folder)
                    raise

    def _lead(self) -> Iterator[Row | None]:
        if self.share < 1:  # a length that the run has passed already is not kept
            directory.write_recipe(self.folder, self.composition.recipe())
        with suppress(OSError):
            (self.folder / "samples" / f"{STOPPED}.png").unlink()  # of a run that stopped and now goes on
        if facts := self.composition.hooks.first("describe_data"):
            directory.describe_data(self.folder, facts)
        log = MetricsLog(self.folder / directory.METRICS, self.keeper.rows, self.keeper.row_step or math.inf)
        self.notes += log.notes
        about = previous_session.machine(self.training.context.gan.device)
        directory.note(self.folder, started=directory.now(), ended=None, failed=None, step=self.training.step, **about)
        try:
            while True:
                try:
                    yield from self._train(log)
                    break
                except NumbersError as error:
                    self._roll_back(error, log)
        except Exception as error:
            told = failure.report(error, self.folder, self.training, self.composition.chosen)
            self._close(failed=str(told))
            if told is error:
                raise
            raise told from error
        finally:
            log.close()
        self._close()

    def _close(self, **facts: str) -> None:
        directory.note(self.folder, ended=directory.now(), step=self.training.step, **facts)

    def _train(self, log: MetricsLog) -> Iterator[Row | None]:
        settings, training = self.composition.settings, self.training
        began, first, last = time.monotonic(), training.batches, (training.epoch, self.share)
        ended = ""  # the reason that a component gave
        if training.step == 0:
            self.keeper.save(training, log)
            if self.share < 1:
                self.draw_samples(untrained=True)
        while self.share < 1 and not self._stopping(ended):
            figures = self._advance()
            progress = self._progress(last)
            last = training.epoch, self.share
            with self._told():
                if training.step % settings.log_every == 0 or progress.drawing or self.share >= 1:
                    images = (training.batches - first) * settings.batch
                    row = self._row(progress, figures, time.monotonic() - began, images)
                    self._record(row, log)
                    yield row
                    ended = training.context.hooks.first("stop", row=row) or ""
                else:
                    yield None
                if progress.drawing and not ended:
                    self.draw_samples(progress=progress)
                elif self._early():
                    self.draw_samples(components=False)
                if training.step % settings.save_every == 0 and self.share < 1 and not ended:
                    self.keeper.save(training, log)
            self.heartbeat()
        if ended:
            self.notes.append(f"ended at step {training.step}: {ended}")
        self._expect_same()
        with self._told():
            self.keeper.save(training, log, last=True)
        self._agree(GO)
        if self.stop_after_step:
            self.draw_samples(STOPPED, components=False)
        else:
            self.draw_samples("final", self._progress(last))

    def _follow(self) -> Iterator[None]:
        """Make the steps of a process that does not lead."""
        while True:
            try:
                while self.share < 1 and not self._stopping():
                    self._advance()
                    yield None
                    self.heartbeat()
                self._expect_same()
                self._agree(GO)
                return
            except NumbersError as error:
                self._roll_back(error)

    def _advance(self) -> Figures:
        settings, training = self.composition.settings, self.training
        shown = training.batches
        figures = training.train_step()
        step, gan = training.step, training.context.gan
        self._idle = self._idle + 1 if training.batches == shown else 0
        if settings.epochs and self._idle > PATIENCE:
            raise UsageError("the schedule shows no reals, so epochs never end", where="--epochs", fix="--steps N")
        if gan.device.type == "cpu" or step % settings.log_every == 0:
            check_finite(figures, step)
        if remark := self._gradients.look(figures):
            self.notes.append(f"step {step}: {remark}")
        if not self._compared or step % settings.save_every == 0:
            self._expect_same()
        return figures

    def _expect_same(self) -> None:
        """Compare the processes: after the first step that they make, and whenever a checkpoint is written."""
        self._compared = True
        if self.group.size > 1:
            expect_same(self.training.context.gan, self.group, self.training.step)

    # ── several processes ─────────────────────────────────────────────────────────────────────────────────────

    def _stopping(self, ended: str = "") -> bool:
        """Whether some process is to stop after this step; then all of them do."""
        verdict = self._agree(STOP if ended or self.stop_after_step else GO)
        self.stop_after_step |= verdict == STOP and not ended
        return verdict == STOP

    def _agree(self, wish: int) -> int:
        """Return the highest wish of all processes. Raises NumbersError where the one that leads wants to go back."""
        verdict = self.group.all_reduce_max(wish)
        if verdict == BACK:
            raise NumbersError(f"numbers are no longer finite at step {self.training.step}")
        return verdict

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell the other processes to go back where what this one does alone finds numbers that are not finite."""
        try:
            yield
        except NumbersError:
            self.group.all_reduce_max(BACK)
            raise

    # ── what fails ────────────────────────────────────────────────────────────────────────────────────────────

    def _roll_back(self, error: NumbersError, log: MetricsLog | None = None) -> None:
        """Keep what is broken, and go back to the newest intact checkpoint with other random numbers from there on.

        Raises NumbersError where that was done as often as the run may. Only the process that leads has a log.
        """
        settings, attempt = self.composition.settings, self.training.context.streams.attempt
        kept = None
        if log is not None:
            made = partial(self.keeper.capture, self.training, log)
            kept = postmortem.keep_numbers(self.folder, self.training, error, made, self.keeper.plugins())
        if attempt >= settings.rollbacks:
            report = f"; report: {kept / 'report.txt'}" if kept else ""
            where = f"{self.folder}, seed {settings.seed}; {self.keeper.last}{report}"
            raise NumbersError(error.what, where=where, fix=f"{error.fix}, or --rollbacks 3") from None
        held = self.keeper.held
        again = Run.resume(self.folder, files=lambda _: True, changed_data=True)
        again.training.retry(attempt + 1)
        self.composition, self.training, self.keeper = again.composition, again.training, again.keeper
        self.keeper.notes = self.notes
        self.keeper.held = held
        if log is not None:
            log.cut(self.keeper.rows, self.keeper.row_step or math.inf)
        step, tries = self.training.step, settings.rollbacks
        self.notes.append(f"{error.what}; back to step {step} with other numbers, {attempt + 1} of {tries} times")

    # ── where it is ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def share(self) -> float:
        """How much of the run is done, from 0 to 1."""
        settings, training = self.composition.settings, self.training
        if settings.epochs:
            return min(1.0, training.epoch / settings.epochs)
        return min(1.0, training.step / settings.steps) if settings.steps else 1.0

    @property
    def position(self) -> str:
        """Say where the run is and how long it is to be, e.g. `step 400 of 1000`."""
        settings, training = self.composition.settings, self.training
        if settings.epochs:
            return f"epoch {training.epoch:.4g} of {settings.epochs}"
        return f"step {training.step} of {settings.steps}"

    @property
    def longer(self) -> str:
        """Return the words that would make the run twice as long as it is now."""
        settings, training = self.composition.settings, self.training
        if settings.epochs:
            return f"--epochs {max(1, math.ceil(2 * training.epoch))}"
        return f"--steps {max(1, 2 * training.step)}"

    def _progress(self, last: tuple[float, float]) -> Progress:
        """Say where the run is; `last` holds epoch and share after the step before."""
        settings, training = self.composition.settings, self.training
        if settings.sample_epochs:
            drawing = training.epoch // settings.sample_epochs > last[0] // settings.sample_epochs
        elif settings.sample_every:
            drawing = training.step % settings.sample_every == 0
        else:
            drawing = int(self.share * 10) > int(last[1] * 10)
        return Progress(training.context, training.step, training.epoch, self.keeper.row_step, drawing)

    def _early(self) -> bool:
        """Whether this step draws a grid alone: 1, 2, 5, 10, 20, 50, … before the first of the ten drawings of a run.

        It depends on the step and nothing else, so that a resumed run leaves the pictures of one that never stopped.
        """
        settings, digits = self.composition.settings, str(self.training.step)
        if settings.sample_every or settings.sample_epochs or self.share >= 0.1:
            return False
        return digits[0] in "125" and not digits[1:].strip("0")

    def _row(self, progress: Progress, figures: Figures, seconds: float, images: int) -> Row:
        training = self.training
        streams, step = training.context.streams, training.step
        measured: Figures = {}
        for name, found in training.context.hooks.all(
            "measure", progress=progress, rng=lambda name: streams.generator(f"component/{name}", step, "measure")
        ):
            measured |= {f"{name}/{key}": value for key, value in found.items()}
        found = numbers({**figures, **measured})
        if wrong := [name for name, value in found.items() if not math.isfinite(value)]:
            raise NumbersError(f"{wrong[0]} became {found[wrong[0]]} at step {step}", where=str(self.folder))
        self.keeper.row_step = step
        attempt = {"attempt": training.context.streams.attempt} if training.context.streams.attempt else {}
        return {
            "step": training.step,
            "epoch": round(training.epoch, 6),
            "seconds": round(seconds, 3),
            "images_per_second": round(images / max(seconds, 1e-9), 1),
            **attempt,
            **found,
        }

    def _record(self, row: Row, log: MetricsLog) -> None:
        if trouble := log.write(row):
            self.notes.append(f"step {row['step']}: {trouble}")
        said = self.training.context.hooks.all("record", row=row)
        self.notes += [f"step {row['step']}: {remark}" for _, remark in said]

    # ── samples ───────────────────────────────────────────────────────────────────────────────────────────────

    def sample(self, n: int, labels: Tensor | None = None, seed: int | None = None) -> tuple[Tensor, Tensor]:
        """Draw n samples `[n, *shape]` (images in [-1, 1]) and their labels `[n, L]`, in evaluation mode."""
        return draw_samples(self.training.context, n, "sample", -1 if seed is None else seed, labels=labels)

    def draw_samples(
        self,
        name: str = "",
        progress: Progress | None = None,
        *,
        components: bool = True,
        untrained: bool = False,
    ) -> None:
        """Write a grid (or scatter) of the same latents as always into `samples/`, and ask components to draw.

        Without `components` none is asked: what they remember and measure belongs to the drawings that a run is set
        to. `untrained` does without them too, and draws by the generator itself.

        A disk that takes no picture is told, and no reason to stop before the end. Raises GanError for the final one.
        """
        try:
            if moved := self.keeper.misplaced():
                raise FileNotFoundError(errno.ENOENT, moved)
            self._draw_grid(name, untrained)
            if components and not untrained:
                self._draw_by_components(progress)
        except (OSError, PluginError) as error:
            reason = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(reason, OSError):
                raise
            what = f"samples of step {self.training.step} were not drawn: {reason.strerror or reason}"
            if name == "final":
                raise GanError(what, where=str(self.folder), fix=f"gan sample {self.folder}") from error
            self.notes.append(what)

    def _draw_grid(self, name: str, untrained: bool) -> None:
        training = self.training
        plan, folder = training.context.plan, self.folder / "samples"
        labels = class_labels([len(each) for each in plan.label_sets], SHEET if plan.images else CLOUD)
        if untrained:
            made = draw_untrained(training.context, "grid", labels=labels)
        else:
            made, _ = draw_samples(training.context, len(labels), "grid", labels=labels)
        picture = grid(made) if plan.images else scatter(made, plan.reals(len(labels))[0])
        save_picture(picture, folder / f"{name or verified.name_of(training.step)}.png")

    def _draw_by_components(self, progress: Progress | None) -> None:
        training = self.training
        progress = progress or Progress(training.context, training.step, training.epoch, self.keeper.row_step)
        training.context.hooks.all("draw", progress=progress, folder=self.folder / "samples")


def reopen(folder: Path, changes: Sequence[Layer], files: Callable[[str], bool]) -> Composition:
    """Resolve a run's own recipe exactly, with changed settings. Raises UsageError for changes that are not allowed."""
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


__all__ = ["Run", "Settings", "data_tags", "open_data", "prepare"]
