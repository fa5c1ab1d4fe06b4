"""One update of one player, in plain PyTorch. Nothing here waits for a number, and nothing here knows a technique."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import evolve
from torch import Tensor

from gancore.errors import CompositionError, PluginError
from gancore.train.batch import Batch, Moment, Sample
from gancore.train.context import Figures, Game, Reals
from gancore.train.fakes import draw_fakes, exchange_fakes

if TYPE_CHECKING:
    from gancore.plugins.slots import Role
    from gancore.train.networks import Player


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
    if not gradients:
        what = f"no gradient reaches the {player.role}'s weights: something between them and its terms cuts the graph"
        raise PluginError(what, mend="look for detach(), no_grad() or NumPy in views, wrappers and networks")
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
