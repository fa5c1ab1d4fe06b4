"""One update of one player, in plain PyTorch. Nothing here waits for a number, and nothing here knows a technique."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import evolve
from torch import Tensor

from gancore.errors import CompositionError, PluginError
from gancore.train.batch import Batch, Sample, UpdateId
from gancore.train.context import Figures, Reals, TrainingContext
from gancore.train.fakes import draw_fakes, exchange_fakes

if TYPE_CHECKING:
    from gancore.plugins.slots import Role
    from gancore.train.networks import Player


def update_critic(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> Figures:
    """Move the critic once: fakes without graph, both sides through the view, terms, gradients, step."""
    with torch.no_grad():
        z, labels, made = draw_fakes(context, update_id, reals)
    batch = make_batch(context, update_id, reals, *exchange_fakes(context, update_id, z, labels, made))
    terms, figures = backward(context, batch, context.gan.critic)
    take_step(context, batch, context.gan.critic, terms)
    return figures


def update_generator(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> Figures:
    """Move the generator once, through the critic as it now is; no critic gradient is computed."""
    batch = make_batch(context, update_id, reals, *draw_fakes(context, update_id, reals))
    terms, figures = backward(context, batch, context.gan.generator)
    take_step(context, batch, context.gan.generator, terms)
    return figures


def update_both(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> Figures:
    """Move both players at once: both gradients are taken at the old weights, on the same fakes."""
    critics, generators = make_batches(context, update_id, reals)
    critic_terms, figures = backward(context, critics, context.gan.critic)
    generator_terms, more = backward(context, generators, context.gan.generator)
    take_step(context, critics, context.gan.critic, critic_terms)
    take_step(context, generators, context.gan.generator, generator_terms)
    return figures | more


def update_in_turn(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> Figures:
    """Move the critic, then the generator through the critic as it now is: the fakes are made once for both."""
    critics, generators = make_batches(context, update_id, reals)
    terms, figures = backward(context, critics, context.gan.critic)
    take_step(context, critics, context.gan.critic, terms)
    terms, more = backward(context, generators, context.gan.generator)
    take_step(context, generators, context.gan.generator, terms)
    return figures | more


def make_batches(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> tuple[Batch, Batch]:
    """Gather an update of the critic and one of the generator on the same fakes, which only the second can move."""
    z, labels, made = draw_fakes(context, update_id, reals)
    seen = Sample(made.images.detach(), {name: extra.detach() for name, extra in made.extras.items()})
    critics = make_batch(context, update_id, reals, *exchange_fakes(context, update_id, z, labels, seen))
    return critics, make_batch(context, evolve(update_id, role="generator"), reals, z, labels, made)


def make_batch(
    context: TrainingContext, update_id: UpdateId, reals: Reals | None, z: Tensor | None, labels: Tensor, made: Sample
) -> Batch:
    """Gather both sides of an update; nothing is computed until a term asks for it."""
    batch = Batch(context.gan, context.hooks, context.plan, context.streams, update_id, reals, context.runtime.group)
    batch.show_fakes(made, labels, z)
    return batch


def backward(context: TrainingContext, batch: Batch, player: Player) -> tuple[dict[str, Tensor], Figures]:
    """Sum the player's terms and leave the gradient of the sum in its own weights, and in no others."""
    figures: Figures = {}
    with context.runtime.forward():
        terms = batch.terms(f"{player.role}_terms", figures)
    refuse_terms(player.role, terms)
    total = torch.stack(list(terms.values())).sum()
    context.runtime.backward(total, player)
    gradients = [weight.grad for weight in player.parameters if weight.grad is not None]
    if not gradients:
        what = f"no gradient reaches the {player.role}'s weights: something between them and its terms cuts the graph"
        raise PluginError(what, fix="look for detach(), no_grad() or NumPy in views, wrappers and networks")
    figures |= {**terms, **batch.mean_scores(), "total": total}
    detached = {name: value.detach() if isinstance(value, Tensor) else value for name, value in figures.items()}
    settled = context.runtime.group.all_reduce_mean(gradients, detached)
    settled["grad_norm"] = context.runtime.unscale_and_grad_norm(player, gradients)
    return {name: settled[name] for name in terms}, {f"{player.role}/{name}": value for name, value in settled.items()}


def refuse_terms(role: Role, terms: dict[str, Tensor]) -> None:
    """Raise CompositionError where there is nothing to minimise, PluginError for a term without gradient."""
    if not terms:
        raise CompositionError(f"no component gives the {role} a term to minimise", fix="--loss NAME")
    for name, term in terms.items():
        if not term.requires_grad:
            raise PluginError(f"the {role}'s term {name} carries no gradient", fix="log(name, value) only logs it")


def take_step(context: TrainingContext, batch: Batch, player: Player, terms: dict[str, Tensor]) -> None:
    """Let the optimiser move the player, unless a component says no; then let components act on the result."""
    step, hooks = batch.update_id.step, context.hooks
    if hooks.any("learning_rate"):
        for param_group in player.optimizer.param_groups:
            rate = param_group.setdefault("initial_lr", param_group["lr"])
            param_group["lr"] = hooks.fold("learning_rate", {"rate": rate}, step=step, role=player.role)["rate"]
    if not hooks.first("skip_update", role=player.role, terms=terms, step=step):
        context.runtime.optimizer_step(player)
    context.runtime.zero_grad(player)
    with torch.no_grad():
        hooks.all(f"after_{player.role}_update", gan=context.gan, batch=batch, step=step)
