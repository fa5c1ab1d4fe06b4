"""Null generators: samples that no good score may prefer."""

import torch
from torch import Tensor

COPIED = 50  # training items that the last of them repeats

NOISE = "uniform noise"
GAUSSIAN = "moment-matched Gaussian"
COPIES = f"{COPIED} training items, repeated"


def null_samples(reals: Tensor, train: Tensor, n: int, seed: int) -> dict[str, Tensor]:
    """Return n samples `[n, *shape]` of each null generator.

    `reals [m, *shape]` give the moments and the range, `train` the items to repeat.
    """
    rng = torch.Generator().manual_seed(seed)
    repeated = train[:COPIED]
    return {
        NOISE: uniform_noise(reals, n, rng),
        GAUSSIAN: moment_matched(reals, n, rng),
        COPIES: repeated[torch.arange(n) % len(repeated)],
    }


def uniform_noise(reals: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Draw from the box that holds the reals; images from [-1, 1]."""
    noise = torch.rand(n, *reals.shape[1:], generator=rng)
    if reals.dim() > 2:
        return noise * 2 - 1
    least = reals.amin(0)
    return least + noise * (reals.amax(0) - least)


def moment_matched(reals: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """Draw from the normal distribution with the mean and covariance of the reals.

    A combination of the m centred reals with weights z/√(m-1) has that covariance, for z ~ N(0, 1),
    and no matrix of all pixels by all pixels is needed. Images are clipped to [-1, 1].
    """
    flat = reals.flatten(1).double()
    mean = flat.mean(0)
    weights = torch.randn(n, len(flat), generator=rng, dtype=torch.float64)
    drawn = mean + weights @ (flat - mean) / max(1, len(flat) - 1) ** 0.5
    drawn = drawn.view(n, *reals.shape[1:]).float()
    return drawn.clamp(-1, 1) if reals.dim() > 2 else drawn
