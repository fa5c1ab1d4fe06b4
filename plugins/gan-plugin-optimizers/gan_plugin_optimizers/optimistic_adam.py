"""Optimistic Adam: steps that subtract the step before, against rotation."""

import torch

from gancore import component, hookimpl, option


class OptimisticSteps(torch.optim.Optimizer):
    """Move weights by w ← w - 2·lr·d + lr·d', with Adam's directions d now and d' before.

    A plain loop over the weights, so that the state that a checkpoint stores can be read: `step`,
    `mean`, `square` and `last`, which is lr·d'.
    """

    def __init__(self, params, lr, betas, eps=1e-8):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self.step_one(weight, group)

    def step_one(self, weight, group):
        beta1, beta2 = group["betas"]
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros(())
            for name in ("mean", "square", "last"):
                state[name] = torch.zeros_like(weight)
        state["step"] += 1
        count = state["step"].item()  # on the CPU, so nothing waits for a GPU
        state["mean"].lerp_(weight.grad, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(weight.grad, weight.grad, value=1 - beta2)
        root = (state["square"] / (1 - beta2**count)).sqrt_().add_(group["eps"])
        move = state["mean"] / root * (group["lr"] / (1 - beta1**count))
        weight.sub_(2 * move).add_(state["last"])
        state["last"].copy_(move)


@component(
    source="Daskalakis et al., ICLR 2018, arXiv:1711.00141, algorithm 1",
    known_as={"optimistic": "", "omd": "", "oadam": ""},
)
class OptimisticAdam:
    """Optimise by Adam with optimism: twice the present step, less the one before.

    w ← w - 2·lr·d_t + lr·d_{t-1}, where d = m̂/(√v̂ + 1e-8) is Adam's direction with bias correction
    and d_0 = 0, so that the first step is twice Adam's. Where the gradient does not change, all
    others are Adam's. With beta1 = 0 and a constant root it is optimistic mirror descent, which on
    min over x, max over y of x·y converges to the centre where gradient descent moves outwards.

    The paper states no betas; the defaults are those of `adam`. A weight that an update does not
    reach keeps its last step for the next one.
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
        return OptimisticSteps(params, lr, (self.beta1, self.beta2))
