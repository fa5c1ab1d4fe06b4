"""A fixed number of critic updates before each generator update."""

from gancore import Update, UsageError, component, hookimpl, option


@component(
    source=(
        "Goodfellow et al., NeurIPS 2014, algorithm 1 (k steps); "
        "Arjovsky et al., ICML 2017, algorithm 1 (n_critic)"
    )
)
class NCritic:
    """Update the critic k times, each on fresh reals and latents, then the generator once.

    After n steps there have been n·k critic updates on n·k batches of reals; `pretrain` adds to
    both. Without `fresh_reals` there are only n batches, as all k critic updates of a step use the
    same reals: a fault kept for comparison, found in BenoitLeguay/GAN_IconClass. With `reuse_fakes`
    the generator's update uses the fakes of the last critic update, as in the DCGAN of PyTorch's
    tutorials, which saves one forward pass of the generator in each step.
    """

    critic: int = option(1, ge=0, help="critic updates in each step")
    generator: int = option(1, ge=0, help="generator updates in each step")
    fresh_reals: bool = option(
        True, help="false uses one batch of reals for all critic updates of a step, a fault"
    )
    reuse_fakes: bool = option(
        False, help="true uses the same fakes in the last critic and the first generator update"
    )
    pretrain: int = option(
        0, ge=0, help="extra critic updates at the start of step 0, each on fresh reals"
    )

    def __attrs_post_init__(self):
        if not (self.critic or self.pretrain and self.generator):
            raise UsageError(
                "n-critic.critic is 0: the critic would never learn",
                where="n-critic.critic",
                fix="--n-critic.critic 1, or some pretrain",
            )

    @hookimpl
    def schedule(self, step):
        ahead = [Update("critic")] * (0 if step else self.pretrain)
        critics = [
            Update("critic", fresh=self.fresh_reals or number == 0) for number in range(self.critic)
        ]
        if self.reuse_fakes and self.critic and self.generator:
            turn = Update("in-turn", fresh=critics[-1].fresh)
            return [*ahead, *critics[:-1], turn, *[Update("generator")] * (self.generator - 1)]
        return ahead + critics + [Update("generator")] * self.generator
