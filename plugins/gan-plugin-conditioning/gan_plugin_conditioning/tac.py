"""TAC-GAN: a twin classifier of fakes, against the loss of variety within a class."""

from torch.nn.functional import cross_entropy

from gan_plugin_conditioning.conditional import CLASS_HEAD, RULES, Conditional
from gan_plugin_conditioning.heads import Linear, share_right
from gancore import Head, component, hookimpl, name_of, option


@component(
    source="Gong et al., NeurIPS 2019, arXiv:1907.02690, equation 4",
    provides=[CLASS_HEAD, "critic.class-loss"],
    rules=RULES,
    known_as={"tac-gan": "", "twin-auxiliary-classifier": ""},
)
class TAC(Conditional):
    """Add two classifiers to the critic: one of reals, and its twin of fakes, whom G opposes.

    Both are linear layers of the critic's features, with logits C(x) and T(x) `[N, K]`. The critic
    also minimises weight·CE(C(x), y) on reals and weight·CE(T(x'), y') on fakes x' = G(z, y'), in
    nats; the generator also minimises generator_weight·[CE(C(x'), y') - CE(T(x'), y')]. ACGAN has
    the first alone, and so prefers samples in which the class is unmistakable, at the cost of
    variety within it; where C and T agree the generator's term is 0, and its optimum has the data's
    own conditional distributions. With equal logits each cross-entropy is ln K.

    `fake` also trains C on fakes, as the paper's equation does and its code by default does not.
    The generator receives [z, onehot(y)] unless `condition` is none. Logs `accuracy` of C on each
    side. C is the head that ACGAN has, `class-SET`, which the metrics `class-accuracy` and
    `class-entropy` read. Raises CompositionError for a label set that does not exist or has one
    class.
    """

    weight: float = option(1.0, ge=0, help="factor of the critic's cross-entropies")
    generator_weight: float = option(1.0, ge=0, help="factor of the generator's difference")
    fake: bool = option(False, help="true trains the classifier of reals on fakes too")

    # before a tail that appends the label: behind it the head could copy its answer
    @hookimpl(tryfirst=True)
    def extend_critic(self, features, plan):
        classes = self.choose(plan)[1]
        return [Head(name, Linear(features, classes)) for name in self.names(plan)]

    def names(self, plan):
        """Return the names of the heads C and T."""
        return f"class-{plan.label_sets[self.choose(plan)[0]].name}", f"{name_of(self)}-twin"

    def entropies(self, side):
        """Return CE(C(x), y) and CE(T(x), y), scalars, and the accuracy of C."""
        plan = side.batch.plan
        labels = side.view_labels[:, self.choose(plan)[0]]
        own, twin = (side.heads[name] for name in self.names(plan))
        entropy = cross_entropy(own, labels, reduction="none")
        of_twin = cross_entropy(twin, labels, reduction="none")
        return side.mean(entropy), side.mean(of_twin), share_right(own, labels)

    @hookimpl
    def critic_terms(self, batch, log):
        own, twin, accuracy = self.entropies(batch.fake)
        log("accuracy-fake", accuracy)
        terms = {"twin": self.weight * twin}
        if self.fake:
            terms["aux-fake"] = self.weight * own
        if batch.real is not None:
            own, _, accuracy = self.entropies(batch.real)
            log("accuracy-real", accuracy)
            terms["aux-real"] = self.weight * own
        return terms

    @hookimpl
    def generator_terms(self, batch, log):
        own, twin, accuracy = self.entropies(batch.fake)
        log("accuracy", accuracy)
        return {"aux": self.generator_weight * own, "twin": -self.generator_weight * twin}
