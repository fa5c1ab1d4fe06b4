"""The original GAN loss, on logits."""

from torch.nn.functional import softplus

from gancore import component, hookimpl, option


@component(
    source="Goodfellow et al., NeurIPS 2014, arXiv:1406.2661",
    provides=["loss.targets", "loss.absolute-scores"],
)
class BCE:
    """Tell reals from fakes by binary cross-entropy; the generator makes its fakes look real.

    The critic minimises mean[t·sp(-s) + (1-t)·sp(s)] on each side, with targets t = 1 for reals and 0 for fakes
    before target shaping, s the raw score `[N]` and sp(x) = ln(1 + eˣ). The generator minimises mean sp(-s) of its
    fakes (non-saturating) or -mean sp(s) (saturating); its targets are never shaped. With every score 0 each side's
    term is ln 2.
    """

    mode: str = option("non-saturating", choices=("non-saturating", "saturating"), help="what the generator minimises")
    average: bool = option(True, help="true halves the sum of the critic's two terms")

    @hookimpl
    def critic_terms(self, batch):
        sides = {"fake": batch.fake} if batch.real is None else {"real": batch.real, "fake": batch.fake}
        share = 0.5 if self.average else 1.0
        return {name: share * side.mean(self.entropy(side.score, side.targets)) for name, side in sides.items()}

    @hookimpl
    def generator_terms(self, batch):
        scores = batch.fake.score
        return {"fake": batch.fake.mean(softplus(-scores) if self.mode == "non-saturating" else -softplus(scores))}

    def entropy(self, scores, targets):
        """Cross-entropy of each sample `[N]` between targets in [0, 1] and the logistic of raw scores, in nats."""
        return targets * softplus(-scores) + (1 - targets) * softplus(scores)
