"""Three looks at an update as it happens: the critic's right answers, its outputs, and both players' gradients."""

import torch

from gancore import GAN, cached, component, hookimpl, option, state, warns_without


def share_above(scores, level):
    """Share of the scores `[N]` above a level, ties counted half."""
    return (scores.detach() - level).sign().add(1).div(2).mean()


def rank_accuracy(real, fake):
    """P(r > f) + P(r = f)/2 over all pairs of scores `real [N]` and `fake [M]`, in O((N + M)·log M)."""
    ordered, real = fake.detach().sort().values, real.detach().contiguous()
    twice = torch.searchsorted(ordered, real) + torch.searchsorted(ordered, real, right=True)  # 2·(fakes below)
    return twice.float().mean() / (2 * len(fake))


@component(
    source="Leguay, github.com/BenoitLeguay/GAN_IconClass (threshold 0.5 on logits); rank: Hanley and McNeil 1982",
    rules=[
        warns_without(
            "loss.absolute-scores",
            "the loss gives scores no zero between reals and fakes, so of the three figures only rank means something",
        ),
    ],
)
class CriticAccuracy:
    """Log how often the critic is right in its own updates, on reals, on fakes, and in ranking the two.

    With raw scores s `[N]` after every view it logs `real`, the share of s_r > threshold, `fake`, the share of
    s_f < threshold, and `rank`, P(s_r > s_f) over all pairs; ties count half, so a critic that gives every sample one
    score has 0.5, 0.5, 0.5 where that score is the threshold. `rank` does not change when a number is added to every
    score. An update without reals logs `fake` alone. A figure is that of the last update before the row.
    """

    threshold: float = option(0.0, help="score between reals and fakes, as a logit: 0 is a probability of one half")

    @hookimpl
    def critic_terms(self, batch, log):
        log("fake", 1 - share_above(batch.fake.score, self.threshold))
        if batch.real is not None:
            log("real", share_above(batch.real.score, self.threshold))
            log("rank", rank_accuracy(batch.real.score, batch.fake.score))


@component(
    source="D(x), D(G(z)) 1/2 of github.com/Edouard99/GAN; why 0.5: Goodfellow et al., NeurIPS 2014, arXiv:1406.2661",
    rules=[
        warns_without(
            "loss.absolute-scores",
            "the loss gives scores no zero between reals and fakes, so their logistic is no probability",
        ),
    ],
)
class CriticOutput:
    """Log the mean probability that the critic gives reals and fakes of being real, before and after it learns.

    With σ(s) = 1/(1 + e⁻ˢ) of raw scores `[N]` after every view it logs mean σ(s_r) as `real` and mean σ(s_f) as
    `fake` in the critic's update, and mean σ(s_f) as `fake` again in the generator's update, which is judged by the
    critic as it then is. All lie in (0, 1); where reals and fakes cannot be told apart they are 0.5. An update without
    reals logs `fake` alone.
    """

    @hookimpl
    def critic_terms(self, batch, log):
        log("fake", batch.fake.score.detach().sigmoid().mean())
        if batch.real is not None:
            log("real", batch.real.score.detach().sigmoid().mean())

    @hookimpl
    def generator_terms(self, batch, log):
        log("fake", batch.fake.score.detach().sigmoid().mean())


@component(source="Leguay, github.com/BenoitLeguay/GAN_IconClass; Glorot and Bengio, AISTATS 2010, section 4.2")
class GradientFlow:
    """Measure how large the gradient of each layer is, in both players.

    For every weight of at least two dimensions (no biases, no scales of norms) it gives `ROLE/PARAMETER/mean` and
    `ROLE/PARAMETER/max`, mean and maximum of |gradient of the summed terms|, and `ROLE-max`, the largest of them all;
    above 100 something is amiss. They are those of the player's last update since the row before, as computed, also
    where the update was then skipped; a weight that no gradient reaches has 0, a player without update no figure.
    """

    gan: GAN | None = cached()
    figures: dict[str, torch.Tensor] = state(factory=dict)  # since the last row

    @hookimpl
    def before_step(self, gan):
        self.gan = gan

    @hookimpl(tryfirst=True)  # the one moment between gradients and step; asked first, it always hears of it
    def skip_update(self, role):
        maxima = []
        for name, weight in self.gan.player(role).named_parameters():
            if weight.dim() > 1:
                sizes = torch.zeros_like(weight) if weight.grad is None else weight.grad.abs()
                maxima.append(sizes.max())
                self.figures |= {f"{role}/{name}/mean": sizes.mean(), f"{role}/{name}/max": maxima[-1]}
        if maxima:
            self.figures[f"{role}-max"] = torch.stack(maxima).max()

    @hookimpl
    def measure(self):
        found, self.figures = self.figures, {}
        return {name: float(figure) for name, figure in found.items()}
