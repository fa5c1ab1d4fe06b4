"""LeCam regularisation: scores stay near the running mean of the other side."""

from torch import Tensor

from gancore import average, component, hookimpl, option, requires, state


@component(
    source="Tseng et al., CVPR 2021, arXiv:2104.03310, equation 4; "
    "relu and start: github.com/google/lecam-gan",
    rules=[
        requires(
            "loss.absolute-scores",
            "a score without a zero can drift, so its running mean means nothing",
            cite="Tseng et al. 2021, section 3",
            fix="--loss bce or hinge, or leave lecam out",
        ),
    ],
)
class LeCam:
    """Penalise the critic's scores that lie far beyond the running mean of the other side.

    With running means r of the scores of reals and f of those of fakes, each updated in every
    critic update by mean ← decay·mean + (1 - decay)·E s, the term is
    weight·[E relu(s_r - f)² + E relu(r - s_f)²], from step `start` on, before which it is 0. For
    constant scores with r > f it is 2·weight·(r - f)². The means begin with those of the first
    update. `form paper` has plain squares, which also penalise scores that have changed sides. For
    few data, where the critic learns its images by heart. Updates without reals have no term.
    """

    weight: float = option(0.3, ge=0, help="factor λ")
    decay: float = option(0.99, ge=0, lt=1, help="decay of both running means, in each update")
    start: int = option(1000, ge=0, help="first step with the term, once the means have settled")
    form: str = option("code", choices=("code", "paper"), help="with relu, or plain squares")
    means: dict[str, Tensor] = state(factory=dict)  # of real and fake, scalars

    def follow(self, name, scores):
        """Update a running mean by scores, and return it."""
        now = average(scores.detach().mean())
        if name in self.means:
            now = self.decay * self.means[name].to(now.device) + (1 - self.decay) * now
        self.means[name] = now
        return now

    @hookimpl
    def critic_terms(self, batch, step):
        if batch.real is None:
            return None
        of_reals = self.follow("real", batch.real.score)
        of_fakes = self.follow("fake", batch.fake.score)
        if step < self.start:
            return None
        beyond = [batch.real.score - of_fakes, of_reals - batch.fake.score]
        if self.form == "code":
            beyond = [each.relu() for each in beyond]
        return {"scores": self.weight * sum(each.square().mean() for each in beyond)}
