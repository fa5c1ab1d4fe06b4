"""One update of one player, in plain PyTorch.

Nothing here waits for a number, and nothing here knows a technique.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import torch
from attrs import evolve

from gancore.errors import CompositionError, PluginError
from gancore.train.batch import Batch, UpdateId, make_batch
from gancore.train.context import Figures, Reals, TrainingContext
from gancore.train.fakes import draw_fakes, exchange_fakes

if TYPE_CHECKING:
    from torch import Tensor

    from gancore.plugins.slots import Role
    from gancore.train.networks import Player


def update_critic(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> Figures:
    """Update the critic once, on fakes that carry no graph."""
    with torch.no_grad():
        fakes = draw_fakes(context, update_id, reals)
    batch = make_batch(context, update_id, reals, exchange_fakes(context, update_id, fakes))
    terms, figures = backward(batch, context.gan.critic)
    take_step(batch, context.gan.critic, terms)
    return figures


def update_generator(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> Figures:
    """Update the generator once, against the current critic.

    No gradient of the critic's weights is computed.
    """
    batch = make_batch(context, update_id, reals, draw_fakes(context, update_id, reals))
    terms, figures = backward(batch, context.gan.generator)
    take_step(batch, context.gan.generator, terms)
    return figures


def update_both(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> Figures:
    """Update both players on the same fakes: both gradients are taken before either step."""
    for_critic, for_generator = make_batches(context, update_id, reals)
    critic_terms, figures = backward(for_critic, context.gan.critic)
    generator_terms, more = backward(for_generator, context.gan.generator)
    take_step(for_critic, context.gan.critic, critic_terms)
    take_step(for_generator, context.gan.generator, generator_terms)
    return figures | more


def update_in_turn(context: TrainingContext, update_id: UpdateId, reals: Reals | None) -> Figures:
    """Update the critic, then the generator against the updated critic, on the same fakes."""
    for_critic, for_generator = make_batches(context, update_id, reals)
    terms, figures = backward(for_critic, context.gan.critic)
    take_step(for_critic, context.gan.critic, terms)
    terms, more = backward(for_generator, context.gan.generator)
    take_step(for_generator, context.gan.generator, terms)
    return figures | more


def make_batches(
    context: TrainingContext, update_id: UpdateId, reals: Reals | None
) -> tuple[Batch, Batch]:
    """Make the batches of both players on the same fakes; the critic's are cut off the graph."""
    fakes = draw_fakes(context, update_id, reals)
    shown = exchange_fakes(context, update_id, fakes.detach())
    for_critic = make_batch(context, update_id, reals, shown)
    return for_critic, make_batch(context, evolve(update_id, role="generator"), reals, fakes)


def backward(batch: Batch, player: Player) -> tuple[dict[str, Tensor], Figures]:
    """Sum the player's terms and compute the gradient of the sum in this player's weights alone."""
    runtime = batch.context.runtime
    figures: Figures = {}
    with runtime.forward():
        terms = batch.terms(f"{player.role}_terms", figures)
        adapted = batch.hooks.fold(
            "adapt_terms",
            {"terms": terms},
            batch=batch,
            role=player.role,
            step=batch.update_id.step,
        )
        terms = adapted["terms"]
    refuse_terms(player.role, terms)
    total = reduce(torch.add, terms.values())
    runtime.backward(total, player)
    gradients = [weight.grad for weight in player.parameters if weight.grad is not None]
    if not gradients:
        raise PluginError(
            f"no gradient reaches the {player.role}'s weights: "
            "something between them and its terms cuts the graph",
            fix="look for detach(), no_grad() or NumPy in views, wrappers and networks",
        )
    figures |= {**terms, **batch.mean_scores(), "total": total}
    means = runtime.group.all_reduce_mean(gradients, detached(figures))
    means["grad_norm"] = runtime.unscale_and_grad_norm(player, gradients)
    named = {f"{player.role}/{name}": mean for name, mean in means.items()}
    return {name: means[name] for name in terms}, named


def take_step(batch: Batch, player: Player, terms: dict[str, Tensor]) -> None:
    """Step the optimizer, unless a component skips the update; then call the hooks after it."""
    context = batch.context
    step = batch.update_id.step
    hooks = context.hooks
    together = context.runtime.group.together
    scaler = context.runtime.scaler(player.role)
    set_learning_rate(context, player, step)
    if hooks.any("adapt_gradients"):
        with torch.no_grad(), together():
            hooks.all("adapt_gradients", gan=context.gan, batch=batch, role=player.role, step=step)
    skipped = hooks.first("skip_update", role=player.role, terms=terms, step=step)
    if not skipped:
        scaler.step(player.optimizer)
    scaler.update()
    for weight in player.parameters:
        weight.grad = None  # what optimizer.zero_grad does, without its record for the profiler
    if hooks.any(after := f"after_{player.role}_update"):
        with torch.no_grad(), together():
            hooks.all(after, gan=context.gan, batch=batch, step=step)
    batch.close()  # frees the graph


def set_learning_rate(context: TrainingContext, player: Player, step: int) -> None:
    """Let components change the learning rate of each parameter group."""
    hooks = context.hooks
    if not hooks.any("learning_rate"):
        return
    for group in player.optimizer.param_groups:
        rate = {"rate": group.setdefault("initial_lr", group["lr"])}
        folded = hooks.fold("learning_rate", rate, step=step, role=player.role)
        group["lr"] = folded["rate"]


def refuse_terms(role: Role, terms: dict[str, Tensor]) -> None:
    """Raise CompositionError where there is no term, PluginError for a term without gradient."""
    if not terms:
        raise CompositionError(
            f"no component gives the {role} a term to minimise", fix="--loss NAME"
        )
    if not torch.is_grad_enabled():
        raise PluginError(
            f"a component has turned torch's grad mode off in the {role}'s update",
            fix="use `with torch.no_grad():`, which turns it on again",
        )
    for name, term in terms.items():
        if not term.requires_grad:
            raise PluginError(
                f"the {role}'s term {name} carries no gradient", fix="log(name, value) only logs it"
            )


def detached(figures: Figures) -> Figures:
    """Cut tensors off their graph, which a figure must not keep in memory."""
    return {
        name: value.detach() if isinstance(value, torch.Tensor) else value
        for name, value in figures.items()
    }
