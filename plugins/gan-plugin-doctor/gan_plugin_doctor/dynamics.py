"""Rules over the course of a run: players that circle each other, noise that never fades."""

from gan_plugin_doctor.advice import Choose, Rate, Set
from gan_plugin_doctor.losses import LONG, TARGETED
from gan_plugin_doctor.rule import Observation, rule

ROWS = 128  # rows in which a period is looked for
SHORTEST = 6  # rows of a period; shorter ones are noise
PERIODS = 3  # periods in the rows: one wave may be a trend
PEAK = 0.4  # autocorrelation one period later; healthy small runs have .25 or less
TROUGH = -0.2  # and half a period later, at most
AS_HIGH = 0.8  # times the highest peak: two periods later the autocorrelation is high again


@rule(
    severity="warning",
    needs=("critic/total", "generator/total"),
    least=LONG,
    causes=(
        "the players circle an equilibrium: momentum or large rates turn the rotation outward",
        "the critic is not regularised near the reals",
    ),
    attempt=(
        Set("adam", "beta1", 0.5, "lower"),
        Choose("loss", "wgan-gp", unless=("gradient-penalty", *TARGETED)),
        Choose("reg", "ema"),
        Rate("both", 0.5),
        Choose("reg", "experience-replay"),
    ),
    source="Mescheder et al., ICML 2018, arXiv:1801.04406; Yazıcı et al., ICLR 2019, "
    "arXiv:1806.04498",
)
def oscillation(log):
    # only the newest rows are there with the same gaps
    players = [log.find(f"{role}/total").last(ROWS) for role in ("critic", "generator")]
    periods = [period(detrended(each.values)) for each in players]
    if None in periods:
        return None
    lags, peaks = zip(*periods, strict=True)
    if max(lags) > 1.5 * min(lags):
        return None
    rows = players[0].steps
    gap = (rows[-1] - rows[0]) / (len(rows) - 1)
    what = (
        f"both losses repeat themselves every {lags[0] * gap:.0f} steps "
        f"(autocorrelation {min(peaks):.2f})"
    )
    return Observation(rows[0], what, min(peaks), PEAK)


def detrended(values):
    """Return values minus their least-squares line."""
    n = len(values)
    middle = (n - 1) / 2
    mean = sum(values) / n
    sums = sum((i - middle) * value for i, value in enumerate(values))
    slope = sums / (n * (n * n - 1) / 12)
    return [value - mean - slope * (i - middle) for i, value in enumerate(values)]


def period(values):
    """Return (lag, autocorrelation) of the period with a high peak; None if there is none."""
    found = autocorrelations(values)
    below = next((lag for lag, value in enumerate(found) if value < TROUGH), None)
    if below is None:
        return None
    peaks = [lag for lag in range(max(SHORTEST, below), len(found)) if is_peak(found, lag)]
    highest = max((found[lag] for lag in peaks), default=0.0)
    if highest <= PEAK:
        return None
    lag = next(lag for lag in peaks if found[lag] >= AS_HIGH * highest)
    return lag, found[lag]


def autocorrelations(values):
    """Return the autocorrelation of values of mean 0 at each lag; an empty list if all are 0."""
    variance = sum(value * value for value in values)
    if variance <= 0:
        return []
    found = []
    n = len(values)
    for lag in range(n // PERIODS + 1):
        pairs = zip(values, values[lag:], strict=False)
        # scaled to the number of pairs, so that late lags count as much as early ones
        found.append(sum(one * other for one, other in pairs) / variance * n / (n - lag))
    return found


def is_peak(values, place):
    """Return whether no neighbour is higher."""
    return values[place] == max(values[place - 1 : place + 2])


LOUD = 0.5  # noise over the standard deviation of the reals
LATE = 0.8  # share of the run


@rule(
    severity="warning",
    needs=("instance-noise/relative",),
    least=LONG,
    causes=(
        "the noise is constant, or fades over more steps than the run has",
        "a schedule made for a longer run",
    ),
    attempt=(Set("instance-noise", "sigma", 0.1, "lower"),),
    share=LATE,
    given_by="--reg instance-noise gives it",
    source="Sønderby et al., ICLR 2017, arXiv:1610.04490; "
    "Arjovsky and Bottou, ICLR 2017, arXiv:1701.04862",
)
def noise_stays_high(log):
    noise = log.find("instance-noise/relative")
    since = noise.held(lambda value: value > LOUD, 1)
    if since is None:
        return None
    now = noise.values[-1]
    what = f"at step {log.step} the critic's input still has noise of {now:.0%} of the data's std"
    fade = Set("instance-noise", "anneal", max(1, log.step // 2))
    return Observation(since, what, now, LOUD, (fade, Set("instance-noise", "sigma", 0.1, "lower")))
