"""Auto-encoding GAN: an encoder and a critic of latents beside the two players, so that images can be rebuilt."""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, leaky_relu, mse_loss, softplus

from gancore import component, hookimpl, option, pyramid, requires, warns_without


class Encoder(nn.Module):
    """Latents `[N, Z]` of images `[N, C, H, W]`: halve both sides while they are at least 8, doubling the channels."""

    def __init__(self, shape, latent, width):
        super().__init__()
        channels, *size = shape
        sizes = pyramid(*size)  # smallest first
        maps = [channels, *(width * 2 ** min(level, 3) for level in range(len(sizes) - 1))]
        blocks = []
        for before, after in pairwise(maps):
            # a kernel of 3 halves a side of any length, rounding up, as the pyramid does
            blocks += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.01)]
        self.maps = nn.Sequential(*blocks)
        self.project = nn.Linear(maps[-1] * prod(sizes[0]), latent)

    def forward(self, images: Tensor) -> Tensor:
        return self.project(self.maps(images).flatten(1))


class LatentCritic(nn.Module):
    """Raw scores `[N]` of latents `[N, Z]`: seven layers of 8, each given the latent and all layers before it."""

    def __init__(self, latent, depth=7, width=8):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(latent + width * before, width) for before in range(depth))
        self.score = nn.Linear(latent + width * depth, 1)

    def forward(self, z: Tensor) -> Tensor:
        for layer in self.layers:
            z = torch.cat([z, leaky_relu(layer(z), 0.01)], 1)
        return self.score(z).squeeze(1).float()  # as the scores of the critic, even under autocast


def real_cost(scores: Tensor, targets: Tensor | float = 1.0) -> Tensor:
    """Mean cross-entropy in nats of raw scores `[N]` that ought to say `targets`, 1 for real."""
    return (targets * softplus(-scores) + (1 - targets) * softplus(scores)).mean()


def fake_cost(scores: Tensor) -> Tensor:
    """Mean cross-entropy in nats of raw scores `[N]` that ought to say fake."""
    return softplus(scores).mean()


def judge(batch, images: Tensor) -> Tensor:
    """Score `[N]` images rebuilt from the reals, in the very view that the reals have."""
    return batch.critic(batch.real.apply_view(images), batch.real.view_labels).score


def draw_latents(batch) -> Tensor:
    """Draw latents `[N, Z]` of the prior, for an update whose fakes were replaced and came without any."""
    update_id = batch.update_id
    key = (update_id.step, update_id.role, update_id.index, "autoencoding")
    drawn = batch.hooks.all(
        "draw_latent",
        n=batch.plan.batch,
        plan=batch.plan,
        rng=lambda name: batch.streams.generator(f"latent/{name}", *key),  # on the CPU, as the core draws them
    )
    return batch.group.local_rows(torch.cat([columns for _, columns in drawn], 1)).to(batch.gan.device)


@component(
    source="Lazarou, AEGAN, arXiv:2004.05472; weights and formulas of github.com/ConorLazarou/PokeGAN, aegan.py",
    rules=[
        requires("data.images", "the encoder is made of convolutions", fix="a data set of images, or leave it out"),
        warns_without(
            "loss.absolute-scores",
            "its image-critic terms take a score of zero for undecided, which such a loss does not teach",
            fix="--autoencoding.image-critic 0",
            when=lambda component: component.image_critic > 0,
        ),
    ],
)
class Autoencoding:
    """Learn an encoder beside the generator, so that images and latents can be rebuilt from each other.

    E maps images `[N, C, H, W]` to latents `[N, Z]` and trains with the generator; L scores latents, `[N, Z] → [N]`,
    and trains with the critic D. With reals x of labels y, latents z, fakes x' = G(z) of any labels, codes ẑ = E(x),
    rebuilt images x̃ = G(ẑ, y) and rebuilt latents z̃ = E(x'), all in one update, and sp(a) = ln(1 + eᵃ), G and E
    minimise

    - `image`: image·mean|x - x̃|, over all pixels and channels of images in [-1, 1];
    - `latent`: latent·mean(z - z̃)², over all columns;
    - `image-critic`: image_critic·mean sp(-D(x̃))/2, D seeing x̃ in the view of x;
    - `latent-critic`: latent_critic·[mean sp(-L(ẑ)) + mean sp(-L(z̃))]/2.

    D also minimises `image-critic`, [BCE(D(x), t) + mean sp(D(x̃))]/2 with the targets t of reals as other components
    shaped them, and L minimises `latent-critic`, [2·mean sp(-L(z)) + mean sp(L(ẑ)) + mean sp(L(z̃))]/4; neither
    carries a weight, and no gradient passes to G or E. With `bce`, averaged, D minimises twice the source's loss. A
    weight of 0 takes its terms from both players. Where the fakes shown to D were replaced, x' are those, and z is
    drawn anew. Updates without reals are left alone. Logs `image-error`, mean|x - x̃| in [0, 2], and `latent-error`,
    mean(z - z̃)².

    In the source the other half of image_critic weighs sp(-D(x')), which here is the business of the loss beside
    it, of weight 1. Where all share Adam only ratios count: with `bce`, image 400, latent 200, image_critic 2 and
    latent_critic 40 are the source's balance; the defaults heed D's word on G(z) 400 times as much.
    Other departures: the encoder is plain, of width 32, in place of a U-net of width 64, and adds no noise to what
    it sees; L has neither batch normalisation nor noise. The weights are the program's; the paper's were not checked.
    """

    image: float = option(1.0, ge=0, help="factor of the mean absolute error of rebuilt images, at least 0")
    latent: float = option(0.5, ge=0, help="factor of the mean squared error of rebuilt latents, at least 0")
    image_critic: float = option(
        0.005, ge=0, help="factor of the critic's word on rebuilt images, of which half counts; 0 never shows it any"
    )
    latent_critic: float = option(
        0.1, ge=0, help="factor of the latent critic's mean word on codes and rebuilt latents; 0 builds no such critic"
    )
    width: int = option(32, ge=1, help="channels of the encoder's largest map; the others have up to 8 times as many")

    @property
    def critics(self):
        """Whether a critic has a word."""
        return self.image_critic > 0 or self.latent_critic > 0

    @property
    def active(self):
        """Whether any term is left."""
        return self.image > 0 or self.latent > 0 or self.critics

    @hookimpl
    def extend_player(self, role, plan):
        if role == "generator":
            return {"encoder": Encoder(plan.shape, plan.latent, self.width)} if self.active else None
        return {"latent-critic": LatentCritic(plan.latent)} if self.latent_critic else None

    @hookimpl
    def generator_terms(self, batch, log):
        if not self.active or batch.real is None:
            return None
        encoder = batch.gan.generator.extras["encoder"]
        codes, latents = encoder(batch.real.images), encoder(batch.fake.images)  # ẑ and z̃
        images = batch.generator(codes, batch.real.labels).images  # x̃
        image_error, latent_error = l1_loss(images, batch.real.images), mse_loss(latents, batch.fake.z)
        log("image-error", image_error)
        log("latent-error", latent_error)
        terms = {}
        if self.image:
            terms["image"] = self.image * image_error
        if self.latent:
            terms["latent"] = self.latent * latent_error
        if self.image_critic:
            terms["image-critic"] = self.image_critic * real_cost(judge(batch, images)) / 2
        if self.latent_critic:
            critic = batch.gan.critic.extras["latent-critic"]
            terms["latent-critic"] = self.latent_critic * (real_cost(critic(codes)) + real_cost(critic(latents))) / 2
        return terms

    @hookimpl
    def critic_terms(self, batch):
        if not self.critics or batch.real is None:
            return None
        real, encoder = batch.real, batch.gan.generator.extras["encoder"]
        with torch.no_grad():
            codes = encoder(real.images)
        terms = {}
        if self.image_critic:
            with torch.no_grad():
                images = batch.generator(codes, real.labels).images
            terms["image-critic"] = (real_cost(real.score, real.targets) + fake_cost(judge(batch, images))) / 2
        if self.latent_critic:
            with torch.no_grad():
                latents = encoder(batch.fake.images)
            critic = batch.gan.critic.extras["latent-critic"]
            real_part = real_cost(critic(draw_latents(batch) if batch.fake.z is None else batch.fake.z))
            fake_parts = fake_cost(critic(codes)) + fake_cost(critic(latents))
            terms["latent-critic"] = (2 * real_part + fake_parts) / 4
        return terms
