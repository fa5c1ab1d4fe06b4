"""A trick in one file: `gan run --loss wgan-gp --reg ./examples/my_trick.py --drift.weight 0.01`."""

from gancore import component, hookimpl, option


@component(source="Karras et al., ICLR 2018, arXiv:1710.10196, appendix A.1")
class Drift:
    """Keep the critic's scores of reals near zero: weight · mean s_r².

    A Wasserstein loss does not notice a constant added to every score; this term does. With all scores c it is
    weight·c².
    """

    weight: float = option(1e-3, ge=0, help="factor of the squared scores")

    @hookimpl
    def critic_terms(self, batch):
        return {"scores": self.weight * batch.real.score.square().mean()} if batch.real is not None else None
