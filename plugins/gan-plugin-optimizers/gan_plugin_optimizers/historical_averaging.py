"""Historical averaging: keep weights near the mean of what they were."""

import torch

from gancore import component, hookimpl, option, state


@component(source="Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.3")
class HistoricalAveraging:
    """Penalise the squared distance of a player's weights from the mean of their past.

    The term is `distance` = weight·‖θ - (θ_1 + … + θ_t)/t‖², the sum of squares over all weights
    of a player, and θ_i its weights after its i-th update. No term in its first update. After t
    equal steps from one point the mean lags behind by (t - 1)/2 of them, so the pull grows with
    the length of a training. Memory is one more set of weights of each player that is penalised.

    The paper gives no weight; 1 is its formula as it stands.
    """

    weight: float = option(1.0, ge=0, help="factor λ of the term")
    player: str = option(
        "both",
        choices=("both", "generator", "critic"),
        help="whose weights are held near their mean",
    )
    means: dict[str, dict[str, torch.Tensor]] = state(factory=dict)  # by player and name
    counts: dict[str, int] = state(factory=dict)  # t of each player

    @hookimpl
    def critic_terms(self, batch):
        return self.terms(batch.gan.critic)

    @hookimpl
    def generator_terms(self, batch):
        return self.terms(batch.gan.generator)

    @hookimpl
    def after_critic_update(self, gan):
        self.remember(gan.critic)

    @hookimpl
    def after_generator_update(self, gan):
        self.remember(gan.generator)

    def terms(self, player):
        """Return the term of one player, None before its first update or where it has none."""
        means = self.means.get(player.role)
        if means is None:
            return None
        distances = []
        with torch.autocast(player.parameters[0].device.type, enabled=False):
            for name, weight in player.named_parameters():
                distances.append((weight - means[name].to(weight.device)).square().sum())
        return {"distance": self.weight * torch.stack(distances).sum()}

    def remember(self, player):
        """Take the present weights of a player into their mean."""
        if self.player not in ("both", player.role):
            return
        count = self.counts.get(player.role, 0) + 1
        means = dict(self.means.get(player.role, {}))
        for name, weight in player.named_parameters():
            mean = means.get(name)
            if mean is None:
                means[name] = weight.detach().clone()
            else:
                means[name] = mean.to(weight.device).lerp(weight.detach(), 1 / count)
        self.means = {**self.means, player.role: means}
        self.counts = {**self.counts, player.role: count}
