"""Recognition: a small classifier, trained on the reals, predicts the class of each sample."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy

from gancore import CompositionError, DataError, cached, component, hookimpl, option, requires

SIDE = 32  # pixels: larger images are averaged down to it
LEAST = 5  # distinct images; a fifth of them is held out to test the classifier
CHUNK = 64  # images in a batch of the classifier


def shrink(images):
    """Average images `[n, C, H, W]` over areas until no side exceeds 32 pixels."""
    return adaptive_avg_pool2d(images.float(), tuple(min(side, SIDE) for side in images.shape[2:]))


def first_of_each(images):
    """Return the indices `[m]`, in order, of the first occurrence of each distinct image."""
    places = {}
    for place, image in enumerate(images):
        places.setdefault(image.numpy().tobytes(), place)
    return torch.tensor(list(places.values()))


def expect_different(count):
    """Raise DataError for too few distinct images to train on some and test on others."""
    if count < LEAST:
        raise DataError(
            f"recognition trains a classifier, which needs {LEAST} distinct images, "
            f"but the data give {count}",
            where="metric recognition, recognition.reals",
            fix="more images, a larger --recognition.reals, or leave it out: --without recognition",
        )


def make_classifier(channels, classes, rng):
    """Build a convolutional classifier `[n, C, H, W] → [n, K]`, initialised from `rng` alone."""

    def stage(before, after):
        conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
        return conv, nn.GroupNorm(4, after), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)

    # layers initialise themselves from the global generator, which must not move
    with torch.random.fork_rng(devices=[]):
        body = [
            *stage(channels, 16),
            *stage(16, 32),
            *stage(32, 64),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        ]
        net = nn.Sequential(*body, nn.Linear(4 * 64, classes))
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=rng)
    nn.init.zeros_(net[-1].weight)
    nn.init.zeros_(net[-1].bias)
    return net


@torch.enable_grad()
def fit(net, images, labels, epochs, rng):
    """Minimise the cross-entropy of images `[n, C, H, W]` with Adam, in an order drawn by `rng`."""
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


def is_conditional(progress, labels, column, classes):
    """Return whether another class gives other samples from the same latents."""
    asked = labels[:8].clone()
    z = progress.latents(8)[: len(asked)]
    other = asked.clone()
    other[:, column] = (other[:, column] + 1) % classes
    before = progress.make(z, asked).images
    after = progress.make(z, other).images
    return not torch.equal(before, after)


@component(
    source=(
        "Ravuri and Vinyals, NeurIPS 2019, arXiv:1905.10887; "
        "Shmelkov et al., ECCV 2018, arXiv:1807.09499"
    ),
    rules=[
        requires(
            "data.labels",
            "there is no class to recognise in data without labels",
            fix="a data set with class folders or labels, e.g. --data sprites",
        ),
        requires(
            "data.images",
            "its classifier takes images",
            fix="leave recognition out",
        ),
    ],
)
class Recognition:
    """Measure with a classifier of the reals whether samples show the class of their label.

    Before the first measurement a convolutional classifier is trained on the CPU, on four fifths of
    the distinct images among `reals` draws from the data. `classifier` is its accuracy on the
    held-out fifth, an upper bound of what the other figures can be trusted for. Images `[n, C, H,
    W]` are averaged down to at most 32×32. Each measurement classifies n samples and logs
    `accuracy`, the share classified as their label (1/K by chance; left out if the generator is
    unconditional); `confidence`, the mean largest probability, in [1/K, 1]; `share/CLASS`, the
    histogram h of predicted classes; `histogram-tv`, the total variation distance ½Σ|h - d| to the
    shares d of the labels drawn with the reals, in [0, 1], about √((K-1)/(2πn)) for copies of the
    data; and `entropy`, -Σ h ln h / ln K, in [0, 1].

    The classifier's weights and order come from a fixed seed and the reals from the run's, so a
    resumed run trains the same classifier again, bit for bit. The metric does not affect training.
    Raises CompositionError for a label set that does not exist or has one class, DataError for
    fewer than five distinct images, both before the run.
    """

    labels: str = option("", help="label set to recognise; empty: the first")
    reals: int = option(
        4000, ge=5, help="draws from the data; the distinct images among them train and test it"
    )
    epochs: int = option(
        10, ge=1, help="training epochs of the classifier; raise it for few images"
    )
    images: int = option(1000, ge=1, help="samples drawn for each measurement")
    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    net: nn.Module | None = cached()
    score: float = cached(0.0)  # accuracy on the held-out fifth
    shares: Tensor | None = cached()  # shares of the classes among the reals, [K]

    @hookimpl(trylast=True)  # after all components that wrap the data
    def adapt_data(self, data):
        for looked_at in (64, self.reals):  # 64 are mostly enough, and fast to read
            indices = torch.arange(min(looked_at, len(data)))
            found = len(first_of_each(data.take(indices, torch.Generator().manual_seed(0))[0]))
            if found >= LEAST:
                return
        expect_different(found)

    @hookimpl
    def adapt_critic(self, plan):
        # a wrong name is an error before the run, not at the first measurement
        self.label_set(plan)

    @hookimpl
    def measure(self, progress):
        if not progress.due(self.every):
            return None
        column, names = self.label_set(progress.plan)
        if self.net is None:
            self.learn(*progress.reals(self.reals), column, len(names))
        images, labels = progress.samples(self.images)
        p = classify(self.net, shrink(images))
        predicted = p.argmax(1)
        histogram = predicted.bincount(minlength=len(names)) / len(predicted)
        figures = {"classifier": self.score}
        if is_conditional(progress, labels, column, len(names)):
            figures["accuracy"] = float((predicted == labels[:, column]).float().mean())
        figures["confidence"] = float(p.amax(1).mean())
        figures["histogram-tv"] = float((histogram - self.shares).abs().sum() / 2)
        figures["entropy"] = float(torch.special.entr(histogram).sum()) / math.log(len(names))
        for name, share in zip(names, histogram.tolist(), strict=True):
            figures[f"share/{name}"] = share
        return figures

    def label_set(self, plan):
        """Return the column of the chosen label set in `labels [N, L]`, and its class names."""
        try:
            column = plan.column(self.labels)
        except KeyError as error:
            fix = "--recognition.labels NAME"
            raise CompositionError(error.args[0], where="recognition.labels", fix=fix) from None
        chosen = plan.label_sets[column]
        if len(chosen) < 2:
            raise CompositionError(
                f"every sample's {chosen.name} is {', '.join(chosen.classes)}, "
                "so there is nothing to recognise",
                where="recognition.labels",
                fix="leave recognition out, or name another label set",
            )
        return column, chosen.classes

    def learn(self, images, labels, column, classes):
        """Train the classifier on four fifths of the distinct images, and test it on the rest."""
        images = shrink(images)
        labels = labels[:, column]
        self.shares = labels.bincount(minlength=classes) / len(labels)
        # Reals are drawn with replacement, and no image may be in both training and test set.
        places = first_of_each(images)
        expect_different(len(places))
        fifth = len(places) // 5
        held_out = places[:fifth]
        training = places[fifth:]
        rng = torch.Generator().manual_seed(0)
        net = make_classifier(images.shape[1], classes, rng)
        fit(net, images[training], labels[training], self.epochs, rng)
        right = classify(net, images[held_out]).argmax(1) == labels[held_out]
        self.score = float(right.float().mean())
        self.net = net
