"""Least squares: squared distances of scores from targets."""

from gan_plugin_losses.targets import sides_with_targets
from gancore import component, hookimpl, option, warns_with


@component(
    source="Mao et al., ICCV 2017, arXiv:1611.04076, equations 2, 8 and 9",
    provides=["loss.targets", "loss.least-squares"],
    rules=[
        warns_with(
            "critic.bounded-score",
            "the loss compares raw scores with targets, and a sigmoid keeps its gradient small "
            "where fakes are far from their target",
            cite="Mao et al. 2017, section 3.2",
            fix="leave sigmoid-score out",
        ),
    ],
    known_as={"least-squares": "", "ls-gan": "", "mse": "", "l2": ""},
)
class LSGAN:
    """Minimise the squared distances of scores from targets, the loss of LSGAN.

    The critic minimises ½ mean (s - a - (b - a)·t)² on each side, with raw scores s `[N]` and
    targets t = 1 for reals and 0 for fakes before target shaping: so ½ mean (s_r - b)² and
    ½ mean (s_f - a)². The generator minimises ½ mean (s_f - c)². With all scores 0 and the
    defaults the critic's terms sum to ½, and the generator's is ½. The paper has (a, b, c) =
    (0, 1, 1) and (-1, 1, 0), which give the generator different gradients.

    A score is undecided at (a + b)/2, which is not 0 by default: components that take a score's
    sign for a decision refuse this loss.
    """

    a: float = option(0.0, help="score that fakes are to have for the critic")
    b: float = option(1.0, help="score that reals are to have for the critic")
    c: float = option(1.0, help="score that fakes are to have for the generator")

    @hookimpl
    def critic_terms(self, batch):
        terms = {}
        for name, side, targets in sides_with_targets(batch):
            wanted = self.a + (self.b - self.a) * targets
            terms[name] = 0.5 * side.mean((side.score - wanted).square())
        return terms

    @hookimpl
    def generator_terms(self, batch):
        return {"fake": 0.5 * batch.fake.mean((batch.fake.score - self.c).square())}
