"""The two players: a generator, and a critic made of body → tail → heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import define, field, frozen
from torch import Tensor, nn

from gancore.errors import CompositionError
from gancore.plugins.slots import Role
from gancore.train.plan import Head, Tail


@frozen(eq=False)
class CriticOutput:
    """The critic's answer: `score [N]` (raw, never a probability), `features [N, F]`, named
    `heads`.
    """

    score: Tensor
    features: Tensor
    heads: Mapping[str, Tensor]


class Critic(nn.Module):
    """`body` (view → features), then tails and heads in the order they were given, then the score,
    in one pass.

    A head sees the features as they are after the tails before it; the score sees them all.
    """

    def __init__(self, body: nn.Module, parts: Mapping[str, Tail | Head], score: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.parts = nn.ModuleDict({key: part.module for key, part in parts.items()})
        self.score = score
        self.outputs = {key: part.name for key, part in parts.items() if isinstance(part, Head)}
        self.labelled = {
            key for key, part in parts.items() if isinstance(part, Tail) and part.labels
        }
        names = [name for name in self.outputs.values() if name != "score"]
        if twice := {name for name in names if names.count(name) > 1}:
            raise CompositionError(f"two components give the critic a head called {twice.pop()!r}")

    def forward(self, view: Tensor, labels: Tensor) -> CriticOutput:
        """Judge a view `[N, *critic_shape]`.

        Scores and head outputs are float32 even under autocast.
        """
        features = self.body(view, labels).flatten(1)  # [N, F]
        heads: dict[str, Tensor] = {}
        more: list[Tensor] = []
        for key, part in self.parts.items():
            if key not in self.outputs:
                features = part(features, labels) if key in self.labelled else part(features)
            elif self.outputs[key] == "score":
                more.append(part(features, labels))
            else:
                heads[self.outputs[key]] = _full(part(features, labels))
        score = self.score(features).squeeze(1)  # [N]
        return CriticOutput(_full(sum(more, score)), features, heads)


def _full(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


class Crop(nn.Module):
    """Cuts an upsampled map `[N, C, 2h, 2w]` to `size`, which is smaller by a row or column where a
    side is odd.

    `size` has one side for each axis of the map beside its channels.
    """

    def __init__(self, size: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size
        self.window: tuple[Any, ...] = (..., *(slice(side) for side in size))

    def forward(self, maps: Tensor) -> Tensor:
        """Cut maps `[N, C, H, W]`, at the end of each axis."""
        return maps[self.window]


@define(eq=False)
class Player:
    """One player: its network, networks that components added, and the optimiser of all their
    weights.
    """

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
