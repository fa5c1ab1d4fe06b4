"""Metrics of the networks: saturated values, dead units, evaluation mode, size of the updates."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gan_plugin_metrics.against_reals import AgainstReals
from gan_plugin_metrics.distances import frechet
from gan_plugin_metrics.features import FEATURES
from gancore import (
    GAN,
    Progress,
    Sample,
    cached,
    component,
    evaluating,
    fork_state,
    hookimpl,
    option,
)
from gancore import state as stored

TINY = 1e-12  # a smaller norm or distance is rounding error


# ── saturation ────────────────────────────────────────────────────────────────────────────────────


@component(
    source="Glorot and Bengio, AISTATS 2010, section 3: saturated units pass little gradient",
)
class Saturation:
    """Measure the share of values at the ends of the range, in samples and in reals.

    `fake` and `real` are the shares of values with |x| > level, in [0, 1], over all values of
    `images` samples and reals `[N, C, H, W]` in [-1, 1]. Data with many black or white pixels have
    a high `real`: compare the two. Logs nothing for points, which have no range.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    images: int = option(256, ge=1, help="number of samples, and of draws from the data")
    level: float = option(0.99, gt=0, lt=1, help="distance from 0 above which a value counts")

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, Tensor] | None:
        if not progress.due(self.every) or not progress.plan.axes:
            return None
        sides = {"fake": progress.samples(self.images)[0], "real": progress.reals(self.images)[0]}
        return {side: (images.abs() > self.level).double().mean() for side, images in sides.items()}


# ── dead units ────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def watched(network: nn.Module, found: dict[str, Tensor]) -> Iterator[None]:
    """Collect by layer which channels of rectifiers are positive anywhere, bool `[channels]`."""

    def note(name: str) -> object:
        def hook(module: nn.Module, inputs: object, out: Tensor) -> None:
            channels = out.detach().transpose(0, 1).flatten(1)  # [channels, N·…]
            alive = (channels > 0).any(1)
            # one module may be called at several places, with maps of different widths
            key = name if found.get(name, alive).shape == alive.shape else f"{name}@{len(alive)}"
            found[key] = found.get(key, torch.zeros_like(alive)) | alive

        return hook

    rectifiers = [each for each in network.named_modules() if isinstance(each[1], nn.ReLU)]
    hooks = [module.register_forward_hook(note(name)) for name, module in rectifiers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@component(
    source="Maas, Hannun and Ng, ICML workshop 2013: rectifiers that are zero for every input",
)
class DeadUnits:
    """Measure the share of dead units of each layer of rectifiers, in both players.

    A channel of an `nn.ReLU` is dead if it is 0 at all places for all of `images` inputs: latents
    for the generator, reals for the critic, in evaluation mode. It passes no gradient. Logs
    `ROLE/LAYER`, the share of dead channels in [0, 1], and `ROLE`, the largest of these. A player
    without an `nn.ReLU` has no figure: leaky rectifiers do not die, and functions such as
    `torch.relu` are not modules. Does not affect training.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    images: int = option(64, ge=1, help="number of latents, and of reals")

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        reals, labels = progress.reals(self.images)
        inputs = {
            "generator": (progress.latents(self.images), labels),
            "critic": (reals, labels),
        }
        figures: dict[str, float | Tensor] = {}
        for role, given in inputs.items():
            network = progress.gan.player(role).network
            alive: dict[str, Tensor] = {}
            with watched(network, alive):
                forward(progress, network, *given, training=False)
            shares = {name: float((~each).double().mean()) for name, each in alive.items()}
            figures |= {f"{role}/{name}": share for name, share in shares.items()}
            if shares:
                figures[role] = max(shares.values())
        return figures


# ── train/eval gap ────────────────────────────────────────────────────────────────────────────────


def forward(
    progress: Progress, network: nn.Module, *inputs: Tensor, training: bool
) -> list[Tensor | Sample]:
    """Return what a network gives for inputs `[n, …]`, a batch at a time, and leave no trace.

    It is in evaluation mode, or in the mode that it has while it is trained.
    """
    device = progress.gan.device
    batches = zip(*(each.split(progress.plan.batch) for each in inputs), strict=True)
    mode = torch.no_grad() if training else evaluating(network)
    with fork_state(network, device), mode:
        return [network(*(each.to(device) for each in batch)) for batch in batches]


@component(
    source="Brock, Donahue and Simonyan, ICLR 2019, arXiv:1809.11096, appendix: standing statistics"
)
class TrainEvalGap(AgainstReals):
    """Compare samples of the generator in evaluation mode with those in the mode of training.

    Both are of the same latents, in full batches. `eval` and `train` are their Fréchet distances to
    reals, as in `frechet`; `ratio` = eval/train is 1 for a generator without batch statistics or
    dropout, and far from 1 if running statistics are not those of the batches. The generator itself
    is compared, not an average of its weights. Does not affect training. Raises DataError for fewer
    than 4 reals.
    """

    images: int = option(256, ge=2, help="samples to compare, at least one batch")
    features: str = option(
        "pixels8",
        choices=FEATURES,
        help="features of images; points are compared as they are",
    )

    @hookimpl
    def measure(self, progress: Progress) -> dict[str, float | Tensor] | None:
        if not progress.due(self.every):
            return None
        reference = self.reference_for(progress, frechet)
        n = max(1, self.images // progress.plan.batch) * progress.plan.batch
        inputs = progress.latents(n), progress.reals(n)[1]
        network = progress.gan.generator.network
        found = {}
        for name, training in (("eval", False), ("train", True)):
            made = forward(progress, network, *inputs, training=training)
            images = [each.images if isinstance(each, Sample) else each for each in made]
            found[name] = reference.measure(torch.cat(images).float().cpu())[0]
        if found["train"] > TINY:
            found["ratio"] = found["eval"] / found["train"]
        return found


# ── weight change ─────────────────────────────────────────────────────────────────────────────────


@component(
    source="You, Gitman and Ginsburg 2017, arXiv:1708.03888, section 3: the size of an update over "
    "that of the weights",
)
class WeightChange:
    """Measure how much one step changes the weights of each player, relative to their norm.

    For a step in which a player is updated logs `generator` and `critic`: ‖θ' - θ‖/‖θ‖ over all its
    weights, before and after the step. 0 means that an optimiser holds other weights than the
    player, or steps of a size below rounding. A step in which a player has no update gives no
    figure. The weights are copied in the measured steps alone, so give a multiple of `--log-every`
    for `every`. Does not affect training.
    """

    every: int = option(10, ge=1, help="steps between measurements")
    before: dict = cached(factory=dict)  # role → weights before the step, during it
    updated: frozenset = cached(factory=frozenset)
    figures: dict[str, Tensor] = stored(factory=dict)  # since the last row

    @hookimpl
    def before_step(self, gan: GAN, step: int) -> None:
        self.before = {}
        self.updated = frozenset()
        # rows are written after steps, which are then counted from 1
        if (step + 1) % self.every == 0:
            self.before = {role: copies(gan, role) for role in ("generator", "critic")}

    @hookimpl
    def after_critic_update(self) -> None:
        self.updated |= {"critic"}

    @hookimpl
    def after_generator_update(self) -> None:
        self.updated |= {"generator"}

    @hookimpl
    def after_step(self, gan: GAN) -> None:
        for role, before in self.before.items():
            if role in self.updated:
                after = gan.player(role).parameters
                pairs = zip(before, after, strict=True)
                changes = torch.stack([(new - old).norm() for old, new in pairs])
                size = torch.stack([old.norm() for old in before]).norm()
                self.figures[role] = changes.norm() / size.clamp_min(TINY)
        self.before = {}

    @hookimpl
    def measure(self) -> dict[str, float]:
        found, self.figures = self.figures, {}
        return {name: float(figure) for name, figure in found.items()}


def copies(gan: GAN, role: str) -> list[Tensor]:
    """Copy the weights of a player."""
    return [weight.detach().clone() for weight in gan.player(role).parameters]
