"""Rules over the losses and scores of players that play by a logistic or similar loss.

The faults are those that published runs showed; each rule names its source. Statistics are means over rows of the log,
and a rule speaks only when they stay wrong for a while. Thresholds were set beside healthy runs, whose figures are
given where they matter.
"""

from gan_plugin_doctor.advice import Choose, Drop, Rate, Say, Scale, Set
from gan_plugin_doctor.rule import Seen, rule
from gan_plugin_doctor.series import Series

WINDOW = 20  # rows in a moving mean
HOLD = 20  # moving means in a row that must be wrong
LONG = 80  # rows from which a trend is told from a beginning: those of the default run
TARGETED = ("label-smoothing", "noisy-labels")  # beside which a loss without targets is refused
TERMS = ("critic/*/real", "critic/*/fake", "generator/*/fake")

NEAR_ZERO = 0.02  # nats, of ln 2 (or 2·ln 2 where terms are summed) at the start; healthy small DCGANs stay above .1


@rule(
    severity="fault", losses="other", needs=TERMS, least=WINDOW + HOLD,
    causes=(
        "the critic tells every real from every fake, and a saturating or distant generator gets no gradient",
        "the critic learns much faster than the generator, or sees something no fake has (range, borders)",
    ),
    attempt=(
        Set("bce", "mode", "non-saturating"),
        Choose("reg", "instance-noise"),
        Rate("critic", 0.5),
        Choose("loss", "wgan-gp", unless=TARGETED),
        Say("Look at the images first"),
    ),
    source="kmualim/DCGAN-Keras-Implementation and garridoq/gan-guide; Arjovsky and Bottou, ICLR 2017, "
    "arXiv:1701.04862",
)  # fmt: skip
def critic_loss_to_zero(log):
    loss = log.critic_loss.moving(WINDOW)
    since = loss.held(lambda value: value < NEAR_ZERO, HOLD)
    if since is None:
        return None
    what = f"the critic's loss is {loss.values[-1]:.2g} (mean of {WINDOW} rows), below {NEAR_ZERO}"
    return Seen(since, what, loss.values[-1], NEAR_ZERO)


BLIND = 0.1  # score of reals minus score of fakes: .1 as a logit is 2.5 % in probability
STILL = 0.03  # spread of a loss over its median: healthy small runs have .05 to 1, a lone generator .001 to .005
POOR_FRECHET, POOR_QUALITY = 3.0, 0.5


@rule(
    severity="warning", losses="other", needs=(*TERMS, "critic/score_real"), least=WINDOW + HOLD,
    causes=(
        "the critic is too small or too slow to see what is wrong with the fakes",
        "noise or smoothing hides the difference from it",
    ),
    attempt=(
        Scale("critic", "width", 2),
        Rate("critic", 2),
        Set("n-critic", "critic", 2, "higher"),
        Say("A generator without fault shows the same losses: look at the images before you change anything"),
    ),
    source="garridoq/gan-guide, fig. 5; BenoitLeguay/GAN_IconClass: raise the weaker net's rate",
)  # fmt: skip
def generator_too_strong(log):
    if well_made(log):
        return None
    gap = log.score_gap.moving(WINDOW)
    since = gap.held(lambda value: value < BLIND, HOLD)
    losses = log.critic_loss.last(WINDOW + HOLD), log.find("generator/*/fake").last(WINDOW + HOLD)
    still = max(each.spread / max(abs(each.median), 1e-9) for each in losses)
    if since is None or still > STILL:
        return None
    what = f"reals score only {gap.values[-1]:.2g} above fakes, and both losses are still (spread {still:.1%})"
    return Seen(since, what, gap.values[-1], BLIND)


def well_made(log):
    """Whether a measure of quality, where one is in the log, says that the fakes are good."""
    frechet, quality = log.find("frechet/ratio"), log.find("modes/high-quality")
    return bool(
        (len(frechet) and frechet.values[-1] <= POOR_FRECHET) or (len(quality) and quality.values[-1] >= POOR_QUALITY)
    )


RISE, LEVEL = 1.0, 5.0  # nats: e^-5 = 0.7 % is what the critic then believes of a fake
CERTAIN = 0.06  # nats, the critic's loss; healthy small runs in which it wins for a while keep .1 or more
BLOCKS = 8


@rule(
    severity="warning", losses="other", needs=TERMS, least=LONG,
    causes=(
        "the generator is too small, or its rate too low, for this critic",
        "few images: the critic learns them by heart",
    ),
    attempt=(
        Scale("gen", "width", 2),
        Rate("generator", 2),
        Say("Do not weaken the critic: what it knows is what the generator learns from"),
    ),
    source="garridoq/gan-guide, fig. 6 and its advice; BenoitLeguay/GAN_IconClass: raise the weaker net's rate",
)  # fmt: skip
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
    what = f"the generator's loss rose from {means[0]:.2f} to {means[-1]:.2f}, and the critic's is {critic:.2g}"
    return Seen(blocks.steps[0], what, rise, RISE)


SETTLED = 30  # rows before and after a change
SUDDEN = 6.0  # times: adjacent stretches of healthy runs differ by less than 3


@rule(
    severity="warning", losses="other", needs=TERMS, least=LONG,
    causes=(
        "two-sided smoothing or flipped labels: the critic is asked for what cannot be (noise came at epochs 60 to 78)",
        "a learning rate that is too high now, or a schedule that changed something at this step",
    ),
    attempt=(
        Set("label-smoothing", "fake", 0.0, note=" for one-sided smoothing"),
        Drop("noisy-labels"),
        Rate("both", 0.5),
        Say("Or go back to an earlier checkpoint"),
    ),
    source="garridoq/gan-guide, figs. 11, 12 and 18; Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.4",
)  # fmt: skip
def sudden_noise(log):
    critic, generator = jumps(log.critic_loss), jumps(log.find("generator/*/fake"))
    found = [(min(one[1], other[1]), one[0]) for one, other in zip(critic, generator, strict=False)]
    factor, step = max(found, default=(0.0, 0))
    if factor < SUDDEN:
        return None
    return Seen(step, f"both losses jump {factor:.0f} times as far from row to row as before", factor, SUDDEN)


def jumps(series):
    """How much farther a figure jumps from row to row after a step than before: (step, factor) along the log."""
    values = series.values
    sizes = Series(series.steps[1:], [abs(late - early) for early, late in zip(values, values[1:], strict=False)])
    found = []
    for middle in range(SETTLED, len(sizes) - SETTLED + 1, 5):
        before = Series(values=sizes.values[middle - SETTLED : middle]).median
        after = Series(values=sizes.values[middle : middle + SETTLED]).median
        found.append((sizes.steps[middle], after / max(before, 1e-6)))
    return found
