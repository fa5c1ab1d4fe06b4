"""Sigmoid score: a critic that returns a probability where the loss expects a raw score."""

from gancore import CriticOutput, component, hookimpl, warns_with


@component(
    source="garridoq/gan-guide, the table of its WGAN; BenoitLeguay/GAN_IconClass, its WGAN of "
    "January 2021; without a sigmoid: Arjovsky, Chintala and Bottou, ICML 2017, arXiv:1701.07875, "
    "section 3",
    provides=["critic.bounded-score"],
    rules=[
        warns_with(
            "loss.wasserstein",
            "scores in (0, 1) differ by less than 1 at any distance between reals and fakes, so "
            "they estimate no distance",
            cite="Arjovsky et al. 2017, section 3",
            fix="leave sigmoid-score out",
        ),
        warns_with(
            "loss.absolute-scores",
            "this loss applies a sigmoid to raw scores itself, and two sigmoids saturate twice",
            fix="leave sigmoid-score out",
        ),
        warns_with(
            "critic.gradient-penalty",
            "a score in (0, 1) can have a gradient of norm 1 only over a distance of less than 1",
            fix="leave sigmoid-score out",
        ),
    ],
)
class SigmoidScore:
    """Apply a sigmoid to the critic's score: a fault kept for comparison with raw scores.

    s ← σ(s) = 1/(1 + e⁻ˢ) in (0, 1), `[N]`, after all changes of the score by other components;
    features and heads are left alone. The Wasserstein critic's loss then lies in (-1, 1), and each
    gradient is multiplied by σ(s)·(1-σ(s)), which is at most 1/4 and vanishes at large scores:
    4.5e-5 at s = ±10.
    """

    @hookimpl(trylast=True)  # after components that change the score
    def adapt_critic(self, net):
        # a hook and no wrapper: other components use `net.body`, and parameters keep their names
        net.register_forward_hook(bounded)


def bounded(critic, given, out):
    """Return the critic's output with its score in (0, 1)."""
    return CriticOutput(out.score.sigmoid(), out.features, out.heads)
