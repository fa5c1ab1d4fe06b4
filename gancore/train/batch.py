"""What a term is given: the two sides of an update, each computed when it is first asked for, and
only once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from attrs import define, field, frozen
from torch import Tensor, nn

from gancore.errors import PluginError
from gancore.train.latents import draw_latent
from gancore.train.rng import fork_state, seed_globally

if TYPE_CHECKING:
    from gancore.distributed.group import ProcessGroup
    from gancore.plugins.calling import Hooks
    from gancore.plugins.slots import Role
    from gancore.train.context import Figures, Reals, TrainingContext
    from gancore.train.networks import GAN, CriticOutput
    from gancore.train.plan import Plan
    from gancore.train.rng import Streams


@frozen(eq=False)
class Sample:
    """Samples and extra tensors, which a generator may return instead of a plain tensor."""

    images: Tensor
    extras: Mapping[str, Tensor] = field(factory=dict)


def as_sample(made: Tensor | Sample) -> Sample:
    """Wrap what a generator returned, where it is a plain tensor."""
    return made if isinstance(made, Sample) else Sample(made)


@frozen(eq=False)
class Fakes:
    """The fakes of an update `[N, *shape]`, their labels `[N, L]`, and what they were made of and
    with.

    Fakes that a component put in the place of those just made have no latents `z` and no `extras`.
    """

    images: Tensor
    labels: Tensor
    z: Tensor | None = None
    extras: Mapping[str, Tensor] = field(factory=dict)

    def detach(self) -> Fakes:
        """Return the same fakes without their graph."""
        extras = {name: extra.detach() for name, extra in self.extras.items()}
        return Fakes(self.images.detach(), self.labels, self.z, extras)


@frozen
class UpdateId:
    """Which update of a run this is: iteration, player, and the update's place in the iteration."""

    step: int
    role: Role = "critic"
    index: int = 0

    @property
    def key(self) -> tuple[int, str, int]:
        """The part of a random stream's key that belongs to this update."""
        return self.step, self.role, self.index


@define(eq=False)
class Side:
    """The reals or the fakes of one update.

    `images [N, *shape]` and `labels [N, L]` are as the data or the generator made them, before any
    view; `z [N, Z]` and `extras` for fakes, unless a component showed the critic others than those
    just made. A view may have other rows, M of them: `view`, `view_labels [M, L]`, and the critic's
    output and targets have those.
    """

    real: bool
    z: Tensor | None = field(repr=False)
    extras: Mapping[str, Tensor] = field(repr=False)
    _samples: Callable[[], tuple[Tensor, Tensor]] = field(repr=False)  # images and labels
    _batch: Batch | None = field(repr=False)  # None once the update is over
    _view: Tensor | None = field(init=False, repr=False, default=None)
    _view_labels: Tensor | None = field(init=False, repr=False, default=None)
    _out: CriticOutput | None = field(init=False, repr=False, default=None)
    _targets: Tensor | None = field(init=False, repr=False, default=None)
    _weights: Tensor | None = field(init=False, repr=False, default=None)

    @property
    def batch(self) -> Batch:
        """The batch this side belongs to. Raises ReferenceError once its update is over."""
        if self._batch is None:
            raise ReferenceError("the update this side belonged to is over")
        return self._batch

    @property
    def images(self) -> Tensor:
        """The samples `[N, *shape]`, before any view."""
        return self._samples()[0]

    @property
    def labels(self) -> Tensor:
        """The labels `[N, L]` of the samples."""
        return self._samples()[1]

    @property
    def view(self) -> Tensor:
        """What the critic is shown: the images after every `critic_view`."""
        if self._view is None:
            images, labels = self._samples()
            values = {"images": images, "labels": labels}
            # calls the hook itself, as few frames as can be: most tracebacks come from here
            shown = self.batch.hooks.fold("critic_view", values, **self._draws())
            view: Tensor = shown["images"]
            labels = shown["labels"]
            rows = len(view)
            self._view = view
            self._view_labels = labels if len(labels) == rows else labels.new_empty(rows, 0)
        return self._view

    @property
    def view_labels(self) -> Tensor:
        """The labels `[M, L]` of the view: those of the samples, or those that a `critic_view`
        returned with it.

        `[M, 0]` where a component changed the rows of the view and returned no labels for them.
        """
        if self._view_labels is None:
            self.view  # noqa: B018 - sets both
        assert self._view_labels is not None
        return self._view_labels

    def apply_view(self, images: Tensor) -> Tensor:
        """Pass other images `[N, *shape]` through the very draw of the view that this side had."""
        values = {"images": images, "labels": self.labels}
        shown = self.batch.hooks.fold("critic_view", values, **self._draws())
        view: Tensor = shown["images"]
        return view

    @property
    def out(self) -> CriticOutput:
        """The critic's output for the view.

        For reals in the generator's update it carries no graph.

        The pass updates the critic's buffers where the loss is the first to ask for it.
        """
        if self._out is None:
            batch = self.batch
            asked = self.batch.hooks.asked
            graphless = self.real and batch.update_id.role == "generator"
            by_loss = asked is not None and asked.kind == "loss"
            view = self.view
            labels = self.view_labels
            key = ("real" if self.real else "fake",)
            with torch.no_grad() if graphless else nullcontext():
                network = batch.gan.critic.network
                self._out = batch.forward_pass(network, (view, labels), key, by_loss)
        return self._out

    def set_samples(self, images: Tensor, labels: Tensor | None = None) -> None:
        """Take other samples in place of those at hand, as a test does before any is viewed."""
        samples = (images, self.labels if labels is None else labels)
        self._samples = lambda: samples

    def set_output(self, out: CriticOutput, labels: Tensor | None = None) -> None:
        """Take an output, and labels of the view, in place of the critic's, as a test does."""
        self._out = out
        if labels is not None:
            self._view_labels = labels

    @property
    def score(self) -> Tensor:
        """The raw scores `[N]`; `[N, S]` where the critic gives several scores a sample."""
        out = self._out
        return self.out.score if out is None else out.score

    @property
    def features(self) -> Tensor:
        """The critic's features `[N, F]`, tails included."""
        return self.out.features

    @property
    def heads(self) -> Mapping[str, Tensor]:
        """The critic's named outputs."""
        return self.out.heads

    @property
    def scored(self) -> bool:
        """Whether the critic's output was asked for."""
        return self._out is not None

    @property
    def targets(self) -> Tensor:
        """The critic's targets, of the shape of `score`: 1 for reals, 0 for fakes.

        In its own updates after every `critic_targets`, which is given one target a sample.
        """
        if self._targets is None:
            score = self.score
            targets = score.new_full((len(score),), float(self.real))
            if self.batch.update_id.role == "critic":
                values = {"targets": targets}
                given = {"real": self.real, **self._draws()}
                targets = self.batch.hooks.fold("critic_targets", values, **given)["targets"]
            if score.dim() == 2:
                targets = targets.unsqueeze(1).expand_as(score)
            self._targets = targets
        return self._targets

    @property
    def plain_target(self) -> float | None:
        """The target of every sample, 1 for reals and 0 for fakes.

        None where a component may change targets.
        """
        changed = self.batch.update_id.role == "critic" and self.batch.hooks.any("critic_targets")
        return None if changed else float(self.real)

    @property
    def weights(self) -> Tensor | None:
        """The weights `[N]` of the fakes in a generator update.

        None where no component sets any.
        """
        batch = self.batch
        if self.real or batch.update_id.role == "critic" or not batch.hooks.any("sample_weights"):
            return None
        if self._weights is None:
            ones = self.score.new_ones(len(self.score))
            rng = batch.component_rng("weights")
            self._weights = batch.hooks.fold(
                "sample_weights", {"weights": ones}, batch=batch, rng=rng
            )["weights"]
        return self._weights

    def mean(self, values: Tensor) -> Tensor:
        """Average one number a sample `[N]`, or a score `[N, S]`, weighted where a component set
        weights.
        """
        weights = self.weights
        if weights is None:
            return values.mean()
        if values.dim() == 2:
            weights = weights.unsqueeze(1)
        return (weights * values).mean()

    def computed(self) -> dict[str, Tensor]:
        """Return by name the tensors that were computed so far."""
        found: dict[str, Tensor | None] = {}
        # Before the view, which is the same tensor where no component changes it. Reals are not
        # gathered only to be listed here.
        if not self.real or self._view is not None:
            found |= {"images": self.images, "labels": self.labels}
        found |= {"z": self.z, "view": self._view, "view_labels": self._view_labels}
        found |= {"targets": self._targets, "weights": self._weights}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def close(self) -> None:
        """Let go of the batch: what was computed stays, and nothing more can be."""
        self._batch = None

    def _draws(self) -> dict[str, Any]:
        """Return the step, and the random numbers of this side and those that both sides share."""
        batch = self.batch
        return {
            "step": batch.update_id.step,
            "rng": batch.component_rng("real" if self.real else "fake"),
            "shared_rng": batch.component_rng("both"),
        }


@define(eq=False, slots=False)  # a test may watch its methods
class Batch:
    """One update of one player, as its terms see it: `sides` holds `fake`, and `real` unless the
    update has no reals.

    `real` and `fake` read `sides`; `real` is None where there is none.
    """

    context: TrainingContext = field(repr=False)
    update_id: UpdateId
    sides: dict[str, Side] = field(factory=dict, repr=False)
    # extra passes by component
    _calls: Counter[str] = field(init=False, factory=Counter, repr=False)

    @property
    def real(self) -> Side | None:
        """The reals, gathered when first asked for; None in an update without reals."""
        return self.sides.get("real")

    @property
    def fake(self) -> Side:
        """The fakes."""
        return self.sides["fake"]

    @property
    def gan(self) -> GAN:
        """Both players."""
        return self.context.gan

    @property
    def plan(self) -> Plan:
        """Shapes, label sets, latent."""
        return self.context.plan

    @property
    def hooks(self) -> Hooks:
        """The chosen components' hooks."""
        return self.context.hooks

    @property
    def streams(self) -> Streams:
        """The random streams of the run."""
        return self.context.streams

    @property
    def group(self) -> ProcessGroup:
        """The processes that share the batch."""
        return self.context.runtime.group

    def mean_scores(self) -> dict[str, Tensor]:
        """Average the scores of each side that some term asked for."""
        return {
            f"score_{name}": side.score.detach().mean()
            for name, side in self.sides.items()
            if side.scored
        }

    def critic(
        self, images: Tensor, labels: Tensor, *, update_buffers: bool = False
    ) -> CriticOutput:
        """Ask the critic about any view, of the shape that `Side.view` has, with labels like
        `Side.view_labels`.

        Layers that draw have numbers of this component and this call alone. Running statistics and
        other buffers stay as they were, unless `update_buffers` lets the pass update them as the
        update's own passes do.
        """
        network = self.gan.critic.network
        answer: CriticOutput = self.network(network, images, labels, update_buffers=update_buffers)
        return answer

    def generator(self, z: Tensor, labels: Tensor, *, update_buffers: bool = False) -> Sample:
        """Ask the generator for samples from any latents `[N, Z]`, with numbers and buffers as in
        `critic`.
        """
        network = self.gan.generator.network
        return as_sample(self.network(network, z, labels, update_buffers=update_buffers))

    def network(self, network: nn.Module, *inputs: Tensor, update_buffers: bool = False) -> Any:
        """Call a network of either player, such as one of `gan.critic.extras`, with numbers and
        buffers as in `critic`.
        """
        name = self._asking()
        self._calls[name] += 1
        key = ("component", name, self._calls[name])
        return self.forward_pass(network, inputs, key, update_buffers)

    def draw_latents(self) -> Tensor:
        """Draw latents `[N, Z]` of the prior for the component that asks, e.g. where `fake.z` is
        None.
        """
        context = self.context
        key = (*self.update_id.key, self._asking())
        z = draw_latent(context.hooks, context.plan, context.plan.batch, context.streams, *key)
        return self.group.local_rows(z).to(self.gan.device)

    def _asking(self) -> str:
        """Return the name of the component whose hook is running, '' outside of one."""
        asked = self.hooks.asked
        return asked.name if asked is not None else ""

    def forward_pass(
        self,
        network: nn.Module,
        inputs: Sequence[Tensor],
        key: tuple[str | int, ...],
        update_buffers: bool,
    ) -> Any:
        """Run a player's network with the random numbers of a key, which no other pass can change.

        Without `update_buffers` the pass leaves no trace in the network or in torch's global
        generators.
        """
        device = self.gan.device
        with nullcontext() if update_buffers else fork_state(network, device):
            seed_globally(pass_seed(self.context, self.update_id, *key), device)
            return network(*inputs)

    def component_rng(self, part: str) -> Callable[[str], torch.Generator]:
        """Return the maker of a component's generator for one part of this update."""
        update_id = self.update_id
        device = self.gan.device
        group = self.group

        def make(component: str) -> torch.Generator:
            key = (f"component/{component}", *update_id.key, part)
            return self.streams.share(
                *key, rank=group.rank, size=group.size, device=device, own=part != "both"
            )

        return make

    def terms(self, hook: str, figures: Figures) -> dict[str, Tensor]:
        """Ask every component for its terms; name them `component/term`.

        Logged figures go into `figures`.
        """

        def logger(component: str) -> Callable[[str, Any], None]:
            return lambda name, value: figures.__setitem__(f"{component}/{name}", value)

        rng = self.component_rng("terms")
        terms: dict[str, Tensor] = {}
        for component, found in self.hooks.all(
            hook, batch=self, step=self.update_id.step, rng=rng, log=logger
        ):
            named = found if isinstance(found, Mapping) else {hook: found}
            for name, term in named.items():
                terms[f"{component}/{name}"] = _scalar(term, component, hook, name)
        return terms

    def close(self) -> None:
        """End the update.

        Sides and batch refer to each other: only so is the graph freed without the collector.
        """
        for side in self.sides.values():
            side.close()


def make_batch(
    context: TrainingContext, update_id: UpdateId, reals: Reals | None, fakes: Fakes
) -> Batch:
    """Gather both sides of an update; nothing is computed until a term asks for it."""
    batch = Batch(context, update_id)
    if reals is not None:
        batch.sides["real"] = Side(True, None, {}, reals, batch)
    samples = (fakes.images, fakes.labels)
    batch.sides["fake"] = Side(False, fakes.z, fakes.extras, lambda: samples, batch)
    return batch


def pass_seed(context: TrainingContext, update_id: UpdateId, *key: int | str) -> int:
    """Return the seed of one forward pass of an update, that of this process's rows."""
    return context.streams.number("pass", *update_id.key, *key, *context.runtime.group.key)


def _scalar(term: Any, component: str, hook: str, name: str) -> Tensor:
    if isinstance(term, Tensor) and term.dim() == 0:
        return term
    got = (
        f"a tensor of shape {list(term.shape)}"
        if isinstance(term, Tensor) and term.dim()
        else repr(term)
    )
    raise PluginError(f"{component}.{hook}: {name} is {got}", fix="return {name: scalar tensor}")
