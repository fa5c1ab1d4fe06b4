"""Rules over rates, gradients and players that stand still."""

from gan_plugin_doctor.advice import Choose, Rate, Say, Set
from gan_plugin_doctor.losses import HOLD, LONG, TARGETED, TERMS, WINDOW
from gan_plugin_doctor.rule import Seen, rule

PEAK, PEAK_LEVEL = 3.0, 6.0  # times the median of the run, and nats
LASTING = 10  # rows of a peak; shorter ones are noise
RECENT = 40  # rows in which a peak counts


@rule(
    severity="warning", losses="other", needs=TERMS, least=LONG,
    causes=("the generator's learning rate is too high", "the critic's is, and the generator cannot follow"),
    attempt=(Rate("both", 0.5), Choose("reg", "linear-decay", unless=("cosine-decay",))),
    source="BenoitLeguay/GAN_IconClass: generator at 1e-2, peaks for several epochs, then noise",
)  # fmt: skip
def generator_rate_too_high(log):
    losses = log.find("generator/*/fake")
    limit = max(PEAK_LEVEL, PEAK * losses.median)
    smooth = losses.moving(LASTING).last(RECENT)
    high = [step for step, value in zip(smooth.steps, smooth.values, strict=True) if value > limit]
    if len(high) < LASTING:
        return None
    peak = max(smooth.values)
    what = (
        f"the generator's loss peaked at {peak:.1f} (mean of {LASTING} rows); the run's median is {losses.median:.2f}"
    )
    return Seen(high[0], what, peak, limit)


UNSTEADY = 0.7  # nats: a critic that knows nothing loses ln 2 = .69
UNSTEADY_ROWS = 40


@rule(
    severity="warning", losses="other", needs=TERMS, least=UNSTEADY_ROWS + HOLD,
    causes=("learning rates are too high", "momentum: the players chase each other in circles"),
    attempt=(Rate("both", 0.5), Set("adam", "beta1", 0.5, "lower"), Choose("reg", "experience-replay")),
    source="BenoitLeguay/GAN_IconClass, its list of signs; Mescheder et al., ICML 2018, arXiv:1801.04406",
)  # fmt: skip
def critic_loss_unsteady(log):
    spread = log.critic_loss.moved(UNSTEADY_ROWS, lambda window: window.spread)
    since = spread.held(lambda value: value > UNSTEADY, HOLD)
    if since is None:
        return None
    what = f"the critic's loss varies by ±{spread.values[-1]:.2f} within {UNSTEADY_ROWS} rows, more than {UNSTEADY}"
    return Seen(since, what, spread.values[-1], UNSTEADY)


EXPLODES = 100.0  # times the running median
LARGEST = 100.0  # largest single gradient: the list of BenoitLeguay/GAN_IconClass
TIMES = 5


@rule(
    severity="warning", needs=("generator/grad_norm",), least=WINDOW + HOLD,
    causes=("the generator has no norm, or its rate is too high", "a critic without bound on its slope"),
    attempt=(
        Rate("generator", 0.5),
        Choose("gen-norm", "batch", beside=("none",)),
        Choose("loss", "wgan-gp", unless=("gradient-penalty", *TARGETED)),
    ),
    source="BenoitLeguay/GAN_IconClass, its list of signs; Pascanu et al., ICML 2013, arXiv:1211.5063",
)  # fmt: skip
def generator_gradient_explodes(log):
    norms, largest = log.find("generator/grad_norm"), log.find("gradient-flow/generator-max")
    since = largest.held(lambda value: value > LARGEST, TIMES)
    if since is not None:
        what = f"the generator's largest gradient is {largest.values[-1]:.3g}, above {LARGEST:.0f}"
        return Seen(since, what, largest.values[-1], LARGEST)
    usual = norms.median
    recent = norms.last(len(norms) // 4)
    high = [(step, value) for step, value in zip(recent.steps, recent.values, strict=True) if value > EXPLODES * usual]
    if usual == 0 or len(high) < TIMES:
        return None
    worst = max(value for _, value in high)
    what = f"the generator's gradient reached {worst:.3g} in {len(high)} rows; its median is {usual:.3g}"
    return Seen(high[0][0], what, worst / usual, EXPLODES)


NOTHING = 1e-12  # norm of a gradient
ABSENT = 120  # rows; a boosted schedule leaves a player out for up to 100 steps
SKIPPED = 0.95


@rule(
    severity="fault", needs=("step",), least=WINDOW + HOLD,
    causes=(
        "no gradient reaches the player: a saturated loss, dead units, or a component that replaced its weights",
        "the schedule never trains it",
    ),
    attempt=(
        Choose("schedule", "n-critic"),
        Set("bce", "mode", "non-saturating"),
        Say("`gan run … --dry-run` shows what is composed"),
    ),
    source="Edouard99/GAN: its monitored schedule can freeze a critic",
)  # fmt: skip
def frozen_player(log):
    rows = log.find("step")
    for role in ("generator", "critic"):
        norms = log.find(f"{role}/grad_norm")
        since = norms.held(lambda value: value <= NOTHING, HOLD)
        if since is not None:
            return Seen(since, f"the {role}'s gradient is {norms.values[-1]:.2g}", norms.values[-1], NOTHING)
        newest = norms.steps[-1] if len(norms) else rows.steps[0] - 1
        absent = rows.after(newest + 1)
        if len(absent) >= ABSENT:
            return Seen(absent.steps[0], f"the {role} was not updated in {len(absent)} rows", len(absent), ABSENT)
    skipped = log.find("monitored/skipped")
    since = skipped.held(lambda value: value > SKIPPED, HOLD)
    if since is not None:
        what = f"{skipped.values[-1]:.0%} of the critic's updates were skipped"
        return Seen(since, what, skipped.values[-1], SKIPPED)
    return None
