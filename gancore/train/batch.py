"""What a term is given: the two sides of an update, each computed when it is first asked for, and only once."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, field, frozen
from torch import Tensor

from gancore.distributed.group import SINGLE_PROCESS, ProcessGroup
from gancore.errors import PluginError
from gancore.train.networks import CriticOutput
from gancore.train.rng import fork_state, seed_globally

if TYPE_CHECKING:
    from gancore.plugins.calling import Hooks
    from gancore.plugins.slots import Role
    from gancore.train.networks import GAN, Player
    from gancore.train.plan import Plan
    from gancore.train.rng import Streams


@frozen(eq=False)
class Sample:
    """What a generator may return instead of a plain tensor: samples and, for components that ask, its insides."""

    images: Tensor
    extras: Mapping[str, Tensor] = field(factory=dict)


def as_sample(made: Tensor | Sample) -> Sample:
    """Wrap what a generator returned, where it is a plain tensor."""
    return made if isinstance(made, Sample) else Sample(made)


@frozen
class UpdateId:
    """Where in a run randomness is drawn: iteration, player, and which of its updates in this iteration."""

    step: int
    role: Role = "critic"
    index: int = 0

    @property
    def key(self) -> tuple[int, str, int]:
        """What the numbers of this update are derived from."""
        return self.step, self.role, self.index


@define(eq=False, slots=False)
class Side:
    """The reals or the fakes of one update.

    `images [N, *shape]` and `labels [N, L]` are as the data or the generator made them, before any view; `z [N, Z]`
    and `extras` for fakes, unless a component showed the critic others than those just made. A view may have other
    rows, M of them: `view`, `view_labels [M, L]`, and all that the critic and its targets say have those.
    """

    _batch: weakref.ref[Batch] = field(repr=False)  # weak, so that an update's graph is freed without the collector
    real: bool
    images: Tensor
    labels: Tensor
    z: Tensor | None = None
    extras: Mapping[str, Tensor] = field(factory=dict)

    @property
    def batch(self) -> Batch:
        """The update this side belongs to."""
        batch = self._batch()
        if batch is None:
            raise ReferenceError("the update this side belonged to is over")
        return batch

    def apply_view(self, images: Tensor) -> Tensor:
        """Pass other images `[N, *shape]` through the very draw of the view that this side had."""
        view: Tensor = self._through_view(images)["images"]
        return view

    def _through_view(self, images: Tensor) -> dict[str, Any]:
        return self._fold("critic_view", {"images": images, "labels": self.labels})

    def _fold(self, hook: str, values: dict[str, Any], **given: Any) -> dict[str, Any]:
        """Fold a hook over values of this side, with its own numbers and those it shares with the other."""
        batch = self.batch
        own, shared = batch.component_rng("real" if self.real else "fake"), batch.component_rng("both")
        return batch.hooks.fold(hook, values, step=batch.update_id.step, rng=own, shared_rng=shared, **given)

    @cached_property
    def view(self) -> Tensor:
        """What the critic is shown: the images after every `critic_view`."""
        view: Tensor = self._shown["images"]
        return view

    @cached_property
    def view_labels(self) -> Tensor:
        """The labels `[M, L]` of the view: those of the samples, or those that a `critic_view` returned with it.

        `[M, 0]` where a component changed the rows of the view and returned no labels for them.
        """
        labels: Tensor = self._shown["labels"]
        rows = len(self.view)
        return labels if len(labels) == rows else labels.new_empty(rows, 0)

    @cached_property
    def _shown(self) -> dict[str, Any]:
        return self._through_view(self.images)

    @cached_property
    def out(self) -> CriticOutput:
        """The critic's answer to the view. For reals in the generator's update it carries no graph.

        It moves the critic's buffers where the loss asks for it first.
        """
        batch = self.batch
        graphless = self.real and batch.update_id.role == "generator"
        by_loss = batch.hooks.asked is not None and batch.hooks.asked.kind == "loss"
        name = "real" if self.real else "fake"
        with torch.no_grad() if graphless else nullcontext():
            answer: CriticOutput = batch.forward_pass(batch.gan.critic, self.view, self.view_labels, (name,), by_loss)
        return answer

    @property
    def score(self) -> Tensor:
        """The raw scores `[N]`."""
        return self.out.score

    @property
    def features(self) -> Tensor:
        """The critic's features `[N, F]`, tails included."""
        return self.out.features

    @property
    def heads(self) -> Mapping[str, Tensor]:
        """The critic's named outputs."""
        return self.out.heads

    @cached_property
    def targets(self) -> Tensor:
        """The critic's targets `[N]`: 1 for reals, 0 for fakes; in its own updates after every `critic_targets`."""
        plain = torch.full_like(self.score, float(self.real), requires_grad=False)
        if self.batch.update_id.role == "generator":
            return plain
        targets: Tensor = self._fold("critic_targets", {"targets": plain}, real=self.real)["targets"]
        return targets

    @cached_property
    def weights(self) -> Tensor | None:
        """The weights `[N]` of the samples, or None while nobody weighs them."""
        batch = self.batch
        if self.real or batch.update_id.role == "critic" or not batch.hooks.any("sample_weights"):
            return None
        ones = torch.ones_like(self.score, requires_grad=False)
        folded = batch.hooks.fold("sample_weights", {"weights": ones}, batch=batch, rng=batch.component_rng("weights"))
        weights: Tensor = folded["weights"]
        return weights

    def mean(self, values: Tensor) -> Tensor:
        """Average one number a sample `[N]`, with the samples' weights where a component set some."""
        return values.mean() if self.weights is None else (self.weights * values).mean()


@define(eq=False, slots=False)
class Batch:
    """One update of one player, as its terms see it: `real` (None in an update without reals) and `fake`."""

    gan: GAN = field(repr=False)
    hooks: Hooks = field(repr=False)
    plan: Plan
    streams: Streams
    update_id: UpdateId
    open_reals: Callable[[], tuple[Tensor, Tensor]] | None = field(repr=False, default=None)
    group: ProcessGroup = SINGLE_PROCESS
    fake: Side = field(init=False, repr=False)
    _calls: Counter[str] = field(init=False, factory=Counter, repr=False)  # extra passes by component

    @cached_property
    def real(self) -> Side | None:
        """The reals, gathered when first asked for."""
        return None if self.open_reals is None else Side(weakref.ref(self), True, *self.open_reals())

    def show_fakes(self, made: Sample, labels: Tensor, z: Tensor | None) -> None:
        """Set the fakes of this update."""
        self.fake = Side(weakref.ref(self), False, made.images, labels, z, made.extras)

    def mean_scores(self) -> dict[str, Tensor]:
        """Average the scores of each side that some term asked for."""
        sides = (("score_real", self.__dict__.get("real")), ("score_fake", self.fake))
        return {name: side.score.mean() for name, side in sides if side is not None and "out" in side.__dict__}

    def critic(self, images: Tensor, labels: Tensor, *, update_buffers: bool = False) -> CriticOutput:
        """Ask the critic about any view, of the shape that `Side.view` has, with labels like `Side.view_labels`.

        Layers that draw have numbers of this component and this call alone. Running statistics and other buffers stay
        as they were, unless `update_buffers` lets the pass move them as the update's own passes do.
        """
        answer: CriticOutput = self._extra_pass(self.gan.critic, images, labels, update_buffers)
        return answer

    def generator(self, z: Tensor, labels: Tensor, *, update_buffers: bool = False) -> Sample:
        """Ask the generator for samples from any latents `[N, Z]`, with numbers and buffers as in `critic`."""
        return as_sample(self._extra_pass(self.gan.generator, z, labels, update_buffers))

    def _extra_pass(self, player: Player, inputs: Tensor, labels: Tensor, update_buffers: bool) -> Any:
        name = self.hooks.asked.name if self.hooks.asked is not None else ""
        self._calls[name] += 1
        return self.forward_pass(player, inputs, labels, ("component", name, self._calls[name]), update_buffers)

    def forward_pass(
        self, player: Player, inputs: Tensor, labels: Tensor, key: tuple[str | int, ...], update_buffers: bool
    ) -> Any:
        """Run a player's network with the random numbers of a key, which no other pass can move.

        Without `update_buffers` the pass leaves no trace in the network or in torch's global generators.
        """
        device = self.gan.device
        with nullcontext() if update_buffers else fork_state(player.network, device):
            seed_globally(pass_seed(self.streams, self.update_id, self.group, *key), device)
            return player.network(inputs, labels)

    def component_rng(self, part: str) -> Callable[[str], torch.Generator]:
        """Return the maker of a component's generator for one part of this update."""
        update_id, device, group = self.update_id, self.gan.device, self.group

        def make(component: str) -> torch.Generator:
            key = (f"component/{component}", update_id.step, update_id.role, update_id.index, part)
            return self.streams.share(*key, rank=group.rank, size=group.size, device=device, own=part != "both")

        return make

    def terms(self, hook: str, figures: dict[str, Any]) -> dict[str, Tensor]:
        """Ask every component for its terms; name them `component/term`. Logged figures go into `figures`."""

        def logger(component: str) -> Callable[[str, Any], None]:
            return lambda name, value: figures.__setitem__(f"{component}/{name}", value)

        answers = self.hooks.all(
            hook, batch=self, step=self.update_id.step, rng=self.component_rng("terms"), log=logger
        )
        return {
            f"{component}/{name}": _scalar(term, f"{component}.{hook}: {name}")
            for component, found in answers
            for name, term in (found.items() if isinstance(found, Mapping) else ((hook, found),))
        }


def pass_seed(streams: Streams, update_id: UpdateId, group: ProcessGroup, *key: int | str) -> int:
    """Return the seed of one forward pass of an update, that of this process's rows."""
    return streams.number("pass", *update_id.key, *key, *group.key)


def _scalar(term: Any, label: str) -> Tensor:
    if isinstance(term, Tensor) and term.dim() == 0:
        return term
    got = f"a tensor of shape {list(term.shape)}" if isinstance(term, Tensor) and term.dim() else repr(term)
    raise PluginError(f"{label} is {got}", fix="return {name: scalar tensor}")
