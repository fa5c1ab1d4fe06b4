"""A strength between 0 and 1 that follows the critic's scores of reals, or a ramp."""

import math

import attrs
import torch
from torch import Tensor

from gancore import average, hookimpl, option, requires, state


def follows_signs(name: str):
    """Return the rule that the signs of scores mean something, where a component follows them."""
    return requires(
        "loss.absolute-scores",
        "its strength follows the signs of the critic's scores, and this loss leaves their zero "
        "open",
        cite="Karras et al., NeurIPS 2020, arXiv:2006.06676, section 3",
        when=lambda chosen: chosen.adapt == "sign",
        fix=f"--{name}.adapt ramp, for a strength that follows the steps; or --loss bce or hinge",
    )


@attrs.define(eq=False, kw_only=True)
class Controlled:
    """Keep a strength p in [0, 1], and raise it while the critic knows reals too well.

    A base of components, none itself. With `adapt sign`, every `every` critic updates
    p ← clip(p + sign(r - target)·N·every/(1000·speed), 0, limit), where r is the mean sign of the
    scores of reals since the last change, and N the batch. With `adapt ramp`, a function of the
    step alone, p = limit·(1 - cos(π·min(1, step/ramp)))/2.
    """

    adapt: str = option(
        "sign",
        choices=("sign", "ramp"),
        help="what the strength follows: signs of scores, or the steps",
    )
    start: float = option(0.0, ge=0, le=1, help="strength p before the first change, 0 to 1")
    limit: float = option(0.8, ge=0, le=1, help="largest strength; the end of the ramp")
    target: float = option(
        0.6, ge=-1, le=1, help="mean sign of the scores of reals that is aimed at, -1 to 1"
    )
    every: int = option(4, ge=1, help="critic updates from one change of p to the next")
    speed: float = option(500.0, gt=0, help="thousands of reals in which p can go from 0 to 1")
    ramp: int = option(10_000, ge=1, help="steps of the ramp from 0 to limit")
    p: Tensor | None = state()  # a scalar
    signs: Tensor | None = state()  # sum of the mean signs since the last change
    updates: int = state(0)

    def strength(self, step: int, device: torch.device) -> Tensor:
        """Return p, a scalar."""
        if self.adapt == "ramp":
            p = self.limit * (1 - math.cos(math.pi * min(1.0, step / self.ramp))) / 2
            return torch.tensor(p, device=device)
        return torch.tensor(self.start, device=device) if self.p is None else self.p.to(device)

    # on the device, without waiting for a number
    @hookimpl
    def after_critic_update(self, batch, step):
        if self.adapt == "ramp" or batch.real is None:
            return
        scores = batch.real.score
        sign = average(scores.sign().mean())
        self.signs = sign if self.signs is None else self.signs.to(sign) + sign
        self.updates += 1
        if self.updates % self.every:
            return
        p = self.strength(step, scores.device)
        pace = batch.plan.batch * self.every / (1000 * self.speed)
        self.p = (p + (self.signs / self.every - self.target).sign() * pace).clamp(0, self.limit)
        self.signs = None
