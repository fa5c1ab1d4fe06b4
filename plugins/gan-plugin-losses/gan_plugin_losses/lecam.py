"""LeCam: scores near the running means of the other side."""

import torch

from gancore import average, component, hookimpl, option, requires, state


@component(
    source="Tseng et al., CVPR 2021, arXiv:2104.03310, equations 5 to 7, and its program",
    rules=[
        requires(
            "loss.absolute-scores",
            "running means of scores mean something only where a score does by itself",
            fix="--loss bce, or hinge",
        ),
    ],
    known_as={"lecam-gan": "", "le-cam": ""},
)
class LeCam:
    """Keep scores of each side near the running mean of the other side's, for few data.

    The critic minimises weight·(mean max(0, s_r - ā_f)² + mean max(0, ā_r - s_f)²), with running
    means ā ← decay·ā + (1 - decay)·mean s of both sides, over all processes; they include the
    scores at hand, without their graph. The form paper has plain squares in place of max(0, ·)².
    The term begins after `start` critic updates; until then ā is the mean of the batch at hand.
    Updates without reals have no term.
    """

    weight: float = option(0.3, ge=0, help="factor λ of the term")
    decay: float = option(0.99, ge=0, lt=1, help="decay of the running means, per critic update")
    start: int = option(1000, ge=0, help="critic updates before the term begins")
    form: str = option(
        "program", choices=("program", "paper"), help="max(0, ·)² as in the program, or squares"
    )

    means: torch.Tensor | None = state()  # ā of reals and of fakes, [2]
    updates: int = state(0)

    @hookimpl
    def critic_terms(self, batch):
        if batch.real is None:
            return None
        real = batch.real.score
        fake = batch.fake.score
        now = average(torch.stack([real.detach().mean(), fake.detach().mean()]))
        self.updates += 1
        if self.means is None or self.updates <= self.start:
            self.means = now
        else:
            self.means = torch.lerp(now, self.means.to(now), self.decay)
        if self.updates <= self.start:
            return None
        above = real - self.means[1]
        below = self.means[0] - fake
        if self.form == "program":
            above = above.relu()
            below = below.relu()
        cost = batch.real.mean(above.square()) + batch.fake.mean(below.square())
        return {"distance": self.weight * cost}
