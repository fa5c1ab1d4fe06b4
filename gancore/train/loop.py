"""The loop: ask the schedule, make its updates, count. Everything that moves is listed in `Training`."""

from __future__ import annotations

import random
import sys
from functools import cache, partial

import torch
from attrs import define, evolve
from torch import Tensor

from gancore.errors import PluginError, UsageError
from gancore.train.batch import UpdateId
from gancore.train.context import Figures, Reals, TrainingContext
from gancore.train.data import Data, DataOrder
from gancore.train.plan import Update
from gancore.train.rng import seed_globally
from gancore.train.step import update_both, update_critic, update_generator, update_in_turn

MAKE = {"critic": update_critic, "both": update_both, "in-turn": update_in_turn}


@define(eq=False)
class Training:
    """A game in progress. `step` counts finished iterations, `batches` the batches of reals shown so far."""

    context: TrainingContext
    order: DataOrder
    step: int = 0
    batches: int = 0
    source: Data | None = None  # what batches are gathered from, where that is not the game's own data

    @property
    def epoch(self) -> float:
        """How many times the data has been shown."""
        return self.batches / self.order.batches_per_epoch

    def retry(self, attempt: int) -> None:
        """Draw other random numbers from here on, those of another attempt; 0 is the first."""
        streams = evolve(self.context.streams, attempt=attempt)
        self.context, self.order = evolve(self.context, streams=streams), evolve(self.order, streams=streams)

    def train_step(self) -> Figures:
        """Make the updates of one iteration and return their figures, as tensors where they are tensors."""
        context, figures = self.context, Figures()
        _seed_everything(context.streams.number("global", self.step, *context.runtime.group.key), context.gan.device)
        context.hooks.all("before_step", gan=context.gan, step=self.step)
        for index, update in enumerate(self._schedule()):
            made = self._make(update, index)
            # an extra update on fakes alone must not hide the figures of an ordinary one
            extra = update.role == "critic" and not update.reals
            figures = made | figures if extra else figures | made
        with torch.no_grad():
            context.hooks.all("after_step", gan=context.gan, step=self.step)
        self.step += 1
        return figures

    def _schedule(self) -> list[Update]:
        streams = self.context.streams
        updates = self.context.hooks.first(
            "schedule", step=self.step, rng=lambda name: streams.generator(f"component/{name}", self.step, "schedule")
        )
        updates = self.context.hooks.fold("adapt_schedule", {"updates": list(updates or ())}, step=self.step)["updates"]
        if not updates or not all(isinstance(update, Update) for update in updates):
            what = f"the schedule gives {updates!r} for step {self.step}"
            raise PluginError(what, fix="return a list of gancore.Update")
        return list(updates)

    def _make(self, update: Update, index: int) -> Figures:
        if update.role == "generator":
            last = self.reals(max(0, self.batches - 1)) if update.reals else None
            return update_generator(self.context, UpdateId(self.step, "generator", index), last)
        reals = None
        if update.reals:
            self.batches += update.fresh or not self.batches
            reals = self.reals(self.batches - 1)
        return MAKE[update.role](self.context, UpdateId(self.step, "critic", index), reals)

    def reals(self, k: int) -> Reals:
        """Return what gathers the k-th batch of reals when it is first asked for."""
        return cache(partial(self._gather, k))

    def _gather(self, k: int) -> tuple[Tensor, Tensor]:
        data, place, group = self.source or self.context.data, self.context.runtime.place, self.context.runtime.group
        if data is None:
            raise UsageError("there is no data to train on")
        rng = self.context.streams.share("data", k, rank=group.rank, size=group.size)
        samples, labels = data.take(group.local_rows(self.order.indices(k)), rng)
        return place(samples), place(labels)


def _seed_everything(number: int, device: torch.device) -> None:
    """Seed the global generators, so that components which draw from them repeat themselves after a resume."""
    seed_globally(number, device)
    random.seed(number)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(number % 2**32)
