"""A component in one file: `gan run --loss wgan-gp --reg ./examples/my_trick.py`."""

from gancore import component, hookimpl, option


@component(source="Karras et al., ICLR 2018, arXiv:1710.10196, appendix A.1")
class Drift:
    """Penalise the critic's scores of reals, to keep them near zero: weight · mean s_r².

    A Wasserstein loss does not change when a constant is added to all scores; this term does. If
    all scores are c, it is weight·c².
    """

    weight: float = option(1e-3, ge=0, help="factor of the squared scores")

    @hookimpl
    def critic_terms(self, batch):
        if batch.real is None:
            return None
        return {"scores": self.weight * batch.real.score.square().mean()}
