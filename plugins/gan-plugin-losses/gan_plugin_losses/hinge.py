"""The hinge loss, which stops to train the critic on samples that it scores beyond a margin."""

from gancore import component, hookimpl, warns_without


@component(
    source="Lim and Ye 2017, arXiv:1705.02894, section 3; Tran et al., NeurIPS 2017, "
    "arXiv:1702.08896; with spectral norm: Miyato et al., ICLR 2018, arXiv:1802.05957, eq. 16, 17",
    provides=["loss.hinge", "loss.absolute-scores"],
    rules=[
        warns_without(
            "lipschitz",
            "nothing bounds the critic's gradient, which this loss was proposed with a bound for",
            cite="Miyato et al. 2018, section 4",
            fix="--reg spectral-norm, or --reg r1",
        ),
    ],
)
class Hinge:
    """Minimise the hinge loss: scores of reals above 1, of fakes below -1, and none beyond.

    The critic minimises mean max(0, 1 - s_r) + mean max(0, 1 + s_f), the generator -mean s_f, with
    raw scores s `[N]` without targets, which so cannot be smoothed or flipped. With all scores 0
    the critic's terms sum to 2; a sample beyond its margin has no gradient. The generator's term
    has no margin, as in SNGAN. Published with Adam (2e-4, 0, 0.9) and five critic updates.
    """

    @hookimpl
    def critic_terms(self, batch):
        terms = {"fake": batch.fake.mean((1 + batch.fake.score).relu())}
        if batch.real is not None:
            terms = {"real": batch.real.mean((1 - batch.real.score).relu()), **terms}
        return terms

    @hookimpl
    def generator_terms(self, batch):
        return {"fake": -batch.fake.mean(batch.fake.score)}
