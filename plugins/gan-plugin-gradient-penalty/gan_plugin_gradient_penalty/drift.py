"""Drift: keep the scores of reals near 0."""

from gancore import component, hookimpl, option, warns_with


@component(
    source="Karras et al., ICLR 2018, arXiv:1710.10196, appendix A.1",
    rules=[
        warns_with(
            "loss.absolute-scores",
            "this loss gives scores a zero of their own, which reals are to be above",
            fix="leave drift out",
        ),
    ],
)
class Drift:
    """Keep the critic's scores of reals near 0: weight · mean s_r².

    A Wasserstein or relativistic loss does not change when a constant is added to all scores; this
    term keeps the constant from growing. For scores that are all c it is weight·c². Updates without
    reals have no term.
    """

    weight: float = option(1e-3, ge=0, help="factor ε of the mean square")

    @hookimpl
    def critic_terms(self, batch):
        if batch.real is None:
            return None
        return {"scores": self.weight * batch.real.mean(batch.real.score.square())}
