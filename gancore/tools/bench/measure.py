"""What a composition costs on this machine: a step and its parts, each component, memory, and what
limits it.
"""

from __future__ import annotations

import gc
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from attrs import evolve, frozen

from gancore.errors import UsageError
from gancore.guard.hooks import GuardedHooks, guarded
from gancore.hardware.device import (
    choose_runtime,
    cpu_facts,
    precision_note,
    processor_name,
    saves_time,
)
from gancore.hardware.layout import CHANNELS_LAST_FROM
from gancore.hardware.memory import peak_memory
from gancore.plugins.calling import Component
from gancore.plugins.component import SPECS
from gancore.plugins.slots import ROLES, SEVERAL
from gancore.recipe.compose import Composition, resolve
from gancore.recipe.toml import layer_of
from gancore.run import previous_session
from gancore.run.metrics_log import numbers
from gancore.run.prepare import open_data_of, prepare
from gancore.tools.bench.memory import memory_of
from gancore.tools.bench.stopwatch import (  # fmt: skip
    BACKWARD,
    CHECK,
    DATA,
    REST,
    Part,
    Stopwatch,
    TimedHooks,
    plain_step,
    stopwatch_for,
    timed_step,
)
from gancore.train.context import Figures
from gancore.train.data import Data, data_tags
from gancore.train.loop import Training
from gancore.train.progress import Progress

WARM_UP = 2  # steps before any is timed
LEAST = 5  # rounds, however long they take
SECONDS = 20.0  # that further rounds may take
# hooks that no step calls
AT_ROWS = frozenset({"measure", "record", "draw", "stop", "describe_data", "chosen_size"})
PHRASES = {  # parts of a step whose names are no nouns
    REST: "what lies between the parts",
    BACKWARD: "the backward pass",
    CHECK: "checking for finite numbers",
}
BRIEF = 5.0  # milliseconds of a step below which its arithmetic hardly counts
MUCH = 0.15  # of a step


@frozen
class Spread:
    """Many figures in three: their median, and the quartiles between which half of them lie."""

    median: float
    low: float
    high: float
    n: int


def spread(figures: Sequence[float]) -> Spread:
    """Return median and quartiles of at least one figure."""
    if len(figures) == 1:
        return Spread(figures[0], figures[0], figures[0], 1)
    low, median, high = statistics.quantiles(figures, n=4, method="inclusive")
    return Spread(median, low, high, len(figures))


@frozen
class PartCost:
    """What something takes of a step: milliseconds, the share of all time, calls a step, and the
    hooks called.
    """

    name: str
    of: str  # the player whose update it is part of, or a component's kind
    ms: Spread
    share: float
    calls: float
    hooks: tuple[str, ...] = ()


@frozen
class LeftOut:
    """Steps with a component, divided by steps without it; or why that could not be had."""

    name: str
    ratio: Spread | None
    reason: str = ""


@frozen
class Report:
    """What was measured. Times are wall milliseconds, memory MiB."""

    machine: Mapping[str, Any]
    step: Spread
    timed: Spread
    samples_per_second: float
    parts: tuple[PartCost, ...]
    components: tuple[PartCost, ...]
    rows: Mapping[str, Mapping[str, float]]
    memory: Mapping[str, float]
    left_out: tuple[LeftOut, ...]
    limits: tuple[str, ...]
    notes: tuple[str, ...]


def bench(composition: Composition, rounds: int = 0, *, without_each: bool = False) -> Report:
    """Measure a composition in steps of its own training, which is then forgotten: nothing is
    written.

    A round is one plain step and one on the stopwatch; 0 rounds means as many as take about 20
    seconds. Raises what preparing and training raise.
    """
    device = choose_runtime(composition.settings).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        data, training, before = begin(composition)
        watch = stopwatch_for(training.context.gan.device)
        hooks = TimedHooks(composition.chosen, watch)
        plain, steps, calls = measure_steps(training, hooks, watch, rounds)
        memory = memory_of(training, before)
        rows = {
            "row": measure_row(training, composition, watch, full=False),
            "full": measure_row(training, composition, watch, full=True),
        }
        left_out = without(composition, data, training, rounds) if without_each else ()
    about = machine(training)
    parts = parts_of(steps, calls)
    components = components_of(composition.chosen, steps, calls)
    step = spread([1e3 * seconds for seconds in plain])
    return Report(
        machine=about,
        step=step,
        timed=spread([1e3 * sum(seconds.values()) for seconds in steps]),
        samples_per_second=1e3 * composition.settings.batch / step.median,
        parts=parts,
        components=components,
        rows=rows,
        memory=memory,
        left_out=left_out,
        limits=limits(training, about, step, parts, components, left_out),
        notes=(*composition.notes, *composition.check(data_tags(data))),
    )


def begin(composition: Composition, data: Data | None = None) -> tuple[Data, Training, float]:
    """Prepare a training and make its first steps, watched as those of a run are.

    Then leave it settled.

    The third of what is returned is the peak of memory before the first of these steps, in MiB.
    """
    composition = guarded(composition)
    data = data or open_data_of(composition)
    training = prepare(composition, data, choose_runtime(composition.settings))
    before = peak_memory()
    for _ in range(WARM_UP):
        plain_step(training)
    training.context = evolve(training.context, hooks=GuardedHooks(composition.chosen, calls=0))
    return data, training, before


def turns(rounds: int, seconds: float = SECONDS) -> Iterator[int]:
    """Count rounds: as many as are wanted, or for 0 as many as fit, at least 5.

    No garbage is collected meanwhile.
    """
    until = time.monotonic() + seconds
    with uncollected():
        for turn in itertools.count():
            if rounds and turn >= rounds:
                return
            if not rounds and turn >= LEAST and time.monotonic() > until:
                return
            yield turn


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector of cycles from running at a moment of its own choice."""
    # what was left before would otherwise stay in memory all the while
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def measure_steps(
    training: Training, hooks: TimedHooks, watch: Stopwatch, rounds: int
) -> tuple[list[float], list[dict[Part, float]], list[dict[Part, int]]]:
    """Make plain steps and steps on the stopwatch in turn, changing who goes first."""
    # In turn, so that both meet the same machine, whatever else runs on it meanwhile.
    plain = []
    steps = []
    calls = []
    for turn in turns(rounds):
        for timed in (turn % 2 == 0, turn % 2 == 1):
            if timed:
                steps.append(timed_step(training, hooks, watch))
                calls.append(dict(watch.calls))
            else:
                plain.append(plain_step(training))
    return plain, steps, calls


def parts_of(
    steps: Sequence[Mapping[Part, float]], calls: Sequence[Mapping[Part, int]]
) -> tuple[PartCost, ...]:
    """Sum up what was done for whom; of components, by hook. The shares sum to 1."""

    def key(part: Part) -> tuple[str, str]:
        return part.player, f"components in {part.hook}" if part.hook else part.work

    found = []
    for player, name in keys_of(steps, key):
        found.append(part_cost(name, player, key, (player, name), steps, calls))
    return tuple(found)


def components_of(
    chosen: Sequence[Component],
    steps: Sequence[Mapping[Part, float]],
    calls: Sequence[Mapping[Part, int]],
) -> tuple[PartCost, ...]:
    """Sum up each chosen component's own code.

    What it asks of networks, data and others is theirs.
    """
    found = []
    for each in chosen:
        cost = part_cost(each.name, each.kind, lambda part: part.component, each.name, steps, calls)
        own = []  # hooks
        for hook in SPECS:
            method = getattr(type(each.component), hook, None)
            if hasattr(method, "gancore_impl"):  # the mark that @hookimpl leaves
                own.append(hook)
        found.append(evolve(cost, hooks=tuple(own)))
    return tuple(sorted(found, key=lambda cost: -cost.share))


def keys_of(steps: Iterable[Mapping[Part, float]], key: Callable[[Part], Any]) -> list[Any]:
    """List what there is to sum up, players in order, the largest first."""
    total: dict[Any, float] = {}
    for step in steps:
        for part, seconds in step.items():
            total[key(part)] = total.get(key(part), 0.0) + seconds
    order = ("critic", "generator", "both")
    return sorted(total, key=lambda each: (order.index(each[0]), -total[each]))


def part_cost(
    name: str,
    of: str,
    key: Callable[[Part], Any],
    wanted: Any,
    steps: Sequence[Mapping[Part, float]],
    calls: Sequence[Mapping[Part, int]],
) -> PartCost:
    """Sum up the parts whose key is wanted."""
    own = [_sum_of(step, key, wanted) for step in steps]
    times = sum(_sum_of(step, key, wanted) for step in calls)
    whole = sum(sum(step.values()) for step in steps)
    ms = spread([1e3 * seconds for seconds in own])
    return PartCost(name, of, ms, sum(own) / whole, times / len(steps))


def _sum_of(figures: Mapping[Part, float], key: Callable[[Part], Any], wanted: Any) -> float:
    return sum(figure for part, figure in figures.items() if key(part) == wanted)


# ── beside the steps ─────────────────────────────────────────────────────────────────────────


def measure_row(
    training: Training, composition: Composition, watch: Stopwatch, *, full: bool
) -> dict[str, float]:
    """Measure what a row of the log costs: milliseconds by component.

    A full row measures all that is ever due.
    """
    hooks = TimedHooks(composition.chosen, watch)
    streams = training.context.streams
    step = training.step
    # what is due every so many steps is due where the row before is that long ago: -1 for all
    before = -1 if full else step - composition.settings.log_every
    progress = Progress(evolve(training.context, hooks=hooks), step, training.epoch, before, full)
    figures = training.train_step()
    watch.start()
    answers = hooks.all(
        "measure",
        progress=progress,
        rng=lambda name: streams.generator(f"component/{name}", step, "measure"),
    )
    measured: Figures = {}
    for name, found in answers:
        for key, value in found.items():
            measured[f"{name}/{key}"] = value
    numbers({**figures, **measured})
    cost: dict[str, float] = {}
    for part, seconds in watch.stop().items():
        name = part.component or REST
        cost[name] = cost.get(name, 0.0) + 1e3 * seconds
    return cost


def without(
    composition: Composition, data: Data, whole: Training, rounds: int
) -> tuple[LeftOut, ...]:
    """Compare steps with and without each component that may be left out, in turn.

    Backward passes count too.
    """
    found = []
    for slot in SEVERAL:  # a slot of one component must stay filled
        components = [each for each in composition.chosen if each.kind == slot]
        for name, each in zip(composition.slots.get(slot, ()), components, strict=True):
            found.append(without_one(composition, each, name, data, whole, rounds))
    return tuple(found)


def without_one(
    composition: Composition, each: Component, name: str, data: Data, whole: Training, rounds: int
) -> LeftOut:
    """Compare steps with and without one component; say why not, where that cannot be."""
    hooks = set()
    for hook in SPECS:
        if any(one.chosen is each for one in composition.hooks.implementations(hook)):
            hooks.add(hook)
    if hooks <= AT_ROWS:
        return LeftOut(each.name, None, "it acts at rows of the log alone")
    recipe = dict(composition.recipe())
    recipe.pop(each.name, None)  # its table of options
    recipe[each.kind] = [other for other in recipe[each.kind] if other != name]
    try:
        other = resolve([layer_of(f"without {each.name}", recipe)], exact=True)
        # the data are shared, unless the component changed them
        _, rest, _ = begin(other, None if "adapt_data" in hooks else data)
    except UsageError as error:
        return LeftOut(each.name, None, error.what)
    ratios = []
    for turn in turns(rounds, SECONDS / 2):
        pair = (whole, rest) if turn % 2 else (rest, whole)
        seconds = {}
        for training in pair:
            seconds[training] = plain_step(training)
        ratios.append(seconds[whole] / seconds[rest])
    return LeftOut(each.name, spread(ratios))


def machine(training: Training) -> dict[str, Any]:
    """Say what the figures were measured on and with: they hold nowhere else."""
    context = training.context
    facts = cpu_facts()
    cores = os.cpu_count()
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))  # those that this process may use
    return {
        **previous_session.machine_facts(context.gan.device),
        "processor": processor_name(),
        "amx": "amx_tile" in facts.get("flags", "").split() if facts else None,
        "cores": cores,
        "torch": torch.__version__,
        "precision": context.runtime.precision,
        "channels_last": context.runtime.channels_last,
        "batch": context.plan.batch,
    }


# ── what limits it ───────────────────────────────────────────────────────────────────────────


def limits(
    training: Training,
    about: Mapping[str, Any],
    step: Spread,
    parts: Sequence[PartCost],
    components: Sequence[PartCost],
    left_out: Sequence[LeftOut],
) -> tuple[str, ...]:
    """Say what takes most of a step, what else takes much, then what of the runtime could be
    otherwise.
    """
    largest = max(parts, key=lambda part: part.share)
    told = [f"{in_words(largest)} takes {largest.share:.0%} of a step"]
    waiting = 0.0
    for part in parts:  # there is one for each player that waits
        if part.name == DATA:
            waiting += part.share
    if waiting > MUCH and largest.name != DATA:
        told.append(f"waiting for data takes {waiting:.0%} of a step")
    added: dict[str, float] = {}
    for one in left_out:
        if one.ratio:
            added[one.name] = one.ratio.median - 1
    for each in components:
        if added.get(each.name, 0.0) > MUCH:
            told.append(
                f"{each.name} makes a step {added[each.name]:.0%} longer, backward passes included"
            )
        # a share leaves out what the component makes others do, so it is the second choice
        elif each.share > MUCH:
            told.append(
                f"{each.name} takes {each.share:.0%} of a step "
                "in its own code, backward passes not included"
            )
    if step.median < BRIEF:
        told.append(
            f"a step takes {step.median:.2g} ms: "
            "Python and the calls of kernels, more than their arithmetic"
        )
    return (*told, *limits_of_runtime(training, about))


def limits_of_runtime(training: Training, about: Mapping[str, Any]) -> Iterator[str]:
    """Say what of threads, layout and precision could be otherwise."""
    runtime = training.context.runtime
    if runtime.device.type == "mps":
        yield "the parts say when work was handed to the device, not how long it took there"
    if runtime.device.type != "cpu":
        return
    if about["threads"] < about["cores"]:
        yield f"{about['threads']} of {about['cores']} cores compute: OMP_NUM_THREADS says how many"
    if not runtime.channels_last and convolves(training) and about["batch"] < CHANNELS_LAST_FROM:
        yield (
            f"batches below {CHANNELS_LAST_FROM} use channels first; "
            "larger ones are faster with channels last"
        )
    yield from precision_note(runtime)
    if runtime.precision == "fp32" and saves_time("bf16"):
        yield "this processor multiplies faster in half precision: --precision bf16"


def in_words(part: PartCost) -> str:
    """Name a part of a step."""
    if part.name == DATA:
        return "waiting for data"
    if part.name.startswith("components"):
        name = part.name
    else:
        name = PHRASES.get(part.name, f"the {part.name}")
    if part.of == "both":
        return f"{name} for both players"
    return f"{name} of the {part.of}'s update"


def convolves(training: Training) -> bool:
    """Whether a network has weights that a layout of images matters to."""
    gan = training.context.gan
    ranks: set[int] = set()
    for role in ROLES:
        ranks.update(weight.dim() for weight in gan.player(role).parameters)
    return 4 in ranks  # of a convolution: [out, in, height, width]
