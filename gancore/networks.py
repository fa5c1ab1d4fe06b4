"""The two players: a generator, and a critic made of body → tail → heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, evolve, field
from torch import Tensor, nn

from gancore.batch import Judgement
from gancore.errors import CompositionError, PluginError
from gancore.plan import Head, LabelSet, Plan, Role, Tail

if TYPE_CHECKING:
    from gancore.data import Data
    from gancore.hooks import Hooks
    from gancore.rng import Streams


class Critic(nn.Module):
    """`body` (view → features), then tails and heads in the order they were given, then the score, in one pass.

    A head sees the features as they are after the tails before it; the score sees them all.
    """

    def __init__(self, body: nn.Module, parts: Mapping[str, Tail | Head], score: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.parts = nn.ModuleDict({key: part.module for key, part in parts.items()})
        self.score = score
        self.outputs = {key: part.name for key, part in parts.items() if isinstance(part, Head)}
        names = [name for name in self.outputs.values() if name != "score"]
        if twice := {name for name in names if names.count(name) > 1}:
            raise CompositionError(f"two components give the critic a head called {twice.pop()!r}")

    def forward(self, view: Tensor, labels: Tensor) -> Judgement:
        """Judge a view `[N, *critic_shape]`. Scores and head outputs are float32 even under autocast."""
        features = self.body(view, labels).flatten(1)  # [N, F]
        heads: dict[str, Tensor] = {}
        more: list[Tensor] = []
        for key, part in self.parts.items():
            if key not in self.outputs:
                features = part(features)
            elif self.outputs[key] == "score":
                more.append(part(features, labels))
            else:
                heads[self.outputs[key]] = _full(part(features, labels))
        score = self.score(features).squeeze(1)  # [N]
        return Judgement(_full(sum(more, score)), features, heads)


def _full(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


class Crop(nn.Module):
    """Cuts an upsampled map `[N, C, 2h, 2w]` to `size`, which is smaller by a row or column where a side is odd."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor) -> Tensor:
        """Cut maps `[N, C, H, W]`, at their right and lower edge."""
        return maps[..., : self.size[0], : self.size[1]]


@define(eq=False)
class Player:
    """One player: its network, networks that components added, and the optimiser of all their weights."""

    role: Role
    network: nn.Module
    extras: nn.ModuleDict
    optimizer: torch.optim.Optimizer = field(init=False, repr=False)
    parameters: list[nn.Parameter] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.parameters = [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """List every trained weight by name; those of extra networks begin with `extras.`."""
        own = list(self.network.named_parameters())
        return own + [(f"extras.{name}", weight) for name, weight in self.extras.named_parameters()]

    def state_dict(self) -> dict[str, Tensor]:
        """Return every weight and buffer by name."""
        extras = {f"extras.{name}": tensor for name, tensor in self.extras.state_dict().items()}
        return {**self.network.state_dict(), **extras}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy weights and buffers into the existing tensors."""
        own = self.state_dict()
        with torch.no_grad():
            for name, tensor in tensors.items():
                own[name].copy_(tensor)


@define(eq=False)
class GAN:
    """Both players of a run, on one device."""

    generator: Player
    critic: Player
    device: torch.device

    def player(self, role: Role) -> Player:
        """Return one player."""
        return self.generator if role == "generator" else self.critic


def make_plan(
    hooks: Hooks, streams: Streams, shape: Sequence[int], label_sets: Sequence[LabelSet], batch: int, data: Data | None
) -> Plan:
    """Settle everything that components may know when networks are built.

    Raises CompositionError where no component draws a latent.
    """

    def draw_reals(n: int) -> tuple[Tensor, Tensor]:
        if data is None:
            return torch.zeros(n, *shape), torch.zeros(n, len(label_sets), dtype=torch.int64)
        rng = streams.generator("reference")
        return data.take(torch.randint(len(data), (n,), generator=rng), rng)

    plan = Plan(
        shape=tuple(shape),
        label_sets=tuple(label_sets),
        batch=batch,
        make_norm=lambda channels, role: hooks.first("make_norm", only=role, channels=channels, role=role, plan=plan),
        make_upsample=lambda channels_in, channels_out: hooks.first(
            "make_upsample", channels_in=channels_in, channels_out=channels_out, plan=plan
        ),
        draw_reals=draw_reals,
        draw_latents=lambda n: draw_latent(hooks, plan, n, streams, "reference"),
    )
    slices, width = {}, 0
    for name, columns in hooks.all("latent_width", plan=plan):
        slices[name] = slice(width, width + columns)
        width += columns
    if not width:
        raise CompositionError("no component draws a latent", mend="--latent NAME    (`gan plugins latent` lists them)")
    plan = evolve(plan, latent=width, latent_slices=slices)
    appended = sum(columns for _, columns in hooks.all("generator_inputs", plan=plan))
    plan = evolve(plan, inputs=width + appended, critic_shape=plan.shape)
    plan = evolve(plan, critic_shape=tuple(hooks.fold("critic_shape", {"shape": plan.shape}, plan=plan)["shape"]))
    return plan


def draw_latent(hooks: Hooks, plan: Plan, n: int, streams: Streams, *key: int | str) -> Tensor:
    """Draw latents `[n, Z]` on the CPU, so that a seed means the same on every device."""
    found = hooks.all("draw_latent", n=n, plan=plan, rng=lambda name: streams.generator(f"latent/{name}", *key))
    columns = [drawn for _, drawn in found]
    return columns[0] if len(columns) == 1 else torch.cat(columns, 1)


def build(hooks: Hooks, plan: Plan, streams: Streams, device: torch.device) -> GAN:
    """Build, initialise and adapt both players and their optimisers."""
    generator = build_player(hooks, plan, streams, device, "generator")
    critic = build_player(hooks, plan, streams, device, "critic")
    gan = GAN(generator, critic, device)
    for player in (gan.generator, gan.critic):
        player.optimizer = hooks.first(
            "make_optimizer", only=player.role, params=player.named_parameters(), role=player.role
        )
    return gan


def build_player(hooks: Hooks, plan: Plan, streams: Streams, device: torch.device, role: Role) -> Player:
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
    """Build the critic: body, tails, score, heads, each from its own random stream, then adapt the whole."""
    body = _made(hooks, plan, streams, "critic", "body", "make_critic")
    features = _count_features(body, plan)
    parts: dict[str, Tail | Head] = {}
    for each in hooks.implementations("extend_critic"):
        with streams.building("critic", each.chosen.name) as rng:
            found = each("extend_critic", {"features": features, "plan": plan})
            given = found if isinstance(found, Sequence) else () if found is None else (found,)
            for number, part in enumerate(given):
                hooks.first("initialize", net=part.module, role="critic", plan=plan, rng=lambda _, rng=rng: rng)
                parts[f"{each.chosen.name}-{number}"] = part
                features += part.added if isinstance(part, Tail) else 0
    score = _made(hooks, plan, streams, "critic", "score", "make_score", features=features)
    adapted: Critic = _adapted(hooks, plan, streams, "critic", Critic(body, parts, score))
    return adapted


def _adapted(hooks: Hooks, plan: Plan, streams: Streams, role: Role, net: Any) -> Any:
    """Let each component adapt a network, with numbers of its own for the weights it adds."""
    for each in hooks.implementations(f"adapt_{role}"):
        with streams.building(role, "adapt", each.chosen.name):
            answer = each(f"adapt_{role}", {"net": net, "plan": plan})
        net = net if answer is None else answer
    return net


def _made(hooks: Hooks, plan: Plan, streams: Streams, role: Role, part: str, hook: str, **given: Any) -> nn.Module:
    with streams.building(role, part) as rng:
        net = hooks.first(hook, plan=plan, **given)
        if net is None and hook == "make_score":
            net = nn.Linear(given["features"], 1)
        if not isinstance(net, nn.Module):
            raise PluginError(
                f"{hook} gave {net!r}, but a torch module is wanted", mend="choose a component that builds one"
            )
        hooks.first("initialize", net=net, role=role, plan=plan, rng=lambda _: rng)
    return net


def _extras(hooks: Hooks, plan: Plan, streams: Streams, role: Role) -> nn.ModuleDict:
    extras = nn.ModuleDict()
    for each in hooks.implementations("extend_player"):
        with streams.building(role, "extras", each.chosen.name) as rng:
            for name, net in (each("extend_player", {"role": role, "plan": plan}) or {}).items():
                if name in extras:
                    raise CompositionError(f"two components give the {role} a network called {name!r}")
                extras[name] = net
                hooks.first("initialize", net=net, role=role, plan=plan, rng=lambda _, rng=rng: rng)
    return extras


def _count_features(body: nn.Module, plan: Plan) -> int:
    """Count the features of a body by showing it two black samples, in evaluation mode so that nothing is learnt."""
    labels = torch.zeros(2, len(plan.label_sets), dtype=torch.int64)
    with torch.no_grad():
        maps = body.eval()(torch.zeros(2, *plan.critic_shape), labels)
    body.train()
    return prod(maps.shape[1:])
