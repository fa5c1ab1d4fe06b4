"""What a term is given: the two sides of an update, each computed when it is first asked for, and
only once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
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
    """Samples and extra tensors, which a generator may return instead of a plain tensor.

    - `images`: the samples `[N, *shape]`, images in [-1, 1].
    - `extras`: further tensors with N rows by name, e.g. a code for a term to read. A term finds
      them in `batch.fake.extras`.
    """

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
    """Which update of a run this is: iteration, player, and the update's place in the iteration.

    - `step`: the iteration of the schedule, from 0.
    - `role`: the player whose terms are computed, `"generator"` or `"critic"`.
    - `index`: the update's place among those of the iteration, from 0.
    """

    step: int
    role: Role = "critic"
    index: int = 0

    @property
    def key(self) -> tuple[int, str, int]:
        """The same three as a tuple, the part of a random stream's key that this update has."""
        return self.step, self.role, self.index


@define(eq=False)
class Side:
    """The reals or the fakes of one update, with everything computed from them.

    Each property is computed when it is first read, and once. All tensors lie on the device of the
    networks. Under several processes N counts this process's rows.

    A view may have other rows than the samples, M of them: `view`, `view_labels`, `score`,
    `features`, `heads`, `targets` and `weights` have M rows. Where no component packs or repeats
    samples, M = N.

    - `real`: True for the reals, False for the fakes.
    - `z`: the latents `[N, Z]`, float32, that the fakes were made of. None for reals, and for fakes
      that a component put in the place of those just made (`critic_fakes`).
    - `extras`: what the generator returned beside its samples, `Sample.extras`. Empty where `z` is
      None.

    Internal: `close`, `computed`, `replaced`, `scored`.
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
    replaced: bool = field(init=False, repr=False, default=False)  # by `set_samples`, `set_output`

    @property
    def batch(self) -> Batch:
        """The batch that this side belongs to. Raises ReferenceError once its update is over."""
        if self._batch is None:
            raise ReferenceError("the update this side belonged to is over")
        return self._batch

    @property
    def images(self) -> Tensor:
        """The samples `[N, *shape]` as the data or the generator made them, before any view.

        Images lie in [-1, 1]. Reals are float32; fakes are of half precision where the generator
        runs under autocast. In a critic update fakes carry no graph.
        """
        return self._samples()[0]

    @property
    def labels(self) -> Tensor:
        """The labels of the samples, int64 `[N, L]`; `[N, 0]` for data without labels."""
        return self._samples()[1]

    @property
    def view(self) -> Tensor:
        """The critic's input `[M, *plan.critic_shape]`: the images after every `critic_view`.

        The same tensor as `images` where no component changes the view.
        """
        if self._view is None:
            images, labels = self._samples()
            shown = {"images": images, "labels": labels}
            if self.batch.hooks.any("critic_view"):
                shown = self.batch.hooks.fold("critic_view", shown, **self._draws())
            view: Tensor = shown["images"]
            labels = shown["labels"]
            rows = view.shape[0]
            self._view = view
            self._view_labels = labels if labels.shape[0] == rows else labels.new_empty(rows, 0)
        return self._view

    @property
    def view_labels(self) -> Tensor:
        """The labels of the view, int64 `[M, L]`: those of the samples, or those that a
        `critic_view` returned with it.

        `[M, 0]` where a component changed the rows of the view and returned no labels for them.
        """
        if self._view_labels is None:
            self.view  # noqa: B018 - sets both
        assert self._view_labels is not None
        return self._view_labels

    def apply_view(self, images: Tensor) -> Tensor:
        """Return the view of other images `[N, *shape]`, under this side's own random draws.

        An augmentation so transforms them exactly as it transforms this side's own.
        """
        values = {"images": images, "labels": self.labels}
        shown = self.batch.hooks.fold("critic_view", values, **self._draws())
        view: Tensor = shown["images"]
        return view

    @property
    def out(self) -> CriticOutput:
        """The critic's output for the view; the first reading of it is a forward pass.

        For reals in a generator update it carries no graph. The pass updates the critic's buffers
        where the loss is the first to read it, and leaves them as they are otherwise.
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

    def set_samples(
        self, images: Tensor, labels: Tensor | None = None, z: Tensor | None = None
    ) -> None:
        """Replace the samples by others, `[N, *shape]`, before the view is read.

        For tests, and for a component whose terms hook is called before the loss's. `z [N, Z]` are
        the latents that they were made of, where those change too.
        """
        samples = (images, self.labels if labels is None else labels)
        self._samples = lambda: samples
        self.z = self.z if z is None else z
        self.replaced = True

    def set_output(self, out: CriticOutput, labels: Tensor | None = None) -> None:
        """Replace the critic's output, and the labels of the view where given.

        For tests, and for a component whose terms hook is called before the loss's
        (`@hookimpl(tryfirst=True)`): all terms then read this output, such as that of other weights
        of the critic.
        """
        self._out = out
        self.replaced = True
        if labels is not None:
            self._view_labels = labels

    @property
    def score(self) -> Tensor:
        """The critic's raw scores `[M]`, float32 also under autocast; no sigmoid is applied.

        `[M, S]` where the critic gives several scores a sample.
        """
        out = self._out
        return self.out.score if out is None else out.score

    @property
    def features(self) -> Tensor:
        """The critic's features `[M, F]`, those that tails append included."""
        return self.out.features

    @property
    def heads(self) -> Mapping[str, Tensor]:
        """The outputs of the critic's heads by name, `[M, …]`; empty without a `Head`."""
        return self.out.heads

    @property
    def scored(self) -> bool:
        """Whether `out` was computed."""
        return self._out is not None

    @property
    def targets(self) -> Tensor:
        """The critic's targets, float32 and of the shape of `score`: 1 for reals, 0 for fakes.

        In critic updates after every `critic_targets`, which is given one target a sample; in
        generator updates these plain values.
        """
        if self._targets is None:
            score = self.score
            targets = score.new_full((len(score),), float(self.real))
            if self.plain_target is None:
                values = {"targets": targets}
                given = {"real": self.real, **self._draws()}
                targets = self.batch.hooks.fold("critic_targets", values, **given)["targets"]
            if score.dim() == 2:
                targets = targets.unsqueeze(1).expand_as(score)
            self._targets = targets
        return self._targets

    @property
    def plain_target(self) -> float | None:
        """The target of every sample, 1.0 for reals and 0.0 for fakes, as one number.

        None where a component may change targets: read `targets` then.
        """
        changed = self.batch.update_id.role == "critic" and self.batch.hooks.any("critic_targets")
        return None if changed else float(self.real)

    @property
    def weights(self) -> Tensor | None:
        """The weights `[M]` of the fakes in a generator update, after every `sample_weights`.

        None for reals, in critic updates, and where no component implements the hook. `mean`
        applies them.
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
        """Return the average of values `[M]`, one a sample, each multiplied by its weight.

        The plain average where `weights` is None. A loss uses it in place of `values.mean()`, so
        that `sample_weights` act on it. Values `[M, S]`, of several scores a sample, are averaged
        over both dimensions.
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
    """One update of one player: its reals and fakes, and passes through both networks.

    Given to `critic_terms`, `generator_terms`, `sample_weights` and the hooks after an update. Once
    the update is over, which is after `after_critic_update` or `after_generator_update`, what was
    computed stays readable and nothing more can be computed. A side may be computed at any time
    until then, so state that a view reads may not change in between.

    - `update_id`: which update this is: `batch.update_id.step`, `.role`, `.index`.
    - `sides`: `fake`, and `real` unless the update has no reals, by these names.

    Internal: `close`, `component_rng`, `context`, `forward_pass`, `hooks`, `mean_scores`,
    `streams`, `terms`.
    """

    context: TrainingContext = field(repr=False)
    update_id: UpdateId
    sides: dict[str, Side] = field(factory=dict, repr=False)
    # extra passes by component
    _calls: Counter[str] = field(init=False, factory=Counter, repr=False)

    @property
    def real(self) -> Side | None:
        """The reals, gathered when their samples are first read.

        None in an update without reals, `Update(…, reals=False)`: test for it in every term that
        reads them.
        """
        return self.sides.get("real")

    @property
    def fake(self) -> Side:
        """The fakes, there in every update; those of a critic update carry no graph."""
        return self.sides["fake"]

    @property
    def gan(self) -> GAN:
        """Both players, as they are at this update."""
        return self.context.gan

    @property
    def plan(self) -> Plan:
        """Shapes, label sets and latent of the run."""
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
        """The processes that share the batch; of size 1 in an ordinary run."""
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
        """Return the critic's output for any view `[K, *plan.critic_shape]` with labels `[K, L]`.

        Shapes are those of `Side.view` and `Side.view_labels`. No `critic_view` is applied.
        Gradients flow. Layers that draw have numbers of this component and this call alone. Running
        statistics and other buffers stay as they were, unless `update_buffers` lets the pass update
        them as the update's own passes do.
        """
        network = self.gan.critic.network
        answer: CriticOutput = self.network(network, images, labels, update_buffers=update_buffers)
        return answer

    def generator(self, z: Tensor, labels: Tensor, *, update_buffers: bool = False) -> Sample:
        """Return the generator's samples of any latents `[K, Z]` with labels `[K, L]`.

        Gradients flow; random numbers and buffers are treated as by `critic`. A network that
        returns a plain tensor is given as a `Sample` without extras.
        """
        network = self.gan.generator.network
        return as_sample(self.network(network, z, labels, update_buffers=update_buffers))

    def network(self, network: nn.Module, *inputs: Tensor, update_buffers: bool = False) -> Any:
        """Return the output of a network of either player, such as one of `gan.critic.extras`.

        Gradients flow; random numbers and buffers are treated as by `critic`.
        """
        name = self._asking()
        self._calls[name] += 1
        key = ("component", name, self._calls[name])
        return self.forward_pass(network, inputs, key, update_buffers)

    def draw_latents(self) -> Tensor:
        """Draw latents `[N, Z]` of the prior, float32, for the component whose hook is running.

        They are the same whenever that component asks during one update, and not those of the
        fakes. Use them e.g. where `fake.z` is None.
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
        if update_id.role == "critic" and context.hooks.any("critic_reals"):
            reals = partial(_exchange_reals, batch, reals, fakes)
        batch.sides["real"] = Side(True, None, {}, reals, batch)
    samples = (fakes.images, fakes.labels)
    batch.sides["fake"] = Side(False, fakes.z, fakes.extras, lambda: samples, batch)
    return batch


def _exchange_reals(batch: Batch, reals: Reals, fakes: Fakes) -> tuple[Tensor, Tensor]:
    """Let components show the critic other reals, once: from then on the side has the result."""
    images, labels = reals()
    shown = batch.hooks.fold(
        "critic_reals",
        {"images": images, "labels": labels},
        fakes=fakes.images,
        fake_labels=fakes.labels,
        step=batch.update_id.step,
        rng=batch.component_rng("reals"),
    )
    side = batch.real
    assert side is not None
    # in place of this function, which holds the batch
    side.set_samples(shown["images"], shown["labels"])
    return shown["images"], shown["labels"]


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
