"""Build the networks of both players from their components."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve
from torch import Tensor, nn

from gancore.errors import CompositionError, PluginError
from gancore.plugins.slots import SLOTS, Role
from gancore.train.latents import draw_latent
from gancore.train.networks import GAN, Critic, Player
from gancore.train.plan import Head, LabelSet, Plan, Tail

if TYPE_CHECKING:
    from gancore.plugins.calling import Hooks
    from gancore.recipe.compose import Composition
    from gancore.train.data import Data
    from gancore.train.rng import Streams


def require_slots(composition: Composition) -> None:
    """Raise CompositionError where a slot that every training needs is empty."""
    for name, slot in SLOTS.items():
        if slot.to_train and name not in composition.slots:
            raise CompositionError(
                f"no {name} is chosen", fix=f"--{name} NAME    (`gan plugins` lists them)"
            )


def make_plan(
    hooks: Hooks,
    streams: Streams,
    shape: Sequence[int],
    label_sets: Sequence[LabelSet],
    batch: int,
    data: Data | None,
) -> Plan:
    """Make everything that components may know when networks are built.

    Raises CompositionError where no component draws a latent.
    """

    def draw_reals(n: int) -> tuple[Tensor, Tensor]:
        if data is None:
            return torch.zeros(n, *shape), torch.zeros(n, len(label_sets), dtype=torch.int64)
        rng = streams.generator("reference")
        return data.take(torch.randint(len(data), (n,), generator=rng), rng)

    def make_norm(channels: int, role: Role, style: int = 0) -> nn.Module:
        seen = plan.for_critic() if role == "critic" else plan
        given = {"channels": channels, "role": role, "plan": seen, "style": style}
        norm: nn.Module = hooks.first("make_norm", only=role, **given)
        return norm

    def upsample(channels_in: int, channels_out: int) -> nn.Module:
        if not plan.axes:
            raise CompositionError(
                f"an upsampler doubles the sides of maps, but a sample has shape {plan.shape}",
                where="generator",
                fix="a generator without an upsampler    (`gan plugins gen` lists all)",
            )
        made: nn.Module = hooks.first(
            "make_upsample", channels_in=channels_in, channels_out=channels_out, plan=plan
        )
        return made

    plan = Plan(
        shape=tuple(shape),
        label_sets=tuple(label_sets),
        batch=batch,
        norm=make_norm,
        upsample=upsample,
        reals=draw_reals,
        latents=lambda n: draw_latent(hooks, plan, n, streams, "reference"),
    )
    # in this order: each hook is given what the ones before it returned
    slices = _latent_slices(hooks, plan)
    latent = max(each.stop for each in slices.values())
    plan = evolve(plan, latent=latent, latent_slices=slices)
    plan = evolve(plan, view_label_sets=_view_label_sets(hooks, plan))
    appended = sum(columns for _, columns in hooks.all("generator_inputs", plan=plan))
    plan = evolve(plan, inputs=latent + appended, critic_shape=plan.shape)
    seen = hooks.fold("critic_shape", {"shape": plan.shape}, plan=plan)["shape"]
    # norm and upsample read this very name when they are called
    plan = evolve(plan, critic_shape=tuple(seen))
    return plan


def _latent_slices(hooks: Hooks, plan: Plan) -> dict[str, slice]:
    """Return the columns of the latent that each component draws, in calling order.

    Raises CompositionError where there are none.
    """
    slices = {}
    width = 0
    for name, columns in hooks.all("latent_width", plan=plan):
        slices[name] = slice(width, width + columns)
        width += columns
    if not width:
        raise CompositionError(
            "no component draws a latent", fix="--latent NAME    (`gan plugins latent` lists them)"
        )
    return slices


def _view_label_sets(hooks: Hooks, plan: Plan) -> tuple[LabelSet, ...]:
    """Return the label sets that critic views append, in calling order."""
    sets: list[LabelSet] = []
    for _, found in hooks.all("view_labels", plan=plan):
        sets += [found] if isinstance(found, LabelSet) else found
    return tuple(sets)


def build(hooks: Hooks, plan: Plan, streams: Streams, device: torch.device) -> GAN:
    """Build, initialise and adapt both players and their optimisers."""
    generator = build_player(hooks, plan, streams, device, "generator")
    critic = build_player(hooks, plan, streams, device, "critic")
    gan = GAN(generator, critic, device)
    for player in (gan.generator, gan.critic):
        given = {"params": player.named_parameters(), "role": player.role}
        made = {"optimizer": hooks.first("make_optimizer", only=player.role, **given)}
        player.optimizer = hooks.fold("adapt_optimizer", made, **given)["optimizer"]
    return gan


def build_player(
    hooks: Hooks, plan: Plan, streams: Streams, device: torch.device, role: Role
) -> Player:
    """Build, initialise and adapt one player, without an optimiser."""
    make = build_generator if role == "generator" else build_critic
    network = make(hooks, plan, streams).to(device)
    return Player(role, network, _extras(hooks, plan, streams, role).to(device))


def build_generator(hooks: Hooks, plan: Plan, streams: Streams) -> nn.Module:
    """Build the generator alone, as sampling does."""
    net = _made(hooks, plan, streams, "generator", "generator", "make_generator")
    adapted: nn.Module = _adapted(hooks, plan, streams, "generator", net)
    return adapted


def build_critic(hooks: Hooks, plan: Plan, streams: Streams) -> Critic:
    """Build the critic: body, tails, score, heads, each from its own random stream, then adapt the
    whole.
    """
    plan = plan.for_critic()
    body = _made(hooks, plan, streams, "critic", "body", "make_critic")
    features = _count_features(body, plan)
    parts: dict[str, Tail | Head] = {}
    for each in hooks.implementations("extend_critic"):
        with streams.building("critic", each.chosen.name) as rng:
            found = hooks.ask(each, "extend_critic", {"features": features, "plan": plan})
            given = found if isinstance(found, Sequence) else () if found is None else (found,)
            for number, part in enumerate(given):
                hooks.first(
                    "initialize",
                    net=part.module,
                    role="critic",
                    plan=plan,
                    rng=lambda _, rng=rng: rng,
                )
                parts[f"{each.chosen.name}-{number}"] = part
                features += part.added if isinstance(part, Tail) else 0
    score = _made(hooks, plan, streams, "critic", "score", "make_score", features=features)
    adapted: Critic = _adapted(hooks, plan, streams, "critic", Critic(body, parts, score))
    return adapted


def _adapted(hooks: Hooks, plan: Plan, streams: Streams, role: Role, net: Any) -> Any:
    """Let each component adapt a network, with numbers of its own for the weights it adds."""
    hook = f"adapt_{role}"
    for each in hooks.implementations(hook):
        with streams.building(role, "adapt", each.chosen.name):
            answer = hooks.ask(each, hook, {"net": net, "plan": plan})
        net = net if answer is None else answer
    return net


def _made(
    hooks: Hooks, plan: Plan, streams: Streams, role: Role, part: str, hook: str, **given: Any
) -> nn.Module:
    with streams.building(role, part) as rng:
        net = hooks.first(hook, plan=plan, **given)
        if net is None and hook == "make_score":
            net = nn.Linear(given["features"], 1)
        if not isinstance(net, nn.Module):
            raise PluginError(
                f"{hook} gave {net!r}, but a torch module is wanted",
                fix="choose a component that builds one",
            )
        hooks.first("initialize", net=net, role=role, plan=plan, rng=lambda _: rng)
    return net


def _extras(hooks: Hooks, plan: Plan, streams: Streams, role: Role) -> nn.ModuleDict:
    extras = nn.ModuleDict()
    plan = plan.for_critic() if role == "critic" else plan
    for each in hooks.implementations("extend_player"):
        with streams.building(role, "extras", each.chosen.name) as rng:
            found = hooks.ask(each, "extend_player", {"role": role, "plan": plan}) or {}
            for name, net in found.items():
                if name in extras:
                    raise CompositionError(
                        f"two components give the {role} a network called {name!r}"
                    )
                extras[name] = net
                hooks.first("initialize", net=net, role=role, plan=plan, rng=lambda _, rng=rng: rng)
    return extras


def _count_features(body: nn.Module, plan: Plan) -> int:
    """Count the features of a body by showing it two black samples, in evaluation mode so that
    nothing is learnt.
    """
    labels = torch.zeros(2, len(plan.label_sets), dtype=torch.int64)
    with torch.no_grad():
        maps = body.eval()(torch.zeros(2, *plan.critic_shape), labels)
    body.train()
    return prod(maps.shape[1:])
