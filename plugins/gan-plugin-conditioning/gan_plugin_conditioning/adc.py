"""ADC-GAN: a classifier that tells real from fake within each class."""

from torch.nn.functional import cross_entropy

from gan_plugin_conditioning.conditional import CLASS_HEAD, RULES, Conditional
from gan_plugin_conditioning.heads import Linear, share_right
from gancore import Head, component, hookimpl, name_of, option


@component(
    source="Hou et al., ICML 2022, arXiv:2107.10060, equations 6 and 7",
    provides=[CLASS_HEAD, "critic.class-loss"],
    rules=RULES,
    known_as={"adc-gan": "", "adcgan": ""},
)
class ADC(Conditional):
    """Add a discriminative classifier to the critic, with a real and a fake class for each label.

    Its logits are a linear layer of the critic's features, `[N, 2K]`: the first K are real classes
    y⁺, the others fake ones y⁻. The critic also minimises weight·CE(logits(x), y⁺) on reals and
    weight·CE(logits(x'), y'⁻) on fakes x' = G(z, y'), in nats; the generator also minimises
    generator_weight·[CE(logits(x'), y'⁺) - CE(logits(x'), y'⁻)], which is the difference of two
    logits. At the optimal critic that is the divergence KL(q ‖ p) of the joint distributions of
    sample and label, so unlike ACGAN it does not cost variety within a class. With equal logits
    each cross-entropy is ln 2K, and the generator's term is 0.

    The generator receives [z, onehot(y)] unless `condition` is none. Logs `accuracy` among 2K
    classes on each side. Raises CompositionError for a label set that does not exist or has one
    class.
    """

    weight: float = option(1.0, ge=0, help="factor of the critic's cross-entropies")
    generator_weight: float = option(1.0, ge=0, help="factor of the generator's difference")

    # before a tail that appends the label: behind it the head could copy its answer
    @hookimpl(tryfirst=True)
    def extend_critic(self, features, plan):
        return Head(name_of(self), Linear(features, 2 * self.choose(plan)[1]))

    def classify(self, side):
        """Return logits `[M, 2K]`, and the real and the fake class of each label, `[M]` each."""
        column, classes = self.choose(side.batch.plan)
        labels = side.view_labels[:, column]
        return side.heads[name_of(self)], labels, labels + classes

    @hookimpl
    def critic_terms(self, batch, log):
        terms = {}
        for name, side in batch.sides.items():
            logits, as_real, as_fake = self.classify(side)
            classes = as_real if side.real else as_fake
            log(f"accuracy-{name}", share_right(logits, classes))
            entropy = cross_entropy(logits, classes, reduction="none")
            terms[f"aux-{name}"] = self.weight * side.mean(entropy)
        return terms

    @hookimpl
    def generator_terms(self, batch):
        logits, as_real, as_fake = self.classify(batch.fake)
        gap = logits.gather(1, as_fake[:, None]) - logits.gather(1, as_real[:, None])
        return {"aux": self.generator_weight * batch.fake.mean(gap.squeeze(1))}
