"""The original GAN loss, on logits."""

from torch.nn.functional import softplus

from gancore import CompositionError, component, hookimpl, option


@component(
    source="Goodfellow et al., NeurIPS 2014, arXiv:1406.2661",
    provides=["loss.targets", "loss.absolute-scores"],
    known_as={
        "vanilla": "",
        "minimax": "",
        "binary-cross-entropy": "",
        "cross-entropy": "",
        "non-saturating": "",
    },
)
class BCE:
    """Tell reals from fakes by binary cross-entropy; the generator makes its fakes look real.

    The critic minimises mean[t·sp(-s) + (1-t)·sp(s)] on each side, with targets t = 1 for reals and 0 for fakes
    before target shaping, s the raw score `[N]` and sp(x) = ln(1 + eˣ). The generator minimises mean sp(-s) of its
    fakes (non-saturating) or -mean sp(s) (saturating); its targets are never shaped. With every score 0 each side's
    term is ln 2.

    A `generator_target` t below 1 is a fault kept for comparison: the generator then minimises
    mean[t·sp(-s) + (1-t)·sp(s)], and is pushed back where the critic takes its fakes for real with a probability above
    t, that is at s > ln(t/(1-t)). Edouard99/GAN does so with t = 0.95, by passing this loss through its smoothed
    cross-entropy. Raises CompositionError for such a target in the saturating form, which has none.
    """

    mode: str = option("non-saturating", choices=("non-saturating", "saturating"), help="what the generator minimises")
    average: bool = option(True, help="true halves the sum of the critic's two terms")
    generator_target: float = option(
        1.0, ge=0, le=1, help="probability of being real that the generator wants for its fakes; below 1 is a fault"
    )

    @hookimpl
    def critic_terms(self, batch):
        sides = {"fake": batch.fake} if batch.real is None else {"real": batch.real, "fake": batch.fake}
        share = 0.5 if self.average else 1.0
        terms = {}
        for name, side in sides.items():
            targets = side.targets if side.plain_target is None else side.plain_target
            terms[name] = share * side.mean(self.entropy(side.score, targets))
        return terms

    @hookimpl
    def generator_terms(self, batch):
        scores = batch.fake.score
        if self.mode == "non-saturating":
            return {"fake": batch.fake.mean(self.entropy(scores, self.generator_target))}
        if self.generator_target != 1:
            raise CompositionError(
                f"the saturating form has no target, but one of {self.generator_target:g} is asked for",
                where="bce.generator-target",
                fix="--bce.mode non-saturating",
            )
        return {"fake": batch.fake.mean(-softplus(scores))}

    def entropy(self, scores, targets):
        """Cross-entropy of each sample `[N]` between targets in [0, 1] and the logistic of raw scores, in nats."""
        if isinstance(targets, float) and targets in (0, 1):  # one of the two summands is 0
            return softplus(-scores) if targets else softplus(scores)
        return targets * softplus(-scores) + (1 - targets) * softplus(scores)
