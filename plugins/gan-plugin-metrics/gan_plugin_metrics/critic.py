"""Metrics of an update: accuracy and output of the critic, gradient sizes of both players."""

import torch

from gancore import GAN, cached, component, hookimpl, option, state, warns_without


def share_above(scores, level):
    """Return the share of scores `[N]` above `level`, ties counted half."""
    return (scores.detach() - level).sign().add(1).div(2).mean()


def rank_accuracy(real, fake):
    """Return P(r > f) + P(r = f)/2 over all pairs of `real [N]`, `fake [M]`.

    Takes O((N + M)·log M) operations.
    """
    ordered = fake.detach().sort().values
    real = real.detach().contiguous()
    # counting ties once from either side gives twice the number of fakes below each real
    twice = torch.searchsorted(ordered, real) + torch.searchsorted(ordered, real, right=True)
    return twice.float().mean() / (2 * len(fake))


@component(
    source=(
        "Leguay, github.com/BenoitLeguay/GAN_IconClass (threshold 0.5 on logits); "
        "rank: Hanley and McNeil 1982"
    ),
    rules=[
        warns_without(
            "loss.absolute-scores",
            "this loss has no decision threshold between reals and fakes, so of the three figures "
            "only rank is meaningful",
        ),
    ],
)
class CriticAccuracy:
    """Log the critic's accuracy in its own updates: on reals, on fakes, and in ranking them.

    With raw scores s `[N]` after all views logs `real`, the share of s_r > threshold; `fake`, the
    share of s_f < threshold; and `rank`, P(s_r > s_f) over all pairs (the area under the ROC
    curve). Ties count half: a critic whose scores all equal the threshold has 0.5, 0.5, 0.5. `rank`
    does not change when a constant is added to all scores. An update without reals logs `fake`
    alone. Each figure is that of the last update before the row.
    """

    threshold: float = option(
        0.0, help="decision threshold as a logit: 0 is a probability of one half"
    )

    @hookimpl
    def critic_terms(self, batch, log):
        log("fake", 1 - share_above(batch.fake.score, self.threshold))
        if batch.real is not None:
            log("real", share_above(batch.real.score, self.threshold))
            log("rank", rank_accuracy(batch.real.score, batch.fake.score))


@component(
    source=(
        "D(x), D(G(z)) 1/2 of github.com/Edouard99/GAN; "
        "why 0.5: Goodfellow et al., NeurIPS 2014, arXiv:1406.2661"
    ),
    rules=[
        warns_without(
            "loss.absolute-scores",
            "this loss has no decision threshold between reals and fakes, "
            "so the sigmoid of a score is no probability",
        ),
    ],
)
class CriticOutput:
    """Log the mean probability D(x) that the critic assigns to reals and to fakes.

    With σ(s) = 1/(1 + e⁻ˢ) of raw scores `[N]` after all views logs mean σ(s_r) as `real` and mean
    σ(s_f) as `fake` in the critic's update, and mean σ(s_f) as `fake` in the generator's update,
    where the fakes are scored by the critic after its update. All are in (0, 1), and 0.5 for a
    critic that cannot distinguish reals from fakes. An update without reals logs `fake` alone.
    """

    @hookimpl
    def critic_terms(self, batch, log):
        log("fake", batch.fake.score.detach().sigmoid().mean())
        if batch.real is not None:
            log("real", batch.real.score.detach().sigmoid().mean())

    @hookimpl
    def generator_terms(self, batch, log):
        log("fake", batch.fake.score.detach().sigmoid().mean())


@component(
    source=(
        "Leguay, github.com/BenoitLeguay/GAN_IconClass; "
        "Glorot and Bengio, AISTATS 2010, section 4.2"
    )
)
class GradientFlow:
    """Measure the mean and maximum absolute gradient of each layer, in both players.

    For every parameter of at least two dimensions (no biases, no scales of norms) logs
    `ROLE/PARAMETER/mean` and `ROLE/PARAMETER/max`, the mean and maximum of |gradient of the summed
    terms|, and `ROLE-max`, the largest of the maxima; above 100 training is usually unstable. The
    gradients are those of the player's last update since the previous row, even if that update was
    skipped. A parameter that no gradient reaches has 0; a player without an update has no figures.
    """

    gan: GAN | None = cached()
    figures: dict[str, torch.Tensor] = state(factory=dict)  # since the last row

    @hookimpl
    def before_step(self, gan):
        self.gan = gan

    # Between backward and step this hook alone sees the gradients. It runs first, because a
    # component that skips the update ends the round of calls.
    @hookimpl(tryfirst=True)
    def skip_update(self, role):
        maxima = []
        for name, weight in self.gan.player(role).named_parameters():
            if weight.dim() > 1:
                sizes = torch.zeros_like(weight) if weight.grad is None else weight.grad.abs()
                maxima.append(sizes.max())
                self.figures |= {
                    f"{role}/{name}/mean": sizes.mean(),
                    f"{role}/{name}/max": maxima[-1],
                }
        if maxima:
            self.figures[f"{role}-max"] = torch.stack(maxima).max()

    @hookimpl
    def measure(self):
        found, self.figures = self.figures, {}
        return {name: float(figure) for name, figure in found.items()}
