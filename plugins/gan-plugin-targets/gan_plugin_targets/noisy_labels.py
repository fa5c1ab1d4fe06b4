"""Noisy labels: targets of the critic that are flipped at random."""

import torch

from gancore import component, draw_rows, hookimpl, option, requires


@component(
    source=(
        "Chintala et al., How to train a GAN?, NeurIPS 2016 workshop, "
        "github.com/soumith/ganhacks; no paper"
    ),
    provides=["targets.noisy"],
    rules=[
        requires(
            "loss.targets",
            "a loss without targets has nothing to flip",
            fix="--loss bce",
        ),
    ],
)
class NoisyLabels:
    """Flip the critic's targets t `[N]` to 1 - t with a small probability.

    Per sample, each target is flipped independently; per batch, one draw swaps reals and fakes of
    the whole update. Flips come before all other target shaping, so with `label-smoothing` a
    flipped fake has the target of a real. Cross-entropy is linear in t: in expectation rate ε is
    two-sided smoothing to 1 - ε and ε, with its weakness. Rates of 0.05 and 0.1 turned the images
    of one reported training to noise, so it is off by default.
    """

    rate: float = option(0.05, ge=0, le=1, help="probability of a flip, in [0, 1]")
    per: str = option(
        "sample",
        choices=("sample", "batch"),
        help="targets that share one draw; batch swaps reals and fakes",
    )

    @hookimpl(tryfirst=True)  # while targets are still 0 and 1
    def critic_targets(self, targets, rng, shared_rng):
        if self.rate == 0:
            return targets
        if self.per == "sample":
            drawn = draw_rows(torch.rand, targets.shape, rng)
        else:
            drawn = torch.rand(1, generator=shared_rng, device=shared_rng.device)
        return torch.where(drawn < self.rate, 1 - targets, targets)
