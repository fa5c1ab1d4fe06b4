"""The dual contrastive loss: each score against all scores of the other side."""

import torch
from torch.nn.functional import softplus

from gancore import CompositionError, component, gather, hookimpl


@component(
    source="Yu et al., ICCV 2021, arXiv:2103.16748, equations 2 and 3",
    provides=["loss.relative-scores"],
)
class DualContrastive:
    """Pick each real out of all fakes, and each fake out of all reals, by their scores.

    The critic minimises the sum of two cross-entropies over raw scores s `[N]`,

        mean_i ln(1 + Σ_j exp(s_f,j - s_r,i))  and  mean_j ln(1 + Σ_i exp(s_f,j - s_r,i)),

    and the generator maximises both, i.e. minimises their negatives (saturating, as in the paper).
    Sums are over the batch of all processes. Equal scores cost 2 ln(1 + N). A constant added to all
    scores changes nothing. The generator's update scores the reals too. Where the critic gives
    several scores a sample, their columns are compared each with its like.
    """

    @hookimpl
    def critic_terms(self, batch):
        if batch.real is None:
            raise CompositionError(
                "an update without reals leaves fakes nothing to be compared with",
                where="loss dual-contrastive",
                fix="a schedule whose critic updates have reals",
            )
        return self.costs(batch)

    @hookimpl
    def generator_terms(self, batch):
        return {name: -cost for name, cost in self.costs(batch).items()}

    def costs(self, batch):
        """Return the cross-entropy of each side, in nats."""
        real = batch.real.score
        fake = batch.fake.score
        # ln(1 + Σ exp(a)) = sp(ln Σ exp(a)), which does not overflow
        of_reals = softplus(torch.logsumexp(gather(fake), 0) - real)
        of_fakes = softplus(fake + torch.logsumexp(-gather(real), 0))
        return {"real": batch.real.mean(of_reals), "fake": batch.fake.mean(of_fakes)}
