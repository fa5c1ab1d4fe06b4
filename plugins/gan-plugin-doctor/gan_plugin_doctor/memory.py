"""Rules over what is left out and what is copied: modes, memorised reals, critics that overfit."""

from gan_plugin_doctor.advice import Choose, Rate, Say, Scale
from gan_plugin_doctor.losses import TARGETED
from gan_plugin_doctor.quality import EVALUATIONS, QUALITY_START
from gan_plugin_doctor.rule import Observation, rule

IMAGES = ("dcgan", "colorpicker")  # generators of images, which can be augmented
GOOD = 0.5  # share of samples near a mode; below, a mode may be missed by chance
MISSED = 0.5  # share of the modes that have at least a twentieth of their samples
NEAR = 2.0  # distance to the nearest real over that of reals: above, few reals are ever nearest
COVERED = 0.4  # share of reals nearest to a sample, over that nearest to another real
# A young generator covers more from evaluation to evaluation; healthy small runs rise by half.
SPREADING = 1.1  # times the mean of the evaluations before


@rule(
    severity="warning",
    needs=("modes/count20|nearest/share",),
    least=2 * EVALUATIONS,
    causes=(
        "the critic scores a batch sample by sample, so missing modes cost the generator nothing",
        "a rare mode is seldom in a batch, and is forgotten between",
    ),
    attempt=(
        Choose("reg", "minibatch-discrimination"),
        Choose("loss", "wgan-gp", unless=("gradient-penalty", *TARGETED)),
        Choose("reg", "experience-replay"),
        Scale("latent", "dim", 2),
    ),
    start=QUALITY_START,
    given_by="--metric nearest gives it, or --metric modes for a mixture",
    source="Srivastava et al., NeurIPS 2017, arXiv:1705.07761; "
    "Lin et al., NeurIPS 2018, arXiv:1712.04086",
)
def mode_dropping(log):
    found = modes_missed(log)
    if found is not None:
        return found
    floors = log.find("nearest/floor-share")
    shares = log.find("nearest/share").join(floors, lambda share, floor: share / max(floor, 1e-9))
    near = log.find("nearest/ratio")
    # far from all reals, samples have few nearest reals however much they differ
    seen = shares.join(near, lambda share, ratio: share if ratio < NEAR else 1.0)
    since = seen.held(lambda value: value < COVERED, EVALUATIONS)
    means = shares.moving(EVALUATIONS).values
    if since is None or means[-1] > SPREADING * means[-1 - EVALUATIONS]:
        return None
    what = (
        f"samples are nearest to {seen.values[-1]:.0%} as many reals as reals themselves are, "
        f"though they lie near ({near.values[-1]:.2g} times the distance between reals)"
    )
    return Observation(since, what, seen.values[-1], COVERED)


def modes_missed(log):
    """Look for good samples of a known mixture that lack many of its modes."""
    total = log.find("modes/total")
    good = log.find("modes/high-quality")
    counts = log.find("modes/count20")
    shares = counts.join(total, lambda count, all_modes: count / all_modes)
    seen = shares.join(good, lambda share, quality: share if quality >= GOOD else 1.0)
    since = seen.held(lambda value: value < MISSED, EVALUATIONS)
    if since is None:
        return None
    what = (
        f"{good.values[-1]:.0%} of the samples lie near a mode, "
        f"but only {counts.values[-1]:.0f} of {total.values[-1]:.0f} modes have their share"
    )
    return Observation(since, what, seen.values[-1], MISSED)


# Median distance to the nearest real over that of reals: healthy small runs have .85 or more, means
# of two reals .7 at the least where pixels differ independently.
COPIED = 0.5


@rule(
    severity="warning",
    needs=("nearest/ratio",),
    least=EVALUATIONS,
    causes=(
        "few images, shown many times",
        "the generator is large enough to store the data",
    ),
    attempt=(
        Choose("reg", "augment-views", beside=IMAGES),
        Scale("gen", "width", 0.5),
        Say(
            "More images, or fewer steps. Data in which most images have a near copy look the same"
        ),
    ),
    start=QUALITY_START,
    given_by="--metric nearest gives it",
    source="Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675; "
    "Zhao et al., NeurIPS 2020, arXiv:2006.10738",
)
def memorisation(log):
    ratios = log.find("nearest/ratio")
    since = ratios.held(lambda value: value < COPIED, 2)
    if since is None:
        return None
    what = (
        f"the median sample lies {ratios.values[-1]:.2f} times as far from its nearest real "
        "as reals lie from each other"
    )
    return Observation(since, what, ratios.values[-1], COPIED)


OVERFIT = 0.5  # (train - held-out)/(train - fake): half way from known reals to fakes
GAPS = 3


@rule(
    severity="warning",
    needs=("held-out/gap",),
    least=EVALUATIONS,
    causes=(
        "few images: the critic memorises them, and what it then tells the generator is noise",
        "the critic is large for these data, or trained often",
    ),
    attempt=(
        Choose("reg", "augment-views", beside=IMAGES),
        Choose("reg", "dropout"),
        Scale("critic", "width", 0.5),
        Rate("critic", 0.5),
        Say("With a Wasserstein loss the estimated distance is too large by this share"),
    ),
    start=QUALITY_START,
    given_by="--metric held-out gives it where the critic scores reals above fakes",
    source="Karras et al., NeurIPS 2020, arXiv:2006.06676, eq. 1; "
    "Zhao et al., NeurIPS 2020, arXiv:2006.10738",
)
def critic_overfits(log):
    gaps = log.find("held-out/gap")
    since = gaps.held(lambda value: value > OVERFIT, GAPS)
    if since is None:
        return None
    train, held, fake = (
        log.find(f"held-out/{side}").values[-1] for side in ("train", "held-out", "fake")
    )
    what = (
        f"reals that the critic was not trained on score {held:.3g}, those it was {train:.3g} and "
        f"fakes {fake:.3g}: {gaps.values[-1]:.0%} of the way"
    )
    return Observation(since, what, gaps.values[-1], OVERFIT)
