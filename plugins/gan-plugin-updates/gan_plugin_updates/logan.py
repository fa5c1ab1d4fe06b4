"""LOGAN: move latents towards higher scores before fakes are made of them."""

import torch

from gancore import CompositionError, component, hookimpl, option, warns_with


def latent_steps(gradients, rate, damping):
    """Return the steps Δz = rate·g/(‖g‖² + damping) `[N, Z]` for gradients g `[N, Z]`."""
    return rate * gradients / (gradients.square().sum(1, keepdim=True) + damping)


@component(
    source="Wu et al., LOGAN, 2019, arXiv:1912.00953, equation 12 and algorithm 1",
    rules=[
        warns_with(
            "critic.batch-statistics",
            "the gradient of a score by its latent then depends on the other samples too",
        ),
        warns_with(
            "critic.cross-sample",
            "the gradient of a score by its latent then depends on the other samples too",
        ),
    ],
    known_as={"latent-optimisation": "", "latent-optimization": ""},
)
class Logan:
    """Move latents towards higher scores, and show both players the fakes of the moved ones.

    z' = z + rate·g/(‖g‖² + damping) with g = ∂s(G(z))/∂z, a row each, in the updates of both
    players; fakes are G(z'). Only the first `share` of the columns move, and none beyond ±bound.
    With `through` the gradients of all terms pass through the step too, as in the paper; without
    it z' is taken as a constant. rate = 0 changes no bit. An update costs one more pass of both
    networks, and a second one of the generator; the passes move no running statistics.

    Samples are drawn without such a step, where the paper moves those latents too. The paper's
    latents are uniform on [-1, 1]: with those, set the bound to 1. Replaced fakes, which have no
    latents, stay. Raises CompositionError beside a view that changes the number of rows.
    """

    rate: float = option(0.9, ge=0, help="length α of the step, in units of the damped gradient")
    damping: float = option(0.1, gt=0, help="β, added to the squared norm of the gradient")
    share: float = option(0.8, gt=0, le=1, help="share of the latent's columns that move")
    bound: float | None = option(
        None, gt=0, help="largest |z| after the step, 1 for uniform latents; none is no bound"
    )
    through: bool = option(True, help="false takes moved latents as constants")

    @hookimpl(tryfirst=True)  # before the loss reads a view
    def critic_terms(self, batch):
        self.move(batch)

    @hookimpl(tryfirst=True)
    def generator_terms(self, batch):
        self.move(batch)

    def move(self, batch):
        """Replace the fakes of an update by those of moved latents."""
        fake = batch.fake
        if not self.rate or fake.z is None:
            return
        z = fake.z.detach().requires_grad_()
        made = batch.generator(z, fake.labels).images
        view = fake.apply_view(made)
        if len(view) != len(z):
            raise CompositionError(
                "a view with another number of rows has no latent for each score",
                where="logan",
                fix="leave logan out, or the component that packs or repeats samples",
            )
        score = batch.critic(view, fake.labels).score
        (gradient,) = torch.autograd.grad(score.sum(), z, create_graph=self.through)
        step = latent_steps(gradient.float(), self.rate, self.damping)
        still = z.shape[1] - max(1, round(self.share * z.shape[1]))
        if still:
            step = torch.cat([step[:, :-still], torch.zeros_like(step[:, -still:])], 1)
        moved = fake.z + step
        if self.bound is not None:
            moved = moved.clamp(-self.bound, self.bound)
        images = batch.generator(moved, fake.labels).images
        if batch.update_id.role == "critic" and not self.through:
            images = images.detach()
        fake.set_samples(images.to(made.dtype), z=moved.detach())
