"""What can be said of the critic's view before training: whether labels follow the samples that
they belong to.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from gancore.errors import CompositionError, PluginError
from gancore.plugins.calling import Hooks
from gancore.train.context import TrainingContext
from gancore.train.layers import is_conditional
from gancore.train.plan import LabelSet

# a conditioning component with one of these may ask for the labels of what the critic sees
OF_THE_CRITIC = ("extend_critic", "adapt_critic", "critic_terms", "generator_terms")


def expect_labels(context: TrainingContext) -> None:
    """Show each `critic_view` black samples, where a conditioning component or a layer of the
    critic asks for the labels of what it returns, or where a component appends labels.

    Raises CompositionError for a view that joins or repeats rows and returns no labels for them,
    PluginError for one that appends other columns than its `view_labels` announces.
    """
    hooks = context.hooks
    condition = _conditioning(hooks)
    if not condition and is_conditional(context.gan.critic.network):
        condition = "a layer of the critic"
    added = {
        name: 1 if isinstance(sets, LabelSet) else len(sets)
        for name, sets in hooks.all("view_labels", plan=context.plan)
    }
    if not added and not (condition and context.plan.label_sets):
        return
    device = context.gan.device
    n = len(context.runtime.group.local_rows(torch.arange(context.plan.batch)))
    images = torch.zeros(n, *context.plan.shape, device=device)
    labels = torch.zeros(n, len(context.plan.label_sets), dtype=torch.int64, device=device)
    given = {"step": 0, "rng": _numbers(context, "rng"), "shared_rng": _numbers(context, "shared")}
    for each in hooks.implementations("critic_view"):
        answer = hooks.ask(each, "critic_view", {"images": images, "labels": labels, **given})
        before = len(images)
        columns = labels.shape[1] + added.get(each.chosen.name, 0)
        if isinstance(answer, tuple):
            images, labels = answer
        elif answer is not None:
            images = answer
        if condition and len(images) != len(labels):
            raise CompositionError(
                f"{each.chosen.name} makes {len(images)} views of {before} samples "
                f"and returns no labels for them, but {condition} needs labels",
                where=f"{each.chosen.kind} {each.chosen.name} ({each.chosen.chosen_by})",
                fix="return (images, labels) from critic_view, or leave one of the two out",
            )
        if len(images) == len(labels) and labels.shape[1] != columns:
            raise PluginError(
                f"{each.chosen.name}.critic_view returns labels [{len(labels)}, {labels.shape[1]}] "
                f"where [{len(labels)}, {columns}] are wanted",
                where=f"{each.chosen.kind} {each.chosen.name} ({each.chosen.chosen_by})",
                fix="append one column for each label set that view_labels returns",
            )


def _conditioning(hooks: Hooks) -> str:
    """Return the name of a conditioning component that may ask for labels; '' if there is none."""
    for hook in OF_THE_CRITIC:
        for each in hooks.implementations(hook):
            if each.chosen.kind == "cond":
                return each.chosen.name
    return ""


def _numbers(context: TrainingContext, part: str) -> Callable[[str], torch.Generator]:
    device = context.gan.device
    return lambda name: context.streams.generator(
        f"component/{name}", "view before training", part, device=device
    )
