"""Extragradient over any optimiser, and ExtraAdam."""

from gan_plugin_optimizers.lookahead import weights_of
from gancore import cached, component, conflicts, hookimpl, preset


@component(
    source="Gidel et al., ICLR 2019, arXiv:1802.10551, algorithm 2 and equation 12",
    provides=["step.twofold"],
    rules=[
        conflicts(
            "step.accumulated",
            "the second half of a step starts from the weights of the first, "
            "but with accumulated gradients most halves end without a step",
            fix="leave one of them out",
        ),
    ],
)
class Extragradient:
    """Make each iteration twice, the first time only to find the gradient at where it leads.

    The first half steps from the weights w to w̃ = w - s(∇(w)), where s is the optimiser's step for
    a gradient; the second half takes the gradient at w̃ and steps from w again: w - s(∇(w̃)). Both
    halves are made of the schedule that was chosen, so the moments of the optimiser see both
    gradients, as in the paper's ExtraAdam. Each half is given new reals, and costs a step.
    """

    # both set anew in each iteration, so there is nothing to save between two
    weights: dict = cached(factory=dict)  # of both players, where the iteration began
    first_half: int = cached(0)  # updates in it

    @hookimpl
    def before_step(self, gan):
        self.weights = {name: weight.detach().clone() for name, weight in weights_of(gan)}

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


@preset(
    source="Gidel et al., ICLR 2019, arXiv:1802.10551, algorithm 4 and appendix H",
    defaults={
        "optim": "adam",
        "adam": {"lr": 1e-4, "beta1": 0.5, "beta2": 0.9},
        "schedule": "simultaneous",
    },
)
class ExtraAdam(Extragradient):
    """Extragradient over Adam with both players at once, ExtraAdam as published."""
