"""Rules for Wasserstein losses and the constraints on their critics."""

from math import sqrt

from gan_plugin_doctor.advice import Choose, Drop, Rate, Say, Scale, Set
from gan_plugin_doctor.losses import HOLD, TARGETED, WINDOW
from gan_plugin_doctor.rule import Observation, rule

# A sigmoid starts at 1/2, and the scores of reals and fakes separate around that.
MIDPOINTS = (0.2, 0.8)


@rule(
    severity="fault",
    losses="wasserstein",
    needs=("critic/score_real", "critic/score_fake"),
    least=WINDOW + HOLD,
    causes=("the critic ends with a sigmoid, whose gradient vanishes; |loss| stays below 1",),
    attempt=(
        Drop("sigmoid-score"),
        Say("Remove a sigmoid of your own: the score must be a raw number"),
    ),
    source=(
        "the table of garridoq/gan-guide has this fault; "
        "Arjovsky et al., ICML 2017, arXiv:1701.07875"
    ),
)
def bounded_wasserstein_scores(log):
    reals = log.find("critic/score_real")
    fakes = log.find("critic/score_fake")
    low = min(reals.values + fakes.values)
    high = max(reals.values + fakes.values)
    midpoint = (reals.values[0] + fakes.values[0]) / 2
    if low < 0 or high > 1 or not MIDPOINTS[0] <= midpoint <= MIDPOINTS[1]:
        return None
    what = f"every mean score lies between {low:.3f} and {high:.3f}, as if they were bounded"
    return Observation(reals.steps[0], what, high, 1.0)


ERRORS = 2  # standard errors
LONG = 60  # rows
RECOVERED = 0.98  # of the mean LONG rows ago: below, the critic is catching up


@rule(
    severity="warning",
    losses="wasserstein",
    needs=("critic/*/wasserstein",),
    least=WINDOW + LONG,
    causes=(
        "the critic is updated too seldom or too slowly to keep up",
        "a loss of your own with the wrong sign",
    ),
    attempt=(Set("n-critic", "critic", 5, "higher"), Rate("critic", 2), Rate("generator", 0.5)),
    source="Arjovsky et al., ICML 2017, arXiv:1701.07875, algorithm 1",
)
def wasserstein_estimate_negative(log):
    estimates = log.find("critic/*/wasserstein")
    means = estimates.moving(WINDOW)
    error = ERRORS * estimates.last(WINDOW).robust_std / sqrt(WINDOW)
    since = means.held(lambda value: value < 0, LONG)
    now = means.values[-1]
    if since is None or now + error >= 0 or now > RECOVERED * means.values[-LONG]:
        return None
    what = (
        f"reals score {-now:.3g} below fakes (mean of {WINDOW} rows); "
        "the distance cannot be negative"
    )
    return Observation(since, what, now, 0.0)


NORMS = (0.5, 3.0)  # good runs have 1 to 2.1
WARM_UP = 100  # steps
PENALISE_MORE = (
    Set("gradient-penalty", "weight", 10.0, "higher"),
    Choose("critic-norm", "layer", beside=("none", "instance")),
    Rate("critic", 0.5),
)
PENALISE_LESS = (
    Set("gradient-penalty", "weight", 10.0, "lower"),
    Set("n-critic", "critic", 5, "higher"),
    Rate("critic", 2),
)


@rule(
    severity="warning",
    needs=("critic/*/gradient-norm",),
    least=WINDOW + HOLD,
    given_by="--loss wgan-gp, or --reg gradient-penalty, gives it",
    causes=(
        "the penalty's weight is too small, or too large, for this loss",
        "the critic's rate is too low or high",
    ),
    attempt=PENALISE_MORE,
    source="Gulrajani et al., NeurIPS 2017, arXiv:1704.00028, section 4",
)
def penalty_not_met(log):
    norms = log.find("critic/*/gradient-norm").after(WARM_UP).moving(WINDOW)
    since = norms.held(lambda value: not NORMS[0] <= value <= NORMS[1], HOLD)
    if since is None:
        return None
    low = norms.values[-1] < NORMS[0]
    mean = f"{norms.values[-1]:.2f} (mean of {WINDOW} rows)"
    what = f"the critic's gradient norm is {mean}, not near 1"
    limit = NORMS[0] if low else NORMS[1]
    attempt = PENALISE_LESS if low else PENALISE_MORE
    return Observation(since, what, norms.values[-1], limit, attempt)


PILED = 0.8  # share of the critic's weights
EVALUATIONS = 3


@rule(
    severity="warning",
    needs=("weight-clipping/at-bound",),
    least=EVALUATIONS,
    given_by="--loss wgan, or --reg weight-clipping, gives it",
    causes=("clipping drives weights to ±c, and the critic becomes a very simple function",),
    attempt=(
        Choose("loss", "wgan-gp", " for a penalty instead of clipping", unless=TARGETED),
        Scale("weight-clipping", "c", 2),
    ),
    source="Gulrajani et al., NeurIPS 2017, arXiv:1704.00028, section 3 and fig. 1",
)
def weights_at_bound(log):
    shares = log.find("weight-clipping/at-bound")
    since = shares.held(lambda value: value > PILED, EVALUATIONS)
    if since is None:
        return None
    what = f"{shares.values[-1]:.0%} of the critic's weights lie at the bound"
    return Observation(since, what, shares.values[-1], PILED)
