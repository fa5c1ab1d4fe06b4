"""Auto-encoding GAN: an encoder and a critic of latents, to reconstruct images and latents."""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, leaky_relu, mse_loss, softplus

from gancore import component, hookimpl, option, pyramid, requires, warns_without


class Encoder(nn.Module):
    """Encode images `[N, C, H, W]` as latents `[N, Z]` by strided convolutions and a linear layer.

    Each convolution halves both sides and doubles the channels, while the sides are at least 8.
    """

    def __init__(self, shape, latent, width):
        super().__init__()
        channels, *size = shape
        sizes = pyramid(*size)  # smallest first
        hidden = [width * 2 ** min(level, 3) for level in range(len(sizes) - 1)]
        blocks = []
        for before, after in pairwise([channels, *hidden]):
            blocks += [
                # a kernel of 3 halves a side of any length, rounding up, as the pyramid does
                nn.Conv2d(before, after, 3, 2, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.01),
            ]
            channels = after
        self.maps = nn.Sequential(*blocks)
        self.project = nn.Linear(channels * prod(sizes[0]), latent)

    def forward(self, images: Tensor) -> Tensor:
        return self.project(self.maps(images).flatten(1))


class LatentCritic(nn.Module):
    """Score latents `[N, Z] → [N]` by a densely connected network: seven layers of 8 features.

    Each layer receives the latent and the outputs of all layers before it.
    """

    def __init__(self, latent, depth=7, width=8):
        super().__init__()
        inputs = [latent + width * before for before in range(depth)]
        self.layers = nn.ModuleList(nn.Linear(each, width) for each in inputs)
        self.score = nn.Linear(latent + width * depth, 1)

    def forward(self, z: Tensor) -> Tensor:
        for layer in self.layers:
            z = torch.cat([z, leaky_relu(layer(z), 0.01)], 1)
        return self.score(z).squeeze(1).float()  # as the critic's scores, also under autocast


def real_cost(scores: Tensor, targets: Tensor | float = 1.0) -> Tensor:
    """Compute the mean cross-entropy, in nats, of raw scores `[N]` against targets (1 for real)."""
    return (targets * softplus(-scores) + (1 - targets) * softplus(scores)).mean()


def fake_cost(scores: Tensor) -> Tensor:
    """Compute the mean cross-entropy, in nats, of raw scores `[N]` against the target 0 (fake)."""
    return softplus(scores).mean()


def score_reconstructions(batch, images: Tensor) -> Tensor:
    """Score reconstructions of the reals `[N]`, in the same view as the reals."""
    return batch.critic(batch.real.apply_view(images), batch.real.view_labels).score


def draw_latents(batch) -> Tensor:
    """Draw latents `[N, Z]` of the prior, for an update whose fakes were replaced."""
    update_id = batch.update_id
    key = (update_id.step, update_id.role, update_id.index, "autoencoding")
    drawn = batch.hooks.all(
        "draw_latent",
        n=batch.plan.batch,
        plan=batch.plan,
        # on the CPU, as the core draws them
        rng=lambda name: batch.streams.generator(f"latent/{name}", *key),
    )
    z = torch.cat([columns for _, columns in drawn], 1)
    return batch.group.local_rows(z).to(batch.gan.device)


@component(
    source=(
        "Lazarou, AEGAN, arXiv:2004.05472; "
        "weights and formulas of github.com/ConorLazarou/PokeGAN, aegan.py"
    ),
    rules=[
        requires(
            "data.images",
            "its encoder takes images",
            fix="a data set of images, or leave it out",
        ),
        warns_without(
            "loss.absolute-scores",
            "its image-critic terms take a score of zero as undecided, "
            "which such a loss does not teach",
            fix="--autoencoding.image-critic 0",
            when=lambda component: component.image_critic > 0,
        ),
    ],
)
class Autoencoding:
    """Train an encoder with the generator, so that images and latents can be reconstructed.

    E maps images `[N, C, H, W]` to latents `[N, Z]` and trains with the generator; L scores
    latents, `[N, Z] → [N]`, and trains with the critic D. With reals x of labels y, latents z,
    fakes x' = G(z) of any labels, codes ẑ = E(x), reconstructed images x̃ = G(ẑ, y) and
    reconstructed latents z̃ = E(x'), all in one update, and sp(a) = ln(1 + eᵃ), G and E minimise

    - `image`: image·mean|x - x̃|, over all pixels and channels of images in [-1, 1];
    - `latent`: latent·mean(z - z̃)², over all columns;
    - `image-critic`: image_critic·mean sp(-D(x̃))/2, with x̃ in the view of x;
    - `latent-critic`: latent_critic·[mean sp(-L(ẑ)) + mean sp(-L(z̃))]/2.

    D also minimises `image-critic`, [BCE(D(x), t) + mean sp(D(x̃))]/2 with the targets t of reals
    after all target shaping, and L minimises `latent-critic`,
    [2·mean sp(-L(z)) + mean sp(L(ẑ)) + mean sp(L(z̃))]/4; these have no weight and no gradient
    reaches G or E. With `bce`, averaged, D minimises twice the source's loss. A weight of 0 removes
    its terms from both players. In updates with replaced fakes, x' are the replaced ones and z is
    drawn again. Updates without reals have no terms. Logs `image-error`, mean|x - x̃| in [0, 2],
    and `latent-error`, mean(z - z̃)².

    In the source the other half of image_critic weighs sp(-D(x')), which here is the component of
    the slot `loss`, of weight 1. Where all terms share one Adam only ratios count: with `bce`,
    image 400, latent 200, image_critic 2 and latent_critic 40 are the source's balance; the
    defaults weigh the adversarial loss of G(z) 400 times as much. Other departures: the encoder is
    a plain network of width 32 instead of a U-net of width 64, and adds no noise to its input; L
    has neither batch normalisation nor noise. The weights are the program's; the paper's were not
    checked.
    """

    image: float = option(
        1.0, ge=0, help="weight of the mean absolute error of reconstructed images, at least 0"
    )
    latent: float = option(
        0.5, ge=0, help="weight of the mean squared error of reconstructed latents, at least 0"
    )
    image_critic: float = option(
        0.005,
        ge=0,
        help="weight of the adversarial loss on reconstructed images (halved); 0 turns it off",
    )
    latent_critic: float = option(
        0.1,
        ge=0,
        help="weight of the adversarial loss on codes and reconstructed latents; 0 turns it off",
    )
    width: int = option(
        32, ge=1, help="channels of the encoder's largest map; smaller maps have up to 8 times more"
    )

    @property
    def adversarial(self):
        """Whether any adversarial term is on."""
        return self.image_critic > 0 or self.latent_critic > 0

    @property
    def active(self):
        """Whether any term is on."""
        return self.image > 0 or self.latent > 0 or self.adversarial

    @hookimpl
    def extend_player(self, role, plan):
        if role == "generator":
            return (
                {"encoder": Encoder(plan.shape, plan.latent, self.width)} if self.active else None
            )
        return {"latent-critic": LatentCritic(plan.latent)} if self.latent_critic else None

    @hookimpl
    def generator_terms(self, batch, log):
        if not self.active or batch.real is None:
            return None
        encoder = batch.gan.generator.extras["encoder"]
        codes = encoder(batch.real.images)  # ẑ
        latents = encoder(batch.fake.images)  # z̃
        images = batch.generator(codes, batch.real.labels).images  # x̃
        image_error = l1_loss(images, batch.real.images)
        latent_error = mse_loss(latents, batch.fake.z)
        log("image-error", image_error)
        log("latent-error", latent_error)
        terms = {}
        if self.image:
            terms["image"] = self.image * image_error
        if self.latent:
            terms["latent"] = self.latent * latent_error
        if self.image_critic:
            cost = real_cost(score_reconstructions(batch, images))
            terms["image-critic"] = self.image_critic * cost / 2
        if self.latent_critic:
            critic = batch.gan.critic.extras["latent-critic"]
            costs = real_cost(critic(codes)) + real_cost(critic(latents))
            terms["latent-critic"] = self.latent_critic * costs / 2
        return terms

    @hookimpl
    def critic_terms(self, batch):
        if not self.adversarial or batch.real is None:
            return None
        real = batch.real
        encoder = batch.gan.generator.extras["encoder"]
        with torch.no_grad():
            codes = encoder(real.images)
        terms = {}
        if self.image_critic:
            with torch.no_grad():
                images = batch.generator(codes, real.labels).images
            real_part = real_cost(real.score, real.targets)
            fake_part = fake_cost(score_reconstructions(batch, images))
            terms["image-critic"] = (real_part + fake_part) / 2
        if self.latent_critic:
            with torch.no_grad():
                latents = encoder(batch.fake.images)
            critic = batch.gan.critic.extras["latent-critic"]
            # replaced fakes have no `z`
            z = draw_latents(batch) if batch.fake.z is None else batch.fake.z
            real_part = real_cost(critic(z))
            fake_parts = fake_cost(critic(codes)) + fake_cost(critic(latents))
            terms["latent-critic"] = (2 * real_part + fake_parts) / 4
        return terms
