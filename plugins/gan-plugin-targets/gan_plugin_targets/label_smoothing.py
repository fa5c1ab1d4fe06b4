"""Label smoothing: targets below 1, so that the critic's scores stay bounded."""

from gancore import component, hookimpl, option, requires, warns_with


@component(
    source=(
        "Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.4; "
        "Szegedy et al., CVPR 2016, arXiv:1512.00567"
    ),
    provides=["targets.smoothed"],
    rules=[
        requires(
            "loss.targets",
            "a loss without targets has nothing to smooth",
            fix="--loss bce",
        ),
        warns_with(
            "loss.targets",
            "with targets of fakes above 0 the optimal critic "
            "no longer penalises fakes where there are no reals",
            cite="Salimans et al. 2016, section 3.4",
            fix="--label-smoothing.fake 0",
            when=lambda chosen: chosen.fake > 0,
        ),
    ],
    known_as={"smoothing": ""},
)
class LabelSmoothing:
    """Smooth the critic's targets t `[N]` to fake + (real - fake)·t.

    So reals (t = 1) have the target `real` and fakes (t = 0) the target `fake`; the default is
    one-sided. The cross-entropy of a target r has its minimum at the score ln(r / (1 - r)), e.g.
    ln 9 for 0.9, instead of at infinity; averaged over both sides the minimum is
    H(0.9)/2 = 0.1625 nats instead of 0. The generator's terms do not change.
    """

    real: float = option(0.9, ge=0, le=1, help="target of reals, a probability in [0, 1]")
    fake: float = option(
        0.0, ge=0, le=1, help="target of fakes, a probability in [0, 1]; above 0 is two-sided"
    )

    @hookimpl
    def critic_targets(self, targets):
        if self.real == 1 and self.fake == 0:
            return targets
        return self.fake + (self.real - self.fake) * targets
