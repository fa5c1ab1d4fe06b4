"""Rejection by the critic: DRS, and Metropolis-Hastings."""

import torch

from gancore import component, fork_state, hookimpl, option, requires

CALIBRATED = requires(
    "loss.cross-entropy",
    "samples are accepted by the ratio of densities that a score estimates, "
    "which only the cross-entropy's is",
    cite="Azadi et al. 2019, section 3",
    fix="--loss bce",
)


def scores(gan, images, labels):
    """Return the critic's scores `[n]` of samples in evaluation mode, float64, on the CPU."""
    network = gan.critic.network
    modes = {module: module.training for module in network.modules()}
    network.eval()
    found = []
    try:
        with torch.no_grad(), fork_state(network, gan.device):
            for part, classes in zip(images.split(256), labels.split(256), strict=True):
                score = network(part.to(gan.device), classes.to(gan.device)).score
                # of several scores a sample, the mean
                found.append(score.reshape(len(part), -1).double().mean(1).cpu())
    finally:
        for module, mode in modes.items():
            module.training = mode
    return torch.cat(found)


def probabilities(score, quantile):
    """Return the probability `[n]` of accepting each score `[n]`, float64."""
    largest = score.max()
    # ln(p/(1 - p)) of the ratio e^(s - M), whose e^(-1e-6) keeps the largest score finite
    logits = score - largest - torch.log1p(-torch.exp(score - largest - 1e-6))
    return torch.sigmoid(logits - torch.quantile(logits, quantile))


@component(
    source="Azadi et al., ICLR 2019, arXiv:1810.06758, algorithm 1",
    rules=[CALIBRATED],
    known_as={"rejection": "", "discriminator-rejection-sampling": ""},
)
class DRS:
    """Reject samples that the critic scores low: discriminator rejection sampling.

    A sample with the raw score s is kept with the probability σ(F - γ), where F = s - M -
    ln(1 - exp(s - M - 1e-6)), M is the largest score and γ the quantile `quantile` of all F, both
    of the samples that were drawn together (the paper takes M from 10,000 samples before). With an
    optimal cross-entropy critic and γ = 0 what is kept has the distribution of the data. Fewer
    samples are returned than were drawn, at least one. Metrics of samples are those of kept ones,
    of fewer. Training does not change. The critic scores samples as they are, without a view.
    """

    quantile: float = option(
        0.8, ge=0, le=1, help="share of the samples that are kept with a probability below ½"
    )

    @hookimpl
    def select_samples(self, images, z, labels, gan, rng):
        if not len(images):
            return None
        score = scores(gan, images, labels)
        drawn = torch.rand(len(score), generator=rng, dtype=torch.float64)
        keep = drawn < probabilities(score, self.quantile)
        keep[score.argmax()] |= not keep.any()
        return images[keep], z[keep], labels[keep]


@component(
    source="Turner et al., ICML 2019, arXiv:1811.11357, algorithm 1",
    rules=[CALIBRATED],
    known_as={"metropolis-hastings": "", "mh-gan": ""},
)
class MH:
    """Keep one of every `length` samples by Metropolis-Hastings on the critic's scores.

    The samples are split into chains in their order. A chain begins at its first sample, and moves
    from a score s to the next sample's s' with the probability min(1, exp(s' - s)), which is the
    paper's ratio of 1/D - 1; where it ends is kept, so n samples become n/length, rounded up. With
    an optimal cross-entropy critic long chains have the distribution of the data. The paper begins
    chains at reals and calibrates scores on held-out reals; this does neither. Training does not
    change. The critic scores samples as they are, without a view.
    """

    length: int = option(10, ge=1, help="samples in a chain, of which one is kept")

    @hookimpl
    def select_samples(self, images, z, labels, gan, rng):
        if not len(images):
            return None
        score = scores(gan, images, labels)
        drawn = torch.rand(len(score), generator=rng, dtype=torch.float64)
        kept = []
        for start in range(0, len(score), self.length):
            at = start
            for place in range(start + 1, min(start + self.length, len(score))):
                if drawn[place] < torch.exp(score[place] - score[at]):
                    at = place
            kept.append(at)
        return images[kept], z[kept], labels[kept]
