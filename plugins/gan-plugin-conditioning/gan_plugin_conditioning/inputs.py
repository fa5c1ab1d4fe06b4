"""Class conditioning: one-hot labels, class embeddings, and label maps."""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gancore import CompositionError, Tail, component, conflicts, hookimpl, option, requires

LABELS = requires(
    "data.labels",
    "there is no class to condition on in data without labels",
    fix="a data set with class folders or labels, e.g. --data sprites",
)
PACKED = conflicts(
    "critic.packed",
    "the critic reads each sample's label, and a pack has no label of its own",
    cite="Lin et al. 2018",
    fix="leave pacgan out, or give the label to the generator alone (--concat-label.to generator)",
    when=lambda chosen: getattr(chosen, "to", "critic") != "generator",
)


def find_set(plan, name: str, owner: str) -> tuple[int, int]:
    """Return a label set's column in `labels [N, L]` and its number K of classes.

    An empty name is the first set. Raises CompositionError where there is no such set.
    """
    try:
        column = plan.column(name)
    except KeyError as error:
        raise CompositionError(
            error.args[0], where=f"{owner}.labels", fix=f"--{owner}.labels NAME"
        ) from None
    return column, len(plan.label_sets[column])


class Concatenated(nn.Module):
    """Append the one-hot label `[N, K]` to the latent `[N, Z]`."""

    def __init__(self, net, column, classes):
        super().__init__()
        self.net = net
        self.column = column
        self.classes = classes

    def forward(self, z: Tensor, labels: Tensor):
        label = one_hot(labels[:, self.column], self.classes).to(z)
        return self.net(torch.cat([z, label], 1), labels)


class LabelledFeatures(nn.Module):
    """Append one-hot labels between two dense layers, features `[N, F] → [N, after]`.

    Both layers have a leaky ReLU of slope 0.2. With `after` 0 there is no second dense layer, and
    the output is `[N, before + K]`.
    """

    def __init__(self, features, column, classes, before, after):
        super().__init__()
        self.column = column
        self.classes = classes
        self.before = nn.Sequential(nn.Linear(features, before), nn.LeakyReLU(0.2))
        self.after = nn.Sequential()  # an empty one returns its input
        self.width = before + classes
        if after:
            self.after = nn.Sequential(nn.Linear(self.width, after), nn.LeakyReLU(0.2))
            self.width = after

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        hidden = self.before(features)
        label = one_hot(labels[:, self.column], self.classes).to(hidden)
        return self.after(torch.cat([hidden, label], 1))


class Embedded(nn.Module):
    """Multiply the first Z columns of the latent by row y of a table `[K, Z]`, initially ones."""

    def __init__(self, net, column, classes, width):
        super().__init__()
        self.net = net
        self.column = column
        self.table = nn.Parameter(torch.ones(classes, width))

    def forward(self, z: Tensor, labels: Tensor):
        width = self.table.shape[1]
        embedded = self.table[labels[:, self.column]] * z[:, :width]
        # further columns were appended by other components
        return self.net(torch.cat([embedded, z[:, width:]], 1), labels)


class Mapped(nn.Module):
    """Append K constant maps to a view `[N, C, H, W]`, or one of any number of axes: map y is 1,
    the other maps are 0.
    """

    def __init__(self, body, column, classes):
        super().__init__()
        self.body = body
        self.column = column
        self.classes = classes

    def forward(self, view: Tensor, labels: Tensor) -> Tensor:
        label = one_hot(labels[:, self.column], self.classes).to(view)
        sides = view.shape[2:]
        # a view of `label`: cat() makes the only copy
        maps = label.view(*label.shape, *[1] * len(sides)).expand(-1, -1, *sides)  # [N, K, H, W]
        return self.body(torch.cat([view, maps], 1), labels)


@component(source="Mirza and Osindero 2014, arXiv:1411.1784", rules=[LABELS, PACKED])
class ConcatLabel:
    """Append the one-hot label to the generator's latent and to a hidden layer of the critic.

    The generator receives [z, onehot(y)] `[N, Z + K]`. The critic's features f `[N, F]` become
    leaky(dense([leaky(dense(f)), onehot(y)])) with widths F → before, before + K → after and slope
    0.2, and the score and all later tails, such as minibatch discrimination, use these features
    alone: no score is independent of the label. The label comes after a narrow layer because K
    features have little weight beside a wide one. With `after` 0 the second dense layer is left to
    the next tail. When the critic receives the label, fakes have the labels of the reals in their
    update, so that samples interpolated between them have one class. A class head behind this tail
    would read its answer from the label; the head of `acgan` is before it. Raises CompositionError
    for a label set that does not exist.
    """

    labels: str = option("", help="label set to condition on; empty takes the first")
    to: str = option(
        "both",
        choices=("both", "generator", "critic"),
        help="the networks that receive the label",
    )
    before: int = option(
        256, ge=1, help="width of the critic's dense layer to whose output the label is appended"
    )
    after: int = option(
        128,
        ge=0,
        help="width of the critic's dense layer after the label; 0 leaves it to the next tail",
    )

    @hookimpl
    def draw_labels(self, real_labels):
        return None if self.to == "generator" else real_labels

    @hookimpl
    def generator_inputs(self, plan):
        return None if self.to == "critic" else find_set(plan, self.labels, "concat-label")[1]

    @hookimpl
    def adapt_generator(self, net, plan):
        if self.to == "critic":
            return None
        return Concatenated(net, *find_set(plan, self.labels, "concat-label"))

    @hookimpl
    def extend_critic(self, features, plan):
        if self.to == "generator":
            return None
        column, classes = find_set(plan, self.labels, "concat-label")
        tail = LabelledFeatures(features, column, classes, self.before, self.after)
        return Tail(tail, added=tail.width - features, labels=True)


@component(
    source=(
        "Odena, Olah and Shlens, ICML 2017, arXiv:1610.09585; "
        "multiplied: github.com/BenoitLeguay/GAN_IconClass"
    ),
    rules=[LABELS],
    known_as={"embedding": ""},
)
class EmbedLabel:
    """Multiply the generator's latent by a learned class embedding.

    z becomes E[y]·z, element by element, with a trainable table E `[K, Z]`, initially ones: the
    generator is at first independent of the label. Columns of z that are 0 carry no label. Columns
    that other components append to the latent are left alone, and so is the critic. Raises
    CompositionError for a label set that does not exist.
    """

    labels: str = option("", help="label set to condition on; empty takes the first")

    @hookimpl
    def adapt_generator(self, net, plan):
        return Embedded(net, *find_set(plan, self.labels, "embed-label"), plan.latent)


@component(
    source="Mirza and Osindero 2014, arXiv:1411.1784; maps: Garrido, github.com/garridoq/gan-guide",
    rules=[
        LABELS,
        PACKED,
        conflicts(
            "data.points",
            "points have no height and width to fill with a map",
            fix="--cond concat-label",
        ),
    ],
    known_as={"cgan": ""},
)
class LabelMaps:
    """Append one constant map for each class to the critic's input.

    The critic's body receives `[N, C + K, H, W]`: channel C + y is 1 and the other K - 1 are 0. The
    maps are appended after all views, so noise, augmentation and gradient penalties apply to the C
    image channels alone. Fakes have the labels of the reals in their update, so that samples
    interpolated between them have one class. The generator's own label is left to other components.
    Raises CompositionError for a label set that does not exist.
    """

    labels: str = option("", help="label set to condition on; empty takes the first")

    @hookimpl
    def draw_labels(self, real_labels):
        return real_labels

    @hookimpl
    def critic_shape(self, shape, plan):
        return shape[0] + find_set(plan, self.labels, "label-maps")[1], *shape[1:]

    @hookimpl
    def adapt_critic(self, net, plan):
        net.body = Mapped(net.body, *find_set(plan, self.labels, "label-maps"))
