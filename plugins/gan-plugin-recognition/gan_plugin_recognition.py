"""Recognition: a small classifier, trained on the reals, says which class each sample shows."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from gancore import CompositionError, DataError, cached, component, hookimpl, option, requires

SIDE = 32  # pixels: larger images are averaged down to it
LEAST = 5  # different images, of which a fifth tests the classifier
CHUNK = 64  # images judged or learnt from at once


def shrink(images):
    """Average images `[n, C, H, W]` over areas until no side is above 32 pixels."""
    return adaptive_avg_pool2d(images.float(), tuple(min(side, SIDE) for side in images.shape[2:]))


def first_of_each(images):
    """Return the places `[m]`, in order, at which an image of `images [n, C, H, W]` occurs for the first time."""
    places = {}
    for place, image in enumerate(images):
        places.setdefault(image.numpy().tobytes(), place)
    return torch.tensor(list(places.values()))


def expect_different(count):
    """Raise DataError for so few different images that a classifier cannot be trained on some and tested on others."""
    if count < LEAST:
        raise DataError(
            f"recognition trains a classifier, which needs {LEAST} different images, but the data give {count}",
            where="metric recognition, recognition.reals",
            fix="more images, a larger --recognition.reals, or leave it out: --without recognition",
        )


def make_classifier(channels, classes, rng):
    """Build a network `[n, C, H, W] → [n, K]` of three convolutions whose first weights come from `rng` alone."""

    def stage(before, after):
        conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
        return conv, nn.GroupNorm(4, after), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)

    with torch.random.fork_rng(devices=[]):  # construction draws from the global generator; that goes unused
        body = [*stage(channels, 16), *stage(16, 32), *stage(32, 64), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        net = nn.Sequential(*body, nn.Linear(4 * 64, classes))
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=rng)
    nn.init.zeros_(net[-1].weight)
    nn.init.zeros_(net[-1].bias)
    return net


@torch.enable_grad()
def fit(net, images, labels, epochs, rng):
    """Minimise the cross-entropy of images `[n, C, H, W]` with labels `[n]` by Adam, in an order drawn from `rng`."""
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=rng).split(CHUNK):
            optimizer.zero_grad()
            cross_entropy(net(images[chosen]), labels[chosen]).backward()
            optimizer.step()


@torch.no_grad()
def classify(net, images):
    """Return class probabilities `[n, K]` of shrunk images `[n, C, h, w]`."""
    return torch.cat([net(part).softmax(1) for part in images.split(CHUNK)])


def hears_labels(progress, labels, column, classes):
    """Whether the class asked for changes anything in samples of the same latents."""
    z, asked = progress.latents(8), labels[:8].clone()
    other = asked.clone()
    other[:, column] = (other[:, column] + 1) % classes
    return not torch.equal(progress.make(z[: len(asked)], asked).images, progress.make(z[: len(asked)], other).images)


@component(
    source="Ravuri and Vinyals, NeurIPS 2019, arXiv:1905.10887; Shmelkov et al., ECCV 2018, arXiv:1807.09499",
    rules=[
        requires(
            "data.labels",
            "there is no class to recognise in data without labels",
            fix="a data set with class folders or labels, e.g. --data sprites",
        ),
        requires("data.images", "its classifier looks at images, not at points", fix="leave recognition out"),
    ],
)
class Recognition:
    """Measure by a classifier of the reals whether samples show the class that was asked for, and all classes.

    At its first measurement a convolutional classifier is trained, on the CPU, on four fifths of the different images
    among `reals` draws from the data; the last fifth gives `classifier`, its share named rightly, above which nothing
    else can be trusted. Images `[n, C, H, W]` are averaged down to at most 32×32. Then each measurement names n
    samples and gives `accuracy`, the share named as their label asked (by chance 1/K; left out where the generator does
    not hear labels, and the histogram is what counts); `confidence`, the mean largest probability in [1/K, 1];
    `share/CLASS`, the histogram of named classes; `histogram-tv`, its total variation ½Σ|h - d| from the shares d of
    the labels drawn with the reals, in [0, 1], which copies of the data would bring to about √((K-1)/(2πn)); and
    `entropy`, -Σ h ln h / ln K in [0, 1].

    The classifier's weights and order come from a fixed seed and the reals from the run's, so a resumed run trains it
    again to the same bits. Training does not see it. Raises CompositionError for a label set that is not there or has
    one class, DataError for fewer than five different images, both before the run.
    """

    labels: str = option("", help="label set to recognise; empty takes the first")
    reals: int = option(4000, ge=5, help="draws from the data, of which the different images train and test it")
    epochs: int = option(10, ge=1, help="times the classifier sees its training images; raise it for few images")
    images: int = option(1000, ge=1, help="samples drawn for each measurement")
    every: int = option(0, ge=0, help="steps between measurements; 0 measures whenever the run draws its samples")
    net: nn.Module | None = cached()
    score: float = cached(0.0)  # accuracy on the held-out fifth
    shares: Tensor | None = cached()  # of the classes among the reals, [K]

    @hookimpl(trylast=True)  # once others have wrapped the data
    def adapt_data(self, data):
        for looked_at in (64, self.reals):  # the first are mostly enough, and quickly read
            indices = torch.arange(min(looked_at, len(data)))
            found = len(first_of_each(data.take(indices, torch.Generator().manual_seed(0))[0]))
            if found >= LEAST:
                return
        expect_different(found)

    @hookimpl
    def adapt_critic(self, plan):
        self.label_set(plan)  # refuses before the run rather than at the first measurement

    @hookimpl
    def measure(self, progress):
        if not progress.due(self.every):
            return None
        column, names = self.label_set(progress.plan)
        if self.net is None:
            self.learn(*progress.reals(self.reals), column, len(names))
        images, labels = progress.samples(self.images)
        p = classify(self.net, shrink(images))
        named = p.argmax(1)
        histogram = named.bincount(minlength=len(names)) / len(named)
        hears = hears_labels(progress, labels, column, len(names))
        return {
            "classifier": self.score,
            **({"accuracy": float((named == labels[:, column]).float().mean())} if hears else {}),
            "confidence": float(p.amax(1).mean()),
            "histogram-tv": float((histogram - self.shares).abs().sum() / 2),
            "entropy": float(torch.special.entr(histogram).sum()) / math.log(len(names)),
            **{f"share/{name}": share for name, share in zip(names, histogram.tolist(), strict=True)},
        }

    def label_set(self, plan):
        """Return the column of the chosen label set in `labels [N, L]`, and the names of its classes."""
        try:
            column = plan.column(self.labels)
        except KeyError as error:
            fix = "--recognition.labels NAME"
            raise CompositionError(error.args[0], where="recognition.labels", fix=fix) from None
        chosen = plan.label_sets[column]
        if len(chosen) < 2:
            raise CompositionError(
                f"every sample's {chosen.name} is {', '.join(chosen.classes)}, and there is nothing to tell apart",
                where="recognition.labels",
                fix="leave recognition out, or name another label set",
            )
        return column, chosen.classes

    def learn(self, images, labels, column, classes):
        """Train the classifier on four fifths of the different images, and test it on the others."""
        images, labels = shrink(images), labels[:, column]
        self.shares = labels.bincount(minlength=classes) / len(labels)
        places = first_of_each(images)  # reals are drawn with replacement: what is tested must not have been learnt
        expect_different(len(places))
        seen, held = places[len(places) // 5 :], places[: len(places) // 5]
        rng = torch.Generator().manual_seed(0)
        net = make_classifier(images.shape[1], classes, rng)
        fit(net, images[seen], labels[seen], self.epochs, rng)
        self.net, self.score = net, float((classify(net, images[held]).argmax(1) == labels[held]).float().mean())
