"""Draw samples from a trained generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gancore.errors import PluginError
from gancore.train.batch import Sample, as_sample
from gancore.train.context import TrainingContext
from gancore.train.fakes import data_labels
from gancore.train.latents import draw_latent
from gancore.train.networks import CriticOutput
from gancore.train.rng import fork_state, global_generators, seed_globally

# samples in a pass of a network that draws numbers: always the same, so that these follow from the
# place of a sample
GROUP = 16


def draw_samples(
    context: TrainingContext, n: int, *key: int | str, labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Draw n samples `[n, *shape]` on the CPU, in evaluation mode, and their labels `[n, L]`.

    The same key gives the same latents, and the same numbers to a generator that draws some in its
    forward pass. `labels` are drawn as the data has them where none are given.
    """
    hooks = context.hooks
    if labels is None and context.plan.label_sets:
        labels = data_labels(context, n, *key)
    elif labels is None:
        labels = torch.empty(n, 0, dtype=torch.int64)
    z = draw_latent(hooks, context.plan, n, context.streams, *key)
    images = make_samples(context, z, labels, *key).images
    chosen = hooks.fold(
        "select_samples",
        {"images": images, "z": z, "labels": labels},
        gan=context.gan,
        rng=lambda name: context.streams.generator(f"component/{name}", *key, "select"),
    )
    return chosen["images"], chosen["labels"]


def draw_untrained(context: TrainingContext, *key: int | str, labels: Tensor) -> Tensor:
    """Draw samples `[n, *shape]` on the CPU by the generator itself, before the first step.

    No component is asked for another network or a choice: it may not have one before it has seen an
    update.
    """
    z = draw_latent(context.hooks, context.plan, len(labels), context.streams, *key)
    return make_samples(context, z, labels, *key, net=context.gan.generator.network).images


def make_samples(
    context: TrainingContext,
    z: Tensor,
    labels: Tensor,
    *key: int | str,
    net: nn.Module | None = None,
) -> Sample:
    """Make one sample of each latent `[n, Z]` with labels `[n, L]`, on the CPU, by the network that
    samples come from.

    The network, which `net` names where it is not that one, is in evaluation mode meanwhile.
    Numbers that it draws itself follow from the key and from the place of a sample among the n.
    """
    net = net or sampling_network(context)
    answers = evaluate(context, net, z, labels, key=("samples", *key))
    parts = list(map(as_sample, answers))
    images = _joined([part.images for part in parts], len(z))
    extras = _joined_by_name([part.extras for part in parts], len(z))
    return Sample(images, extras)


def sampling_network(context: TrainingContext) -> nn.Module:
    """Return the network that samples come from: the generator, as components replaced and wrapped
    it.

    Raises PluginError for a component that drops the network another one returned.
    """
    own = context.gan.generator.network
    net = own
    maker = ""
    for each in context.hooks.implementations("sampling_generator"):
        answer = context.hooks.ask(each, "sampling_generator", {"net": net})
        if answer is None:
            continue
        if net is not own and all(module is not net for module in answer.modules()):
            raise PluginError(
                f"{each.chosen.name}.sampling_generator drops the network that {maker} returned",
                where=each.chosen.chosen_by,
                fix=(
                    f"leave {maker} out, --without {maker}; or, in the plugin, return a module "
                    "that calls the net it is given, or make the hook @hookimpl(tryfirst=True)"
                ),
            )
        net = answer
        maker = each.chosen.name
    return net


def judge(context: TrainingContext, images: Tensor, labels: Tensor) -> CriticOutput:
    """Let the critic judge images `[n, *shape]` with labels `[n, L]`, on the CPU, as they are and
    not as views.

    The critic is in evaluation mode meanwhile.
    """
    parts: list[CriticOutput] = evaluate(
        context, context.gan.critic.network, images, labels, key=("judge",)
    )
    return CriticOutput(
        _joined([part.score for part in parts], len(images)),
        _joined([part.features for part in parts], len(images)),
        _joined_by_name([part.heads for part in parts], len(images)),
    )


def evaluate(
    context: TrainingContext, net: nn.Module, *inputs: Tensor, key: tuple[int | str, ...]
) -> list[Any]:
    """Return what a network in evaluation mode answers to inputs `[n, …]`, a batch at a time.

    Where the network draws from torch's global generators, it is shown groups of GROUP rows
    instead, each with numbers that follow from the key and the place of the group: the same for any
    n and any size of the batch. The last group is filled up, so that its answer has more rows than
    are wanted. Afterwards all is as it was.
    """
    device = context.gan.device
    batch = context.plan.batch
    # no rows are one empty batch, so that the answer has its shape
    starts = range(0, max(1, len(inputs[0])), batch)

    def run(start: int, rows: Sequence[Tensor]) -> Any:
        seed_globally(context.streams.number("evaluate", *key, start), device)
        return net(*(each.to(device) for each in rows))

    answers: list[Any] = []
    with evaluating(net), fork_state(net, device):
        for start in starts:
            answers.append(run(start, _rows(inputs, slice(start, start + batch))))
            # the first batch shows whether the network draws; what it answered is not used then
            if start == 0 and _drew(context.streams.number("evaluate", *key, start), device):
                return [run(first, rows) for first, rows in _groups(inputs)]
    return answers


def _drew(seed: int, device: torch.device) -> bool:
    """Whether torch's global generators were drawn from since they were seeded with `seed`."""
    now = _global_states(device)
    seed_globally(seed, device)
    return not all(map(torch.equal, now, _global_states(device)))


def _global_states(device: torch.device) -> list[Tensor]:
    return [generator.get_state() for generator in global_generators(device)]


def _groups(inputs: Sequence[Tensor]) -> Iterator[tuple[int, list[Tensor]]]:
    """Yield the first row of each group and its GROUP rows.

    The last group repeats rows to be full.
    """
    for start in range(0, len(inputs[0]), GROUP):
        rows = _rows(inputs, slice(start, start + GROUP))
        places = torch.arange(GROUP) % len(rows[0])
        yield start, _rows(rows, places)


def _rows(inputs: Sequence[Tensor], places: slice | Tensor) -> list[Tensor]:
    """Pick the same rows of every input."""
    return [each[places] for each in inputs]


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Hold a network in evaluation mode, without gradients, inside a `with` block.

    Afterwards every module has the mode that it had, whether the block ended or raised. Buffers and
    torch's global generators are kept by `gancore.fork_state`.
    """
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _joined(parts: Sequence[Tensor], rows: int) -> Tensor:
    return torch.cat(list(parts))[:rows].float().cpu()


def _joined_by_name(parts: Sequence[Mapping[str, Tensor]], rows: int) -> dict[str, Tensor]:
    joined = {}
    for name in parts[0]:
        joined[name] = _joined([part[name] for part in parts], rows)
    return joined


def class_labels(classes: Sequence[int], n: int) -> Tensor:
    """Return labels `[n, L]` that run through the classes of the first set, and of the others more
    slowly.
    """
    columns = []
    slow = 1
    for count in classes:
        columns.append(torch.arange(n) // slow % count)
        slow *= count
    return torch.stack(columns, 1) if columns else torch.empty(n, 0, dtype=torch.int64)
