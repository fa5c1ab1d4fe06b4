"""The conformance kit: checks that every component must pass, and helpers for its own tests.

    from gancore.testing import check_component

    def test_conforms():
        check_component(MyTrick)

`train` builds a tiny training in memory from components, and fills every slot that they leave open
with a plain stand-in, so that the tests of a plugin need no other plugin.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from attrs import evolve
from safetensors.torch import load, save
from torch import Tensor, nn

from gancore.errors import PluginError
from gancore.guard.hooks import CheckedMethod, GuardedHooks
from gancore.guard.results import describe_value
from gancore.plugins.calling import Component, Hooks
from gancore.plugins.component import (
    Option,
    cached_fields,
    component,
    has_state,
    hookimpl,
    info_of,
    kebab,
    option,
    options_of,
)
from gancore.recipe.compose import option_values
from gancore.recipe.options import Given, read_options
from gancore.run.checkpoint.component_state import component_state, load_components
from gancore.run.checkpoint.state import Snapshot, capture, restore
from gancore.run.directory import RECIPE
from gancore.run.pictures import grid, save_picture
from gancore.train.batch import Batch, Fakes, UpdateId, make_batch
from gancore.train.build import build, make_plan
from gancore.train.context import TrainingContext
from gancore.train.data import Data, DataOrder, DataSpec, StoredData
from gancore.train.fakes import draw_fakes
from gancore.train.layers import Layers
from gancore.train.loop import Training
from gancore.train.networks import CriticOutput
from gancore.train.plan import LabelSet, Plan, Update
from gancore.train.precision import Runtime
from gancore.train.progress import Progress
from gancore.train.rng import Streams
from gancore.train.sampling import draw_samples

STAND_IN = "a stand-in for tests"


class _Generator(nn.Module):
    def __init__(self, plan: Plan) -> None:
        super().__init__()
        channels, *sides = plan.shape
        self.shape: tuple[int, ...] = (4,)
        if plan.axes:
            self.shape = (4, *(side // 2 for side in sides))
        self.project = nn.Linear(plan.inputs, math.prod(self.shape))
        up = plan.upsample(4, channels) if plan.axes else nn.Linear(4, channels)
        self.rest = Layers(plan.norm(4, "generator", plan.inputs), nn.Tanh(), up)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        made: Tensor = self.rest(self.project(z).unflatten(1, self.shape), labels, z)
        return made.tanh()


class _Critic(nn.Module):
    def __init__(self, plan: Plan) -> None:
        super().__init__()
        channels = plan.critic_shape[0]
        if plan.axes:
            first = getattr(nn, f"Conv{plan.axes}d")(channels, 6, 4, 2, 1)
        else:
            first = nn.Linear(channels, 6)
        self.layers = Layers(first, plan.norm(6, "critic"), nn.Tanh())

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        features: Tensor = self.layers(images, labels)
        return features


class _Bounded(torch.optim.SGD):
    """Gradient descent with each weight's gradient clipped to norm 1, so that it does not diverge.

    The gradients that components may read stay unclipped, and no weight's step depends on another.
    """

    def step(self, closure: Any = None) -> Any:
        weights: list[Tensor] = []
        for group in self.param_groups:
            weights += [weight for weight in group["params"] if weight.grad is not None]
        gradients = [weight.grad for weight in weights]
        # by a norm each: one norm of all would carry a change of one weight to every other
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient / torch.linalg.vector_norm(gradient).clamp_min(1.0)
        found = super().step(closure)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        return found


@component(source=STAND_IN, provides=["loss.targets", "loss.absolute-scores"])
class StandIn:
    """Fill every slot plainly: linear networks, squared-error loss, gradient descent."""

    dim: int = option(3, ge=1, help="columns of the latent")

    @hookimpl
    def latent_width(self) -> int:
        return self.dim

    @hookimpl
    def draw_latent(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, self.dim, generator=rng)

    @hookimpl
    def make_generator(self, plan: Plan) -> nn.Module:
        return _Generator(plan)

    @hookimpl
    def make_critic(self, plan: Plan) -> nn.Module:
        return _Critic(plan)

    @hookimpl
    def make_upsample(self, channels_in: int, channels_out: int, plan: Plan) -> nn.Module:
        convolution = getattr(nn, f"Conv{plan.axes}d")(channels_in, channels_out, 1)
        return nn.Sequential(nn.Upsample(scale_factor=2), convolution)

    @hookimpl
    def make_norm(self, channels: int) -> nn.Module:
        return nn.Identity()

    @hookimpl
    def make_optimizer(self, params: list[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
        return _Bounded(params, lr=0.05, momentum=0.5)

    @hookimpl
    def schedule(self) -> list[Update]:
        return [Update("critic"), Update("generator")]


@component(source=STAND_IN, provides=["loss.targets"])
class StandInLoss:
    """Squared distance of scores from their targets."""

    @hookimpl
    def critic_terms(self, batch: Batch) -> dict[str, Tensor]:
        terms = {}
        for name, side in (("real", batch.real), ("fake", batch.fake)):
            # an update may have no reals
            if side is not None:
                terms[name] = side.mean((side.score - side.targets).square())
        return terms

    @hookimpl
    def generator_terms(self, batch: Batch) -> dict[str, Tensor]:
        return {"fake": batch.fake.mean((batch.fake.score - 1).square())}


def some_data(
    shape: Sequence[int] = (3, 16, 16), classes: Sequence[int] = (3,), count: int = 40
) -> StoredData:
    """Make random bytes, or points for a shape of one number, with labels: the same every time."""
    rng = torch.Generator().manual_seed(1)
    # drawn for images too, where they are not used: what is drawn after them depends on it
    samples = torch.randn(count, *shape, generator=rng)
    if len(shape) > 1:
        samples = torch.randint(0, 256, (count, *shape), generator=rng, dtype=torch.uint8)
    columns = [torch.empty(count, 0, dtype=torch.int64)]
    sets = []
    for index, size in enumerate(classes):
        columns.append(torch.randint(0, size, (count, 1), generator=rng))
        names = tuple(f"class{number}" for number in range(size))
        sets.append(LabelSet(f"set{index}", names))
    return StoredData(samples, torch.cat(columns, 1), tuple(sets))


def train(
    *components: Any,
    data: Data | None = None,
    batch: int = 8,
    seed: int = 0,
    stand_ins: Sequence[Any] | None = None,
    hooks: Callable[[Sequence[Component]], Hooks] = Hooks,
) -> Training:
    """Build a tiny training of components, in calling order, on the CPU.

    `.train_step()` makes a step. Open slots are filled by stand-ins; a component that provides a
    tag `loss.…` is the loss. Components are named after their classes, in kebab-case; pass a
    `Component` to give another name, or to choose one for a single player.
    """
    given = [each if isinstance(each, Component) else _choose(each) for each in components]
    if stand_ins is None:
        has_loss = any(_is_loss(each.component) for each in given)
        stand_ins = [StandIn(dim=3)] if has_loss else [StandIn(dim=3), StandInLoss()]
    bound = hooks([*given, *map(_choose, stand_ins)])
    streams = Streams(seed)
    device = torch.device("cpu")
    spec = DataSpec(size=(16, 16))
    data = data or bound.first("make_data", spec=spec) or some_data()
    data = bound.fold("adapt_data", {"data": data}, spec=spec)["data"]
    assert data is not None
    plan = make_plan(bound, streams, data.shape, data.label_sets, batch, data)
    gan = build(bound, plan, streams, device)
    return Training(
        TrainingContext(gan, bound, plan, streams, Runtime(device), data),
        DataOrder(len(data), batch, streams),
    )


def _choose(each: Any) -> Component:
    kind = "loss" if _is_loss(each) else "test"
    return Component(kebab(type(each).__name__), kind, each, component_name=type(each).__name__)


def _is_loss(each: Any) -> bool:
    return any(tag.startswith("loss.") for tag in info_of(each).provides)


def some_batch(training: Training, role: str = "critic", step: int = 0) -> Batch:
    """Draw one update's batch, reals and fakes, without making the update."""
    context = training.context
    update_id = UpdateId(step, "critic" if role == "critic" else "generator")
    reals = training.reals(0)
    return make_batch(context, update_id, reals, draw_fakes(context, update_id, reals))


def scores_batch(real: Tensor, fake: Tensor, *components: Any, role: str = "critic") -> Batch:
    """Make a batch whose critic gives exactly these scores `[N]`: for the closed forms of losses.

    Gradients with respect to `real` and `fake` flow.
    """
    training = train(*components, data=some_data((1,), ()), batch=len(real))
    batch = some_batch(training, role)
    # the critic's own scores of random samples are replaced
    for side, score in ((batch.real, real), (batch.fake, fake)):
        assert side is not None
        side.set_output(evolve(side.out, score=score))
    return batch


def critic_batch(
    critic: Callable[[Tensor], Tensor], reals: Tensor, fakes: Tensor, *components: Any
) -> Batch:
    """Make a batch of reals and fakes `[N, *shape]` scored by a function `[N, *shape] → [N]`."""
    training = train(*components, data=StoredData(reals), batch=len(reals))

    class Given(nn.Module):
        def forward(self, view: Tensor, labels: Tensor) -> Any:
            return CriticOutput(critic(view), view.flatten(1), {})

    training.context.gan.critic.network = Given()
    no_labels = torch.empty(len(reals), 0, dtype=torch.int64)
    made = Fakes(fakes, no_labels, torch.zeros(len(fakes), 1))
    return make_batch(training.context, UpdateId(0, "critic"), lambda: (reals, no_labels), made)


def terms(each: Any, hook: str, batch: Batch) -> dict[str, Tensor]:
    """Return the terms of one component for a batch."""
    figures: dict[str, Any] = {}
    placed = [chosen for chosen in batch.hooks.chosen if chosen.component is each]
    chosen = placed[0] if placed else Component("it", "test", each)
    batch.context = evolve(batch.context, hooks=Hooks([chosen]))
    found = batch.terms(hook, figures)
    return {name.removeprefix(f"{chosen.name}/"): value for name, value in found.items()}


# ── the checks ───────────────────────────────────────────────────────────────────────────────────


def check_component(
    cls: type, *, data: Data | None = None, beside: Sequence[Any] = (), **options: Any
) -> None:
    """Check that a component keeps every rule; an AssertionError names the rule that it breaks.

    - Its help is complete; its options are validated and survive TOML.
    - Its hooks return the same for the same random numbers, keep shape and type, do not write into
      their inputs or change settings of the process, and return finite, differentiable terms.
    - What it measures, records, draws and samples has the right type.
    - It keeps nothing on its class or module, so two runs in one process are equal.
    - A training resumed from its stored state equals one that was never interrupted, bit for bit.

    `beside` are further components that it requires, `options` those of its options that have no
    default that works.
    """
    check_help(cls)
    check_options(cls, options)
    before = shared_data(cls)
    trained = _check_training(lambda: [cls(**options), *beside], data=data)
    check_records(trained)
    changed = _changed(before, shared_data(cls))
    assert not changed, (
        f"{', '.join(changed)} changes while training, though all runs of a process share it"
    )


def shared_data(cls: type) -> dict[str, str]:
    """Return the representations of the data on a class and its module, by name."""
    # not what is imported or defined there: only what can hold a value
    kinds = (bool, int, float, str, list, dict, set, bytearray, Tensor)
    found = {}
    for place in (cls, sys.modules[cls.__module__]):
        for name, value in vars(place).items():
            if not name.startswith("__") and isinstance(value, kinds):
                found[f"{place.__name__}.{name}"] = repr(value)
    return found


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names whose values are not what they were, or were not there."""
    return [name for name, value in now.items() if before.get(name) != value]


def check_help(cls: type) -> None:
    """Check that a docstring, a source and the help of every option are there."""
    assert info_of(cls).source.strip(), f"{cls.__name__} cites no source"
    first = (cls.__doc__ or "").partition("\n")[0]
    assert 0 < len(first) < 120, (
        f"{cls.__name__}: the first line of its docstring must hold 1 to 119 characters"
    )
    for name, each in options_of(cls).items():
        assert each.help.strip(), f"{cls.__name__}.{name} has no help"


def check_options(cls: type, options: Mapping[str, Any]) -> None:
    """Check that options out of range are refused, and that TOML stores and restores the others."""
    made = cls(**options)
    for each in options_of(cls).values():
        for value in _out_of_range(each):
            try:
                cls(**{**options, each.name: value})
            except ValueError:
                continue
            raise AssertionError(
                f"{cls.__name__}.{each.name} takes {value!r}, though it must be {each.range}"
            )
    written = option_values(Component("it", "test", made))
    given = {name: Given(value, "TOML") for name, value in written.items()}
    again = cls(**read_options("it", options_of(cls), given))
    assert option_values(Component("it", "test", again)) == written, (
        f"{cls.__name__} does not survive TOML"
    )


def _out_of_range(each: Option) -> list[Any]:
    """Return a value beyond each bound of an option, and one that is no choice of it."""
    values: list[Any] = []
    for bound, step in ((each.ge, -1), (each.gt, -1), (each.le, 1), (each.lt, 1)):
        if bound is not None:
            values.append(bound + step)
    return [*values, "no such choice"] if each.choices else values


def check_exact_resume(
    make: Callable[[], Sequence[Any]], *, data: Data | None = None, steps: int = 3
) -> None:
    """Check that a resumed training equals one that was never interrupted, bit for bit.

    2·steps in one go are compared with steps, saved and loaded into new objects, and steps again;
    and with another run of 2·steps in the same process.
    """
    _check_training(make, data=data, steps=steps)


def _check_training(
    make: Callable[[], Sequence[Any]], *, data: Data | None = None, steps: int = 3
) -> Training:
    """Run `check_exact_resume` and return the training that was never interrupted."""
    try:
        whole = train(*make(), data=data, hooks=WatchedHooks)
        chosen = whole.context.hooks.chosen
        before = {each.name: cached_values(each.component) for each in chosen}
        figures = [whole.train_step() for _ in range(2 * steps)]
    except PluginError as error:
        raise AssertionError(str(error)) from error
    for row in figures:
        for name, value in row.items():
            assert math.isfinite(float(value)), f"{name} is {float(value)}"
    # first, because a resumed run would differ too, and its message would blame what is saved
    again = train(*make(), data=data)
    for _ in range(2 * steps):
        again.train_step()
    assert_equal(
        capture(whole),
        capture(again),
        "two runs in one process differ: something is kept on class or module",
    )
    first = train(*make(), data=data)
    for _ in range(steps):
        first.train_step()
    second = train(*make(), data=data)
    restore(second, through_files(capture(first)))
    for _ in range(steps):
        second.train_step()
    what = "a resumed run differs"
    for each in chosen:
        # a likely cause, and no fault as long as the runs are equal: the data's statistics, say
        for name in _changed(before[each.name], cached_values(each.component)):
            fault = f"changes {name} while training, which is cached() and so not saved"
            what += f"; {each.name} {fault}"
    assert_equal(capture(whole), capture(second), what)
    return whole


def check_records(training: Training) -> None:
    """Call every hook that a run calls beside its steps once, and check its results.

    `draw` is given the folder `samples` of a run whose `metrics.jsonl` has one row.
    """
    context = training.context
    before = capture(training)
    row: dict[str, Any] = {
        "step": training.step,
        "epoch": training.epoch,
        "critic/total": 0.5,
        "generator/total": 0.5,
    }
    progress = Progress(context, training.step, training.epoch)
    try:
        with TemporaryDirectory() as place:
            folder = Path(place) / "run" / "samples"
            folder.mkdir(parents=True)
            save_picture(grid(torch.zeros(1, 3, 8, 8)), folder / "final.png")
            _check_data_hooks(context.hooks, Path(place))
            _check_samples(context)
            row |= _measured(context, progress)
            # what a hook finds in the folder of a run
            (folder.parent / RECIPE).write_text("")
            (folder.parent / "metrics.jsonl").write_text(json.dumps(row) + "\n")
            given = dict(row)
            context.hooks.all("record", row=given)
            context.hooks.first("stop", row=given)
            assert given == row, "record or stop writes into the row, which all components share"
            context.hooks.all("draw", progress=progress, folder=folder)
            outside = [path.name for path in Path(place).iterdir() if path.name != "run"]
            assert not outside, f"draw writes {', '.join(outside)} outside the run's folder"
    except PluginError as error:
        raise AssertionError(str(error)) from error
    after = capture(training)
    for part in ("generator", "critic"):
        for name, tensor in before.files.get(part, {}).items():
            assert torch.equal(tensor, after.files[part][name]), (
                f"measuring or drawing changes {part}: {name}"
            )


def _check_data_hooks(hooks: Hooks, place: Path) -> None:
    for path in (place / "run", place / "nothing-is-here", place / "file.unknown"):
        for name, fit in hooks.all("recognizes", path=path):
            assert fit in (0, 1, 2), f"{name}.recognizes gave {fit!r}, but 0, 1 or 2 is wanted"
    for name, facts in hooks.all("describe_data"):
        try:
            json.dumps(facts, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(
                f"{name}.describe_data gave what JSON cannot hold: {error}"
            ) from error


def _check_samples(context: TrainingContext) -> None:
    if not any(map(context.hooks.any, ("sampling_generator", "select_samples"))):
        return
    images, labels = draw_samples(context, 4, "check")
    again, _ = draw_samples(context, 4, "check")
    assert len(images) == len(labels) <= 4, (
        f"4 samples became {len(images)} with {len(labels)} rows of labels"
    )
    assert images.shape[1:] == context.plan.shape, (
        f"samples are {list(images.shape[1:])}, not {list(context.plan.shape)}"
    )
    assert torch.equal(images, again), "sampling_generator or select_samples does not repeat itself"


def _measured(context: TrainingContext, progress: Progress) -> dict[str, float]:
    answers = context.hooks.all(
        "measure",
        progress=progress,
        rng=lambda name: context.streams.generator(f"component/{name}", progress.step, "measure"),
    )
    found: dict[str, float] = {}
    for name, figures in answers:
        for key, value in figures.items():
            label = f"{name}.measure: {key}"
            is_scalar = isinstance(value, Tensor) and value.dim() == 0
            assert is_scalar or isinstance(value, int | float), (
                f"{label} is {describe_value(value)}, but a number is wanted"
            )
            assert math.isfinite(float(value)), f"{label} is {float(value)}"
            found[f"{name}/{key}"] = float(value)
    return found


def cached_values(component: Any) -> dict[str, str]:
    """Return the representations of a component's `cached()` fields, by name."""
    return {name: repr(getattr(component, name, None)) for name in cached_fields(type(component))}


def copy_state(source: Any, target: Any) -> None:
    """Give one component the state of another of its class, as a resumed run does.

    Raises PluginError for state that cannot be stored, CheckpointError for state that is not taken.
    """
    tensors, components = component_state(Hooks([_choose(source)]))
    stored = through_files(Snapshot({"components": tensors}, components))
    load_components(Hooks([_choose(target)]), stored.files["components"], stored.state)


def through_files(snapshot: Snapshot) -> Snapshot:
    """Pass a snapshot through safetensors and JSON, as a checkpoint would."""
    files = {}
    for name, tensors in snapshot.files.items():
        # safetensors stores no strides
        contiguous = {key: tensor.contiguous() for key, tensor in tensors.items()}
        files[name] = load(save(contiguous))
    return Snapshot(files, json.loads(json.dumps(snapshot.state, allow_nan=False)))


def assert_equal(one: Snapshot, other: Snapshot, what: str = "two snapshots differ") -> None:
    """Assert that two snapshots hold the same bits."""
    # as JSON holds them: there a tuple is a list, and every key a text
    state = json.loads(json.dumps(one.state))
    other_state = json.loads(json.dumps(other.state))
    assert state == other_state, f"{what} (in the JSON state)"
    for part, tensors in one.files.items():
        assert tensors.keys() == other.files[part].keys(), f"{what} ({part} holds other names)"
        for name, tensor in tensors.items():
            assert torch.equal(tensor, other.files[part][name]), f"{what} ({part}: {name})"


# hooks that may not use torch's global generator; the others run networks, which may
QUIET = {
    "critic_view",
    "critic_targets",
    "critic_fakes",
    "draw_latent",
    "draw_labels",
    "schedule",
    "learning_rate",
}


class WatchedHooks(GuardedHooks):
    """Hooks whose every call is checked: its arguments, its result and its side effects."""

    def __init__(self, chosen: Sequence[Component]) -> None:
        super().__init__(chosen, calls=None, check=_Watched)


class _Watched(CheckedMethod):
    def checked(self, given: Mapping[str, Any]) -> Any:
        hook = self.hook
        component = self.method.chosen.component
        numbers = torch.get_rng_state()
        grad = torch.is_grad_enabled()
        answer = super().checked(given)
        faults = {"changes torch's grad mode": torch.is_grad_enabled() != grad}
        if hook in QUIET:
            faults["draws from torch's global generator"] = not torch.equal(
                torch.get_rng_state(), numbers
            )
            # a second call would change the state that the training goes on with
            repeats = has_state(component) or _same(answer, self.ask(given))
            faults["does not repeat itself for the same numbers"] = not repeats
        if hook == "critic_view" and answer is not None:
            images = answer[0] if isinstance(answer, tuple) else answer
            faults["changes the type of the images"] = images.dtype != given["images"].dtype
        for fault, found in faults.items():
            if found:
                raise PluginError(f"{self.method.chosen.name}.{hook} {fault}")
        return answer


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple):
        return all(map(_same, one, other))
    return bool(one == other)


__all__ = [
    "StandIn", "StandInLoss", "WatchedHooks", "assert_equal", "check_component",
    "check_exact_resume", "check_help", "check_options", "check_records", "copy_state",
    "critic_batch", "scores_batch", "some_batch", "some_data", "terms", "through_files",
    "train",
]  # fmt: skip
