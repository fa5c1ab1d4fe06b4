"""Binary cross-entropy on logits, the original GAN loss."""

from torch.nn.functional import softplus

from gan_plugin_losses.targets import sides_with_targets
from gancore import CompositionError, component, hookimpl, option


@component(
    source="Goodfellow et al., NeurIPS 2014, arXiv:1406.2661",
    provides=["loss.targets", "loss.absolute-scores", "loss.cross-entropy"],
    known_as={
        "vanilla": "",
        "minimax": "",
        "binary-cross-entropy": "",
        "cross-entropy": "",
        "non-saturating": "",
    },
)
class BCE:
    """Classify reals and fakes by binary cross-entropy, the original GAN loss.

    The critic minimises mean[t·sp(-s) + (1-t)·sp(s)] on each side, with targets t = 1 for reals and
    0 for fakes before target shaping, s the raw score `[N]` and sp(x) = ln(1 + eˣ). The generator
    minimises mean sp(-s) of its fakes (non-saturating) or -mean sp(s) (saturating); its targets are
    never shaped. With all scores 0 each side's term is ln 2.

    A `generator_target` t below 1 is a fault kept for comparison: the generator then minimises
    mean[t·sp(-s) + (1-t)·sp(s)], whose gradient lowers the scores of fakes that the critic takes as
    real with a probability above t, that is at s > ln(t/(1-t)). Edouard99/GAN has t = 0.95, from
    its smoothed cross-entropy. Raises CompositionError for such a target in the saturating form,
    which has none.
    """

    mode: str = option(
        "non-saturating", choices=("non-saturating", "saturating"), help="loss of the generator"
    )
    average: bool = option(True, help="true averages the critic's two terms, false sums them")
    generator_target: float = option(
        1.0,
        ge=0,
        le=1,
        help="target of fakes in the generator's loss, a probability; below 1 is a fault",
    )

    @hookimpl
    def critic_terms(self, batch):
        terms = {}
        for name, side, targets in sides_with_targets(batch):
            term = side.mean(self.entropy(side.score, targets))
            terms[name] = 0.5 * term if self.average else term
        return terms

    @hookimpl
    def generator_terms(self, batch):
        scores = batch.fake.score
        if self.mode == "non-saturating":
            return {"fake": batch.fake.mean(self.entropy(scores, self.generator_target))}
        if self.generator_target != 1:
            raise CompositionError(
                "the saturating form has no target, "
                f"but generator-target is {self.generator_target:g}",
                where="bce.generator-target",
                fix="--bce.mode non-saturating",
            )
        return {"fake": batch.fake.mean(-softplus(scores))}

    def entropy(self, scores, targets):
        """Compute the cross-entropy `[N]`, in nats, of raw scores against targets in [0, 1]."""
        if isinstance(targets, float) and targets in (0, 1):
            # one of the two summands is 0
            return softplus(-scores) if targets else softplus(scores)
        return targets * softplus(-scores) + (1 - targets) * softplus(scores)
