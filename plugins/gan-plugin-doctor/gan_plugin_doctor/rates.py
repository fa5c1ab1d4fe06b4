"""Rules over learning rates, gradients, and players that are not updated."""

from gan_plugin_doctor.advice import Choose, Rate, Say, Set
from gan_plugin_doctor.losses import HOLD, LONG, TARGETED, TERMS, WINDOW
from gan_plugin_doctor.rule import Observation, rule

PEAK = 3.0  # times the median of the run
PEAK_LEVEL = 6.0  # nats
LASTING = 10  # rows of a peak; shorter ones are noise
RECENT = 40  # rows in which a peak counts


@rule(
    severity="warning",
    losses="other",
    needs=TERMS,
    least=LONG,
    causes=(
        "the generator's learning rate is too high",
        "the critic's rate is too high, and the generator cannot keep up",
    ),
    attempt=(Rate("both", 0.5), Choose("reg", "linear-decay", unless=("cosine-decay",))),
    source="BenoitLeguay/GAN_IconClass: generator at 1e-2, peaks for several epochs, then noise",
)
def generator_rate_too_high(log):
    losses = log.find("generator/*/fake")
    limit = max(PEAK_LEVEL, PEAK * losses.median)
    smooth = losses.moving(LASTING).last(RECENT)
    high = [step for step, value in zip(smooth.steps, smooth.values, strict=True) if value > limit]
    if len(high) < LASTING:
        return None
    peak = max(smooth.values)
    what = (
        f"the generator's loss peaked at {peak:.1f} (mean of {LASTING} rows); "
        f"the run's median is {losses.median:.2f}"
    )
    return Observation(high[0], what, peak, limit)


UNSTEADY = 0.7  # nats: an untrained critic has a loss of ln 2 = .69
UNSTEADY_ROWS = 40


@rule(
    severity="warning",
    losses="other",
    needs=TERMS,
    least=UNSTEADY_ROWS + HOLD,
    causes=(
        "learning rates are too high",
        "momentum makes the players oscillate around each other",
    ),
    attempt=(
        Rate("both", 0.5),
        Set("adam", "beta1", 0.5, "lower"),
        Choose("reg", "experience-replay"),
    ),
    source=(
        "BenoitLeguay/GAN_IconClass, its list of signs; "
        "Mescheder et al., ICML 2018, arXiv:1801.04406"
    ),
)
def critic_loss_unsteady(log):
    deviation = log.critic_loss.moved(UNSTEADY_ROWS, lambda window: window.robust_std)
    since = deviation.held(lambda value: value > UNSTEADY, HOLD)
    if since is None:
        return None
    what = (
        f"the critic's loss varies by ±{deviation.values[-1]:.2f} "
        f"within {UNSTEADY_ROWS} rows, more than {UNSTEADY}"
    )
    return Observation(since, what, deviation.values[-1], UNSTEADY)


EXPLODES = 100.0  # times the running median
LARGEST = 100.0  # largest single gradient: the list of BenoitLeguay/GAN_IconClass
TIMES = 5


@rule(
    severity="warning",
    needs=("generator/grad_norm",),
    least=WINDOW + HOLD,
    causes=(
        "the generator has no norm layers, or its rate is too high",
        "the critic's gradient is unbounded",
    ),
    attempt=(
        Rate("generator", 0.5),
        Choose("gen-norm", "batch", beside=("none",)),
        Choose("loss", "wgan-gp", unless=("gradient-penalty", *TARGETED)),
    ),
    source=(
        "BenoitLeguay/GAN_IconClass, its list of signs; Pascanu et al., ICML 2013, arXiv:1211.5063"
    ),
)
def generator_gradient_explodes(log):
    norms = log.find("generator/grad_norm")
    largest = log.find("gradient-flow/generator-max")
    since = largest.held(lambda value: value > LARGEST, TIMES)
    if since is not None:
        what = f"the generator's largest gradient is {largest.values[-1]:.3g}, above {LARGEST:.0f}"
        return Observation(since, what, largest.values[-1], LARGEST)
    usual = norms.median
    recent = norms.last(len(norms) // 4)
    rows = zip(recent.steps, recent.values, strict=True)
    high = [(step, value) for step, value in rows if value > EXPLODES * usual]
    if usual == 0 or len(high) < TIMES:
        return None
    worst = max(value for _, value in high)
    what = (
        f"the generator's gradient reached {worst:.3g} in {len(high)} rows; "
        f"its median is {usual:.3g}"
    )
    return Observation(high[0][0], what, worst / usual, EXPLODES)


NOTHING = 1e-12  # norm of a gradient
ABSENT = 120  # rows; a boosted schedule skips a player for up to 100 steps
SKIPPED = 0.95


@rule(
    severity="fault",
    needs=("step",),
    least=WINDOW + HOLD,
    causes=(
        "no gradient reaches the player: a saturated loss, dead units, or replaced weights",
        "the schedule never trains it",
    ),
    attempt=(
        Choose("schedule", "n-critic"),
        Set("bce", "mode", "non-saturating"),
        Say("`gan run … --dry-run` shows what is composed"),
    ),
    source="Edouard99/GAN: its monitored schedule can freeze a critic",
)
def frozen_player(log):
    rows = log.find("step")
    for role in ("generator", "critic"):
        norms = log.find(f"{role}/grad_norm")
        since = norms.held(lambda value: value <= NOTHING, HOLD)
        if since is not None:
            what = f"the {role}'s gradient is {norms.values[-1]:.2g}"
            return Observation(since, what, norms.values[-1], NOTHING)
        newest = norms.steps[-1] if len(norms) else rows.steps[0] - 1
        absent = rows.after(newest + 1)
        if len(absent) >= ABSENT:
            what = f"the {role} was not updated in {len(absent)} rows"
            return Observation(absent.steps[0], what, len(absent), ABSENT)
    skipped = log.find("monitored/skipped")
    since = skipped.held(lambda value: value > SKIPPED, HOLD)
    if since is not None:
        what = f"{skipped.values[-1]:.0%} of the critic's updates were skipped"
        return Observation(since, what, skipped.values[-1], SKIPPED)
    return None
