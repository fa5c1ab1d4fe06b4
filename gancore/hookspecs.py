"""Every hook of gancore on one page: what a component is given, and what it may return.

A component implements a hook by a method of that name, marked `@hookimpl`. The method takes any of
the arguments that the hook has here, in any order, and none with a default:

    @component(source="Authors, venue and year")
    class MyTrick:
        # its docstring comes here

        weight: float = option(1.0, ge=0, help="factor of the term")

        @hookimpl
        def critic_terms(self, batch):
            return {"scores": self.weight * batch.fake.mean(batch.fake.score.square())}

Components are called in the order in which the user chose them. `@hookimpl(tryfirst=True)` moves a
component to the beginning of one hook's order, `@hookimpl(trylast=True)` to its end, for a wrapper
that must be outermost. The word in brackets in each first line says how results are combined:

- **first**: the first result that is not None is used, and the remaining components are not called;
- **fold**: each component is given the result of the one before it; None leaves it unchanged;
- **all**: every component is called, and every result that is not None counts.

**Shapes.** `N` is the batch size, `C, H, W` are channels, height and width, `Z` is the width of the
latent, `L` the number of label sets, `F` the width of the critic's features. Images lie in [-1, 1].
Signals `[N, C, T]`, volumes `[N, C, D, H, W]` and points `[N, d]` take the place of images
`[N, C, H, W]` where the data are such: `plan.axes` counts the axes beside the channels.
`labels` is int64 `[N, L]`, one column for each of `plan.label_sets`; L = 0 for data without labels.
`step` counts iterations of the schedule from 0. `role` is `"generator"` or `"critic"`.

**Names.** `gancore.name_of(self)` is the name of the component in this composition: that of its
entry point, or of its class in kebab-case for a component of a file (`MyTrick` in `my_trick.py` is
`my-trick`), or the user's alias. It is the key of what belongs to the component, e.g. in
`plan.latent_slices`.

**Random numbers.** `rng` is a new `torch.Generator`, seeded for this component, hook and step.
Reals and fakes get different ones, and no other component changes them. `shared_rng` is the same
for both sides of an update. Draw with `torch.randn(shape, generator=rng, device=rng.device)`.

**Figures.** `log(name, value)` writes a number or a 0-d tensor into the metrics row, and adds
nothing to what is minimised.

**Versions.** Each hook says since which version of gancore it is there, and so does an argument
that was added later. A new hook or argument breaks no plugin, because a method takes the arguments
that it names. A hook that is to be removed is deprecated first: a run with a component that
implements it notes what to do instead.

**State.** A component that changes while training declares the fields that change:
`updates: int = state(0)` is saved and restored by gancore, with tensors on the CPU; a field by
`cached()` is not saved, for what can be computed again. No other attribute can be set in a hook.
`state_dict()` and `load_state_dict(state)` store what needs a form of its own.

**Precision.** Weights and scores are float32. With `--precision bf16` or `fp16` the generator and
all terms are computed under autocast, so fakes, views and features may be of half precision. A term
that needs float32, such as one on gradients, converts its inputs by `.float()` and computes
inside `with torch.autocast(images.device.type, enabled=False):`.

**Forward passes.** Each forward pass of a step has random numbers of its own. Buffers, such as
running statistics, are updated by the generator's pass and by those passes of the critic that the
loss reads, as in a loop written by hand. Every other pass leaves buffers and torch's global random
numbers as they were: a side that only other components read, and `batch.critic(…)` and
`batch.generator(…)` unless they are given `update_buffers=True`. So a component that only logs
changes no bit of a training. A hook that calls a network itself, such as `after_step`, does so
inside `with gancore.fork_state(network, gan.device):`.

**Several processes.** Where several processes share a run, each calls the hooks of a step with its
own rows of the batch, and with its own `rng`. `gancore.draw_rows(torch.randn, shape, rng)` draws,
for these rows, the numbers that a single process would draw for the whole batch.
`gancore.gather(rows)` and `gancore.average(values)` combine what the processes have.
`critic_fakes`, `draw_labels` and the hooks that are called once a step are given the whole batch.
Only the first process calls `measure`, `record`, `draw` and `stop`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy
from attrs import field, frozen

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from gancore.train.batch import Batch
    from gancore.train.data import Data, DataSpec
    from gancore.train.networks import GAN
    from gancore.train.plan import Head, LabelSet, Plan, Tail, Update
    from gancore.train.progress import Progress

API = 1  # raised whenever a hook is added or changed
# components made for this version or a later one work; raised when a change breaks them
OLDEST_API = 1

F = TypeVar("F", bound=Callable[..., Any])

_mark = pluggy.HookspecMarker("gancore")
HOOK_INFO = "__gancore_hook__"  # the attribute of a hook for what `@hookspec` was given


@frozen
class HookInfo:
    """Since which version of gancore a hook is there, and whether it is to stay.

    `added` maps arguments that came later to their versions. `deprecated` is the version that
    deprecated the hook, `instead` what a component is to do in its place.
    """

    since: str
    added: Mapping[str, str] = field(factory=dict)
    deprecated: str = ""
    instead: str = ""


def hookspec(
    *, since: str, added: Mapping[str, str] | None = None, deprecated: str = "", instead: str = ""
) -> Callable[[F], F]:
    """Declare a hook, with the version of gancore in which it was published."""
    info = HookInfo(since, dict(added or {}), deprecated, instead)

    def declare(hook: F) -> F:
        unknown = set(info.added) - set(inspect.signature(hook).parameters)
        if unknown or bool(deprecated) != bool(instead):
            raise ValueError(f"{hook.__name__}: {info}")
        setattr(hook, HOOK_INFO, info)
        marked: F = _mark(hook)
        return marked

    return declare


def hook_info(hook: str) -> HookInfo:
    """Return what `@hookspec` was given for the hook of this name."""
    info: HookInfo = getattr(globals()[hook], HOOK_INFO)
    return info


# ── data ─────────────────────────────────────────────────────────────────────────────────────────


@hookspec(since="0.1")
def recognizes(path: Path) -> int | None:
    """Return how well this reader fits what lies at `path` (all; the highest wins).

    0 or None: not at all; 1: it can read it; 2: it is made for it. Called on every installed `data`
    component when the user writes `--data PATH`. Look at names, not at contents. The chosen
    component is given the path in its option `path`, which it must declare: `path: str = option("",
    help=…)`.
    """


@hookspec(since="0.1")
def make_data(spec: DataSpec) -> Data | None:
    """Open or generate the real samples (first). See `gancore.Data` for what to return.

    Raise DataError where no usable sample is found.
    """


@hookspec(since="0.1")
def describe_data() -> Mapping[str, Any] | None:
    """Return a JSON-serialisable report of the files used and skipped (first).

    It is written to `RUN/data-report.json`.
    """


@hookspec(since="0.1")
def chosen_size() -> tuple[int, int] | None:
    """Return the (height, width) at which `make_data` read images without `--size` (first).

    Called after `make_data`, and only where `spec.size` was None. A new run writes this size into
    its recipe, so that a resume, and a run of that recipe, read images at the same size. None, or a
    side of less than 8 or more than 1024 pixels, leaves the setting `size` at none.
    """


@hookspec(since="0.1")
def adapt_data(data: Data, spec: DataSpec) -> Data | None:
    """Wrap the data: repeat, select or transform samples (fold)."""


# ── latent and labels ────────────────────────────────────────────────────────────────────────────


@hookspec(since="0.1")
def latent_width(plan: Plan) -> int | None:
    """Return how many columns of the latent `draw_latent` draws (all, concatenated).

    `plan.latent_slices[gancore.name_of(self)]` is the slice of its columns.
    """


@hookspec(since="0.1")
def draw_latent(n: int, plan: Plan, rng: torch.Generator) -> Tensor | None:
    """Draw this component's columns of the latent, float32 `[n, width]` (all, concatenated)."""


@hookspec(since="0.1")
def draw_labels(
    n: int, real_labels: Tensor | None, plan: Plan, rng: torch.Generator
) -> Tensor | None:
    """Draw the labels of n fakes, int64 `[n, L]` (first).

    By default they are drawn with the frequencies of the data.
    `real_labels [n, L]` are the labels of the reals in the same update, or None where there are no
    reals. Return them to give each fake the label of a real.
    """


@hookspec(since="0.1")
def view_labels(plan: Plan) -> LabelSet | Sequence[LabelSet] | None:
    """Return label sets whose columns this component's `critic_view` appends to the labels (all).

    For example the time t of a diffused image, `LabelSet("t", ("0", "1", …))`. The critic, its
    parts and its conditions are built for the labels `[M, L']` with these columns, in the
    components' calling order; the generator is not.
    """


@hookspec(since="0.1")
def generator_inputs(plan: Plan) -> int | None:
    """Return how many columns `adapt_generator` appends to the latent (all, summed)."""


@hookspec(since="0.1")
def critic_shape(shape: tuple[int, ...], plan: Plan) -> tuple[int, ...] | None:
    """Return the shape of a sample that the critic's body is built for (fold).

    For example `(m·C, H, W)` where m samples are packed into one.
    """


# ── networks ─────────────────────────────────────────────────────────────────────────────────────


@hookspec(since="0.1")
def make_generator(plan: Plan) -> nn.Module | None:
    """Build the generator (first).

    `net(z [N, plan.inputs], labels [N, L]) → samples [N, *plan.shape]`
    """


@hookspec(since="0.1")
def make_upsample(channels_in: int, channels_out: int, plan: Plan) -> nn.Module | None:
    """Build an upsampling module `[N, channels_in, h, w] → [N, channels_out, 2h, 2w]` (first).

    It doubles each of the `plan.axes`: 1 for signals `[N, C, t]`, 2 for images, 3 for volumes. Not
    called for points. Raise CompositionError for a number of axes that the module cannot double.
    """


@hookspec(since="0.1")
def make_norm(channels: int, role: str, plan: Plan, style: int) -> nn.Module | None:
    """Build a normalisation layer `[N, channels, …] → [N, channels, …]` (first).

    Called on the component that was chosen as the norm of that player. A layer that derives from
    `gancore.ConditionalLayer` is called with `(maps, labels [N, L], style [N, W])`: `style` is W,
    the width of what the network passes, such as the generator's latent; 0 where it passes none.
    """


@hookspec(since="0.1")
def make_critic(plan: Plan) -> nn.Module | None:
    """Build the critic's body (first).

    `body(view [N, *plan.critic_shape], labels [N, L]) → [N, F]` or `[N, F', h, w]`
    """


@hookspec(since="0.1")
def make_score(features: int, plan: Plan) -> nn.Module | None:
    """Build the score head `[N, F] → [N, 1]` (first; by default a linear layer with bias).

    `[N, S]` gives S scores a sample, e.g. of patches; losses average over all of them.
    """


@hookspec(since="0.1")
def extend_critic(features: int, plan: Plan) -> Tail | Head | Sequence[Tail | Head] | None:
    """Append features to the critic's tail, or add a head (all).

    `Tail(module, added=k)` maps `[N, F] → [N, F + k]`. With `labels=True` it is called with
    `(features, labels)`; every part after it, the score included, may then depend on the labels.
    `Head(name, module)` maps `(features [N, F], labels [N, L])` to an output `out.heads[name]`. The
    output `[N]` of a head called `score` is added to the score; a head called `score/NAME` gives
    scores `[N]` or `[N, S]` of its own, as further columns of the score. `features` is F after the
    tails of the components before this one.
    """


@hookspec(since="0.1")
def extend_player(role: str, plan: Plan) -> dict[str, nn.Module] | None:
    """Add networks to a player, e.g. an encoder: `gan.player(role).extras[name]` (all).

    Their weights join that player's optimiser and checkpoint.
    """


@hookspec(since="0.1")
def adapt_generator(net: nn.Module, plan: Plan) -> nn.Module | None:
    """Wrap or edit the generator after it was initialised (fold). Keep `net(z, labels)`."""


@hookspec(since="0.1")
def adapt_critic(net: nn.Module, plan: Plan) -> nn.Module | None:
    """Wrap or edit the critic after it was initialised (fold).

    `net` is a `gancore.Critic`. Replace `net.body` to change the input of the body, or edit layers
    anywhere, also by `torch.nn.utils.parametrize`: weights and buffers may change their names.
    Torch's global random numbers are seeded for this component, as for every network that is built.
    """


@hookspec(since="0.1")
def initialize(net: nn.Module, role: str, plan: Plan, rng: torch.Generator) -> bool | None:
    """Set the weights of `net` in place and return True (first).

    By default they are as torch initialises them. Called for the generator and for each part of the
    critic (body, score, tails, heads), each with an `rng` of its own.
    """


# ── optimisation ─────────────────────────────────────────────────────────────────────────────────


@hookspec(since="0.1")
def schedule(step: int, rng: torch.Generator) -> Sequence[Update] | None:
    """Return the updates of this iteration in order (first).

    For example five of the critic and one of the generator.
    """


@hookspec(since="0.1")
def adapt_schedule(updates: list[Update], step: int) -> list[Update] | None:
    """Change the updates of this iteration, e.g. append one of the critic on fakes alone (fold)."""


@hookspec(since="0.1")
def make_optimizer(
    params: list[tuple[str, nn.Parameter]], role: str
) -> torch.optim.Optimizer | None:
    """Build the optimiser of one player from its named parameters (first).

    Called on the component that was chosen as the optimiser of that player.
    """


@hookspec(since="0.1")
def adapt_optimizer(
    optimizer: torch.optim.Optimizer, params: list[tuple[str, nn.Parameter]], role: str
) -> torch.optim.Optimizer | None:
    """Wrap or edit the optimiser of one player after it was made (fold).

    For example split its parameter groups. What it returns must hold the same weights; its
    `state_dict()` is saved and restored with the player.
    """


@hookspec(since="0.1")
def learning_rate(rate: float, step: int, role: str) -> float | None:
    """Return the learning rate of this step; `rate` starts as the optimiser's own (fold)."""


@hookspec(since="0.1")
def before_step(gan: GAN, step: int) -> None:
    """Run before the first update of an iteration, e.g. to set a blend factor (all)."""


@hookspec(since="0.1")
def adapt_gradients(gan: GAN, batch: Batch, role: str, step: int) -> None:
    """Change the gradients of one player before its optimiser step, without grad mode (all).

    `weight.grad` of `gan.player(role).parameters` is the mean over all processes, unscaled; None
    for a weight that no term reaches. Change them in place, e.g. to clip or to accumulate, or set
    the weights that the step starts from. Called before `skip_update`, for skipped updates too.
    """


@hookspec(since="0.1")
def skip_update(role: str, terms: dict[str, Tensor], step: int) -> bool | None:
    """Return True to skip the optimiser step after terms and gradients were computed (first)."""


@hookspec(since="0.1")
def after_critic_update(gan: GAN, batch: Batch, step: int) -> None:
    """Run after each critic update, without gradients, e.g. clip the critic's weights (all)."""


@hookspec(since="0.1")
def after_generator_update(gan: GAN, batch: Batch, step: int) -> None:
    """Run after each generator update, without gradients, e.g. update a moving average (all)."""


@hookspec(since="0.1")
def after_step(gan: GAN, step: int) -> None:
    """Run after an iteration's last update, without gradients, e.g. to move both players (all)."""


# ── what the critic is given, and what the players minimise ──────────────────────────────────────


@hookspec(since="0.1")
def critic_fakes(
    images: Tensor, labels: Tensor, step: int, rng: torch.Generator
) -> tuple[Tensor, Tensor] | None:
    """Replace fakes in a critic update, e.g. by earlier ones; return (images, labels) (fold).

    `images [N, *shape]` are detached. Do not write into them.
    """


@hookspec(since="0.1")
def critic_reals(
    images: Tensor,
    labels: Tensor,
    fakes: Tensor,
    fake_labels: Tensor,
    step: int,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor] | None:
    """Replace reals in a critic update, e.g. by fakes; return (images, labels) (fold).

    `images [N, *shape]` and `labels [N, L]` are those of the batch's reals, `fakes` and
    `fake_labels` those of its fakes, after every `critic_fakes`. Called when the reals are first
    read. Do not write into any of them.
    """


@hookspec(since="0.1")
def critic_view(
    images: Tensor, labels: Tensor, step: int, rng: torch.Generator, shared_rng: torch.Generator
) -> Tensor | tuple[Tensor, Tensor] | None:
    """Transform the critic's input, reals and fakes, in the updates of both players (fold).

    Return the images, or (images, labels) where rows were concatenated, repeated, mixed or
    permuted: the critic, its heads and the terms are then given those labels, int64 `[M, L]`. A
    component with `view_labels` appends its columns to the labels that it returns.
    Gradients must pass to `images [N, *shape]`. Do not write into them.
    """


@hookspec(since="0.1")
def critic_targets(
    targets: Tensor, real: bool, step: int, rng: torch.Generator, shared_rng: torch.Generator
) -> Tensor | None:
    """Change the critic's targets `[N]`, which start as 1 for reals and 0 for fakes (fold).

    Not called in generator updates, whose targets stay as they are.
    """


@hookspec(since="0.1")
def sample_weights(weights: Tensor, batch: Batch, rng: torch.Generator) -> Tensor | None:
    """Return the weights `[N]` of the fakes in a generator update, which start as 1 (fold)."""


@hookspec(since="0.1")
def critic_terms(
    batch: Batch, step: int, rng: torch.Generator, log: Callable[[str, Any], None]
) -> dict[str, Tensor] | None:
    """Return the losses and penalties that the critic minimises, `{name: scalar}` (all, summed).

    `batch.real` and `batch.fake` compute on first access: `.view`, `.score [N]`, `.features [N,
    F]`, `.heads`, `.targets`. The loss is called first, so the sides are always scored in its
    order; before it only components marked `@hookimpl(tryfirst=True)`, which may replace what a
    side holds by `set_samples` or `set_output`.
    """


@hookspec(since="0.1")
def adapt_terms(
    terms: dict[str, Tensor], batch: Batch, role: str, step: int
) -> dict[str, Tensor] | None:
    """Reweight or replace the terms that a player minimises, `{"component/name": scalar}` (fold).

    What is returned is summed, logged and differentiated in place of `terms`.
    """


@hookspec(since="0.1")
def generator_terms(
    batch: Batch, step: int, rng: torch.Generator, log: Callable[[str, Any], None]
) -> dict[str, Tensor] | None:
    """Return the terms that the generator minimises, `{name: scalar}` (all, summed).

    Reading `batch.real.score` costs a forward pass of the critic, without gradients.
    """


# ── samples and records ──────────────────────────────────────────────────────────────────────────


@hookspec(since="0.1")
def sampling_generator(net: nn.Module) -> nn.Module | None:
    """Return the network to draw samples and metrics from, called as the generator is (fold).

    The first component is given the generator itself, and may return another network, such as a
    copy with averaged weights: mark it `@hookimpl(tryfirst=True)`. Every later one returns a module
    that calls the `net` it is given, e.g. on truncated latents; a result that drops `net` is
    refused. Do not write into the generator.
    """


@hookspec(since="0.1")
def select_samples(
    images: Tensor, z: Tensor, labels: Tensor, gan: GAN, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Select among drawn samples, e.g. by their scores (fold).

    Return (images, z, labels) with at most as many rows.
    """


@hookspec(since="0.1")
def measure(progress: Progress, rng: torch.Generator) -> dict[str, float | Tensor] | None:
    """Compute figures for the next metrics row (all). See `gancore.Progress`."""


@hookspec(since="0.1")
def record(row: dict[str, Any], folder: Path) -> str | None:
    """Process each finished metrics row; a returned sentence is shown to the user (all).

    `folder` is the folder of the run.
    """


@hookspec(since="0.1")
def draw(progress: Progress, folder: Path) -> None:
    """Draw pictures into `folder/NAME/` whenever the run writes its sample grid (all).

    Name the files by `progress.step`. `folder` is `RUN/samples`; the folder of the run is
    `folder.parent`, for `gancore.read_rows(folder.parent)`.
    """


@hookspec(since="0.1")
def stop(row: dict[str, Any]) -> str | None:
    """Return a reason to end the run after this row (first)."""
