"""Modes of stacked images: a classifier of single channels counts the tuples of their classes."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gan_plugin_metrics.recognition import classify, expect_different, first_of_each, shrink
from gancore import CompositionError, cached, component, hookimpl, option, requires

QUANTILE = 0.01  # of the held-out reals: samples of less confidence are junk
MOST = 16_000  # distinct channels to train on and to test
CHUNK = 64  # images in a batch of the classifier
RATE = 2e-3  # of Adam, falling linearly to 0


def make_classifier(size: tuple[int, ...], classes: int, rng: torch.Generator) -> nn.Sequential:
    """Build a classifier `[n, 1, H, W] → [n, K]` of two convolutions and a layer of 128 units."""
    height, width = ((side + 3) // 4 for side in size)  # halved twice, rounded up
    # layers initialise themselves from the global generator, which must not move
    with torch.random.fork_rng(devices=[]):
        net = nn.Sequential(
            nn.Conv2d(1, 32, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * height * width, 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )
    for layer in net:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, generator=rng)
            nn.init.zeros_(layer.bias)
    nn.init.zeros_(net[-1].weight)
    return net


@torch.enable_grad()
def fit(net: nn.Module, images: Tensor, labels: Tensor, epochs: int, rng: torch.Generator) -> None:
    """Minimise the cross-entropy of images `[n, 1, H, W]` with Adam, in an order drawn by `rng`.

    Each batch is shifted by up to a fourteenth of the side, 2 pixels of 28 and none of 8: few
    images then suffice.
    """
    reach = min(images.shape[2:]) // 14
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    batches = epochs * -(-len(images) // CHUNK)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, batches)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=rng).split(CHUNK):
            shift = torch.randint(-reach, reach + 1, (2,), generator=rng).tolist()
            shown = torch.roll(images[chosen], shift, (2, 3))
            optimizer.zero_grad()
            cross_entropy(net(shown), labels[chosen]).backward()
            optimizer.step()
            falling.step()


def spoil(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return as many images `[n, 1, H, W]` that show no class, for the classifier's last class.

    A third each: uniform noise on [-1, 1]; pixels of an image in random order; noise of the mean
    and standard deviation of an image. Without them a classifier is sure of noise as well.
    """
    n = len(images)
    noise = 2 * torch.rand(images.shape, generator=rng) - 1
    flat = images.flatten(1)
    order = torch.rand(flat.shape, generator=rng).argsort(1)
    shuffled = flat.gather(1, order).view_as(images)
    mean = images.mean((1, 2, 3), keepdim=True)
    std = images.std((1, 2, 3), keepdim=True)
    normal = (mean + std * torch.randn(images.shape, generator=rng)).clamp(-1, 1)
    kinds = torch.randint(3, (n, 1, 1, 1), generator=rng)
    return torch.where(kinds == 0, noise, torch.where(kinds == 1, shuffled, normal))


def reverse_kl(tuples: Tensor, modes: int) -> tuple[Tensor, int]:
    """Return Σ p ln(K·p) over the tuples `[n]`, numbers in 0 … K - 1, and how many are distinct."""
    counts = tuples.bincount(minlength=modes).double()
    shares = counts[counts > 0] / counts.sum()
    return (shares * (modes * shares).log()).sum(), int((counts > 0).sum())


@component(
    source="Metz et al., ICLR 2017, arXiv:1611.02163, section 3.3; Srivastava et al., VEEGAN, "
    "arXiv:1705.07761, section 4.1; Lin et al., PacGAN, arXiv:1712.04086, section 4.2; junk and "
    "the figures of the reals are ours",
    rules=[
        requires(
            "data.labels",
            "there is no class to count in data without labels",
            fix="--data stacked-glyphs",
        ),
        requires("data.images", "its classifier takes images", fix="leave triples out"),
    ],
    known_as={"stacked-mnist-modes": ""},
)
class Triples:
    """Count the triples of classes that the three channels of samples show, by a classifier.

    The data has one label set for each channel, all of K classes, so K³ modes (1000 digits' or
    glyphs' triples). Before the first measurement a classifier of single channels is trained on the
    CPU, on four fifths of the distinct channels of the reals, with a class of its own for images
    that show none (noise, shuffled pixels). From n samples `[n, C, H, W]` in [-1, 1] logs:

    - `modes`: distinct triples of predicted classes; `kl`: Σ p ln(K³·p) of their shares p;
    - `confidence`: mean probability of the predicted class; `junk`: share of the channels whose
      probability is below the 1 % quantile of the held-out reals, 0.01 for reals;
    - `classifier`: its accuracy on the held-out reals; `confused`: share of real triples, most of
      whose channels it was trained on, that are predicted as another triple, a false mode;
    - `reals-modes`, `reals-kl`: the same of as many real stacks: about (K³ - 1)/2n more than the
      classes' imbalance, .02 for n = 26,000;
    - `span`: range of the samples' values over that of the reals, between their quantiles of 0.5 %;
      0.5 where a generator draws in [0, 1];
    - `images`: n, on which the other figures depend.

    Read `modes` and `kl` with `junk`: uniform noise has a triple too. The published programs do not
    map the generator's range to that of the classifier; here both see [-1, 1]. The literature's
    classifiers differ from this one, so its figures compare with each other alone. Raises
    CompositionError for data whose label sets do not fit its channels, DataError for fewer than
    five distinct channels.
    """

    every: int = option(0, ge=0, help="steps between measurements; 0: whenever samples are drawn")
    images: int = option(26_000, ge=1, help="n, samples to draw; the sources draw 26,000")
    reals: int = option(6000, ge=5, help="stacks whose channels train and test the classifier")
    epochs: int = option(10, ge=1, help="training epochs of the classifier")
    net: nn.Module | None = cached()
    known: dict[str, float] | None = cached()  # figures of the reals and of the classifier
    least: float = cached(0.0)  # confidence below which a channel is junk
    span: float = cached(1.0)  # range of the reals' values

    @hookimpl
    def adapt_critic(self, plan):
        # before the run, not at the first measurement
        classes(plan)

    @hookimpl
    def measure(self, progress):
        if not progress.due(self.every):
            return None
        k = classes(progress.plan)
        if self.net is None:
            self.learn(*progress.reals(self.reals), k)
            reals, labels = progress.reals(self.images)
            self.known |= self.figures_of_reals(reals, labels, k)
        samples = progress.samples(self.images)[0]
        predicted, confidence = self.read(samples)
        kl, modes = reverse_kl(as_number(predicted, k), k ** predicted.shape[1])
        return {
            "modes": modes,
            "kl": kl,
            "confidence": confidence.mean(),
            "junk": (confidence < self.least).double().mean(),
            "span": value_range(samples) / self.span,
            "images": len(samples),
            **self.known,
        }

    def learn(self, images: Tensor, labels: Tensor, k: int) -> None:
        """Train the classifier on four fifths of the distinct channels, and test it on the rest."""
        self.span = value_range(images)
        channels = shrink(images.flatten(0, 1)[:, None])
        targets = labels.flatten()
        places = first_of_each(channels)
        expect_different(len(places))
        rng = torch.Generator().manual_seed(0)
        # a digit is in many stacks: without duplicates none is both trained on and held out
        places = places[torch.randperm(len(places), generator=rng)][:MOST]
        fifth = len(places) // 5
        held_out, training = places[:fifth], places[fifth:]
        # as many as a quarter of the reals are enough to know noise by
        spoilt = spoil(channels[training[::4]], rng)
        net = make_classifier(channels.shape[2:], k + 1, rng)
        junk = torch.full((len(spoilt),), k)
        shown = torch.cat([channels[training], spoilt])
        fit(net, shown, torch.cat([targets[training], junk]), self.epochs, rng)
        self.net = net
        p = classify(net, channels[held_out])[:, :k]
        right = p.argmax(1) == targets[held_out]
        self.least = float(p.amax(1).quantile(QUANTILE))
        self.known = {"classifier": float(right.double().mean())}

    def figures_of_reals(self, images: Tensor, labels: Tensor, k: int) -> dict[str, float | Tensor]:
        """Return how many modes real stacks `[n, C, H, W]` with labels `[n, C]` are counted as."""
        predicted, _ = self.read(images)
        kl, modes = reverse_kl(as_number(predicted, k), k ** predicted.shape[1])
        confused = (predicted != labels).any(1).double().mean()
        return {"confused": confused, "reals-modes": modes, "reals-kl": kl}

    def read(self, stacks: Tensor) -> tuple[Tensor, Tensor]:
        """Return the predicted classes `[n, C]` of stacks `[n, C, H, W]`, and their probability."""
        predicted, confidence = [], []
        for part in stacks.split(1024):
            p = classify(self.net, shrink(part.flatten(0, 1)[:, None]))[:, :-1]
            best = p.max(1)
            confidence.append(best.values.view(len(part), -1))
            predicted.append(best.indices.view(len(part), -1))
        return torch.cat(predicted), torch.cat(confidence)


def as_number(predicted: Tensor, k: int) -> Tensor:
    """Return each row of classes `[n, C]` in 0 … k - 1 as one number `[n]`."""
    places = k ** torch.arange(predicted.shape[1])
    return (predicted * places).sum(1)


def value_range(images: Tensor) -> float:
    """Return the difference of the 99.5 % and 0.5 % quantiles of all values, of 512 images."""
    values = images[:512].flatten().double().sort().values
    edge = len(values) // 200
    return float(values[-1 - edge] - values[edge]) or 1.0


def classes(plan) -> int:
    """Return K, the number of classes of every channel. Raises CompositionError if there is none.

    The data must have one label set for each channel, all of the same number of classes.
    """
    numbers = {len(each) for each in plan.label_sets}
    if len(plan.label_sets) != plan.shape[0] or len(numbers) != 1 or min(numbers) < 2:
        raise CompositionError(
            f"triples needs one label set for each of the {plan.shape[0]} channels, all of the "
            f"same number of classes, but the data has {[len(each) for each in plan.label_sets]}",
            where="--metric triples",
            fix="--data stacked-glyphs, --data stacked-digits, or leave triples out",
        )
    return numbers.pop()
