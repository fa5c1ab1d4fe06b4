"""The steps of a training: ask the schedule, make its updates, count.

All that changes is listed in `Training`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from attrs import define, evolve
from torch import Tensor

from gancore.errors import PluginError, UsageError
from gancore.train.batch import UpdateId
from gancore.train.build import build, make_plan, require_slots
from gancore.train.context import Figures, Reals, TrainingContext
from gancore.train.data import Data, DataOrder, data_tags, open_data
from gancore.train.plan import Update
from gancore.train.precision import Runtime
from gancore.train.rng import Streams, seed_globally
from gancore.train.step import update_both, update_critic, update_generator, update_in_turn
from gancore.train.views import expect_labels

if TYPE_CHECKING:
    from gancore.plugins.slots import Role
    from gancore.recipe.compose import Composition

UPDATES: dict[str, Callable[[TrainingContext, UpdateId, Reals | None], Figures]] = {
    "critic": update_critic,
    "generator": update_generator,
    "both": update_both,
    "in-turn": update_in_turn,
}


@define(eq=False)
class Training:
    """A training in progress: networks, optimisers and counters, without a directory.

    - `context`: what updates need and none changes: `training.context.gan` holds the players,
      `.plan` their shapes, `.data` the reals.
    - `step`: how many iterations are finished.
    - `batches`: how many batches of reals were shown.

    Internal: `gather_reals`, `order`, `reals`, `retry`, `source`.
    """

    context: TrainingContext
    order: DataOrder
    step: int = 0
    batches: int = 0
    source: Data | None = None  # where batches are not gathered from the context's own data

    @classmethod
    def of(
        cls, composition: Composition, data: Data | None = None, runtime: Runtime | None = None
    ) -> Training:
        """Build the networks of a composition; return a training at step 0 without a directory.

        Opens the composition's own data unless some are given, and computes on the CPU in fp32
        unless a runtime says otherwise. Raises CompositionError where the data breaks a rule or a
        slot is empty.
        """
        hooks = composition.hooks
        settings = composition.settings
        data = open_data(composition) if data is None else data
        runtime = Runtime(torch.device("cpu")) if runtime is None else runtime
        composition.check(data_tags(data))
        require_slots(composition)
        streams = Streams(settings.seed)
        plan = make_plan(hooks, streams, data.shape, data.label_sets, settings.batch, data)
        gan = build(hooks, plan, streams, runtime.device)
        context = TrainingContext(gan, hooks, plan, streams, runtime, data)
        expect_labels(context)
        return cls(context, DataOrder(len(data), settings.batch, streams))

    @property
    def epoch(self) -> float:
        """How many times the data was shown, with a fraction."""
        return self.batches / self.order.batches_per_epoch

    def retry(self, attempt: int) -> None:
        """Draw other random numbers from here on, those of another attempt; 0 is the first."""
        streams = evolve(self.context.streams, attempt=attempt)
        self.context = evolve(self.context, streams=streams)
        self.order = evolve(self.order, streams=streams)

    def train_step(self) -> Figures:
        """Make the updates of one iteration and return their figures by name.

        Names are `PLAYER/COMPONENT/TERM`, `PLAYER/total` and so on; figures that were computed as
        tensors are 0-d tensors. Raises PluginError for a component that breaks a rule.
        """
        context = self.context
        hooks = context.hooks
        gan = context.gan
        figures: Figures = {}
        seed = context.streams.number("global", self.step, *context.runtime.group.key)
        _seed_everything(seed, gan.device)
        hooks.all("before_step", gan=gan, step=self.step)
        for index, update in enumerate(self.schedule()):
            reals = self._next_reals(update)
            role: Role = "generator" if update.role == "generator" else "critic"
            with context.runtime.timed(update.role):
                made = UPDATES[update.role](context, UpdateId(self.step, role, index), reals)
            # an extra update on fakes alone must not hide the figures of an ordinary one
            extra = update.role == "critic" and not update.reals
            figures = made | figures if extra else figures | made
        if hooks.any("after_step"):
            with torch.no_grad():
                hooks.all("after_step", gan=gan, step=self.step)
        self.step += 1
        return figures

    def schedule(self) -> list[Update]:
        """Return the updates of this iteration, after `schedule` and every `adapt_schedule`.

        Raises PluginError for a result that is no list of updates.
        """
        hooks = self.context.hooks
        streams = self.context.streams
        updates = hooks.first(
            "schedule",
            step=self.step,
            rng=lambda name: streams.generator(f"component/{name}", self.step, "schedule"),
        )
        adapted = hooks.fold("adapt_schedule", {"updates": list(updates or ())}, step=self.step)
        updates = adapted["updates"]
        if not updates or not all(isinstance(update, Update) for update in updates):
            what = f"the schedule gives {updates!r} for step {self.step}"
            raise PluginError(what, fix="return a list of gancore.Update")
        return list(updates)

    def _next_reals(self, update: Update) -> Reals | None:
        """Return the next batch for an update of the critic, the last one for the generator's."""
        if not update.reals:
            return None
        if update.role != "generator" and (update.fresh or not self.batches):
            self.batches += 1
        # a generator that is updated before the critic has no last batch, and is shown the first
        return self.reals(max(0, self.batches - 1))

    def reals(self, k: int) -> Reals:
        """Return the k-th batch of reals, which is gathered when it is first called."""
        return BatchOfReals(self, k)

    def gather_reals(self, k: int) -> tuple[Tensor, Tensor]:
        """Gather this process's samples and labels of the k-th batch, on the device."""
        runtime = self.context.runtime
        data = self.source or self.context.data
        group = runtime.group
        if data is None:
            raise UsageError("there is no data to train on")
        with runtime.timed("data"):
            rng = self.context.streams.share("data", k, rank=group.rank, size=group.size)
            samples, labels = data.take(group.local_rows(self.order.indices(k)), rng)
            return runtime.place(samples), runtime.place(labels)


@define(eq=False)
class BatchOfReals:
    """The k-th batch of reals: gathered when it is first called, and only once."""

    training: Training
    k: int
    _gathered: tuple[Tensor, Tensor] | None = None

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return samples `[N, *shape]` and labels `[N, L]`."""
        if self._gathered is None:
            self._gathered = self.training.gather_reals(self.k)
        return self._gathered


def _seed_everything(number: int, device: torch.device) -> None:
    """Seed the global generators, so that what draws from them repeats itself after a resume."""
    seed_globally(number, device)
    random.seed(number)
    # looked up, not imported: where nothing imported NumPy, nothing draws from it
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(number % 2**32)  # it takes 32 bits
