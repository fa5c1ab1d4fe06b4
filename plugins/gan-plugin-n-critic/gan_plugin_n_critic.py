"""A fixed number of critic updates before each generator update."""

from gancore import Update, component, hookimpl, option


@component(
    source="Goodfellow et al., NeurIPS 2014, algorithm 1 (k steps); Arjovsky et al., ICML 2017, algorithm 1 (n_critic)"
)
class NCritic:
    """Update the critic k times, each on fresh reals and latents, then the generator once.

    After n steps there have been n·k critic updates, and n·k batches of reals have been shown.
    """

    critic: int = option(1, ge=0, help="critic updates in each step")
    generator: int = option(1, ge=0, help="generator updates in each step")

    @hookimpl
    def schedule(self):
        return [Update("critic")] * self.critic + [Update("generator")] * self.generator
