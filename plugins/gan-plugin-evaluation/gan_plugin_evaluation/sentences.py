"""What the figures of an evaluation mean, in sentences."""

from collections.abc import Iterator

from gan_plugin_evaluation.rows import COPIES
from gan_plugin_evaluation.score import Evaluation
from gan_plugin_evaluation.yardstick import REALS

ENOUGH = 2000  # samples from which distances are little biased for the features built in
NEAR = 0.9  # of the figure of reals: above, a share is as good as that of reals
FAR = 1.5  # times the floor
SMOOTH = 1.1  # of the density of reals
LESS_DIVERSE = 0.05

MEANINGS = {  # share: what it means where it is low
    "precision": "samples lie where no reals are: they look wrong",
    "recall": "reals lie where no samples are: some kinds of them are not generated",
    "density": "few reals surround a sample: samples lie at the margin of the data",
    "coverage": "many reals have no sample in their neighbourhood: modes are missing",
    "class-accuracy": "samples do not show the class that was asked for",
}
# figures of a null generator that may look good, and whether more is better
LIKED = {
    "fd-ratio": False, "sw-ratio": False, "kd-z": False, "precision": True, "recall": True,
    "density": True, "coverage": True,
}  # fmt: skip


def sentences(found: Evaluation) -> list[str]:
    """Return what the figures mean: the distance, the weakest figure, copies, and warnings."""
    written: list[str] = []
    for write in (distance, weakest, smoothness, diversity, copies, fooled, small, circumstances):
        written += write(found)
    return written


def distance(found: Evaluation) -> Iterator[str]:
    """Say how far samples are from the reals."""
    ratio = found.figures.get("fd-ratio")
    if ratio is None:
        yield "All reals are equal in these features, so distances have no unit."
        return
    for name, known in found.known_as.items():
        yield f"With these features {name} is {known}@{found.n}: {found.figures[name]:.4g}."
    z = found.figures.get("kd-z", 0.0)
    verdict = "about as near as other reals are" if ratio < FAR else "farther than other reals"
    yield (
        f"fd is {ratio:.2f} times its floor, {verdict}: 1 is as good as another draw of the data."
    )
    if ratio < FAR and abs(z) > 3:
        yield (
            f"kd still differs from that of reals by {z:.1f} deviations: the difference is small, "
            "but no chance."
        )


def weakest(found: Evaluation) -> Iterator[str]:
    """Name the share that is worst in relation to that of reals, and what that means."""
    reals = found.rows[REALS]
    shares = {}
    for name in MEANINGS:
        if name in found.figures and reals.get(name):
            shares[name] = found.figures[name] / reals[name]
    if not shares:
        return
    name = min(shares, key=lambda each: shares[each])
    value = f"{found.figures[name]:.2f}, that of reals {reals[name]:.2f}"
    if shares[name] >= NEAR:
        yield f"The weakest share is {name} ({value}), which is near that of reals."
    else:
        yield f"The weakest share is {name} ({value}): {MEANINGS[name]}."


def smoothness(found: Evaluation) -> Iterator[str]:
    """Say where samples are smoother than reals."""
    ratio = found.figures["density"] / (found.rows[REALS]["density"] or 1)
    if ratio > SMOOTH and found.figures.get("fd-ratio", 1.0) > FAR:
        yield (
            f"density is {ratio:.2f} times that of reals though fd is not: samples are smoother or "
            "more typical than reals, as blurred images are."
        )


def diversity(found: Evaluation) -> Iterator[str]:
    """Say where samples are more alike than reals."""
    gap = found.figures.get("diversity-gap", 0.0)
    if gap > LESS_DIVERSE:
        yield f"Samples are more alike than reals: their MS-SSIM is higher by {gap:.2f}."


def copies(found: Evaluation) -> Iterator[str]:
    """Say whether samples are copies, and by which test."""
    copied = found.figures.get("copied")
    if copied is None:
        yield "Whether samples are copies was not tested: all training items are equal."
        return
    if found.figures.get("copies-found"):
        yield (
            f"About {copied:.0%} of the samples are copies of training items. Every other figure "
            "here rewards copies."
        )
    else:
        yield "No more samples are near copies of training items than chance explains."
    if found.split == "train":
        yield (
            "The reals are those that the generator was trained on, as far as is known, so the "
            "score is that of imitation: `gan run --reg hold-out` keeps some from training."
        )


def fooled(found: Evaluation) -> Iterator[str]:
    """Name figures by which a null generator is as good as the samples."""
    for row, figures in found.rows.items():
        if row == REALS:
            continue
        liked = [name for name in LIKED if is_as_good(name, figures, found.figures)]
        if liked and set(liked) >= LIKED.keys() & found.figures.keys():
            yield f"By every distance and share, {row} would be as good as these samples or better."
        elif liked:
            hint = ", but copied tells them apart" if row == COPIES else ""
            yield f"By {', '.join(liked)}, {row} would be as good as these samples{hint}."


def is_as_good(name: str, null: dict[str, float], samples: dict[str, float]) -> bool:
    """Return whether a null generator has as good a figure as the samples."""
    if name not in null or name not in samples:
        return False
    if name == "kd-z":
        return abs(null[name]) <= abs(samples[name])
    return null[name] >= samples[name] if LIKED[name] else null[name] <= samples[name]


def small(found: Evaluation) -> Iterator[str]:
    """Warn of numbers of samples that are too small for what is computed of them."""
    if found.n <= found.width:
        yield (
            f"fd of {found.n} samples in {found.width} features is mostly bias, since their "
            "covariance is singular: read kd z, coverage and the ratio, and raise -n if you can."
        )
    elif found.n < ENOUGH:
        yield (
            f"{found.n} samples are few: a difference of less than two floor deviations is chance."
        )


def circumstances(found: Evaluation) -> Iterator[str]:
    """Repeat the notes."""
    yield from found.notes
