"""One update of one player, in plain PyTorch. Nothing here waits for a number, and nothing here knows a technique."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve, field, frozen
from torch import Tensor

from gancore.batch import Batch, Moment, Sample, as_sample, pass_seed
from gancore.errors import CompositionError, PluginError
from gancore.networks import draw_latent
from gancore.rng import seed_globally
from gancore.world import gather

if TYPE_CHECKING:
    from gancore.data import Data
    from gancore.hooks import Hooks
    from gancore.networks import GAN, Player
    from gancore.plan import Plan, Role
    from gancore.rng import Streams
    from gancore.runtime import Runtime

Reals = Callable[[], tuple[Tensor, Tensor]]
Figures = dict[str, Any]


@frozen(eq=False)
class Game:
    """Everything an update needs and none of it changes: the players, the plan, the rules, the numbers."""

    gan: GAN
    hooks: Hooks
    plan: Plan
    streams: Streams
    runtime: Runtime
    data: Data | None = field(repr=False)


def update_critic(game: Game, moment: Moment, reals: Reals | None) -> Figures:
    """Move the critic once: fakes without graph, both sides through the view, terms, gradients, step."""
    with torch.no_grad():
        z, labels, made = draw_fakes(game, moment, reals)
    batch = make_batch(game, moment, reals, *exchange_fakes(game, moment, z, labels, made))
    terms, figures = differentiate(game, batch, game.gan.critic)
    take_step(game, batch, game.gan.critic, terms)
    return figures


def update_generator(game: Game, moment: Moment, reals: Reals | None) -> Figures:
    """Move the generator once, through the critic as it now is; no critic gradient is computed."""
    batch = make_batch(game, moment, reals, *draw_fakes(game, moment, reals))
    terms, figures = differentiate(game, batch, game.gan.generator)
    take_step(game, batch, game.gan.generator, terms)
    return figures


def update_both(game: Game, moment: Moment, reals: Reals | None) -> Figures:
    """Move both players at once: both gradients are taken at the old weights, on the same fakes."""
    critics, generators = make_batches(game, moment, reals)
    critic_terms, figures = differentiate(game, critics, game.gan.critic)
    generator_terms, more = differentiate(game, generators, game.gan.generator)
    take_step(game, critics, game.gan.critic, critic_terms)
    take_step(game, generators, game.gan.generator, generator_terms)
    return figures | more


def update_in_turn(game: Game, moment: Moment, reals: Reals | None) -> Figures:
    """Move the critic, then the generator through the critic as it now is: the fakes are made once for both."""
    critics, generators = make_batches(game, moment, reals)
    terms, figures = differentiate(game, critics, game.gan.critic)
    take_step(game, critics, game.gan.critic, terms)
    terms, more = differentiate(game, generators, game.gan.generator)
    take_step(game, generators, game.gan.generator, terms)
    return figures | more


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


def make_batches(game: Game, moment: Moment, reals: Reals | None) -> tuple[Batch, Batch]:
    """Gather an update of the critic and one of the generator on the same fakes, which only the second can move."""
    z, labels, made = draw_fakes(game, moment, reals)
    seen = Sample(made.images.detach(), {name: extra.detach() for name, extra in made.extras.items()})
    critics = make_batch(game, moment, reals, *exchange_fakes(game, moment, z, labels, seen))
    return critics, make_batch(game, evolve(moment, role="generator"), reals, z, labels, made)


def make_batch(
    game: Game, moment: Moment, reals: Reals | None, z: Tensor | None, labels: Tensor, made: Sample
) -> Batch:
    """Gather both sides of an update; nothing is computed until a term asks for it."""
    batch = Batch(game.gan, game.hooks, game.plan, game.streams, moment, reals, game.runtime.world)
    batch.show_fakes(made, labels, z)
    return batch


def differentiate(game: Game, batch: Batch, player: Player) -> tuple[dict[str, Tensor], Figures]:
    """Sum the player's terms and leave the gradient of the sum in its own weights, and in no others."""
    figures: Figures = {}
    with game.runtime.forward():
        terms = batch.terms(f"{player.role}_terms", figures)
    refuse_terms(player.role, terms)
    total = torch.stack(list(terms.values())).sum()
    game.runtime.differentiate(total, player)
    gradients = [weight.grad for weight in player.parameters if weight.grad is not None]
    figures |= {**terms, **batch.mean_scores(), "total": total}
    detached = {name: value.detach() if isinstance(value, Tensor) else value for name, value in figures.items()}
    settled = game.runtime.world.settle(gradients, detached)
    settled["grad_norm"] = game.runtime.norm(player, gradients)
    return {name: settled[name] for name in terms}, {f"{player.role}/{name}": value for name, value in settled.items()}


def refuse_terms(role: Role, terms: dict[str, Tensor]) -> None:
    """Raise CompositionError where there is nothing to minimise, PluginError for a term without gradient."""
    if not terms:
        raise CompositionError(f"no component gives the {role} a term to minimise", mend="--loss NAME")
    for name, term in terms.items():
        if not term.requires_grad:
            raise PluginError(f"the {role}'s term {name} carries no gradient", mend="log(name, value) only logs it")


def take_step(game: Game, batch: Batch, player: Player, terms: dict[str, Tensor]) -> None:
    """Let the optimiser move the player, unless a component says no; then let components act on the result."""
    step, hooks = batch.moment.step, game.hooks
    if hooks.any("learning_rate"):
        for group in player.optimizer.param_groups:
            rate = group.setdefault("initial_lr", group["lr"])
            group["lr"] = hooks.fold("learning_rate", {"rate": rate}, step=step, role=player.role)["rate"]
    if not hooks.first("skip_update", role=player.role, terms=terms, step=step):
        game.runtime.move(player)
    game.runtime.close(player)
    with torch.no_grad():
        hooks.all(f"after_{player.role}_update", gan=game.gan, batch=batch, step=step)
