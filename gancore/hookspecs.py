"""Every hook of gancore on one page: what it is given, what it returns, and how several answers join.

A component implements a hook by a method of that name marked `@hookimpl`; it may take fewer arguments than
stated here, never others, and none with a default. Components are called in the order given by the user.

How answers join (stated at the end of each first line):

- **first**: components are asked in order until one answers something other than None;
- **fold**: each component receives what the one before returned (None leaves it as it is);
- **all**: every answer that is not None is collected.

`@hookimpl(trylast=True)` moves a component to the end of one hook's order (a wrapper that must be outermost),
`tryfirst=True` to its beginning. A component that changes while training declares `updates: int = state(0)`: gancore
saves the field and restores it, tensors on the CPU. A field by `cached()` is not saved, for what can be computed again.
Nothing else of a component can be set. `state_dict()` and `load_state_dict(state)` store what needs a form of its own.

Words used below: `N` batch, `C, H, W` channels, height, width, `Z` width of the latent, `L` number of label
sets, `F` width of the critic's features. Images lie in [-1, 1]. `labels` is int64 `[N, L]`, one column for each
of `plan.label_sets` (L = 0 for data without labels). `step` counts iterations of the schedule from 0. `role`
is `"generator"` or `"critic"`.

`rng` is a fresh `torch.Generator` made for this component, this step and this call alone: the calls for reals
and for fakes get different numbers, and no other component can move them. `shared_rng` is the same for both
sides of an update. `log(name, value)` writes a figure (a number or a 0-d tensor) into the metrics row without
adding it to the objective. Draw with `torch.randn(shape, generator=rng, device=rng.device)`.

Each forward pass of a step draws from numbers of its own. The generator's pass and the passes that the loss asks for,
by reading a side, move running statistics and other buffers, as in a loop written by hand. All others leave them, and
torch's global random numbers, as they were: a side that only other components read, and `batch.critic(…)` and
`batch.generator(…)`, unless they are given `update_buffers=True`. So a component that only logs changes no bit. One
that calls a network itself, in `after_step` say, does so inside `with gancore.fork_state(network, gan.device):`.

Where several processes share a run, each calls the hooks of a step with its own rows of the batch, and what they draw
from `rng` is their own. `gancore.draw_rows(torch.randn, shape, rng)` draws for the rows at hand the numbers that one
process with all rows would draw, and `gancore.gather(rows)` and `gancore.average(values)` reach what the others have.
`critic_fakes`, `draw_labels` and whatever runs once a step see the whole. Only the first process calls `measure`,
`record`, `draw` and `stop`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from gancore.train.batch import Batch
    from gancore.train.data import Data, DataSpec
    from gancore.train.networks import GAN
    from gancore.train.plan import Head, Plan, Tail, Update
    from gancore.train.progress import Progress

hookspec = pluggy.HookspecMarker("gancore")

API = 1  # raised whenever a hook is added or changed
OLDEST_API = 1  # components made for this version and all later ones still work; raised when a change breaks them

# ── data ──────────────────────────────────────────────────────────────────────────────────────────────────────


@hookspec
def recognizes(path: Path) -> int | None:
    """Say how well this reader fits what lies at `path`: 0 not at all, 1 can read it, 2 made for it (all; highest).

    Asked of every installed `data` component when the user writes `--data PATH`. Look at names, not at contents. The
    path is then given to the chosen component's option `path`, which it must have: `path: str = option("", help=…)`.
    """


@hookspec
def make_data(spec: DataSpec) -> Data | None:
    """Open or draw the real samples (first). See `gancore.Data` for what to return.

    Raises DataError where nothing usable is found.
    """


@hookspec
def describe_data() -> Mapping[str, Any] | None:
    """Say what became of the files that `make_data` read, in what JSON knows (first): `RUN/data-report.json`."""


@hookspec
def adapt_data(data: Data, spec: DataSpec) -> Data | None:
    """Wrap the data: repeat, take a part, transform (fold)."""


# ── latent and labels ─────────────────────────────────────────────────────────────────────────────────────────


@hookspec
def latent_width(plan: Plan) -> int | None:
    """Claim that many columns of the latent; `draw_latent` of the same component fills them (all, side by side).

    The columns are filed under the name that the component goes by: `plan.latent_slices[gancore.name_of(self)]`.
    """


@hookspec
def draw_latent(n: int, plan: Plan, rng: torch.Generator) -> Tensor | None:
    """Draw this component's own columns of the latent, float32 `[n, width]` (all, side by side)."""


@hookspec
def draw_labels(n: int, real_labels: Tensor | None, plan: Plan, rng: torch.Generator) -> Tensor | None:
    """Choose the labels of n fakes, int64 `[n, L]` (first; otherwise drawn from the data's own frequencies).

    `real_labels [n, L]` are those of the reals in the same update, or None when there are none: return them to
    give each fake the label of its real.
    """


@hookspec
def generator_inputs(plan: Plan) -> int | None:
    """Count the columns that this component's `adapt_generator` appends to the latent (all, summed)."""


@hookspec
def critic_shape(shape: tuple[int, ...], plan: Plan) -> tuple[int, ...] | None:
    """Return the sample shape the critic's body is built for, e.g. `(m·C, H, W)` when packing (fold)."""


# ── networks ──────────────────────────────────────────────────────────────────────────────────────────────────


@hookspec
def make_generator(plan: Plan) -> nn.Module | None:
    """Build the generator: `net(z [N, plan.inputs], labels [N, L]) → samples [N, *plan.shape]` (first)."""


@hookspec
def make_upsample(channels_in: int, channels_out: int, plan: Plan) -> nn.Module | None:
    """Build a module `[N, channels_in, h, w] → [N, channels_out, 2h, 2w]` (first)."""


@hookspec
def make_norm(channels: int, role: str, plan: Plan) -> nn.Module | None:
    """Build a normalisation that keeps the shape `[N, channels, …]` (first; asked of the norm of that player)."""


@hookspec
def make_critic(plan: Plan) -> nn.Module | None:
    """Build the critic's body: `body(view [N, *plan.critic_shape], labels) → [N, F]` or `[N, F', h, w]` (first)."""


@hookspec
def make_score(features: int, plan: Plan) -> nn.Module | None:
    """Build the score head `[N, F] → [N, 1]` (first; otherwise a linear layer with bias)."""


@hookspec
def extend_critic(features: int, plan: Plan) -> Tail | Head | Sequence[Tail | Head] | None:
    """Append features to the critic's tail, or add a head of its own (all).

    `Tail(module, added=k)` maps `[N, F] → [N, F + k]`; with `labels=True` it is called with `(features, labels)`, and
    every part behind it, the score included, may depend on the label. `Head(name, module)` maps `(features [N, F],
    labels [N, L])` to an output `out.heads[name]`; a head called `score`, `[N]`, adds to the score. `features` counts
    the tails before.
    """


@hookspec
def extend_player(role: str, plan: Plan) -> dict[str, nn.Module] | None:
    """Add networks to a player, e.g. an encoder: `gan.player(role).extras[name]` (all).

    Their weights join that player's optimiser and checkpoint.
    """


@hookspec
def adapt_generator(net: nn.Module, plan: Plan) -> nn.Module | None:
    """Wrap or edit the generator, after it was initialised (fold). Calls keep the form `net(z, labels)`."""


@hookspec
def adapt_critic(net: nn.Module, plan: Plan) -> nn.Module | None:
    """Wrap or edit the critic, after it was initialised (fold).

    `net` is a `gancore.Critic`; replace `net.body` to change what the body sees, or edit layers anywhere.
    """


@hookspec
def initialize(net: nn.Module, role: str, plan: Plan, rng: torch.Generator) -> bool | None:
    """Set the weights of `net` in place and return True (first; otherwise torch's own defaults stand).

    Called for the generator and for each part of the critic (body, score, tails, heads), each with its own `rng`.
    """


# ── optimisation ──────────────────────────────────────────────────────────────────────────────────────────────


@hookspec
def schedule(step: int, rng: torch.Generator) -> Sequence[Update] | None:
    """List the updates of this iteration, in order, e.g. five critic updates and one generator update (first)."""


@hookspec
def adapt_schedule(updates: list[Update], step: int) -> list[Update] | None:
    """Change the updates of this iteration, e.g. append one that shows the critic fakes alone (fold)."""


@hookspec
def make_optimizer(params: list[tuple[str, nn.Parameter]], role: str) -> torch.optim.Optimizer | None:
    """Build the optimiser of one player from its named parameters (first; asked of the optimiser of that player)."""


@hookspec
def learning_rate(rate: float, step: int, role: str) -> float | None:
    """Return the learning rate for this step; `rate` starts as the optimiser's own (fold)."""


@hookspec
def before_step(gan: GAN, step: int) -> None:
    """Act before the first update of an iteration, e.g. set the blend of a growing network (all)."""


@hookspec
def skip_update(role: str, terms: dict[str, Tensor], step: int) -> bool | None:
    """Return True to leave the player as it is although its terms and gradients were computed (first)."""


@hookspec
def after_critic_update(gan: GAN, batch: Batch, step: int) -> None:
    """Act after each critic update, e.g. clip its weights or adapt a probability (all). No gradient is recorded."""


@hookspec
def after_generator_update(gan: GAN, batch: Batch, step: int) -> None:
    """Act after each generator update, e.g. move an average (all). No gradient is recorded."""


@hookspec
def after_step(gan: GAN, step: int) -> None:
    """Act after the last update of an iteration, on both players, e.g. lookahead (all). No gradient is recorded."""


# ── what the critic is shown, and what the players minimise ───────────────────────────────────────────────────


@hookspec
def critic_fakes(images: Tensor, labels: Tensor, step: int, rng: torch.Generator) -> tuple[Tensor, Tensor] | None:
    """Replace fakes in a critic update, e.g. by older ones; return (images, labels) (fold).

    `images [N, *shape]` carry no graph. Do not write into them.
    """


@hookspec
def critic_view(
    images: Tensor, labels: Tensor, step: int, rng: torch.Generator, shared_rng: torch.Generator
) -> Tensor | tuple[Tensor, Tensor] | None:
    """Transform what the critic sees, on reals and fakes, in both players' updates (fold).

    Return the images alone, or (images, labels) where their rows are others than before: joined, repeated, mixed or in
    another order. The critic, its heads and the terms then see those labels, int64 `[M, L]`. Must let gradients pass to
    `images [N, *shape]` and must not write into them.
    """


@hookspec
def critic_targets(
    targets: Tensor, real: bool, step: int, rng: torch.Generator, shared_rng: torch.Generator
) -> Tensor | None:
    """Reshape the critic's targets `[N]`, at first all 1 for reals and 0 for fakes (fold).

    Generator updates never see this: their targets stay as they are.
    """


@hookspec
def sample_weights(weights: Tensor, batch: Batch, rng: torch.Generator) -> Tensor | None:
    """Weigh the fakes `[N]` of a generator update, at first all 1, e.g. keep only the best scored (fold)."""


@hookspec
def critic_terms(
    batch: Batch, step: int, rng: torch.Generator, log: Callable[[str, Any], None]
) -> dict[str, Tensor] | None:
    """Return the terms the critic minimises, `{name: scalar}` (all, summed). Losses and penalties alike.

    The loss is asked first, so that whatever else reads the sides, they are scored in the loss's order.

    `batch.real` and `batch.fake` answer lazily: `.view`, `.score [N]`, `.features [N, F]`, `.heads`, `.targets`.
    """


@hookspec
def generator_terms(
    batch: Batch, step: int, rng: torch.Generator, log: Callable[[str, Any], None]
) -> dict[str, Tensor] | None:
    """Return the terms the generator minimises, `{name: scalar}` (all, summed).

    Reading `batch.real.score` costs a forward pass of the critic without graph; not reading it costs nothing.
    """


# ── samples and records ───────────────────────────────────────────────────────────────────────────────────────


@hookspec
def sampling_generator(net: nn.Module) -> nn.Module | None:
    """Return the network to draw samples and metrics from (fold), called as the generator is.

    The first to answer is given the generator itself and may return another network, e.g. a copy with averaged
    weights: `@hookimpl(tryfirst=True)`. Those after it return a module that calls the `net` they are given, e.g. on
    truncated latents. One that drops it would lose what others did, and is refused. Do not write into the generator.
    """


@hookspec
def select_samples(
    images: Tensor, z: Tensor, labels: Tensor, gan: GAN, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Choose among drawn samples, e.g. by rejection; return (images, z, labels) with N' <= N rows (fold)."""


@hookspec
def measure(progress: Progress, rng: torch.Generator) -> dict[str, float | Tensor] | None:
    """Measure figures for the metrics row about to be written (all). See `gancore.Progress`."""


@hookspec
def record(row: dict[str, Any]) -> str | None:
    """Receive each finished metrics row, e.g. to pass it on; a sentence returned is told to the user (all)."""


@hookspec
def draw(progress: Progress, folder: Path) -> None:
    """Draw pictures into `folder/NAME/` whenever the run writes its sample grid, named by `progress.step` (all).

    `folder` is `RUN/samples`, so the run's own folder is `folder.parent`: `gancore.read_rows(folder.parent)`.
    """


@hookspec
def stop(row: dict[str, Any]) -> str | None:
    """Return a reason to end the run after this row (first)."""
