"""Multi-hinge: a hinge loss over classes, one of which is that of fakes."""

import torch
from torch import Tensor

from gan_plugin_conditioning.conditional import CLASS_HEAD, RULES, Conditional
from gan_plugin_conditioning.heads import Linear, share_right
from gancore import Head, component, hookimpl, name_of, option


def crammer_singer(scores: Tensor, classes: Tensor) -> Tensor:
    """Compute max(0, 1 + max over k ≠ y of s_k - s_y) `[N]` of scores `[N, K]`, classes y `[N]`."""
    chosen = scores.gather(1, classes[:, None]).squeeze(1)
    others = scores.scatter(1, classes[:, None], -torch.inf)
    return (1 + others.amax(1) - chosen).relu()


@component(
    source="Kavalerov, Czaja and Chellappa, WACV 2021, arXiv:1912.04216, equations 3 to 5",
    provides=[CLASS_HEAD, "critic.class-loss"],
    rules=RULES,
    known_as={"mhgan": "", "mhinge": ""},
)
class MultiHinge(Conditional):
    """Add a classifier of K + 1 classes to the critic, the last that of fakes, with a hinge loss.

    Its scores s are a linear layer of the critic's features, `[N, K + 1]`. With Crammer and
    Singer's loss ℓ(s, y) = max(0, 1 + max over k ≠ y of s_k - s_y) the critic also minimises
    weight·ℓ(s(x), y) on reals and weight·ℓ(s(x'), K) on fakes x' = G(z, y'), and the generator also
    generator_weight·ℓ(s(x'), y'). With equal scores each ℓ is 1; it is 0, without a gradient, where
    the right class leads by 1.

    The paper's generator minimises this and L1 feature matching alone, in place of an adversarial
    loss: `--reg feature-matching --feature-matching.norm l1 --feature-matching.replace true`. Its
    factor of 0.05 is that of this term beside them. The generator receives [z, onehot(y)] unless
    `condition` is none. Logs `accuracy` among K + 1 classes on each side. Raises CompositionError
    for a label set that does not exist or has one class.
    """

    weight: float = option(1.0, ge=0, help="factor of the critic's hinge terms")
    generator_weight: float = option(0.05, ge=0, help="factor of the generator's hinge term")

    # before a tail that appends the label: behind it the head could copy its answer
    @hookimpl(tryfirst=True)
    def extend_critic(self, features, plan):
        return Head(name_of(self), Linear(features, self.choose(plan)[1] + 1))

    @hookimpl
    def critic_terms(self, batch, log):
        column, classes = self.choose(batch.plan)
        terms = {}
        for name, side in batch.sides.items():
            labels = side.view_labels[:, column]
            wanted = labels if side.real else torch.full_like(labels, classes)
            scores = side.heads[name_of(self)]
            log(f"accuracy-{name}", share_right(scores, wanted))
            terms[f"hinge-{name}"] = self.weight * side.mean(crammer_singer(scores, wanted))
        return terms

    @hookimpl
    def generator_terms(self, batch, log):
        fake = batch.fake
        labels = fake.view_labels[:, self.choose(batch.plan)[0]]
        scores = fake.heads[name_of(self)]
        log("accuracy", share_right(scores, labels))
        return {"hinge": self.generator_weight * fake.mean(crammer_singer(scores, labels))}
