"""Sigmoid score: what happens to a critic that answers with a probability where a score is wanted."""

from gancore import CriticOutput, component, hookimpl, warns_with


@component(
    source="garridoq/gan-guide, the table of its WGAN; BenoitLeguay/GAN_IconClass, its WGAN of January 2021; "
    "against it Arjovsky, Chintala and Bottou, ICML 2017, arXiv:1701.07875, section 3",
    provides=["critic.bounded-score"],
    rules=[
        warns_with(
            "loss.wasserstein",
            "scores in (0, 1) differ by less than 1 however far reals and fakes lie apart, and estimate no distance",
            cite="Arjovsky et al. 2017, section 3",
            fix="leave sigmoid-score out",
        ),
        warns_with(
            "loss.absolute-scores",
            "this loss takes raw scores and passes them through a sigmoid of its own, and two saturate twice",
            fix="leave sigmoid-score out",
        ),
        warns_with(
            "critic.gradient-penalty",
            "a score in (0, 1) can rise with slope 1 over a length of less than 1, and then no further",
            fix="leave sigmoid-score out",
        ),
    ],
)
class SigmoidScore:
    """Pass the critic's score through a sigmoid: a fault, kept for comparison with the right form.

    s ← σ(s) = 1/(1 + e⁻ˢ) in (0, 1), `[N]`, over the sum of all that adds to the score; features and heads stay as
    they are. The Wasserstein critic's loss then lies in (-1, 1), and every gradient is multiplied by σ(s)·(1-σ(s)),
    which is at most 1/4 and vanishes at large scores: 4.5e-5 at s = ±10.
    """

    @hookimpl(trylast=True)  # over whatever else changes the score
    def adapt_critic(self, net):
        net.register_forward_hook(bounded)  # no wrapper: others still find `net.body`, and weights keep their names


def bounded(critic, given, out):
    """Return a critic's answer with its score in (0, 1)."""
    return CriticOutput(out.score.sigmoid(), out.features, out.heads)
