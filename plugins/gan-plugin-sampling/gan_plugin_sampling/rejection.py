"""Select samples by the critic: rejection sampling, or a Metropolis–Hastings chain."""

import torch

from gancore import (
    CompositionError,
    cached,
    component,
    evaluating,
    fork_state,
    hookimpl,
    option,
    requires,
    warns_with,
)

EPSILON = 1e-6  # of the source, against log 0 at the largest score


def acceptance(scores, percentile):
    """Return the probabilities `[n]` of accepting samples with these scores `[n]`.

    With a = s - max s the probability is σ(F), F = a - ln(1 - e^(a-ε)) - γ, and γ the percentile of
    F, or 0 for None: then it is e^a, up to ε.
    """
    below = scores - scores.max()
    logits = below - torch.log(-torch.expm1(below - EPSILON))
    if percentile is not None:
        logits = logits - torch.quantile(logits, percentile / 100)
    return logits.sigmoid()


def accepted(scores, percentile, rng):
    """Return the places of the accepted of n samples, in order; at least that of the best one."""
    keep = torch.rand(len(scores), generator=rng) < acceptance(scores, percentile)
    keep[scores.argmax()] = True
    return keep.nonzero().flatten()


def ends_of_chains(scores, length, rng):
    """Return the places of the last states of chains of `length` proposals each, `[n // length]`.

    The first proposal is the first state; a later one replaces state x with the probability
    min(1, e^(s' - s)).
    """
    length = min(length, len(scores))
    chains = len(scores) // length
    places = torch.arange(chains * length).view(chains, length)
    chance = torch.rand(chains, length, generator=rng)
    state = places[:, 0]
    for proposed, uniform in zip(places.T[1:], chance.T[1:], strict=True):
        moves = uniform < (scores[proposed] - scores[state]).exp()
        state = torch.where(moves, proposed, state)
    return state


@component(
    source=(
        "Azadi et al., ICLR 2019, arXiv:1810.06758, equation 8; "
        "Turner et al., ICML 2019, arXiv:1811.11357, algorithm 1"
    ),
    rules=[
        requires(
            "loss.cross-entropy",
            "samples are accepted by the ratio of densities of reals and fakes, "
            "which scores of this loss do not estimate",
            cite="Azadi et al. 2019, section 3",
            fix="--loss bce",
        ),
        warns_with(
            "targets.smoothed",
            "the scores of a critic with smoothed targets lie below the log-ratio in size",
        ),
        warns_with(
            "targets.noisy",
            "the scores of a critic with flipped targets lie below the log-ratio in size",
        ),
        warns_with(
            "critic.cross-sample", "a score then depends on the samples that it is computed with"
        ),
    ],
    known_as={"drs": "", "mh-gan": "Use --rejection.mode metropolis.", "metropolis-hastings": ""},
)
class Rejection:
    """Select samples by the critic's estimate of the ratio of densities, real over fake.

    The best critic of the loss `bce` has s(x) = ln p(x)/g(x) for densities p of reals and g of
    fakes. Of n samples drawn, `rejection` accepts each with the probability σ(F), where
    F = a - ln(1 - e^(a-ε)) - γ, a = s - max s over the n, ε = 1e-6, and γ is the `percentile` of F.
    Without a percentile γ = 0, the probability is e^a, and accepted samples have the density p
    where s is exact. `metropolis` cuts the n into chains of `chain` proposals, and returns the last
    state of each: a proposal x' replaces x with the probability min(1, e^(s' - s)). So there are
    fewer samples than were asked for, at least one; classes may have other frequencies. Pictures
    and metrics are computed of the selected ones. Training does not change.

    Scores are those of images, without views, of the critic in evaluation mode. Departures: max s
    is that of the n samples and not of a burn-in of 10,000; chains start from their first proposal
    and not from a real; scores are not calibrated on held-out reals. Raises CompositionError for a
    critic that takes something else than samples.
    """

    mode: str = option(
        "rejection",
        choices=("rejection", "metropolis"),
        help="accept each sample by itself, or the last state of each Metropolis–Hastings chain",
    )
    percentile: float | None = option(
        80.0, ge=0, le=100, help="of F, which is accepted half the time; none: F is not shifted"
    )
    chain: int = option(10, ge=1, help="proposals in a chain of metropolis; the paper has 640")
    rows: int = cached(1)  # the batch, in which scores are computed

    @hookimpl
    def adapt_critic(self, plan):
        self.rows = plan.batch
        if plan.critic_shape != plan.shape:
            raise CompositionError(
                f"the critic takes {list(plan.critic_shape)}, so it scores no single sample of "
                f"{list(plan.shape)}",
                where="rejection",
                fix="leave rejection out, or the component that changes the critic's input",
            )

    @hookimpl
    def select_samples(self, images, z, labels, gan, rng):
        if not len(images):
            return None
        scores = self.scores(images, labels, gan, rng)
        if self.mode == "rejection":
            places = accepted(scores, self.percentile, rng)
        else:
            places = ends_of_chains(scores, self.chain, rng)
        return images[places], z[places], labels[places]

    def scores(self, images, labels, gan, rng):
        """Return the scores `[n]` of images by the critic in evaluation mode, on the CPU."""
        critic = gan.critic.network
        found = []
        with fork_state(critic, gan.device), evaluating(critic):
            torch.manual_seed(rng.initial_seed())  # for layers that draw in evaluation mode too
            for some, their in zip(images.split(self.rows), labels.split(self.rows), strict=True):
                score = critic(some.to(gan.device), their.to(gan.device)).score
                found.append(score.flatten(1).mean(1) if score.dim() > 1 else score)
        return torch.cat(found).cpu()
