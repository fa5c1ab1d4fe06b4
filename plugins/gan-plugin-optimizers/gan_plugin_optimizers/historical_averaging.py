"""Historical averaging: stay near the mean of the weights so far."""

import torch

from gancore import component, hookimpl, option, state


@component(source="Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.3")
class HistoricalAveraging:
    """Penalise each player's distance from the mean of its weights so far: λ·‖θ - θ̄‖².

    θ̄ is the mean of the weights at the starts of all earlier updates of that player, so the first
    update has no term; the paper gives no λ. The sum is over all trained weights, not a mean.
    Memory is one more set of weights.
    """

    weight: float = option(1.0, ge=0, help="factor λ of the squared distance")

    means: dict[str, torch.Tensor] = state(factory=dict)  # θ̄, by role and weight
    counts: dict[str, int] = state(factory=dict)  # updates in θ̄, by role

    @hookimpl
    def critic_terms(self, batch):
        return self.term(batch.gan.critic)

    @hookimpl
    def generator_terms(self, batch):
        return self.term(batch.gan.generator)

    def term(self, player):
        """Return the term of one player, None before its first update."""
        if not self.counts.get(player.role):
            return None
        distances = []
        for name, weight in player.named_parameters():
            mean = self.means[f"{player.role}.{name}"].to(weight.device)
            distances.append((weight - mean).square().sum())
        return {"distance": self.weight * torch.stack(distances).sum()}

    @hookimpl
    def adapt_gradients(self, gan, role):
        # called before the step of each update, skipped ones too
        count = self.counts.get(role, 0) + 1
        for name, weight in gan.player(role).named_parameters():
            key = f"{role}.{name}"
            mean = self.means.get(key, weight).to(weight.device)
            self.means[key] = mean + (weight.detach() - mean) / count
        self.counts[role] = count
