"""The loop of a run: step, row if due, picture if due, save if due."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Self

import torch
from attrs import define, field

from gancore.errors import DataError, GanError, NumbersError, PluginError, UsageError
from gancore.guard.gradients import FirstGradients
from gancore.guard.settings import SettingsCheck
from gancore.run import directory, failure, postmortem, previous_session, samples
from gancore.run.checkpoint import verified
from gancore.run.directory import MetricsRow
from gancore.run.display import display_of
from gancore.run.finite import check_finite
from gancore.run.metrics_log import MetricsLog
from gancore.run.rows import Step, make_row
from gancore.run.session import Session
from gancore.train.context import Figures
from gancore.train.progress import Progress
from gancore.train.replicas import expect_same

STOPPED = "stopped"  # the picture that a run leaves where it was stopped
GO, STOP, BACK = 0, 1, 2  # what a process wants after a step; the highest counts
STEPS_WITHOUT_REALS = 1000  # after which a run by epochs is taken to be endless


OnRow = Callable[[MetricsRow], object]
OnStep = Callable[[Step], object]


def ignore(_: object) -> None:
    """Do nothing: the callback of a run that nothing listens to."""


@define(eq=False, repr=False)
class Run(Session):
    """A run on disk. Make one by `start`, `resume` or `load`; train it with `fit`.

    - `stop_after_step`: set it to True, in a callback or another thread, to end the training after
      the present step, with a checkpoint.

    Internal: `begin`, `draw_samples`, `finish`, `opened`, `over`, `step`, `where`.
    """

    stop_after_step: bool = field(default=False, init=False)
    _ended: str = field(default="", init=False)  # the reason that a component gave to end the run
    _began: float = field(default=0.0, init=False)  # when training began in this process
    _first: int = field(default=0, init=False)  # batches of reals shown before that
    _epoch: float = field(default=0.0, init=False)  # after the step before
    _share: float = field(default=0.0, init=False)
    _idle: int = field(default=0, init=False)  # steps without reals
    _gradients: FirstGradients = field(factory=FirstGradients, init=False)
    _settings: SettingsCheck = field(init=False)
    _compared: bool = field(default=False, init=False)  # this process with the others

    @_settings.default
    def _check_of_settings(self) -> SettingsCheck:
        return SettingsCheck(self.composition.chosen)

    def fit(
        self, on_row: OnRow = ignore, on_step: OnStep = ignore, *, progress: bool = True
    ) -> Self:
        """Train to the end, saving and drawing on the way.

        `on_row` is called with each metrics row once it is written, `on_step` after each step and
        all that was due at it. With `progress` stderr shows a bar on a terminal, plain lines
        otherwise, and the run's notes. Of several processes only the first writes, draws, shows
        anything and calls `on_row`.
        """
        shown = display_of(self.notes, self.share, progress and self.group.is_main)

        def tell_row(row: MetricsRow) -> None:
            shown.on_row(row)
            on_row(row)

        with shown, self.opened() as log:
            while True:
                try:
                    self.begin(log)
                    while not self.over():
                        self.step(log, tell_row)
                        shown.on_step(where := self.where())
                        on_step(where)
                    self.finish(log)
                    return self
                except NumbersError as error:
                    self._roll_back(error, log)

    def step(self, log: MetricsLog | None, on_row: OnRow = ignore) -> None:
        """Make one step; then write a row, draw and save where these are due.

        Only the first process has a log.
        """
        settings = self.composition.settings
        training = self.training
        shown = training.batches
        figures = training.train_step()
        self._check(figures, shown)
        if log is None:
            return
        share = self.share
        drawing = samples.is_due(
            settings, training.step, (self._epoch, training.epoch), (self._share, share)
        )
        self._epoch = training.epoch
        self._share = share
        progress = self._progress(drawing)
        with self._peers_warned():
            if training.step % settings.log_every == 0 or drawing or share >= 1:
                self._write_row(figures, progress, log, on_row)
            if drawing and not self._ended:
                self.draw_samples(progress=progress)
            elif samples.is_early(settings, training.step, share):
                self.draw_samples(components=False)
            if training.step % settings.save_every == 0 and share < 1 and not self._ended:
                self.checkpoints.save(training, log)

    # ── before and after the steps ──────────────────────────────────────────────────────────

    @contextmanager
    def opened(self) -> Iterator[MetricsLog | None]:
        """Hold the run's folder and its log open to train in it.

        Only the first of several processes has a log. What fails is kept in the folder, and raised
        as a user should read it.
        """
        device = self.training.context.gan.device
        # steps seed torch's global generators; the caller gets theirs back as they were
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            if not self.group.is_main:
                yield None
                return
            with directory.locked(self.folder) as held, self._withdrawn_if_refused():
                self.checkpoints.held = held
                log = self._open_log()
                try:
                    yield log
                except Exception as error:
                    told = failure.report(
                        error, self.folder, self.training, self.composition.chosen
                    )
                    self._note_end(failed=str(told))
                    if told is error:
                        raise
                    raise told from error
                finally:
                    log.close()
                self._note_end()

    @contextmanager
    def _withdrawn_if_refused(self) -> Iterator[None]:
        """Remove the folder of a new run that is refused before its first step."""
        try:
            yield
        except (UsageError, DataError):
            if self._new and self.training.step == 0:
                directory.withdraw(self.folder)
            raise

    def _open_log(self) -> MetricsLog:
        if self.share < 1:  # a length that the run has passed already is not kept
            directory.write_recipe(self.folder, self.composition.recipe())
        # it shows where the run was stopped, and now the run goes on
        picture = self.folder / "samples" / f"{STOPPED}.png"
        with suppress(OSError):
            picture.unlink()
        if facts := self.composition.hooks.first("describe_data"):
            directory.write_data_report(self.folder, facts)
        checkpoints = self.checkpoints
        log = MetricsLog(
            self.folder / directory.METRICS, checkpoints.rows, checkpoints.row_step or math.inf
        )
        self.notes += log.notes
        about = previous_session.machine_facts(self.training.context.gan.device)
        directory.note_facts(
            self.folder,
            started=directory.now(),
            ended=None,
            failed=None,
            step=self.training.step,
            **about,
        )
        return log

    def _note_end(self, **facts: str) -> None:
        directory.note_facts(self.folder, ended=directory.now(), step=self.training.step, **facts)

    def begin(self, log: MetricsLog | None) -> None:
        """Start the clock; save and draw a run that is at step 0."""
        training = self.training
        self._began = time.monotonic()
        self._first = training.batches
        self._epoch = training.epoch
        self._share = self.share
        self._ended = ""
        # saved before any step: what cannot be stored is found now and not after hours
        if log is not None and training.step == 0:
            self.checkpoints.save(training, log)
            if self.share < 1:
                self.draw_samples(untrained=True)

    def over(self) -> bool:
        """Whether the run is at its end, or one of its processes wants to stop.

        Then all of them do.
        """
        if self.share >= 1:
            return True
        verdict = self._agree(STOP if self._ended or self.stop_after_step else GO)
        # where another process was asked to stop, this one stops too, and its caller should see it
        self.stop_after_step |= verdict == STOP and not self._ended
        return verdict == STOP

    def finish(self, log: MetricsLog | None) -> None:
        """Save and draw what the run ends with, or was stopped at."""
        if self._ended:
            self.notes.append(f"ended at step {self.training.step}: {self._ended}")
        self._expect_same()
        if log is not None:
            with self._peers_warned():
                self.checkpoints.save(self.training, log, last=True)
        # the others wait here while the first one saves, and go back with it where it must
        self._agree(GO)
        if log is None:
            return
        if self.stop_after_step:
            self.draw_samples(STOPPED, components=False)
            return
        training = self.training
        share = self.share
        epochs = (training.epoch, training.epoch)
        drawing = samples.is_due(self.composition.settings, training.step, epochs, (share, share))
        self.draw_samples("final", self._progress(drawing))

    def where(self) -> Step:
        """Return where the run is now."""
        training = self.training
        images = (training.batches - self._first) * self.composition.settings.batch
        return Step(training.step, self.share, images)

    # ── what a step leaves ──────────────────────────────────────────────────────────────────

    def _check(self, figures: Figures, shown: int) -> None:
        """Raise NumbersError for a figure that is not finite.

        `shown` counts the batches before the step.
        """
        settings = self.composition.settings
        training = self.training
        step = training.step
        self._idle = self._idle + 1 if training.batches == shown else 0
        if settings.epochs and self._idle > STEPS_WITHOUT_REALS:
            raise UsageError(
                "the schedule shows no reals, so epochs never end",
                where="--epochs",
                fix="--steps N",
            )
        # elsewhere only with a row, since to read a figure is to wait for the device
        if training.context.gan.device.type == "cpu" or step % settings.log_every == 0:
            check_finite(figures, step)
        if remark := self._gradients.look(figures):
            self.notes.append(f"step {step}: {remark}")
        if not self._compared or step % settings.save_every == 0:
            self._expect_same()

    def _progress(self, drawing: bool) -> Progress:
        training = self.training
        return Progress(
            training.context, training.step, training.epoch, self.checkpoints.row_step, drawing
        )

    def _write_row(
        self, figures: Figures, progress: Progress, log: MetricsLog, on_row: OnRow
    ) -> None:
        """Write a row, pass it on, and ask components whether the run ends with it."""
        hooks = self.training.context.hooks
        step = self.training.step
        seconds = time.monotonic() - self._began
        row = make_row(progress, figures, seconds, self.where().images)
        self.checkpoints.row_step = step
        if trouble := log.write(row):
            self.notes.append(f"step {step}: {trouble}")
        for _, remark in hooks.all("record", row=row, folder=self.folder):
            self.notes.append(f"step {step}: {remark}")
        self._settings.look(step)
        on_row(row)
        self._ended = hooks.first("stop", row=row) or ""

    def draw_samples(
        self,
        name: str = "",
        progress: Progress | None = None,
        *,
        components: bool = True,
        untrained: bool = False,
    ) -> None:
        """Write a grid (or scatter) of the same latents as always into `samples/`, and ask
        components to draw.

        Without `components` none is asked: what they remember and measure belongs to the drawings
        that a run is set to. `untrained` does without them too, and draws by the generator itself.

        On a write error add a note and go on; raise GanError where it was the final picture.
        """
        training = self.training
        folder = self.folder / "samples"
        try:
            if moved := self.checkpoints.misplaced():
                raise FileNotFoundError(errno.ENOENT, moved)
            path = folder / f"{name or verified.folder_name(training.step)}.png"
            samples.draw_grid(training.context, path, untrained=untrained)
            if components and not untrained:
                training.context.hooks.all(
                    "draw", progress=progress or self._progress(True), folder=folder
                )
        except (OSError, PluginError) as error:
            # a component that draws raises its own OSError as the cause of a PluginError
            reason = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(reason, OSError):
                raise
            what = f"samples of step {training.step} were not drawn: {reason.strerror or reason}"
            if name == "final":
                raise GanError(
                    what, where=str(self.folder), fix=f"gan sample {self.folder}"
                ) from error
            self.notes.append(what)

    # ── several processes ───────────────────────────────────────────────────────────────────

    def _expect_same(self) -> None:
        """Compare the processes: after the first step that they make, and whenever a checkpoint is
        written.
        """
        self._compared = True
        if self.group.size > 1:
            expect_same(self.training.context.gan, self.group, self.training.step)

    def _agree(self, wish: int) -> int:
        """Return the highest wish of all processes.

        Raises NumbersError where the first one wants to go back.
        """
        verdict = self.group.all_reduce_max(wish)
        if verdict == BACK:
            raise NumbersError(f"numbers are no longer finite at step {self.training.step}")
        return verdict

    @contextmanager
    def _peers_warned(self) -> Iterator[None]:
        """Let the other processes go back too, where the first one alone finds numbers that are not
        finite.
        """
        try:
            yield
        except NumbersError:
            self.group.all_reduce_max(BACK)
            raise

    # ── going back ──────────────────────────────────────────────────────────────────────────

    def _roll_back(self, error: NumbersError, log: MetricsLog | None) -> None:
        """Keep what is broken, and go back to the newest intact checkpoint with other random
        numbers from there on.

        Raises NumbersError where that was done as often as the run may. Only the first process has
        a log.
        """
        settings = self.composition.settings
        attempt = self.training.context.streams.attempt
        kept = None
        if log is not None:
            capture = partial(self.checkpoints.capture, self.training, log)
            plugins = self.checkpoints.plugins()
            kept = postmortem.keep_numbers(self.folder, self.training, error, capture, plugins)
        if attempt >= settings.rollbacks:
            report = f"; report: {kept / 'report.txt'}" if kept else ""
            where = f"{self.folder}, seed {settings.seed}; {self.checkpoints.last}{report}"
            raise NumbersError(
                error.what, where=where, fix=f"{error.fix}, or --rollbacks 3"
            ) from None
        # the folder stays locked, and the new checkpoints need the lock to notice that it is moved
        held = self.checkpoints.held
        # `changed_data`, since the data were accepted when the run was started or resumed
        again = type(self).resume(self.folder, files=lambda _: True, changed_data=True)
        again.training.retry(attempt + 1)
        self.composition = again.composition
        self.training = again.training
        self.checkpoints = again.checkpoints
        self.checkpoints.notes = self.notes
        self.checkpoints.held = held
        if log is not None:
            log.cut(self.checkpoints.rows, self.checkpoints.row_step or math.inf)
        step = self.training.step
        tries = settings.rollbacks
        self.notes.append(
            f"{error.what}; back to step {step} with other numbers, {attempt + 1} of {tries} times"
        )
