"""ACGAN: the critic also names the class of what it sees, and the generator makes fakes it can name."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, nll_loss, one_hot

from gancore import CompositionError, Head, component, hookimpl, option, requires


class Classifier(nn.Module):
    """Logits `[N, K]` from the critic's features `[N, F]`."""

    def __init__(self, features, classes):
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.linear(features)


class Conditional(nn.Module):
    """Append the one-hot labels of some columns, `sizes` {column: classes}, to the latent `[N, Z]`."""

    def __init__(self, net, sizes):
        super().__init__()
        self.net, self.sizes = net, sizes

    def forward(self, z: Tensor, labels: Tensor):
        hot = [one_hot(labels[:, column], classes).to(z) for column, classes in self.sizes.items()]
        return self.net(torch.cat([z, *hot], 1), labels)


@component(
    source="Odena, Olah and Shlens, ICML 2017, arXiv:1610.09585",
    rules=[
        requires(
            "data.labels",
            "there is no class to name in data without labels",
            fix="a data set with class folders or labels, e.g. --data sprites",
        ),
    ],
)
class ACGAN:
    """Give the critic a class head, and reward the generator for fakes of the class it was asked for.

    For each chosen label set with K classes the critic gets raw logits W·f + b `[N, K]` beside its score. It also
    minimises weight·CE(logits(x), y) on reals and weight·CE(logits(G(z, y')), y') on fakes, in nats; the generator
    generator_weight·CE(logits(G(z, y')), y'). With equal logits each is ln K. The generator receives one-hot labels
    beside its latent, `[N, Z + ΣK]`. The score is as without the head. Logs `accuracy`, the share named rightly, of
    each side. Raises CompositionError for a label set that is not there, or that has one class.

    The classifier loss `softmax-into-nll` is a fault kept for comparison, that of BenoitLeguay/GAN_IconClass: -p of the
    right class in place of -ln p. It lies in [-1, 0], and its slope -p·(1-p) vanishes where the answer is confidently
    wrong.
    """

    labels: tuple[str, ...] = option((), help="label sets to name, separated by commas; empty takes the first")
    classifier_loss: str = option(
        "cross-entropy",
        choices=("cross-entropy", "softmax-into-nll"),
        help="what a class head minimises, in nats; softmax-into-nll is a fault",
    )
    weight: float = option(1.0, ge=0, help="factor of the critic's cross-entropies, at least 0")
    generator_weight: float = option(1.0, ge=0, help="factor of the generator's cross-entropy, at least 0")
    fake: bool = option(True, help="true trains the head on fakes too")
    draw: str = option("uniform", choices=("uniform", "empirical"), help="labels of fakes; empirical: as in the data")
    condition: str = option(
        "concat", choices=("concat", "none"), help="how the generator gets labels; none leaves it to other components"
    )

    def sets(self, plan):
        """Return the chosen label sets by their column in `labels [N, L]`."""
        try:
            chosen = {column: plan.label_sets[column] for column in map(plan.column, self.labels or ("",))}
        except KeyError as error:
            raise CompositionError(error.args[0], where="acgan.labels", fix="--acgan.labels NAME,…") from None
        if single := [each for each in chosen.values() if len(each) < 2]:
            raise CompositionError(
                f"every sample's {single[0].name} is {', '.join(single[0].classes)}, and one class says nothing",
                where="acgan.labels",
                fix="leave acgan out, or name another label set",
            )
        return chosen

    @hookimpl
    def draw_labels(self, n, plan, rng):
        if self.draw == "empirical":
            return None
        return torch.stack([torch.randint(len(each), (n,), generator=rng) for each in plan.label_sets], 1)

    @hookimpl
    def generator_inputs(self, plan):
        return sum(map(len, self.sets(plan).values())) if self.condition == "concat" else None

    @hookimpl
    def adapt_generator(self, net, plan):
        sizes = {column: len(each) for column, each in self.sets(plan).items()}
        return Conditional(net, sizes) if self.condition == "concat" else None

    @hookimpl(tryfirst=True)  # before a tail that appends the label, from which the head would read its answer
    def extend_critic(self, features, plan):
        return [Head(f"class-{each.name}", Classifier(features, len(each))) for each in self.sets(plan).values()]

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
        """Loss `[N]` of each sample's logits `[N, K]` against its label `[N]`."""
        if self.classifier_loss == "cross-entropy":
            return cross_entropy(logits, labels, reduction="none")
        return nll_loss(logits.softmax(1), labels, reduction="none")  # which wants logarithms

    def entropies(self, suffix, side, plan, weight, log):
        """Return the weighted cross-entropy of each label set on one side, and log the share named rightly."""
        terms, sets = {}, self.sets(plan)
        for column, each in sets.items():
            name = f"{suffix}-{each.name}" if len(sets) > 1 else suffix
            logits, labels = side.heads[f"class-{each.name}"], side.view_labels[:, column]
            terms[f"aux{name}"] = weight * side.mean(self.entropy(logits, labels))
            log(f"accuracy{name}", (logits.argmax(1) == labels).float().mean())
        return terms
