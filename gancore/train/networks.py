"""The two players: a generator, and a critic made of body → tail → heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from attrs import define, field, frozen
from torch import Tensor, nn

from gancore.errors import CompositionError
from gancore.plugins.slots import Role
from gancore.train.plan import Head, LabelSet, Tail


@frozen(eq=False)
class CriticOutput:
    """The critic's output for a view of N rows.

    - `score`: the raw scores `[N]`, float32 also under autocast; no sigmoid is applied. The output
      of a head called `score` is added already. `[N, S]` where the critic gives several scores a
      sample.
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
    Heads called `score/NAME` give further columns of the score. An `adapt_critic` may wrap the
    network, or replace `net.body`. Raises CompositionError for two heads of one name.

    - `body`: the module of `make_critic`, `(view, labels) → [N, F]`; any further dimensions of its
      output are flattened.
    - `score`: the module of `make_score`, `[N, F] → [N, 1]` or `[N, S]`.
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
        added: list[Tensor] = []
        columns: list[Tensor] = []
        for key, part in self.parts.items():
            if key not in self.outputs:
                features = part(features, labels) if key in self.labelled else part(features)
                continue
            name = self.outputs[key]
            output = part(features, labels)
            if name == "score":
                added.append(output)
                continue
            heads[name] = _full(output)
            if name.startswith("score/"):
                columns.append(output.unflatten(0, (-1, 1)).flatten(1))  # [N] or [N, S] → [N, S]
        score = self.score(features).squeeze(1)  # [N], or [N, S] of a head with several scores
        if score.dim() == 2:
            added = [each.unsqueeze(1) for each in added]
        score = sum(added, score)
        if columns:
            score = torch.cat([score.unflatten(0, (-1, 1)).flatten(1), *columns], 1)
        return CriticOutput(_full(score), features, heads)


def _full(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


class Frozen(nn.Module):
    """A network that is used and never trained, such as an extractor of pretrained features.

    Called as `net` is; gradients pass to its inputs, none is computed for its weights. It stays in
    evaluation mode, and its weights are neither in an optimiser nor in a checkpoint: the component
    that makes it loads them again on resume, from a file whose hash it can keep as state.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        # in a tuple, so that torch does not list it as a part of this module
        self._net = (net.eval().requires_grad_(False),)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Return what the network returns for the same arguments."""
        return self._net[0](*inputs, **options)

    def _apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # what `to(device)` and the like call on a module and its parts
        self._net[0]._apply(function, recurse)  # type: ignore[no-untyped-call]  # noqa: SLF001
        super()._apply(function, recurse)  # type: ignore[no-untyped-call]
        return self


class Values(nn.Module):
    """Look up the `values [K, D]` of a label set: class numbers, int64 `[N]` → float32 `[N, D]`.

    Raises ValueError for a label set without values.

    - `table`: the values, float32 `[K, D]`, a buffer, so that a checkpoint holds it.
    """

    table: Tensor

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        if labels.values is None:
            raise ValueError(f"label set {labels.name!r} has classes, but no values")
        self.register_buffer("table", labels.values.to(torch.get_default_dtype()))

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the values, float32 `[N, D]`, of class numbers, int64 `[N]`."""
        return self.table[numbers]


class Crop(nn.Module):
    """Cut an upsampled map `[N, C, 2h, 2w]` to `size`, which is smaller by a row or column where a
    side is odd.

    - `size`: the sides to cut to, one for each axis beside the channels: (height, width) of images.
    - `window`: the index that cuts.
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
