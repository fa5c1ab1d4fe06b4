"""Rules over what the fakes are like: classes, variety, colours, distance from the data."""

from gan_plugin_doctor.advice import Choose, Rate, Say, Scale, Set
from gan_plugin_doctor.losses import HOLD, TARGETED, WINDOW
from gan_plugin_doctor.rule import START, Seen, rule

KNOWN = 0.6  # accuracy on reals from which the head can judge
IGNORED = 0.35  # accuracy on fakes over that on reals: at or near chance for four classes and more
LEARNED = 0.1  # rise of the accuracy on fakes since the beginning
HEADS = (
    ("class-accuracy/fake", "class-accuracy/real"),
    ("recognition/accuracy", "recognition/classifier"),
    ("critic/*/accuracy-fake*", "critic/*/accuracy-real*"),
)


@rule(
    severity="warning", needs=tuple("|".join(pair[side] for pair in HEADS) for side in (0, 1)), least=4,
    causes=("the label does not reach the generator, or is lost in a wide layer", "the class term weighs too little"),
    attempt=(
        Set("acgan", "condition", "concat"),
        Set("acgan", "generator-weight", 2.0, "higher"),
        Set("virtual-batch", "labels", "current"),
        Choose("cond", "label-maps", " in the critic", beside=("wasserstein", "wgan", "wgan-gp")),
    ),
    given_by="--cond acgan, or --metric recognition, gives it where the data have labels",
    source="garridoq/gan-guide, fig. 16 and its WGAN; Odena et al., ICML 2017, arXiv:1610.09585",
)  # fmt: skip
def class_ignored(log):
    rows = len(log.find("step"))
    for fake, real in HEADS:
        fakes, reals = log.find(fake), log.find(real)
        n = WINDOW if 2 * len(fakes) > rows else 2  # a figure of each row, on one batch; or a metric, on many samples
        if min(len(fakes), len(reals)) >= 3 * n and (found := ignored(fakes, reals, n)):
            return found
    return None


def ignored(fakes, reals, n):
    """Look whether classes are known on reals, yet fakes are named no better than in the beginning."""
    known, named, began = reals.last(n).mean, fakes.moving(n), sum(fakes.values[:n]) / n
    limit = IGNORED * known
    since = named.held(lambda value: value < min(limit, began + LEARNED), n)
    if since is None or known < KNOWN:
        return None
    what = f"{known:.0%} of the reals are named rightly, but {named.values[-1]:.0%} of the fakes ({began:.0%} at first)"
    return Seen(since, what, named.values[-1], limit)


QUALITY_START = 200  # steps
COLLAPSED = 0.2  # mean distance between fakes over that between reals: recipes.md section 7
HEALTHY = 0.5
EVALUATIONS = 4
ALIKE = 0.05  # a ratio at which all samples are one
GROWING = 1.1  # times the ratio of YOUNG evaluations before
YOUNG = 8  # evaluations of samples that never were various
CLOSER = 10.0  # times: closeness of fakes in a batch over that of reals; a healthy small run had 7


@rule(
    severity="fault", needs=("collapse/ratio|critic/*/closeness-fake*",), least=EVALUATIONS,
    causes=("the generator found a few samples that the critic takes for real, and moves from one to the next",),
    attempt=(
        Choose("reg", "minibatch-discrimination"),
        Choose("loss", "wgan-gp", unless=("gradient-penalty", *TARGETED)),
        Rate("generator", 0.5),
        Scale("latent", "dim", 2),
    ),
    start=QUALITY_START, given_by="--metric collapse gives it",
    source="Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.2; Edouard99/GAN; garridoq/gan-guide",
)  # fmt: skip
def mode_collapse(log):
    ratios = log.find("collapse/ratio")
    since = little_variety(ratios)
    if since is not None:
        what = f"fakes differ from one another only {ratios.values[-1]:.2f} times as much as reals do"
        return Seen(since, what, ratios.values[-1], COLLAPSED)
    fakes, reals = log.find("critic/*/closeness-fake*"), log.find("critic/*/closeness-real*")
    closer = fakes.moving(WINDOW).join(reals.moving(WINDOW), lambda fake, real: fake / max(real, 1e-6))
    since = closer.held(lambda value: value > CLOSER, 2 * HOLD)
    if since is None:
        return None
    what = f"fakes lie {closer.values[-1]:.1f} times as close together in a batch as reals do"
    return Seen(since, what, closer.values[-1], CLOSER)


def little_variety(ratios):
    """Return the step since which samples are too much alike; None where they are not, or still grow apart.

    Those of an untrained generator are nearly alike, and in a healthy run stay so for a while.
    """
    if max(ratios.values, default=0) > HEALTHY:
        return ratios.held(lambda value: value < COLLAPSED, 2)
    since = ratios.held(lambda value: value < ALIKE, EVALUATIONS)
    if since is not None or len(ratios) < YOUNG:
        return since
    grows = ratios.values[-1] > GROWING * ratios.values[-YOUNG]
    return None if grows else ratios.held(lambda value: value < COLLAPSED, YOUNG)


DEAD = 0.25  # colours in use, exp(entropy), over the most so far; a new map uses nearly all
SINGLE = 1.1  # colours: one alone is dead whatever the palette


@rule(
    severity="warning", needs=("colorpicker/palette-usage",), least=EVALUATIONS,
    causes=("a few colours took over the map, and the others get no gradient",),
    attempt=(
        Set("colorpicker", "colors", 8, "lower"),
        Rate("generator", 0.5),
        Say("Data of few colours look the same"),
    ),
    given_by="--gen colorpicker gives it",
    source="ConorLazarou, PokeGAN, 2020; BenoitLeguay/GAN_IconClass, whose color picker has 16 colours",
)  # fmt: skip
def palette_dead(log):
    usage = log.find("colorpicker/palette-usage")
    most = max(usage.values)
    limit = max(DEAD * most, SINGLE)
    since = usage.held(lambda value: value < limit, 2)
    if since is None:
        return None
    what = f"the map uses {usage.values[-1]:.1f} colours of its palette; it used {most:.1f}"
    return Seen(since, what, usage.values[-1], limit)


WORSE, LATE = 3.0, 5  # times the best so far, for so many evaluations
SMOOTH = 3  # evaluations in a mean: a single good one is chance
FAR = 4.0  # times the floor: nearer than that, chance moves the distance most


@rule(
    severity="fault", needs=("frechet/ratio|frechet/distance",), least=LATE + SMOOTH,
    causes=("the balance of the players is lost", "rates that were right at first are too high now"),
    attempt=(
        Choose("reg", "cosine-decay", unless=("linear-decay",)),
        Choose("reg", "ema"),
        Rate("both", 0.5),
        Say("Keep an earlier checkpoint, or stop earlier"),
    ),
    start=QUALITY_START, given_by="--metric frechet gives it",
    source="BenoitLeguay/GAN_IconClass: diverged near epoch 350; Heusel et al., NeurIPS 2017, arXiv:1706.08500",
)  # fmt: skip
def late_divergence(log):
    ratios, distances = log.find("frechet/ratio"), log.find("frechet/distance")
    near = 0.0 if not len(ratios) else FAR
    distances = (ratios if len(ratios) else distances).after(START)  # before, samples can be near by chance
    if len(distances) < LATE + SMOOTH:
        return None
    smooth = distances.moving(SMOOTH)
    best = min(smooth.values)
    at = smooth.steps[smooth.values.index(best)]
    late = distances.after(at + 1)
    since = late.held(lambda value: value > max(WORSE * best, near), LATE)
    if since is None:
        return None
    now = distances.values[-1]
    return Seen(since, f"the Fréchet distance is {now:.3g}; it was {best:.3g} at step {at}", now / best, WORSE)
