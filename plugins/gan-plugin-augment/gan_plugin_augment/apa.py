"""APA: some of the reals are replaced by fakes, as many as the critic is too sure."""

import torch

from gan_plugin_augment.controller import Controlled, follows_signs
from gancore import component, draw_rows, hookimpl, warns_with


@component(
    source="Jiang et al., NeurIPS 2021, arXiv:2111.06849, section 3.2",
    rules=[
        follows_signs("apa"),
        warns_with(
            "targets.noisy",
            "fakes are then shown as reals, and reals as fakes: both confuse the critic",
            fix="one of the two",
        ),
    ],
    known_as={"pseudo-augmentation": ""},
)
class APA(Controlled):
    """Show the critic some fakes as reals, with a probability p that adapts to it.

    In each critic update every real is replaced with probability p by a fake of the same update,
    with the fake's label, and has the target of a real: the critic cannot learn its few images by
    heart. With `adapt sign` p ← clip(p + sign(r - target)·N·every/(1000·speed), 0, limit) after
    `every` critic updates, with r the mean sign of the scores of reals since; it needs a loss whose
    score 0 means undecided. With `adapt ramp` p rises with the steps from 0 to `limit` as half a
    cosine. p and r are state. The optimum stays p_real = p_fake. Logs `p`.

    Augmentation and noise are applied to the mixed batch. Updates without reals change nothing.
    """

    @hookimpl
    def critic_reals(self, images, labels, fakes, fake_labels, step, rng):
        p = self.strength(step, images.device)
        replaced = draw_rows(torch.rand, (len(images),), rng).to(p) < p
        rows = replaced.view(-1, *[1] * (images.dim() - 1))
        mixed = torch.where(rows, fakes.to(images), images)
        return mixed, torch.where(replaced[:, None], fake_labels, labels)

    @hookimpl
    def critic_terms(self, batch, step, log):
        if batch.real is not None:
            log("p", self.strength(step, batch.real.view.device))
