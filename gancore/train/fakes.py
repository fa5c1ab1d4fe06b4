"""Draw latents, labels and fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gancore.distributed.collectives import gather
from gancore.train.batch import Sample, UpdateId, as_sample, pass_seed
from gancore.train.context import Reals, TrainingContext
from gancore.train.plan import Plan
from gancore.train.rng import seed_globally

if TYPE_CHECKING:
    from gancore.plugins.calling import Hooks
    from gancore.train.plan import Plan
    from gancore.train.rng import Streams


def draw_fakes(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> tuple[Tensor, Tensor, Sample]:
    """Draw latents `[N, Z]` and labels `[N, L]`, and let the generator make samples of them."""
    own = context.runtime.group.local_rows
    z = own(draw_latent(context.hooks, context.plan, context.plan.batch, context.streams, *update_id.key)).to(
        context.gan.device
    )
    labels = own(draw_labels(context, context.plan.batch, reals, *update_id.key)).to(context.gan.device)
    seed_globally(pass_seed(context.streams, update_id, context.runtime.group, "made"), context.gan.device)
    with context.runtime.forward():
        made = context.gan.generator.network(z, labels)
    return z, labels, as_sample(made)


def exchange_fakes(
    context: TrainingContext, update_id: UpdateId, z: Tensor, labels: Tensor, made: Sample
) -> tuple[Tensor | None, Tensor, Sample]:
    """Let components show the critic other fakes, with their labels `[N, L]`, than those just made.

    Others have no latents and no insides: those at hand belong to the fakes that were made. Components are given the
    whole batch, whichever process made it, so that all of them keep the same.
    """
    if not context.hooks.any("critic_fakes"):
        return z, labels, made
    group = context.runtime.group
    with group.together():
        whole = {"images": gather(made.images), "labels": gather(labels)}
    shown = context.hooks.fold(
        "critic_fakes",
        whole,
        step=update_id.step,
        rng=lambda name: context.streams.generator(f"component/{name}", update_id.step, update_id.index, "fakes"),
    )
    labels, images = group.local_rows(shown["labels"]), shown["images"]
    return (z, labels, made) if images is whole["images"] else (None, labels, Sample(group.local_rows(images)))


def draw_labels(context: TrainingContext, n: int, reals: Reals | None, *key: int | str) -> Tensor:
    """Ask components for the labels of n fakes `[n, L]`; otherwise give them the labels of n samples of the data."""
    if not context.plan.label_sets:
        return torch.empty(n, 0, dtype=torch.int64)
    if context.hooks.any("draw_labels"):
        with context.runtime.group.together():
            real_labels = gather(reals()[1]) if reals is not None else None
        chosen: Tensor | None = context.hooks.first(
            "draw_labels",
            n=n,
            real_labels=real_labels,
            plan=context.plan,
            rng=lambda name: context.streams.generator(f"labels/{name}", *key),
        )
        if chosen is not None:
            return chosen
    return data_labels(context, n, *key)


def data_labels(context: TrainingContext, n: int, *key: int | str) -> Tensor:
    """Draw labels `[n, L]` with the data's own frequencies; uniformly where there is no data at hand."""
    rng = context.streams.generator("labels", *key)
    if context.data is not None:
        return context.data.draw_labels(n, rng)
    return torch.stack([torch.randint(len(each), (n,), generator=rng) for each in context.plan.label_sets], 1)


def draw_latent(hooks: Hooks, plan: Plan, n: int, streams: Streams, *key: int | str) -> Tensor:
    """Draw latents `[n, Z]` on the CPU, so that a seed means the same on every device."""
    found = hooks.all("draw_latent", n=n, plan=plan, rng=lambda name: streams.generator(f"latent/{name}", *key))
    columns = [drawn for _, drawn in found]
    return columns[0] if len(columns) == 1 else torch.cat(columns, 1)
