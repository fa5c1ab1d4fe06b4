"""Rules over the quality of fakes: classes, diversity, colours, distance to the data."""

from gan_plugin_doctor.advice import Choose, Rate, Say, Scale, Set
from gan_plugin_doctor.losses import HOLD, TARGETED, WINDOW
from gan_plugin_doctor.rule import START, Observation, rule

KNOWN = 0.6  # accuracy on reals above which a classifier is trusted
IGNORED = 0.35  # accuracy on fakes over that on reals: at or near chance for four classes and more
LEARNED = 0.1  # rise of the accuracy on fakes since the beginning
HEADS = (
    ("class-accuracy/fake", "class-accuracy/real"),
    ("recognition/accuracy", "recognition/classifier"),
    ("critic/*/accuracy-fake*", "critic/*/accuracy-real*"),
)


@rule(
    severity="warning",
    needs=tuple("|".join(pair[side] for pair in HEADS) for side in (0, 1)),
    least=4,
    causes=(
        "the label does not reach the generator, or is lost in a wide layer",
        "the class term weighs too little",
    ),
    attempt=(
        Set("acgan", "condition", "concat"),
        Set("acgan", "generator-weight", 2.0, "higher"),
        Set("virtual-batch", "labels", "current"),
        Choose("cond", "label-maps", " in the critic", beside=("wasserstein", "wgan", "wgan-gp")),
    ),
    given_by="--cond acgan, or --metric recognition, gives it where the data have labels",
    source="garridoq/gan-guide, fig. 16 and its WGAN; Odena et al., ICML 2017, arXiv:1610.09585",
)
def class_ignored(log):
    rows = len(log.find("step"))
    for fake, real in HEADS:
        fakes = log.find(fake)
        reals = log.find(real)
        # figures of every row come from one batch and need a mean; metrics use many samples
        n = WINDOW if 2 * len(fakes) > rows else 2
        if min(len(fakes), len(reals)) >= 3 * n and (found := ignored(fakes, reals, n)):
            return found
    return None


def ignored(fakes, reals, n):
    """Look for a high accuracy on reals with an accuracy on fakes that is as low as at first."""
    known = reals.last(n).mean
    named = fakes.moving(n)
    began = sum(fakes.values[:n]) / n
    limit = IGNORED * known
    since = named.held(lambda value: value < min(limit, began + LEARNED), n)
    if since is None or known < KNOWN:
        return None
    shares = f"{named.values[-1]:.0%} of the fakes ({began:.0%} at first)"
    what = f"{known:.0%} of the reals are classified correctly, but {shares}"
    return Observation(since, what, named.values[-1], limit)


QUALITY_START = 200  # steps
COLLAPSED = 0.2  # mean distance between fakes over that between reals: recipes.md section 7
HEALTHY = 0.5
EVALUATIONS = 4
ALIKE = 0.05  # a ratio at which all samples look the same
GROWING = 1.1  # times the ratio of YOUNG evaluations before
YOUNG = 8  # evaluations to wait for a run whose samples never had variety
CLOSER = 10.0  # closeness of fakes in a batch over that of reals; a healthy small run had 7


@rule(
    severity="fault",
    needs=("collapse/ratio|critic/*/closeness-fake*",),
    least=EVALUATIONS,
    causes=(
        (
            "the generator produces a few samples that the critic scores as real, "
            "and moves on to the next"
        ),
    ),
    attempt=(
        Choose("reg", "minibatch-discrimination"),
        Choose("loss", "wgan-gp", unless=("gradient-penalty", *TARGETED)),
        Rate("generator", 0.5),
        Scale("latent", "dim", 2),
    ),
    start=QUALITY_START,
    given_by="--metric collapse gives it",
    source=(
        "Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.2; "
        "Edouard99/GAN; garridoq/gan-guide"
    ),
)
def mode_collapse(log):
    ratios = log.find("collapse/ratio")
    since = little_variety(ratios)
    if since is not None:
        ratio = ratios.values[-1]
        what = f"fakes differ from each other only {ratio:.2f} times as much as reals do"
        return Observation(since, what, ratios.values[-1], COLLAPSED)
    fakes = log.find("critic/*/closeness-fake*")
    reals = log.find("critic/*/closeness-real*")
    reals = reals.moving(WINDOW)
    closer = fakes.moving(WINDOW).join(reals, lambda fake, real: fake / max(real, 1e-6))
    since = closer.held(lambda value: value > CLOSER, 2 * HOLD)
    if since is None:
        return None
    what = f"fakes lie {closer.values[-1]:.1f} times as close together in a batch as reals do"
    return Observation(since, what, closer.values[-1], CLOSER)


def little_variety(ratios):
    """Return the step since which samples are too similar; None if they are not, or still diverge.

    Samples of an untrained generator are nearly equal, and stay so for a while in a healthy run.
    """
    if max(ratios.values, default=0) > HEALTHY:
        return ratios.held(lambda value: value < COLLAPSED, 2)
    since = ratios.held(lambda value: value < ALIKE, EVALUATIONS)
    if since is not None or len(ratios) < YOUNG:
        return since
    grows = ratios.values[-1] > GROWING * ratios.values[-YOUNG]
    return None if grows else ratios.held(lambda value: value < COLLAPSED, YOUNG)


DEAD = 0.25  # colours in use, exp(entropy), over their maximum; a new map uses nearly all
SINGLE = 1.1  # colours: a single colour is a fault for any palette


@rule(
    severity="warning",
    needs=("colorpicker/palette-usage",),
    least=EVALUATIONS,
    causes=("a few colours dominate the map, and the rest get no gradient",),
    attempt=(
        Set("colorpicker", "colors", 8, "lower"),
        Rate("generator", 0.5),
        Say("Data of few colours have the same figures"),
    ),
    given_by="--gen colorpicker gives it",
    source=(
        "ConorLazarou, PokeGAN, 2020; BenoitLeguay/GAN_IconClass, whose color picker has 16 colours"
    ),
)
def palette_dead(log):
    usage = log.find("colorpicker/palette-usage")
    most = max(usage.values)
    limit = max(DEAD * most, SINGLE)
    since = usage.held(lambda value: value < limit, 2)
    if since is None:
        return None
    what = f"the map uses {usage.values[-1]:.1f} colours of its palette; it used {most:.1f}"
    return Observation(since, what, usage.values[-1], limit)


WORSE = 3.0  # times the best so far
LATE = 5  # evaluations
SMOOTH = 3  # evaluations in a mean: a single good one may be chance
FAR = 4.0  # times the floor: below, most of the distance is chance


@rule(
    severity="fault",
    needs=("frechet/ratio|frechet/distance",),
    least=LATE + SMOOTH,
    causes=(
        "one player outpaces the other",
        "learning rates that were right at first are too high by now",
    ),
    attempt=(
        Choose("reg", "cosine-decay", unless=("linear-decay",)),
        Choose("reg", "ema"),
        Rate("both", 0.5),
        Say("Keep an earlier checkpoint, or stop earlier"),
    ),
    start=QUALITY_START,
    given_by="--metric frechet gives it",
    source=(
        "BenoitLeguay/GAN_IconClass: diverged near epoch 350; "
        "Heusel et al., NeurIPS 2017, arXiv:1706.08500"
    ),
)
def late_divergence(log):
    ratios = log.find("frechet/ratio")
    distances = log.find("frechet/distance")
    near = 0.0 if not len(ratios) else FAR
    # before START a distance may be small by chance
    distances = (ratios if len(ratios) else distances).after(START)
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
    what = f"the Fréchet distance is {now:.3g}; it was {best:.3g} at step {at}"
    return Observation(since, what, now / best, WORSE)
