"""A fixed number of critic updates before each generator update."""

from gancore import Update, UsageError, component, hookimpl, option


@component(
    source="Goodfellow et al., NeurIPS 2014, algorithm 1 (k steps); Arjovsky et al., ICML 2017, algorithm 1 (n_critic)"
)
class NCritic:
    """Update the critic k times, each on fresh reals and latents, then the generator once.

    After n steps there have been n·k critic updates, and n·k batches of reals have been shown; `pretrain` adds to
    both. Without `fresh_reals` only n batches are shown, for all k critic updates of a step meet the same reals: a
    fault kept for comparison, that of BenoitLeguay/GAN_IconClass. With `reuse_fakes` the fakes of the last critic
    update serve the generator's too, as in the DCGAN of PyTorch's tutorials: one pass of the generator less each step.
    """

    critic: int = option(1, ge=0, help="critic updates in each step")
    generator: int = option(1, ge=0, help="generator updates in each step")
    fresh_reals: bool = option(True, help="false shows one batch of reals to all critic updates of a step, a fault")
    reuse_fakes: bool = option(False, help="true makes the last critic and the first generator update share fakes")
    pretrain: int = option(0, ge=0, help="critic updates before all others, in step 0, each on fresh reals")

    def __attrs_post_init__(self):
        if not (self.critic or self.pretrain and self.generator):
            what, fix = "n-critic.critic is 0: the critic would never learn", "--n-critic.critic 1, or some pretrain"
            raise UsageError(what, where="n-critic.critic", fix=fix)

    @hookimpl
    def schedule(self, step):
        ahead = [Update("critic")] * (0 if step else self.pretrain)
        critics = [Update("critic", fresh=self.fresh_reals or number == 0) for number in range(self.critic)]
        if self.reuse_fakes and self.critic and self.generator:
            turn = Update("in-turn", fresh=critics[-1].fresh)
            return [*ahead, *critics[:-1], turn, *[Update("generator")] * (self.generator - 1)]
        return ahead + critics + [Update("generator")] * self.generator
