"""Draw latents, labels and fakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gancore.distributed.group import gather
from gancore.train.batch import Moment, Sample, as_sample, pass_seed
from gancore.train.context import Game, Reals
from gancore.train.plan import Plan
from gancore.train.rng import seed_globally

if TYPE_CHECKING:
    from gancore.plugins.calling import Hooks
    from gancore.train.plan import Plan
    from gancore.train.rng import Streams


def draw_fakes(game: Game, moment: Moment, reals: Reals | None) -> tuple[Tensor, Tensor, Sample]:
    """Draw latents `[N, Z]` and labels `[N, L]`, and let the generator make samples of them."""
    own = game.runtime.world.own
    z = own(draw_latent(game.hooks, game.plan, game.plan.batch, game.streams, *moment.key)).to(game.gan.device)
    labels = own(draw_labels(game, game.plan.batch, reals, *moment.key)).to(game.gan.device)
    seed_globally(pass_seed(game.streams, moment, game.runtime.world, "made"), game.gan.device)
    with game.runtime.forward():
        made = game.gan.generator.network(z, labels)
    return z, labels, as_sample(made)


def exchange_fakes(
    game: Game, moment: Moment, z: Tensor, labels: Tensor, made: Sample
) -> tuple[Tensor | None, Tensor, Sample]:
    """Let components show the critic other fakes, with their labels `[N, L]`, than those just made.

    Others have no latents and no insides: those at hand belong to the fakes that were made. Components are given the
    whole batch, whichever process made it, so that all of them keep the same.
    """
    if not game.hooks.any("critic_fakes"):
        return z, labels, made
    world = game.runtime.world
    with world.together():
        whole = {"images": gather(made.images), "labels": gather(labels)}
    shown = game.hooks.fold(
        "critic_fakes",
        whole,
        step=moment.step,
        rng=lambda name: game.streams.generator(f"component/{name}", moment.step, moment.index, "fakes"),
    )
    labels, images = world.own(shown["labels"]), shown["images"]
    return (z, labels, made) if images is whole["images"] else (None, labels, Sample(world.own(images)))


def draw_labels(game: Game, n: int, reals: Reals | None, *key: int | str) -> Tensor:
    """Ask components for the labels of n fakes `[n, L]`; otherwise give them the labels of n samples of the data."""
    if not game.plan.label_sets:
        return torch.empty(n, 0, dtype=torch.int64)
    if game.hooks.any("draw_labels"):
        with game.runtime.world.together():
            real_labels = gather(reals()[1]) if reals is not None else None
        chosen: Tensor | None = game.hooks.first(
            "draw_labels",
            n=n,
            real_labels=real_labels,
            plan=game.plan,
            rng=lambda name: game.streams.generator(f"labels/{name}", *key),
        )
        if chosen is not None:
            return chosen
    return data_labels(game, n, *key)


def data_labels(game: Game, n: int, *key: int | str) -> Tensor:
    """Draw labels `[n, L]` with the data's own frequencies; uniformly where there is no data at hand."""
    rng = game.streams.generator("labels", *key)
    if game.data is not None:
        return game.data.draw_labels(n, rng)
    return torch.stack([torch.randint(len(each), (n,), generator=rng) for each in game.plan.label_sets], 1)


def draw_latent(hooks: Hooks, plan: Plan, n: int, streams: Streams, *key: int | str) -> Tensor:
    """Draw latents `[n, Z]` on the CPU, so that a seed means the same on every device."""
    found = hooks.all("draw_latent", n=n, plan=plan, rng=lambda name: streams.generator(f"latent/{name}", *key))
    columns = [drawn for _, drawn in found]
    return columns[0] if len(columns) == 1 else torch.cat(columns, 1)
