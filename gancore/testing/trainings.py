"""Tiny trainings, compositions and batches, in memory and without a run directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from attrs import evolve
from torch import Tensor, nn

from gancore.plugins.calling import Component, Hooks
from gancore.plugins.component import info_of, kebab
from gancore.plugins.slots import SINGLE
from gancore.recipe.compose import Composition
from gancore.recipe.settings import Settings
from gancore.testing.stand_ins import StandIn, StandInLoss, stand_in_data
from gancore.train.batch import Batch, Fakes, UpdateId, make_batch
from gancore.train.build import build, make_plan
from gancore.train.context import TrainingContext
from gancore.train.data import Data, DataOrder, DataSpec, StoredData
from gancore.train.fakes import draw_fakes
from gancore.train.loop import Training
from gancore.train.networks import CriticOutput
from gancore.train.plan import LabelSet
from gancore.train.precision import Runtime
from gancore.train.rng import Streams


def some_data(
    shape: Sequence[int] = (3, 16, 16), classes: Sequence[int] = (3,), count: int = 40
) -> StoredData:
    """Make `count` random samples with labels, the same every time.

    Points `(d,)` are normal, signals `(C, T)` lie in [-1, 1], and images `(C, H, W)` and volumes
    `(C, D, H, W)` are bytes. `classes` holds the number of classes of each label set; `()` makes
    data without labels. Each class has a value `[1]`, its number.
    """
    rng = torch.Generator().manual_seed(1)
    # drawn for images too, where they are not used: what is drawn after them depends on it
    samples = torch.randn(count, *shape, generator=rng)
    if len(shape) == 2:
        samples = samples.tanh()
    if len(shape) > 2:
        samples = torch.randint(0, 256, (count, *shape), generator=rng, dtype=torch.uint8)
    columns = [torch.empty(count, 0, dtype=torch.int64)]
    sets = []
    for index, size in enumerate(classes):
        columns.append(torch.randint(0, size, (count, 1), generator=rng))
        names = tuple(f"class{number}" for number in range(size))
        values = torch.arange(float(size)).unsqueeze(1)
        sets.append(LabelSet(f"set{index}", names, values))
    return StoredData(samples, torch.cat(columns, 1), tuple(sets))


def train(
    *components: Any,
    data: Data | None = None,
    batch: int = 8,
    seed: int = 0,
    stand_ins: Sequence[Any] | None = None,
    hooks: Callable[[Sequence[Component]], Hooks] = Hooks,
    runtime: Runtime | None = None,
) -> Training:
    """Build a tiny training of components, in calling order: on the CPU, unless `runtime` differs.

    `.train_step()` makes a step. Open slots are filled by stand-ins; a component that provides a
    tag `loss.…` is the loss. Components are named after their classes, in kebab-case; pass a
    `Component` to give another name, or to choose one for a single player.
    """
    bound = hooks([*map(chosen_of, components), *map(chosen_of, fill_slots(components, stand_ins))])
    streams = Streams(seed)
    runtime = Runtime(torch.device("cpu")) if runtime is None else runtime
    spec = DataSpec(size=(16, 16))
    data = data or bound.first("make_data", spec=spec) or some_data()
    data = bound.fold("adapt_data", {"data": data}, spec=spec)["data"]
    assert data is not None
    plan = make_plan(bound, streams, data.shape, data.label_sets, batch, data)
    gan = build(bound, plan, streams, runtime.device)
    return Training(
        TrainingContext(gan, bound, plan, streams, runtime, data),
        DataOrder(len(data), batch, streams),
    )


def fill_slots(components: Sequence[Any], stand_ins: Sequence[Any] | None = None) -> list[Any]:
    """List the stand-ins for the slots that the components leave open, or those that are given."""
    if stand_ins is not None:
        return list(stand_ins)
    has_loss = any(_is_loss(chosen_of(each).component) for each in components)
    return [StandIn(dim=3)] if has_loss else [StandIn(dim=3), StandInLoss()]


def chosen_of(each: Any) -> Component:
    """Place a component in a composition, under the name of its class; leave a `Component` be."""
    if isinstance(each, Component):
        return each
    kind = "loss" if _is_loss(each) else "test"
    return Component(kebab(type(each).__name__), kind, each, component_name=type(each).__name__)


def _is_loss(each: Any) -> bool:
    return any(tag.startswith("loss.") for tag in info_of(each).provides)


def tiny_composition(
    *components: Any,
    data: Data | None = None,
    settings: Mapping[str, Any] | None = None,
    stand_ins: Sequence[Any] | None = None,
) -> Composition:
    """Compose a tiny run of components: what `gancore.Training.of` and a run are made from.

    `settings` are those of `gancore.Settings`; the batch is 8 unless they say otherwise. No rule
    between the components is checked: see `check_composes_with`.
    """
    data = some_data() if data is None else data
    filled = [stand_in_data(data), *components, *fill_slots(components, stand_ins)]
    chosen = tuple(map(chosen_of, filled))
    # any name will do: the slots only state that none is open
    slots = dict.fromkeys(SINGLE, ("stand-in",))
    return Composition(
        chosen=chosen,
        settings=Settings(**{"batch": 8, "steps": 2, **(settings or {})}),
        slots=slots,
        origins={},
        notes=(),
        hooks=Hooks(chosen),
    )


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
