"""Terms that compare the samples of two latents."""

import torch

from gan_plugin_consistency.wide import in_float32
from gancore import average, component, draw_rows, hookimpl, option


@component(
    source="Zhao et al., AAAI 2021, arXiv:2002.04724, equations 5 and 6",
    provides=["critic.latent-consistency"],
    known_as={"latent-consistency": ""},
)
class ZCR:
    """Train the critic to ignore small changes of the latent, and the generator to show them.

    With ε ~ N(0, radius²) for each column of the latent, the critic also minimises
    weight·E(s(G(z)) - s(G(z + ε)))² and the generator -generator_weight·E(G(z) - G(z + ε))², the
    mean over all elements of a sample. Both samples have the same view, under the same random
    draws, and the same label. With radius 0 both are 0. Beside `bcr` this is improved consistency
    (ICR). A pass of the generator more in each update, and one of the critic in its own. Fakes that
    another component has put in the place of those just made have no latent, and no term.
    """

    radius: float = option(0.05, ge=0, help="standard deviation of the change of a latent number")
    weight: float = option(20.0, ge=0, help="factor of the critic's squared difference of scores")
    generator_weight: float = option(
        0.5, ge=0, help="factor of the generator's squared difference of samples"
    )

    def neighbours(self, batch, rng):
        """Return the samples `[N, *shape]` of latents near those of the fakes."""
        z = batch.fake.z
        moved = z + self.radius * draw_rows(torch.randn, z.shape, rng).to(z)
        return batch.generator(moved, batch.fake.labels).images

    @hookimpl
    def critic_terms(self, batch, rng):
        fake = batch.fake
        if fake.z is None:
            return None
        with torch.no_grad():
            view = fake.apply_view(self.neighbours(batch, rng))
        other = batch.critic(view, fake.view_labels).score
        return {"latent": self.weight * (fake.score - other).square().mean()}

    @hookimpl
    def generator_terms(self, batch, rng):
        gap = in_float32(batch.fake.images) - in_float32(self.neighbours(batch, rng))
        return {"latent": -self.generator_weight * gap.square().mean()}


@component(
    source="Mao et al., CVPR 2019, arXiv:1903.05628, equation 4; ratio of batch means: "
    "github.com/HelenMao/MSGAN",
    known_as={"msgan": "", "ms": ""},
)
class ModeSeeking:
    """Train the generator to draw samples that are as far apart as their latents.

    Of two latents z, z' with the same label y the generator also minimises weight / (d + ε), where
    d = mean |G(z, y) - G(z', y)| / mean |z - z'| with means over the batch and all elements. The
    second latents are drawn anew in each update. A generator that ignores its latent has the
    largest term, weight / ε. Made for conditional models, whose generator tends to one sample for
    each condition. A pass of the generator more in each of its updates. Logs `distance`, d.
    """

    weight: float = option(1.0, ge=0, help="factor λ")
    eps: float = option(1e-5, gt=0, help="ε, added to the ratio of distances")

    @hookimpl
    def generator_terms(self, batch, log):
        fake = batch.fake
        other = batch.draw_latents()
        images = batch.generator(other, fake.labels).images
        # of all processes, before the quotient
        samples = average((in_float32(fake.images) - in_float32(images)).abs().mean())
        latents = average((fake.z - other).abs().mean())
        distance = samples / latents
        log("distance", distance)
        return {"distance": self.weight / (distance + self.eps)}
