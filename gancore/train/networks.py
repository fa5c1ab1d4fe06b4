"""The two players: a generator, and a critic made of body → tail → heads."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from attrs import define, field, frozen
from torch import Tensor, nn

from gancore.errors import CompositionError
from gancore.plugins.slots import Role
from gancore.train.plan import Head, Tail


@frozen(eq=False)
class CriticOutput:
    """The critic's output for a view of N rows.

    - `score`: the raw scores `[N]`, float32 also under autocast; no sigmoid is applied. The output
      of a head called `score` is added already.
    - `features`: the features `[N, F]` that the score was computed from, tails included; of half
      precision under autocast.
    - `heads`: the outputs of the other heads by name, `[N, …]`, float32.
    """

    score: Tensor
    features: Tensor
    heads: Mapping[str, Tensor]


class Critic(nn.Module):
    """The critic's network: body, then tails and heads in the order of their components, then the
    score.

    A head is given the features as they are after the tails before it; the score is given them all.
    An `adapt_critic` may wrap it, or replace `net.body`. Raises CompositionError for two heads of
    one name.

    - `body`: the module of `make_critic`, `(view, labels) → [N, F]`; any further dimensions of its
      output are flattened.
    - `score`: the module of `make_score`, `[N, F] → [N, 1]`.
    - `parts`: the modules of tails and heads, an `nn.ModuleDict` in the order in which they run;
      the keys are `COMPONENT-0`, `COMPONENT-1`, ….

    Internal: `labelled`, `outputs`.
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
        """Return scores, features and heads for a view `[N, *critic_shape]` with labels `[N, L]`.

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
    """Cut an upsampled map `[N, C, 2h, 2w]` to `size`, which is smaller by a row or column where a
    side is odd.

    - `size`: (height, width) in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, maps: Tensor) -> Tensor:
        """Cut maps `[N, C, H, W]`, at their right and lower edge."""
        return maps[..., : self.size[0], : self.size[1]]


@define(eq=False)
class Player:
    """One player: its network, networks that components added, and the optimiser of all their
    weights.

    - `role`: `"generator"` or `"critic"`.
    - `network`: the generator, `network(z [N, Z], labels [N, L])`; or the critic,
      `network(view, labels)`, which returns a `CriticOutput`. Wrapped where a component returned a
      wrapper from `adapt_generator` or `adapt_critic`.
    - `extras`: the networks that `extend_player` added, by name. Empty without any.
    - `optimizer`: the optimiser of all weights, network and extras. Not there in a run that was
      opened to draw samples.
    - `parameters`: all trained weights, in the order of `named_parameters`.
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
        """Copy weights and buffers into the existing tensors.

        Takes any part of them by the names of `state_dict`. Raises KeyError for another name.
        """
        own = self.state_dict()
        with torch.no_grad():
            for name, tensor in tensors.items():
                own[name].copy_(tensor)


@define(eq=False)
class GAN:
    """Both players of a run, on one device.

    - `generator`: the generator, `gan.generator.network(z, labels)`.
    - `critic`: the critic, `gan.critic.network(view, labels)`. It is built when it is first read
      in a run that was opened to draw samples.
    - `device`: where the weights of both lie.
    """

    generator: Player
    critic: Player
    device: torch.device

    def player(self, role: Role) -> Player:
        """Return the player of a role, `"generator"` or `"critic"`."""
        return self.generator if role == "generator" else self.critic
