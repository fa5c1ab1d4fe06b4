"""Metrics of the critic's class heads: accuracy and entropy."""

import math

import torch

from gancore import CompositionError, component, hookimpl, option, requires

LABELS = requires(
    "data.labels",
    "there is no class to name in data without labels",
    fix="a data set with class folders or labels, e.g. --data sprites",
)


def sets_with_head(plan, heads):
    """Return the label sets that have a head, with their columns in `labels [N, L]`."""
    columns = enumerate(plan.label_sets)
    return [(column, each) for column, each in columns if f"class-{each.name}" in heads]


def expect_head(net, plan, metric):
    """Raise CompositionError unless the critic `net` has a class head for some label set."""
    if not sets_with_head(plan, set(net.outputs.values())):
        raise CompositionError(
            f"{metric} reads a class head of the critic, but no component adds one",
            where=f"metric {metric}",
            fix="--cond acgan, or leave the metric out",
        )


def head_outputs(progress, n):
    """Yield (side, suffix, logits `[n, K]`, labels `[n]`) of every class head.

    They are those of n reals and of n samples.
    """
    sides = {"real": progress.reals(n), "fake": progress.samples(n)}
    for side, (images, labels) in sides.items():
        heads = progress.judge(images, labels).heads
        for place, (column, each) in enumerate(sets_with_head(progress.plan, heads)):
            # the first label set keeps the plain names, so that most runs have `real` and `fake`
            suffix = f"-{each.name}" if place else ""
            yield side, suffix, heads[f"class-{each.name}"], labels[:, column]


def entropy(p):
    """Return the entropy of probabilities `[…, K]`, in nats."""
    return torch.special.entr(p).sum(-1)


@component(source="Odena, Olah and Shlens, ICML 2017, arXiv:1610.09585", rules=[LABELS])
class ClassAccuracy:
    """Measure the accuracy of the critic's class heads, on reals and on samples.

    For a head's logits `[n, K]` logs `real` and `fake`: the share of reals, and of samples, whose
    largest logit is that of their label, in [0, 1], 1/K by chance. The label of a sample is the
    class that the generator was conditioned on. Further label sets are logged as `real-SET` and
    `fake-SET`. Images are given to the critic in evaluation mode and without the views of training;
    the metric does not affect training. Raises CompositionError before the run if the critic has no
    class head.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    images: int = option(512, ge=1, help="number of reals, and of samples, to classify")

    @hookimpl(trylast=True)
    def adapt_critic(self, net, plan):
        expect_head(net, plan, "class-accuracy")

    @hookimpl
    def measure(self, progress):
        if not progress.due(self.every):
            return None
        return {
            side + suffix: float((logits.argmax(1) == labels).float().mean())
            for side, suffix, logits, labels in head_outputs(progress, self.images)
        }


@component(
    source="Leguay, github.com/BenoitLeguay/GAN_IconClass; of the mean p: Salimans et al., "
    "NeurIPS 2016, arXiv:1606.03498, section 4",
    rules=[LABELS],
)
class ClassEntropy:
    """Measure the entropy of the critic's class predictions, per image and averaged over samples.

    With p = softmax(logits) `[n, K]` logs `real` and `fake`, the means of H(p) = -Σ p ln p / ln K
    over reals and over samples, and `mean-fake`, H of the mean of p over samples. All are in [0,
    1]: 0 if one class has all the probability, 1 if all classes have the same. Good samples have a
    low `fake` and a high `mean-fake`, as in the inception score. Further label sets are logged as
    `real-SET` and so on. Images are given to the critic in evaluation mode and without the views of
    training. Raises CompositionError before the run if the critic has no class head.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    images: int = option(512, ge=1, help="number of reals, and of samples, to classify")
    divide_by: str = option(
        "log-classes",
        choices=("log-classes", "classes"),
        help=(
            "ln K: the maximum is 1; or K, as in the source: "
            "the maximum is ln K / K, 0.16 for 18 classes"
        ),
    )
    swap_tags: bool = option(False, help="exchange the names real and fake, as the source does")

    @hookimpl(trylast=True)
    def adapt_critic(self, net, plan):
        expect_head(net, plan, "class-entropy")

    @hookimpl
    def measure(self, progress):
        if not progress.due(self.every):
            return None
        figures = {}
        for side, suffix, logits, _ in head_outputs(progress, self.images):
            p = logits.softmax(1)
            tag = {"real": "fake", "fake": "real"}[side] if self.swap_tags else side
            figures[tag + suffix] = self.share(entropy(p).mean(), p.shape[1])
            if side == "fake":
                figures[f"mean-fake{suffix}"] = self.share(entropy(p.mean(0)), p.shape[1])
        return figures

    def share(self, nats, classes):
        """Divide an entropy in nats by its maximum ln K, or by K, the number of classes."""
        if classes == 1:
            return 0.0  # one class leaves no uncertainty, and ln 1 = 0 cannot be divided by
        return float(nats) / (math.log(classes) if self.divide_by == "log-classes" else classes)
