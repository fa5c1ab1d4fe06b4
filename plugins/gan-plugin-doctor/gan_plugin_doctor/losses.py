"""Rules over losses and scores of logistic and similar losses.

Each rule is about a fault that a published run showed, and names its source. Statistics are means
over rows of the log, and a rule fires only if they stay wrong for a while. Thresholds were chosen
with the figures of healthy runs, which are stated where they matter.
"""

from gan_plugin_doctor.advice import Choose, Drop, Rate, Say, Scale, Set
from gan_plugin_doctor.rule import Observation, rule
from gan_plugin_doctor.series import Series

WINDOW = 20  # rows in a moving mean
HOLD = 20  # moving means in a row that must be wrong
LONG = 80  # rows; below, a trend cannot be distinguished from the start of a run
# components that conflict with a loss without targets
TARGETED = ("label-smoothing", "noisy-labels")
TERMS = ("critic/*/real", "critic/*/fake", "generator/*/fake")

# nats, of ln 2 (or 2·ln 2 where terms are summed) at the start; healthy small DCGANs stay above .1
NEAR_ZERO = 0.02


@rule(
    severity="fault",
    losses="other",
    needs=TERMS,
    least=WINDOW + HOLD,
    causes=(
        "the critic separates reals from fakes perfectly, and the generator's gradient vanishes",
        "the critic learns much faster, or sees something that no fake has (range, borders)",
    ),
    attempt=(
        Set("bce", "mode", "non-saturating"),
        Choose("reg", "instance-noise"),
        Rate("critic", 0.5),
        Choose("loss", "wgan-gp", unless=TARGETED),
        Say("Look at the images first"),
    ),
    source="kmualim/DCGAN-Keras-Implementation and garridoq/gan-guide; Arjovsky and Bottou, ICLR "
    "2017, "
    "arXiv:1701.04862",
)
def critic_loss_to_zero(log):
    loss = log.critic_loss.moving(WINDOW)
    since = loss.held(lambda value: value < NEAR_ZERO, HOLD)
    if since is None:
        return None
    what = f"the critic's loss is {loss.values[-1]:.2g} (mean of {WINDOW} rows), below {NEAR_ZERO}"
    return Observation(since, what, loss.values[-1], NEAR_ZERO)


BLIND = 0.1  # score of reals minus score of fakes: .1 as a logit is 2.5 % in probability
# Robust standard deviation of a loss over its median: healthy small runs have .05 to 1, a generator
# without an opponent .001 to .005.
STILL = 0.03
POOR_FRECHET = 3.0  # ratio to the floor
POOR_QUALITY = 0.5  # share of samples near a mode


@rule(
    severity="warning",
    losses="other",
    needs=(*TERMS, "critic/score_real"),
    least=WINDOW + HOLD,
    causes=(
        "the critic is too small or too slow to find what is wrong with the fakes",
        "noise or smoothing hides the difference from it",
    ),
    attempt=(
        Scale("critic", "width", 2),
        Rate("critic", 2),
        Set("n-critic", "critic", 2, "higher"),
        Say(
            "A perfect generator has the same losses: look at the images before you change anything"
        ),
    ),
    source="garridoq/gan-guide, fig. 5; BenoitLeguay/GAN_IconClass: raise the weaker net's rate",
)
def generator_too_strong(log):
    if well_made(log):
        return None
    gap = log.score_gap.moving(WINDOW)
    since = gap.held(lambda value: value < BLIND, HOLD)
    both = (log.critic_loss, log.find("generator/*/fake"))
    losses = [each.last(WINDOW + HOLD) for each in both]
    still = max(each.robust_std / max(abs(each.median), 1e-9) for each in losses)
    if since is None or still > STILL:
        return None
    what = (
        f"reals score only {gap.values[-1]:.2g} above fakes, "
        f"and both losses are constant (std {still:.1%})"
    )
    return Observation(since, what, gap.values[-1], BLIND)


def well_made(log):
    """Return whether a quality metric, if one is in the log, says that the fakes are good."""
    frechet = log.find("frechet/ratio")
    quality = log.find("modes/high-quality")
    if len(frechet) and frechet.values[-1] <= POOR_FRECHET:
        return True
    return len(quality) > 0 and quality.values[-1] >= POOR_QUALITY


RISE = 1.0  # nats
LEVEL = 5.0  # nats: the critic gives a fake the probability e^-5 = 0.7 % of being real
# nats, the critic's loss; healthy small runs in which it wins for a while keep .1 or more
CERTAIN = 0.06
BLOCKS = 8


@rule(
    severity="warning",
    losses="other",
    needs=TERMS,
    least=LONG,
    causes=(
        "the generator is too small, or its rate too low, for this critic",
        "few images: the critic memorises them",
    ),
    attempt=(
        Scale("gen", "width", 2),
        Rate("generator", 2),
        Say("Do not weaken the critic: the generator learns from its gradient"),
    ),
    source=(
        "garridoq/gan-guide, fig. 6 and its advice; "
        "BenoitLeguay/GAN_IconClass: raise the weaker net's rate"
    ),
)
def critic_too_strong(log):
    losses = log.find("generator/*/fake")
    tenth = losses.steps[0] + (losses.steps[-1] - losses.steps[0]) // 10
    blocks = losses.after(tenth).blocks(BLOCKS)
    means = blocks.values
    rises = sum(later > earlier for earlier, later in zip(means, means[1:], strict=False))
    rise = means[-1] - means[0]
    critic = log.critic_loss.last(WINDOW).mean
    steady = rises >= BLOCKS - 2 and means[-1] == max(means)
    if not steady or rise < RISE or means[-1] < LEVEL or critic > CERTAIN:
        return None
    what = (
        f"the generator's loss rose from {means[0]:.2f} to {means[-1]:.2f}, "
        f"and the critic's is {critic:.2g}"
    )
    return Observation(blocks.steps[0], what, rise, RISE)


SETTLED = 30  # rows before and after a change
SUDDEN = 6.0  # times: adjacent intervals of healthy runs differ by a factor below 3


@rule(
    severity="warning",
    losses="other",
    needs=TERMS,
    least=LONG,
    causes=(
        (
            "two-sided smoothing or flipped labels, "
            "which no critic can satisfy (noise at epochs 60 to 78)"
        ),
        "a learning rate that is too high by now, or a schedule that changed at this step",
    ),
    attempt=(
        Set("label-smoothing", "fake", 0.0, note=" for one-sided smoothing"),
        Drop("noisy-labels"),
        Rate("both", 0.5),
        Say("Or go back to an earlier checkpoint"),
    ),
    source=(
        "garridoq/gan-guide, figs. 11, 12 and 18; "
        "Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.4"
    ),
)
def sudden_noise(log):
    critic = jumps(log.critic_loss)
    generator = jumps(log.find("generator/*/fake"))
    found = [(min(one[1], other[1]), one[0]) for one, other in zip(critic, generator, strict=False)]
    factor, step = max(found, default=(0.0, 0))
    if factor < SUDDEN:
        return None
    what = f"both losses vary {factor:.0f} times as much from row to row as before"
    return Observation(step, what, factor, SUDDEN)


def jumps(series):
    """Return (step, factor) along the log: the row-to-row change after a step over that before."""
    values = series.values
    changes = [abs(late - early) for early, late in zip(values, values[1:], strict=False)]
    sizes = Series(series.steps[1:], changes)
    found = []
    for middle in range(SETTLED, len(sizes) - SETTLED + 1, 5):
        before = Series(values=sizes.values[middle - SETTLED : middle]).median
        after = Series(values=sizes.values[middle : middle + SETTLED]).median
        found.append((sizes.steps[middle], after / max(before, 1e-6)))
    return found
