"""Critics that reconstruct their input: EBGAN and BEGAN."""

from math import prod

import torch
from torch import nn

from gancore import Head, average, component, gather, hookimpl, option, state

DECODED = "decoded"  # the head of the critic


class Decoder(nn.Module):
    """Decode the critic's features `[N, F]` to what it was shown, flat: `[N, C·H·W]`."""

    def __init__(self, features, shape, width):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, width), nn.ReLU(), nn.Linear(width, prod(shape))
        )

    def forward(self, features, labels):
        return self.layers(features)


def differences(side):
    """Return x̂ - x `[M, C·H·W]` of a side's view x, float32."""
    return side.heads[DECODED] - side.view.flatten(1).float()


def pulling_away(features):
    """Return the mean squared cosine of the angles between rows of features `[N, F]`, N > 1.

    1 where all point the same way, 0 where they are orthogonal.
    """
    unit = nn.functional.normalize(features.float())
    squares = (unit @ unit.T).square()
    n = len(features)
    return (squares.sum() - squares.diagonal().sum()) / (n * (n - 1))


@component(
    source="Zhao, Mathieu and LeCun, ICLR 2017, arXiv:1609.03126, equations 2 and 3, section 2.4",
    provides=["loss.energy"],
    known_as={"energy-based": ""},
)
class EBGAN:
    """Let the critic reconstruct its input, and score it by the error: energy-based GAN.

    The critic's features are decoded, and the energy of a view x is e = ‖x̂ - x‖₂ over all of C·H·W.
    The critic minimises E e(real) + E max(0, margin - e(fake)), the generator E e(fake)
    + pulling·PT with PT the mean squared cosine of the angles between the features of two fakes.
    The body of any critic is the encoder; the decoder has one hidden layer of `width`. The critic's
    score takes no part, and its figures in the log mean nothing. With more than one process PT is
    that of the whole batch.

    In the paper the margin is 10 on MNIST, 20 on 64×64 faces and 80 on larger images: it is in
    units of e, which grows with the root of the number of pixels. The paper's encoders and
    decoders are convolutional.
    """

    margin: float = option(10.0, gt=0, help="energy above which a fake is left alone, as ‖x̂ - x‖")
    pulling: float = option(0.1, ge=0, help="weight of the pulling-away term; 0 leaves it out")
    width: int = option(256, ge=1, help="features of the decoder's hidden layer")

    @hookimpl
    def extend_critic(self, features, plan):
        return Head(DECODED, Decoder(features, plan.critic_shape, self.width))

    @hookimpl
    def critic_terms(self, batch):
        terms = {"fake": batch.fake.mean((self.margin - self.energy(batch.fake)).relu())}
        if batch.real is not None:
            terms = {"real": batch.real.mean(self.energy(batch.real)), **terms}
        return terms

    @hookimpl
    def generator_terms(self, batch):
        terms = {"fake": batch.fake.mean(self.energy(batch.fake))}
        features = gather(batch.fake.features)
        if self.pulling and len(features) > 1:
            terms["pulling"] = self.pulling * pulling_away(features)
        return terms

    def energy(self, side):
        """Return ‖x̂ - x‖₂ `[M]`."""
        return torch.linalg.vector_norm(differences(side), dim=1)


@component(
    source="Berthelot, Schumm and Metz, 2017, arXiv:1703.10717, section 3.4",
    provides=["loss.energy"],
    known_as={"boundary-equilibrium": ""},
)
class BEGAN:
    """Hold a balance between the errors of reconstructed reals and fakes: BEGAN.

    The critic's features are decoded, and L is the mean |x̂ - x| over all of C·H·W. The critic
    minimises E L(real) - k·E L(fake), the generator E L(fake), and in each update of the critic
    with reals k ← k + rate·(gamma·E L(real) - E L(fake)), within [0, 1], from k = 0. A small gamma
    gives less varied and sharper fakes. Logs `k`, and the paper's measure of convergence
    `convergence` = E L(real) + |gamma·E L(real) - E L(fake)|, in units of the range [-1, 1] of
    images. The critic's score takes no part, and its figures in the log mean nothing.

    Departures: k follows the fakes of the critic's update and not those of the generator's; any
    critic is the encoder, and the decoder has one hidden layer of `width`.
    """

    gamma: float = option(0.5, ge=0, le=1, help="wanted ratio of the errors, fakes to reals")
    rate: float = option(1e-3, ge=0, help="learning rate λ of the balance k, per critic update")
    width: int = option(256, ge=1, help="features of the decoder's hidden layer")
    k: torch.Tensor | None = state()  # weight of the fakes, a scalar in [0, 1]

    @hookimpl
    def extend_critic(self, features, plan):
        return Head(DECODED, Decoder(features, plan.critic_shape, self.width))

    @hookimpl
    def critic_terms(self, batch, log):
        fake = batch.fake.mean(differences(batch.fake).abs().mean(1))
        k = torch.zeros_like(fake) if self.k is None else self.k.to(fake.device)
        terms = {"fake": -k * fake}
        if batch.real is not None:
            real = batch.real.mean(differences(batch.real).abs().mean(1))
            terms["real"] = real
            balance = average((self.gamma * real - fake).detach())
            self.k = (k + self.rate * balance).clamp(0, 1)
            log("k", k)
            log("convergence", average(real.detach()) + balance.abs())
        return terms

    @hookimpl
    def generator_terms(self, batch):
        return {"fake": batch.fake.mean(differences(batch.fake).abs().mean(1))}
