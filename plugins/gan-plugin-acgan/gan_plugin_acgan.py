"""ACGAN: an auxiliary classifier in the critic, and a generator that is given the class to draw."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, nll_loss, one_hot

from gancore import CompositionError, Head, component, hookimpl, option, requires


class Classifier(nn.Module):
    """Compute logits `[N, K]` from the critic's features `[N, F]`."""

    def __init__(self, features, classes):
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.linear(features)


class Conditional(nn.Module):
    """Append one-hot labels to the latent `[N, Z]`; `sizes` is {column of the labels: classes}."""

    def __init__(self, net, sizes):
        super().__init__()
        self.net = net
        self.sizes = sizes

    def forward(self, z: Tensor, labels: Tensor):
        hot = [one_hot(labels[:, column], classes).to(z) for column, classes in self.sizes.items()]
        return self.net(torch.cat([z, *hot], 1), labels)


@component(
    source="Odena, Olah and Shlens, ICML 2017, arXiv:1610.09585",
    provides=["critic.class-head", "critic.class-loss"],
    rules=[
        requires(
            "data.labels",
            "data without labels have no class for a classifier to predict",
            fix="a data set with class folders or labels, e.g. --data sprites",
        ),
    ],
)
class ACGAN:
    """Add a class head to the critic, and train the generator to draw the class it is given.

    For each chosen label set with K classes the critic has a head with logits W·f + b `[N, K]`
    beside its score. The critic also minimises weight·CE(logits(x), y) on reals and
    weight·CE(logits(G(z, y')), y') on fakes, in nats; the generator also minimises
    generator_weight·CE(logits(G(z, y')), y'). With equal logits each cross-entropy is ln K. The
    generator receives one-hot labels beside its latent, `[N, Z + ΣK]`. The head does not change
    the score. Logs `accuracy`, the share of samples classified correctly, for each side. Raises
    CompositionError for a label set that does not exist or that has a single class.

    The classifier loss `softmax-into-nll` is a fault kept for comparison, found in
    BenoitLeguay/GAN_IconClass: -p of the correct class instead of -ln p. It lies in [-1, 0], and
    its derivative by the logit, -p·(1-p), vanishes where the prediction is confident and wrong.
    """

    labels: tuple[str, ...] = option(
        (), help="label sets to classify, separated by commas; empty takes the first"
    )
    classifier_loss: str = option(
        "cross-entropy",
        choices=("cross-entropy", "softmax-into-nll"),
        help="loss of the class heads, in nats; softmax-into-nll is a fault",
    )
    weight: float = option(1.0, ge=0, help="factor of the critic's cross-entropies, at least 0")
    generator_weight: float = option(
        1.0, ge=0, help="factor of the generator's cross-entropy, at least 0"
    )
    fake: bool = option(True, help="true trains the head on fakes too")
    draw: str = option(
        "uniform",
        choices=("uniform", "empirical"),
        help="distribution of the labels of fakes; empirical: as in the data",
    )
    condition: str = option(
        "concat",
        choices=("concat", "none"),
        help="how the generator receives labels; none leaves it to other components",
    )

    def sets(self, plan):
        """Return the chosen label sets by their column in `labels [N, L]`."""
        names = self.labels or ("",)
        try:
            chosen = {column: plan.label_sets[column] for column in map(plan.column, names)}
        except KeyError as error:
            raise CompositionError(
                error.args[0], where="acgan.labels", fix="--acgan.labels NAME,…"
            ) from None
        for each in chosen.values():
            if len(each) < 2:
                raise CompositionError(
                    f"every sample's {each.name} is {', '.join(each.classes)}, and a classifier "
                    "needs two classes or more",
                    where="acgan.labels",
                    fix="leave acgan out, or name another label set",
                )
        return chosen

    @hookimpl
    def draw_labels(self, n, plan, rng):
        if self.draw == "empirical":
            return None
        columns = [torch.randint(len(each), (n,), generator=rng) for each in plan.label_sets]
        return torch.stack(columns, 1)

    @hookimpl
    def generator_inputs(self, plan):
        return sum(map(len, self.sets(plan).values())) if self.condition == "concat" else None

    @hookimpl
    def adapt_generator(self, net, plan):
        sizes = {column: len(each) for column, each in self.sets(plan).items()}
        return Conditional(net, sizes) if self.condition == "concat" else None

    # before a tail that appends the label: behind it the head could copy its answer
    @hookimpl(tryfirst=True)
    def extend_critic(self, features, plan):
        sets = self.sets(plan).values()
        return [Head(f"class-{each.name}", Classifier(features, len(each))) for each in sets]

    @hookimpl
    def critic_terms(self, batch, log):
        sides = {"real": batch.real} if batch.real is not None else {}
        if self.fake:
            sides["fake"] = batch.fake
        terms = {}
        for name, side in sides.items():
            terms |= self.entropies(f"-{name}", side, batch.plan, self.weight, log)
        return terms

    @hookimpl
    def generator_terms(self, batch, log):
        return self.entropies("", batch.fake, batch.plan, self.generator_weight, log)

    def entropy(self, logits, labels):
        """Compute the loss `[N]` of logits `[N, K]` against labels `[N]`."""
        if self.classifier_loss == "cross-entropy":
            return cross_entropy(logits, labels, reduction="none")
        # the fault: nll_loss expects log-probabilities
        return nll_loss(logits.softmax(1), labels, reduction="none")

    def entropies(self, suffix, side, plan, weight, log):
        """Return the weighted cross-entropy of each label set on one side, and log accuracies."""
        terms = {}
        sets = self.sets(plan)
        for column, each in sets.items():
            name = f"{suffix}-{each.name}" if len(sets) > 1 else suffix
            logits = side.heads[f"class-{each.name}"]
            labels = side.view_labels[:, column]
            terms[f"aux{name}"] = weight * side.mean(self.entropy(logits, labels))
            log(f"accuracy{name}", (logits.argmax(1) == labels).float().mean())
        return terms
