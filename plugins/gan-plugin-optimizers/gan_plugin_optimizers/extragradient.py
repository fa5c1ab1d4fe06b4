"""Extragradient: step from the old weights along the gradient of the weights looked ahead to."""

import torch

from gancore import cached, component, conflicts, hookimpl, option, requires

SOURCE = "Gidel et al., ICLR 2019, arXiv:1802.10551, algorithm 2; Korpelevich 1976"
IN_GROUPS = conflicts(
    "updates.accumulated",
    "each half of an iteration makes a step of its own, which accumulation would leave out",
    fix="leave accumulate out, or use another optimizer",
)


@component(
    source=SOURCE, provides=["updates.extrapolated"], rules=[IN_GROUPS], known_as={"egm": ""}
)
class Extragradient:
    """Make each iteration twice, and step from its first weights along the second's gradients.

    The first half steps from the weights w of both players to w̃ = w - s(∇(w)), where s is the
    step of the chosen optimizer for a gradient; the second half takes the gradients at w̃ and steps
    from w: w - s(∇(w̃)). Both halves follow the chosen schedule, and each is shown new reals and
    latents, so an iteration costs twice as much. The moments of the optimizer are updated by both
    gradients, as in the paper. On min over x, max over y of x·y, where gradient descent moves
    outwards, extragradient converges to the centre.
    """

    # both are set anew in each iteration, so there is nothing to save between two
    weights: dict = cached(factory=dict)  # w of both players, where the iteration began
    first_half: int = cached(0)  # updates in it

    @hookimpl
    def before_step(self, gan):
        self.weights = {
            (player.role, name): weight.detach().clone()
            for player in (gan.generator, gan.critic)
            for name, weight in player.named_parameters()
        }

    @hookimpl(trylast=True)  # after the schedule has its final form
    def adapt_schedule(self, updates):
        self.first_half = len(updates)
        return [*updates, *updates]

    @hookimpl
    def adapt_gradients(self, gan, role, batch):
        if batch.update_id.index < self.first_half:
            return
        # only a player's first update in the second half begins from the old weights
        for name, weight in gan.player(role).named_parameters():
            old = self.weights.pop((role, name), None)
            if old is not None:
                weight.copy_(old)


@component(
    source=SOURCE,
    provides=["extrapolates"],
    rules=[
        IN_GROUPS,
        requires(
            "generator.extrapolates",
            "both players look ahead together",
            fix="--optim extra-adam",
        ),
        requires(
            "critic.extrapolates",
            "both players look ahead together",
            fix="--optim extra-adam",
        ),
        conflicts(
            "updates.extrapolated",
            "both would make each iteration twice",
            fix="leave extragradient out, or --optim adam",
        ),
    ],
    known_as={"extraadam": ""},
)
class ExtraAdam(Extragradient):
    """Optimise both players by Adam with extrapolation: extragradient over Adam.

    The same as `extragradient` over `adam`, which says how an iteration is made. The defaults are
    those of `adam`; the paper's best results have beta1 = 0.5 and beta2 = 0.9. A learning rate for
    each player, as there.
    """

    lr: float = option(2e-4, ge=0, help="learning rate of both players")
    critic_lr: float | None = option(None, ge=0, help="learning rate of the critic; none takes lr")
    beta1: float = option(
        0.5, ge=0, lt=1, help="decay of the running mean of gradients, per update"
    )
    beta2: float = option(
        0.999, ge=0, lt=1, help="decay of the running mean of squares, per update"
    )

    @hookimpl
    def make_optimizer(self, params, role):
        lr = self.critic_lr if role == "critic" and self.critic_lr is not None else self.lr
        return torch.optim.Adam(params, lr=lr, betas=(self.beta1, self.beta2), fused=True)
