"""Projection: the critic's score compares its features with a learned vector of the class."""

import torch
from torch import Tensor, nn

from gan_plugin_conditioning.conditional import CLASS_HEAD, RULES, Conditional
from gancore import Head, component, hookimpl, option, warns_with


class Projected(nn.Module):
    """Compute ⟨V_y, φ⟩ `[N]` of features φ `[N, F]` and the class y, with rows V_y `[K, F]`."""

    def __init__(self, features, column, classes):
        super().__init__()
        self.column = column
        self.table = nn.Embedding(classes, features)
        # so that the projection is as large as the score of torch's own linear layer
        nn.init.normal_(self.table.weight, std=(3 * features) ** -0.5)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        rows = self.table(labels[:, self.column])
        return (rows * features).sum(1)


class Picked(nn.Module):
    """Compute the score `[N]` that a linear layer with K outputs gives the class of each row."""

    def __init__(self, features, column, classes):
        super().__init__()
        self.column = column
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.linear(features).gather(1, labels[:, self.column, None]).squeeze(1)


class NoScore(nn.Module):
    """Return zeros `[N, 1]`, where the class's own score is all there is."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.zeros_like(features[:, :1])


@component(
    source="Miyato and Koyama, ICLR 2018, arXiv:1802.05637, equation 3; "
    "per-class: Mescheder et al., ICML 2018, arXiv:1801.04406, section 5",
    provides=[CLASS_HEAD, "critic.projection"],
    rules=[
        *RULES,
        warns_with(
            "critic.class-loss",
            "the critic is then given the class twice, in its score and in a classifier's loss",
            fix="one of the two conditions",
        ),
    ],
    known_as={"cgan-pd": "", "projection-discriminator": ""},
)
class Projection(Conditional):
    """Add to the score the inner product of the critic's features with a vector of the class.

    s(x, y) = v·φ(x) + b + ⟨V_y, φ(x)⟩ with features φ `[N, F]` and a trained table V `[K, F]`,
    which begins with normal numbers of deviation 1/√(3F). With V = 0 the score is the unconditional
    one. The critic sees at every sample whether it fits its label, and no other loss is needed:
    samples of the wrong class are fakes. `form per-class` computes K scores by one linear layer and
    takes that of the class, s = w_y·φ + b_y, which is the same but for the bias of each class.

    φ is what the score reads, all C·h·w numbers of the last maps where the critic's body does not
    pool them; the paper has sums over h·w. The generator receives [z, onehot(y)] unless `condition`
    is none, and fakes have the labels of the reals in their update. Raises CompositionError for a
    label set that does not exist or has one class.
    """

    form: str = option(
        "projection",
        choices=("projection", "per-class"),
        help="a vector of the class beside the score, or one score for each class",
    )

    @hookimpl(trylast=True)  # of the features that the score is computed from, tails included
    def extend_critic(self, features, plan):
        form = Projected if self.form == "projection" else Picked
        return Head("score", form(features, *self.choose(plan)))

    @hookimpl(tryfirst=True)
    def make_score(self):
        return NoScore() if self.form == "per-class" else None
