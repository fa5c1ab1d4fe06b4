"""BiGAN: an encoder that is trained with the generator, and a critic of samples and latents."""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from gan_plugin_networks.blocks import CONVOLUTIONS, channels_of, halvings, in_float32
from gancore import (
    Head,
    component,
    conflicts,
    fork_state,
    grid,
    hookimpl,
    name_of,
    option,
    save_picture,
)

SHOWN = 8  # reals of a picture, each above its reconstruction
ENCODER, JOINT = "bigan-encoder", "bigan-joint"  # the networks that players get


class Encoder(nn.Module):
    """Encode samples `[N, *shape]` as latents `[N, Z]`: strided convolutions, or dense layers."""

    def __init__(self, shape: tuple[int, ...], latent: int, width: int):
        super().__init__()
        channels, *size = shape
        if not size:
            widths = [channels, 4 * width, 4 * width]
            makers = [nn.Linear(*pair) for pair in pairwise(widths)]
        else:
            sizes = halvings(tuple(size), 4)
            widths = [channels, *channels_of(sizes[1:], width, 8 * width)[::-1]]
            # a kernel of 3 halves a side of any length, rounding up
            convolution = CONVOLUTIONS[len(size)]
            makers = [convolution(*pair, 3, 2, 1) for pair in pairwise(widths)]
            widths[-1] *= prod(sizes[0])
        layers: list[nn.Module] = []
        for each in makers:
            layers += [each, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1], latent))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


class Project(nn.Module):
    """Project the critic's features for the joint score, as a head: `[N, F] → [N, width]`."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.linear = nn.Linear(features, width)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.linear(features)


class JointCritic(nn.Module):
    """Score pairs of projected features `[N, width]` and latents `[N, Z]`: `→ [N]`."""

    def __init__(self, latent: int, width: int):
        super().__init__()
        self.project = nn.Linear(latent, width)
        self.both = nn.Sequential(
            nn.LeakyReLU(0.2), nn.Linear(2 * width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1)
        )

    def forward(self, projected: Tensor, z: Tensor) -> Tensor:
        pair = torch.cat([projected, in_float32(self.project(z))], 1)
        return in_float32(self.both(pair).squeeze(1))


@component(
    source=(
        "Donahue, Krähenbühl and Darrell, ICLR 2017, arXiv:1605.09782, equations 3 and 4; "
        "Dumoulin et al. (ALI), ICLR 2017, arXiv:1606.00704; scores of samples alone: Donahue and "
        "Simonyan, NeurIPS 2019, arXiv:1907.02544, section 2"
    ),
    provides=["loss.absolute-scores"],
    rules=[
        conflicts(
            "critic.packed",
            "it pairs each sample with its latent, and a pack has several",
            fix="leave one of the two out",
        )
    ],
    known_as={"ali": "", "encoder": ""},
)
class BiGAN:
    """Train an encoder E with the generator, and a critic of pairs (x, E(x)) and (G(z), z).

    With joint scores t(x, z) `[N]` and sp(a) = ln(1 + eᵃ) the critic minimises
    mean sp(-t(x, E(x))) + mean sp(t(G(z), z)), and generator and encoder minimise
    mean sp(t(x, E(x))) + mean sp(-t(G(z), z)), which is not saturating. At the optimum E inverts G.
    t is a network of a projection of the critic's features of x (after its view) and of z, so any
    critic serves; E `[N, *shape] → [N, Z]` reads samples before their view, and trains with the
    generator. With `unary` u > 0 the scores s of samples alone are trained too, u·binary
    cross-entropy: everything that reads scores then finds trained ones, and with 0 it is plain
    BiGAN, whose scores s are not trained. Where fakes were replaced, others are drawn for t.

    Logs, with each row, `reconstruction`: mean|x - G(E(x))| over 64 reals. Draws reals above their
    reconstructions. Updates without reals have terms of fakes alone.
    """

    width: int = option(128, ge=1, help="width of the joint critic's hidden layers")
    encoder_width: int = option(
        32, ge=1, help="channels of the encoder's largest map; smaller maps have up to 8 times more"
    )
    unary: float = option(1.0, ge=0, help="weight of the scores of samples alone; 0 is BiGAN")

    @hookimpl
    def extend_player(self, role, plan):
        if role == "generator":
            return {ENCODER: Encoder(plan.shape, plan.latent, self.encoder_width)}
        return {JOINT: JointCritic(plan.latent, self.width)}

    # before a tail that appends the label, so that the features are those of samples
    @hookimpl(tryfirst=True)
    def extend_critic(self, features):
        return Head(name_of(self), Project(features, self.width))

    @hookimpl
    def critic_terms(self, batch):
        return self.terms(batch, sign=1)

    @hookimpl
    def generator_terms(self, batch):
        return self.terms(batch, sign=-1)

    def terms(self, batch, sign: int) -> dict[str, Tensor]:
        """Return the terms of the critic (sign 1), or of generator and encoder (sign -1)."""
        fake, real = batch.fake, batch.real
        terms = {"fake": fake.mean(softplus(sign * self.joint_of_fakes(batch)))}
        if self.unary:
            terms["unary-fake"] = self.unary * fake.mean(softplus(sign * fake.score))
        if real is None:
            return terms
        with torch.set_grad_enabled(sign < 0):  # the critic's update leaves the encoder alone
            codes = batch.network(batch.gan.generator.extras[ENCODER], real.images)
        joint = batch.network(batch.gan.critic.extras[JOINT], real.heads[name_of(self)], codes)
        terms["real"] = real.mean(softplus(-sign * joint))
        if self.unary and sign > 0:
            terms["unary-real"] = self.unary * real.mean(softplus(-real.score))
        return terms

    def joint_of_fakes(self, batch) -> Tensor:
        """Return t(G(z), z), of the update's fakes or, where these were replaced, of others."""
        fake = batch.fake
        z = fake.z
        heads = fake.heads if z is not None else {}
        if z is None:
            z = batch.draw_latents()
            with torch.no_grad():
                images = batch.generator(z, fake.labels).images
            heads = batch.critic(fake.apply_view(images), fake.view_labels).heads
        return batch.network(batch.gan.critic.extras[JOINT], heads[name_of(self)], z)

    def reconstructions(self, progress, n: int) -> tuple[Tensor, Tensor]:
        """Return n reals and what the generator makes of their codes, on the CPU."""
        reals, labels = progress.reals(n)
        encoder = progress.gan.generator.extras[ENCODER]
        with torch.no_grad(), fork_state(encoder, progress.gan.device):
            codes = encoder(reals.to(progress.gan.device)).cpu()
        return reals, progress.make(codes, labels).images.float().cpu()

    @hookimpl
    def measure(self, progress):
        if progress.data is None:
            return None
        reals, made = self.reconstructions(progress, 64)
        return {"reconstruction": (reals - made).abs().mean()}

    @hookimpl
    def draw(self, progress, folder):
        if progress.data is None or not progress.plan.images:
            return
        reals, made = self.reconstructions(progress, SHOWN)
        picture = grid(torch.cat([reals, made]).clamp(-1, 1), columns=SHOWN)
        save_picture(picture, folder / name_of(self) / f"step-{progress.step:09d}.png")
