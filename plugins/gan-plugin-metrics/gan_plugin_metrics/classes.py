"""What the critic's class heads answer: whether they name the class rightly, and how sure they are of it."""

import math

import torch

from gancore import CompositionError, component, hookimpl, option, requires

LABELS = requires(
    "data.labels",
    "there is no class to name in data without labels",
    fix="a data set with class folders or labels, e.g. --data sprites",
)


def sets_with_head(plan, heads):
    """List the label sets NAME that have a head `class-NAME`, with their columns in `labels [N, L]`."""
    return [(column, each) for column, each in enumerate(plan.label_sets) if f"class-{each.name}" in heads]


def expect_head(net, plan, metric):
    """Raise CompositionError where the critic `net` has no head that names the classes of a label set."""
    if not sets_with_head(plan, set(net.outputs.values())):
        raise CompositionError(
            f"{metric} asks the critic for classes, but no component gives it a head that names them",
            where=f"metric {metric}",
            fix="--cond acgan, or leave the metric out",
        )


def answers(progress, n):
    """Yield (side, suffix, logits `[n, K]`, labels `[n]`) of n reals and n samples, for each label set with a head."""
    for side, (images, labels) in {"real": progress.reals(n), "fake": progress.samples(n)}.items():
        heads = progress.judge(images, labels).heads
        for place, (column, each) in enumerate(sets_with_head(progress.plan, heads)):
            yield side, f"-{each.name}" if place else "", heads[f"class-{each.name}"], labels[:, column]


def entropy(p):
    """Entropy of probabilities `[…, K]`, in nats."""
    return torch.special.entr(p).sum(-1)


@component(source="Odena, Olah and Shlens, ICML 2017, arXiv:1610.09585", rules=[LABELS])
class ClassAccuracy:
    """Measure how often the critic's class heads name the class of reals, and the one samples were asked for.

    For a head's logits `[n, K]` it gives `real` and `fake`, the shares of reals and of samples whose largest logit is
    that of their label: in [0, 1], by chance 1/K. With several label sets those after the first are `real-SET` and
    `fake-SET`. Images are shown without the views of training, in evaluation mode; training does not see it. Raises
    CompositionError before the run where the critic has no such head.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0 measures whenever the run draws its samples")
    images: int = option(512, ge=1, help="reals, and samples, that are shown to the critic")

    @hookimpl(trylast=True)
    def adapt_critic(self, net, plan):
        expect_head(net, plan, "class-accuracy")

    @hookimpl
    def measure(self, progress):
        if not progress.due(self.every):
            return None
        return {
            side + suffix: float((logits.argmax(1) == labels).float().mean())
            for side, suffix, logits, labels in answers(progress, self.images)
        }


@component(
    source="Leguay, github.com/BenoitLeguay/GAN_IconClass; of the mean p: Salimans et al., NeurIPS 2016, "
    "arXiv:1606.03498, section 4",
    rules=[LABELS],
)
class ClassEntropy:
    """Measure how unsure the critic's class heads are, and how many classes samples spread over.

    With p = softmax(logits) `[n, K]` it gives `real` and `fake`, the mean of H(p) = -Σ p ln p / ln K on reals and on
    samples, and `mean-fake`, H of the mean of p over samples: in [0, 1], 0 for certainty about one class and 1 for all
    alike. Good samples have a low `fake` and a high `mean-fake`. With several label sets those after the first are
    `real-SET` and so on. Images are shown without the views of training, in evaluation mode. Raises CompositionError
    before the run where the critic has no such head.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0 measures whenever the run draws its samples")
    images: int = option(512, ge=1, help="reals, and samples, that are shown to the critic")
    divide_by: str = option(
        "log-classes",
        choices=("log-classes", "classes"),
        help="ln K, so that the largest is 1; or K as in the source, so that it is ln K / K, 0.16 for 18 classes",
    )
    swap_tags: bool = option(False, help="true exchanges the names real and fake, as the source does")

    @hookimpl(trylast=True)
    def adapt_critic(self, net, plan):
        expect_head(net, plan, "class-entropy")

    @hookimpl
    def measure(self, progress):
        if not progress.due(self.every):
            return None
        figures = {}
        for side, suffix, logits, _ in answers(progress, self.images):
            p = logits.softmax(1)
            tag = {"real": "fake", "fake": "real"}[side] if self.swap_tags else side
            figures[tag + suffix] = self.share(entropy(p).mean(), p.shape[1])
            if side == "fake":
                figures[f"mean-fake{suffix}"] = self.share(entropy(p.mean(0)), p.shape[1])
        return figures

    def share(self, nats, classes):
        """Divide an entropy in nats by that of `classes` equally likely classes, or by their number."""
        if classes == 1:
            return 0.0  # nothing is unsure, and ln 1 divides nothing
        return float(nats) / (math.log(classes) if self.divide_by == "log-classes" else classes)
