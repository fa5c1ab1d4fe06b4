"""Gradient accumulation: the step of a batch that is larger than memory holds."""

import torch

from gancore import component, hookimpl, option, state, warns_with

SMALL = "statistics and comparisons are those of the small batches, not of their sum"


@component(
    source="Ott et al., WMT 2018, arXiv:1806.00187, section 3.1",
    provides=["step.accumulated"],
    rules=[
        warns_with("critic.batch-statistics", SMALL),
        warns_with("generator.batch-statistics", SMALL),
        warns_with("critic.cross-sample", SMALL),
    ],
    known_as={"gradient-accumulation": "", "accumulate-gradients": ""},
)
class Accumulate:
    """Step once in so many updates of a player, along the mean of their gradients.

    For terms that are means over samples, and without batch statistics, that is the step of a batch
    `every` times as large; its learning rate is the optimizer's own. The other updates of a group
    change no weight. Components that count updates, such as moving averages, count those too, and
    an iteration of the schedule is still one small batch. The sums are stored, so a resumed run
    goes on within a group. Memory is one more set of gradients of both players.
    """

    every: int = option(2, ge=1, help="updates of a player to one step of its optimizer")
    sums: dict[str, torch.Tensor] = state(factory=dict)  # of gradients, by player and weight
    counts: dict[str, int] = state(factory=dict)  # updates since the last step, by player

    @hookimpl
    def adapt_gradients(self, gan, role):
        if self.every == 1:
            return
        count = self.counts.get(role, 0) + 1
        sums = dict(self.sums)
        for name, weight in gan.player(role).named_parameters():
            key = f"{role}.{name}"
            gathered = sums.pop(key, None)
            # a term need not reach a weight in every update of a group
            if weight.grad is None and gathered is not None:
                weight.grad = torch.zeros_like(weight)
            if weight.grad is None:
                continue
            if gathered is not None:
                weight.grad += gathered.to(weight.device)
            if count < self.every:
                sums[key] = weight.grad.clone()
            else:
                weight.grad /= self.every
        self.sums = sums
        self.counts = {**self.counts, role: count % self.every}

    @hookimpl
    def skip_update(self, role):
        return self.counts.get(role, 0) != 0
