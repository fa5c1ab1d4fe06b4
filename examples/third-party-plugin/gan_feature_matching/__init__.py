"""Feature matching: train the generator to match the critic's mean features, too."""

from gancore import average, component, hookimpl, option


@component(source="Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.1")
class FeatureMatching:
    """Match the mean features of fakes and reals: weight · ‖E φ(x) - E φ(G(z))‖².

    φ are the critic's features `[N, F]`, those of the reals without gradient. Identical batches
    give 0.
    """

    weight: float = option(1.0, ge=0, help="factor of the squared distance")

    @hookimpl
    def generator_terms(self, batch):
        if batch.real is None:
            return None
        # of the whole batch, where several processes share it
        gap = average(batch.real.features.mean(0) - batch.fake.features.mean(0))
        return {"distance": self.weight * gap.square().sum()}
