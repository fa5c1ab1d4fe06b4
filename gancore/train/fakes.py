"""Draw labels and fakes."""

from __future__ import annotations

import torch
from torch import Tensor

from gancore.distributed.collectives import gather
from gancore.train.batch import Fakes, UpdateId, as_sample, pass_seed
from gancore.train.context import Reals, TrainingContext
from gancore.train.latents import draw_latent
from gancore.train.rng import seed_globally


def draw_fakes(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> Fakes:
    """Draw latents `[N, Z]` and labels `[N, L]`, and let the generator make samples of them."""
    gan = context.gan
    plan = context.plan
    runtime = context.runtime
    local_rows = runtime.group.local_rows
    z = draw_latent(context.hooks, plan, plan.batch, context.streams, *update_id.key)
    z = local_rows(z).to(gan.device)
    labels = draw_labels(context, plan.batch, reals, *update_id.key)
    labels = local_rows(labels).to(gan.device)
    seed_globally(pass_seed(context, update_id, "made"), gan.device)
    with runtime.forward():
        made = as_sample(gan.generator.network(z, labels))
    return Fakes(made.images, labels, z, made.extras)


def exchange_fakes(context: TrainingContext, update_id: UpdateId, fakes: Fakes) -> Fakes:
    """Let components show the critic other fakes, with their labels `[N, L]`, than those just made.

    Replaced fakes have no `z` and no `extras`. Components are given the whole batch, whichever
    process made it, so that all of them keep the same.
    """
    if not context.hooks.any("critic_fakes"):
        return fakes
    group = context.runtime.group
    with group.together():
        whole = {"images": gather(fakes.images), "labels": gather(fakes.labels)}
    shown = context.hooks.fold(
        "critic_fakes",
        whole,
        step=update_id.step,
        rng=lambda name: context.streams.generator(
            f"component/{name}", update_id.step, update_id.index, "fakes"
        ),
    )
    labels = group.local_rows(shown["labels"])
    if shown["images"] is whole["images"]:
        return Fakes(fakes.images, labels, fakes.z, fakes.extras)
    return Fakes(group.local_rows(shown["images"]), labels)


def draw_labels(context: TrainingContext, n: int, reals: Reals | None, *key: int | str) -> Tensor:
    """Ask components for the labels of n fakes `[n, L]`.

    Otherwise give them the labels of n samples of the data.
    """
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
    """Draw labels `[n, L]` with the data's own frequencies.

    Uniformly where there is no data at hand.
    """
    rng = context.streams.generator("labels", *key)
    if context.data is not None:
        return context.data.draw_labels(n, rng)
    sets = context.plan.label_sets
    columns = [torch.randint(len(each), (n,), generator=rng) for each in sets]
    return torch.stack(columns, 1)
