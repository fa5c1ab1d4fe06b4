"""A GAN with two critics: `gan run --loss ./examples/two_critics.py`."""

import torch
from torch import nn

from gancore import component, hookimpl, option


@component(
    source="Nguyen et al., Dual discriminator generative adversarial nets, NeurIPS 2017, eq. 1",
    provides=["loss.absolute-scores"],
)
class TwoCritics:
    """Train two critics with opposed losses: one rewards reals, the other fakes (D2GAN).

    With D1 = softplus(score of the critic) and D2 = softplus(score of the second), both positive,
    the critics maximise alpha · E_r log D1 - E_f D1 - E_r D2 + beta · E_f log D2, and the generator
    minimises it. The second critic is a network of the critic's player (`extend_player`), so both
    share an optimiser and a schedule; it is built of the flattened samples.
    """

    alpha: float = option(0.2, gt=0, le=1, help="weight of the reward of reals")
    beta: float = option(0.1, gt=0, le=1, help="weight of the reward of fakes")
    width: int = option(64, ge=1, help="features of the second critic's hidden layer")

    @hookimpl
    def extend_player(self, role, plan):
        if role == "generator":
            return None
        values = torch.Size(plan.critic_shape).numel()
        hidden = nn.Linear(values, self.width)
        score = nn.Linear(self.width, 1)
        return {"second": nn.Sequential(nn.Flatten(), hidden, nn.LeakyReLU(0.2), score)}

    @hookimpl
    def critic_terms(self, batch):
        terms = {}
        if batch.real is not None:
            first, second = self.rewards(batch, batch.real)
            terms["real"] = second.mean() - self.alpha * first.log().mean()
        first, second = self.rewards(batch, batch.fake)
        terms["fake"] = first.mean() - self.beta * second.log().mean()
        return terms

    @hookimpl
    def generator_terms(self, batch):
        first, second = self.rewards(batch, batch.fake)
        return {"fake": batch.fake.mean(self.beta * second.log() - first)}

    def rewards(self, batch, side):
        """Return D1 and D2 `[N]` of a side, both above zero."""
        second = batch.network(batch.gan.critic.extras["second"], side.view).float().squeeze(1)
        positive = nn.functional.softplus
        return positive(side.score) + 1e-6, positive(second) + 1e-6
