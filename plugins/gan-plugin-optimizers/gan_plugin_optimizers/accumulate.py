"""Gradient accumulation: larger batches than memory holds."""

import torch

from gancore import component, hookimpl, option, state, warns_with


@component(
    source="Ott et al., WMT 2018, arXiv:1806.00187, section 3.1",
    provides=["step.accumulated"],
    rules=[
        warns_with(
            "critic.batch-statistics",
            "batch statistics are those of each small batch, not of the accumulated one",
            fix="--critic-norm layer or none",
        ),
        warns_with(
            "generator.batch-statistics",
            "batch statistics are those of each small batch, not of the accumulated one",
            fix="--gen-norm layer",
        ),
    ],
    known_as={"gradient-accumulation": "", "accumulation": ""},
)
class Accumulate:
    """Step once in `every` updates of a player, along the mean of their gradients.

    For terms that are means over samples, and without batch statistics, that is the step of a batch
    `every` times as large. The sums are stored, so a resumed run continues an unfinished group.
    Averages of weights and other hooks after an update are called after skipped steps too.
    """

    every: int = option(2, ge=1, help="updates of a player to one step of its optimiser")

    sums: dict[str, torch.Tensor] = state(factory=dict)  # of gradients, by role and weight
    counts: dict[str, int] = state(factory=dict)  # updates since the last step, by role

    @hookimpl
    def adapt_gradients(self, gan, role):
        count = self.counts.get(role, 0) + 1
        sums = dict(self.sums)
        for name, weight in gan.player(role).named_parameters():
            if weight.grad is None:
                continue
            key = f"{role}.{name}"
            if key in sums:
                weight.grad += sums[key].to(weight.device)
            if count < self.every:
                sums[key] = weight.grad.clone()
            else:
                sums.pop(key, None)
                weight.grad /= self.every
        self.sums = sums
        self.counts = {**self.counts, role: count % self.every}

    @hookimpl
    def skip_update(self, role):
        return self.counts[role] != 0
