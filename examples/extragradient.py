"""Extragradient over any optimiser: `gan run --opt adam --reg ./examples/extragradient.py`."""

from gancore import cached, component, hookimpl


@component(source="Gidel et al., A variational inequality perspective on GANs, ICLR 2019, alg. 2")
class Extragradient:
    """Make each iteration twice, and keep the weights of the first half only as a point to look
    from.

    The first half steps from the weights w to w̃ = w - s(∇(w)), where s is the optimiser's step for
    a gradient; the second half takes the gradient at w̃ and steps from w again: w - s(∇(w̃)). Both
    halves are made of the schedule that was chosen, so the moments of the optimiser see both
    gradients, as in the paper's ExtraAdam. Each half is shown new reals.
    """

    # both set anew in each iteration, so there is nothing to save between two
    weights: dict = cached(factory=dict)  # of both players, where the iteration began
    first_half: int = cached(0)  # updates in it

    @hookimpl
    def before_step(self, gan):
        self.weights = {
            f"{player.role}.{name}": weight.detach().clone()
            for player in (gan.generator, gan.critic)
            for name, weight in player.named_parameters()
        }

    @hookimpl(trylast=True)
    def adapt_schedule(self, updates):
        self.first_half = len(updates)
        return [*updates, *updates]

    @hookimpl
    def adapt_gradients(self, gan, role, batch):
        if batch.update_id.index < self.first_half:
            return
        # only the first update of a player in the second half begins from the old weights
        for name, weight in gan.player(role).named_parameters():
            old = self.weights.pop(f"{role}.{name}", None)
            if old is not None:
                weight.copy_(old)
