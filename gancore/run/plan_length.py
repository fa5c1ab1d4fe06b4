"""Plan how many steps a run makes in a given time: `gan run --minutes 5`.

The number is measured on a training of the same composition that is then forgotten. The run itself
begins with components and random numbers that no measured step has touched, so it is bit for bit
that of `--steps N`.
"""

from __future__ import annotations

import bisect
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from attrs import evolve, frozen

from gancore.errors import GanError, UsageError
from gancore.guard.hooks import GuardedHooks, guarded
from gancore.process.standard_streams import write_line
from gancore.progressbar import pace
from gancore.recipe.compose import Composition, resolve
from gancore.recipe.settings import Settings
from gancore.recipe.toml import layer_of
from gancore.run import directory, failure, samples
from gancore.run.checkpoint.policy import Checkpoints
from gancore.run.metrics_log import MetricsLog
from gancore.run.prepare import adapt_data_of, prepare
from gancore.run.rows import make_row
from gancore.train.context import Figures
from gancore.train.data import Data
from gancore.train.loop import Training
from gancore.train.precision import Runtime
from gancore.train.progress import Progress

WARM_UP = 3  # steps before any is timed: the first ones allocate, check hooks, choose kernels
LEAST = 5  # timed steps
SECONDS = 4.0  # that further ones may take
LARGEST_PART = 0.2  # of the planned time that measuring may take, where steps are slow
TENTHS = 10  # pictures that a run draws by its share, and grids alone in the first tenth
ENDS = 2  # checkpoints beside those of `save_every`: at step 0 and at the end
RESERVE = 0.03  # of the time, for what is not measured
MICRO = 1_000_000


@frozen
class Speed:
    """Seconds that each part of a run takes on this machine.

    - `step`: the median of the timed steps.
    - `row`: a row of the metrics log.
    - `picture`: a picture at a tenth of the run, with all that components measure and draw then.
    - `grid`: a grid of samples alone.
    - `save`: a checkpoint.
    - `epochs`: passes over the data in one step; no time.
    """

    step: float
    row: float
    picture: float
    grid: float
    save: float
    epochs: float


def plan_steps(
    composition: Composition, data: Data, runtime: Runtime, minutes: float
) -> Composition:
    """Return the composition with the number of steps that a run makes in so many minutes.

    `data` are those that no component has adapted. The time that measuring takes is part of the
    minutes. All processes of a run measure together. Raises UsageError unless `minutes` is above 0,
    and what training raises.
    """
    if not 0 < minutes < math.inf:
        raise UsageError(f"minutes is {minutes}", where="--minutes", fix="a number above 0")
    main = runtime.group.is_main
    if main:
        write_line(f"measuring the speed of this machine, to plan --minutes {minutes:g}")
    began = time.monotonic()
    speed = measure_speed(composition, data, runtime, 60 * minutes)
    # each process has a clock of its own, and all must make the same number of steps
    spent = _agreed(time.monotonic() - began, runtime)
    steps = steps_within(60 * minutes - spent, speed, composition.settings)
    where = f"--minutes {minutes:g}: {pace(speed.step)} measured here"
    origins = {**composition.origins, "run.steps": where}
    if "run.epochs" in origins:
        origins["run.epochs"] = f"not used: --minutes {minutes:g}"
    settings = evolve(composition.settings, steps=steps, epochs=0)
    return evolve(composition, settings=settings, origins=origins)


def steps_within(seconds: float, speed: Speed, settings: Settings) -> int:
    """Return how many steps fit into so many seconds, with rows, pictures and checkpoints; at
    least 1.

    Rounded down to three digits.
    """
    most = max(1, math.ceil(seconds / speed.step))
    fitting = bisect.bisect_right(
        range(1, most + 1),
        (1 - RESERVE) * seconds,
        key=lambda steps: seconds_of(steps, speed, settings),
    )
    steps = max(1, fitting)
    unit: int = 10 ** max(0, len(str(steps)) - 3)
    return steps - steps % unit


def seconds_of(steps: int, speed: Speed, settings: Settings) -> float:
    """Return how long a run of so many steps takes."""
    grids = 2  # before the first step and after the last
    if settings.sample_epochs:
        pictures = steps * speed.epochs / settings.sample_epochs
    elif settings.sample_every:
        pictures = steps / settings.sample_every
    else:
        pictures = min(TENTHS, steps)
        # of steps 1, 2, 5, 10, 20, …, three in each power of ten of the first tenth
        grids += math.ceil(3 * math.log10(max(1, steps / TENTHS)))
    return (
        steps * (speed.step + speed.row / settings.log_every + speed.save / settings.save_every)
        + pictures * speed.picture
        + grids * speed.grid
        + ENDS * speed.save
    )


def measure_speed(composition: Composition, data: Data, runtime: Runtime, seconds: float) -> Speed:
    """Measure the parts of a run that is to take so many seconds, on a training that is forgotten.

    The components are made again from the recipe: those of the run see none of it.
    """
    layer = layer_of("recipe", composition.recipe())
    copy = guarded(resolve([layer], lambda _: True, exact=True))
    device = runtime.device
    # steps seed torch's global generators; the caller gets theirs back as they were
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        training = prepare(copy, adapt_data_of(copy, data), runtime)
        try:
            return _measure(copy, training, seconds)
        except GanError:
            raise
        except Exception as error:
            explained = failure.explain_memory(error, training)
            if explained is None:
                raise
            raise explained from error


def _measure(composition: Composition, training: Training, seconds: float) -> Speed:
    figures, step = _time_steps(training, LARGEST_PART * seconds)
    training.context = evolve(training.context, hooks=GuardedHooks(composition.chosen, calls=0))
    runtime = training.context.runtime
    parts = dict.fromkeys(("row", "picture", "grid", "save"), 0.0)
    if runtime.group.is_main:  # the only process that writes and draws
        with tempfile.TemporaryDirectory() as name:
            parts = _time_parts(composition, training, figures, Path(name))
    agreed = {part: _agreed(taken, runtime) for part, taken in parts.items()}
    return Speed(step=step, epochs=training.epoch / training.step, **agreed)


def _time_steps(training: Training, most: float) -> tuple[Figures, float]:
    """Make steps for some seconds, `most` at most if that is enough for two.

    Return the figures of the last, and the median of the seconds that a step takes.
    """
    runtime = training.context.runtime
    began = time.monotonic()
    taken: list[float] = []
    while True:
        before = time.monotonic()
        figures = training.train_step()
        _wait_for(runtime.device)
        now = time.monotonic()
        taken.append(now - before)
        timed = len(taken) - WARM_UP
        enough = timed >= LEAST and now - began >= SECONDS
        slow = len(taken) > 1 and now - began >= most
        # one process that has enough ends it for all, or the others would wait for its next step
        if runtime.group.all_reduce_max(int(enough or slow)):
            break
    counted = taken[min(WARM_UP, len(taken) - 1) :]
    return figures, _agreed(statistics.median(counted), runtime)


def _time_parts(
    composition: Composition, training: Training, figures: Figures, folder: Path
) -> dict[str, float]:
    """Time what a run does beside its steps, in a folder that is then removed."""
    step = training.step
    context = training.context
    before = step - composition.settings.log_every
    plain = Progress(context, step, training.epoch, before, drawing=False)
    full = Progress(context, step, training.epoch, before, drawing=True)

    def draw() -> None:
        samples.draw_grid(context, folder / "grid.png")

    def picture() -> None:
        make_row(full, figures, 1.0, 1)
        draw()
        context.hooks.all("draw", progress=full, folder=folder)

    log = MetricsLog(folder / directory.METRICS, 0)
    checkpoints = Checkpoints(folder, composition)
    draw()  # the first drawing imports what draws
    try:
        return {
            "row": _timed(lambda: log.write(make_row(plain, figures, 1.0, 1))),
            "picture": _timed(picture),
            "grid": _timed(draw),
            "save": _timed(lambda: checkpoints.save(training, log, last=True)),
        }
    finally:
        log.close()


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _wait_for(device: torch.device) -> None:
    """Wait until a device has finished what it was given, without which only launches are timed."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _agreed(seconds: float, runtime: Runtime) -> float:
    """Return the longest of the times that the processes of a run measured."""
    return runtime.group.all_reduce_max(round(MICRO * seconds)) / MICRO
