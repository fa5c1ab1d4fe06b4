"""SSGAN: the critic also predicts by how many quarter turns an image was rotated."""

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from gan_plugin_conditioning.heads import Linear
from gancore import (
    CompositionError,
    Head,
    component,
    draw_rows,
    hookimpl,
    name_of,
    option,
    requires,
    warns_with,
)


def rotate_quarters(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate square images `[N, C, S, S]` counterclockwise by `turns` quarters, int64 `[N]`."""
    turned = torch.stack([images.rot90(quarter, (2, 3)) for quarter in range(4)])
    return turned[turns, torch.arange(len(images), device=images.device)]


@component(
    source="Chen et al., CVPR 2019, arXiv:1811.12212, section 3",
    provides=["critic.rotations"],
    rules=[
        requires("data.images", "only images can be rotated", fix="leave ssgan-rotation out"),
        warns_with(
            "glyphs",
            "a rotated letter or digit may be another one, such as 6 and 9",
            fix="leave ssgan-rotation out",
        ),
    ],
    known_as={"ssgan": "", "ss-gan": "", "rotation": ""},
)
class SSGANRotation:
    """Train the critic to predict the rotation of images, and the generator to make it easy.

    Each image of the critic's view is rotated by r quarter turns, r uniform in 0 … 3, and a head
    with logits `[N, 4]`, a linear layer of the critic's features, predicts r. The critic also
    minimises weight·CE on reals, the generator generator_weight·CE on its fakes, in nats; with
    equal logits each is ln 4. So the critic keeps features of objects also when the game would have
    it forget them, without any labels. The adversarial loss reads unrotated images alone.

    The source rotates a quarter of the batch by all four angles; here each image has one angle of
    its own. A pass of the critic more in each update. Logs `accuracy` for each side, 1/4 by chance.
    Raises CompositionError for images that are not square.
    """

    weight: float = option(1.0, ge=0, help="factor β of the critic's cross-entropy on reals")
    generator_weight: float = option(
        0.2, ge=0, help="factor α of the generator's cross-entropy on fakes"
    )

    @hookimpl
    def extend_critic(self, features, plan):
        height, width = plan.critic_shape[1:]
        if height != width:
            raise CompositionError(
                f"a quarter turn makes an image of {height}×{width} one of {width}×{height}",
                where="ssgan-rotation",
                fix="--size N, which makes images square, or leave ssgan-rotation out",
            )
        return Head(name_of(self), Linear(features, 4))

    def predict(self, side, rng, log):
        """Return the cross-entropy of one side's rotations, a scalar, and log the accuracy."""
        turns = draw_rows(partial(torch.randint, 4), (len(side.view),), rng).to(side.view.device)
        rotated = rotate_quarters(side.view, turns)
        logits = side.batch.critic(rotated, side.view_labels).heads[name_of(self)]
        name = "real" if side.real else "fake"
        log(f"accuracy-{name}", (logits.argmax(1) == turns).float().mean())
        return side.mean(cross_entropy(logits, turns, reduction="none"))

    @hookimpl
    def critic_terms(self, batch, rng, log):
        if batch.real is not None:
            return {"rotation": self.weight * self.predict(batch.real, rng, log)}
        return None

    @hookimpl
    def generator_terms(self, batch, rng, log):
        return {"rotation": self.generator_weight * self.predict(batch.fake, rng, log)}
