"""Learning rate schedules: linear and cosine decay."""

from math import cos, pi

from gancore import component, hookimpl, option


def progress(step: int, start: int, end: int | None) -> float:
    """Return (step - start)/(end - start), clamped to [0, 1]; 0 without an end.

    A composition sets the end, so that only a component made without one has none.
    """
    if end is None:
        return 0.0
    # with end <= start the decay takes one step
    return min(1.0, max(0.0, (step - start) / max(1, end - start)))


@component(
    source="Miyato et al., ICLR 2018, arXiv:1802.05957",
    known_as={"lr-decay": ""},
)
class LinearDecay:
    """Decay the learning rate of both players linearly, then keep it constant.

    rate(t) = rate·(1 - (1 - final)·p) with p = (t - start)/(end - start), clamped to [0, 1]: the
    optimizer's own rate up to `start`, final·rate from `end` on. With final = 0 weights no longer
    change from `end` on, so `none` is a good end: the number of steps of the run. A run that is
    resumed for more steps keeps the end that it had.
    """

    start: int = option(0, ge=0, help="last step at the full rate")
    end: int | None = option(
        100_000,
        ge=1,
        run_length=True,
        help="first step at the final rate; none: the number of steps of the run",
    )
    final: float = option(0.0, ge=0, le=1, help="final rate as a share of the initial one, 0 to 1")

    @hookimpl
    def learning_rate(self, rate, step):
        return rate * (1 - (1 - self.final) * progress(step, self.start, self.end))


@component(
    source=(
        "Loshchilov and Hutter, ICLR 2017, arXiv:1608.03983, equation 5; "
        "in GANs: Huang et al., NeurIPS 2024"
    )
)
class CosineDecay:
    """Decay the learning rate of both players along half a cosine, then keep it constant.

    rate(t) = b + (rate - b)·(1 + cos πp)/2 with b = final·rate and p = (t - start)/(end - start),
    clamped to [0, 1]. With final = 0 weights no longer change from `end` on, so `none` is a good
    end: the number of steps of the run. A run that is resumed for more steps keeps the end that it
    had.
    """

    start: int = option(0, ge=0, help="last step at the full rate")
    end: int | None = option(
        100_000,
        ge=1,
        run_length=True,
        help="first step at the final rate; none: the number of steps of the run",
    )
    final: float = option(0.0, ge=0, le=1, help="final rate as a share of the initial one, 0 to 1")

    @hookimpl
    def learning_rate(self, rate, step):
        share = (1 + cos(pi * progress(step, self.start, self.end))) / 2
        return rate * (self.final + (1 - self.final) * share)
