"""Schedules of a term's weight, and of Adam's second decay, as functions of the step."""

from math import cos, pi

from gan_plugin_optimizers.learning_rates import progress
from gancore import CompositionError, cached, component, hookimpl, option

SOURCE = "Huang et al., NeurIPS 2024, arXiv:2501.05441, appendix; linear: Miyato et al., ICLR 2018"
PATIENCE = 100  # steps; a lazy term comes every 16 steps or so


def between(first: float, last: float, share: float, shape: str) -> float:
    """Return the value at a share in [0, 1] of the way from `first` to `last`.

    `linear` or `cosine`, which leaves and arrives with slope 0.
    """
    if shape == "cosine":
        return last + (first - last) * (1 + cos(pi * share)) / 2
    return first + (last - first) * share


@component(source=SOURCE, known_as={"gamma-schedule": "", "weight-schedule": ""})
class AnnealTerm:
    """Multiply a term of a player by a factor that moves from one value to another.

    factor(t) goes from `first` to `last` between the steps `start` and `end`, and is constant
    before and after; a pure function of the step, so a resumed run goes on with it. `term` names a
    component, whose terms are all multiplied, or one term as COMPONENT/TERM, as the metrics log
    does: `gradient-penalty/penalty`. For a penalty whose weight γ is to fall from 10 to 1, set its
    weight to 10 and `last` to 0.1. The log shows the term with its factor.

    Raises CompositionError where no term has the name in the first 100 steps.
    """

    term: str = option("", help="COMPONENT or COMPONENT/TERM, as in the metrics log; '' is none")
    first: float = option(1.0, ge=0, help="factor up to the step `start`")
    last: float = option(0.0, ge=0, help="factor from the step `end` on")
    start: int = option(0, ge=0, help="last step with the first factor")
    end: int = option(100_000, ge=1, help="first step with the last factor")
    shape: str = option("cosine", choices=("cosine", "linear"), help="of the way between them")
    found: bool = cached(False)
    waited: int = cached(0)  # steps without the term since the process began

    @hookimpl
    def adapt_terms(self, terms, step):
        if not self.term:
            return None
        chosen = [name for name in terms if name == self.term or name.startswith(f"{self.term}/")]
        self.found = self.found or bool(chosen)
        self.expect_term(terms)
        factor = between(self.first, self.last, progress(step, self.start, self.end), self.shape)
        return {name: term * factor if name in chosen else term for name, term in terms.items()}

    @hookimpl
    def after_step(self):
        self.waited += 1

    def expect_term(self, terms):
        """Raise CompositionError where the term was waited for in vain."""
        if self.term and not self.found and self.waited >= PATIENCE:
            raise CompositionError(
                f"no term is called {self.term!r}",
                where="anneal-term.term",
                fix=f"one of {', '.join(terms)}, or of the other player",
            )


@component(source=SOURCE, known_as={"beta2-schedule": ""})
class AnnealBeta2:
    """Move the decay of Adam's running mean of squares from the optimizer's own to another one.

    beta2(t) goes from the optimizer's own to `last` between the steps `start` and `end`, for both
    players, and is constant before and after; a pure function of the step. Acts on every parameter
    group that has betas. Raises CompositionError for an optimizer without.
    """

    last: float = option(0.99, ge=0, lt=1, help="beta2 from the step `end` on")
    start: int = option(0, ge=0, help="last step with the optimizer's own")
    end: int = option(100_000, ge=1, help="first step with the last one")
    shape: str = option("cosine", choices=("cosine", "linear"), help="of the way between them")

    @hookimpl
    def adapt_optimizer(self, optimizer, role):
        groups = optimizer.param_groups
        if not all("betas" in group for group in groups):
            raise CompositionError(
                f"the {role}'s optimizer has no beta2 that could be annealed",
                where="anneal-beta2",
                fix=f"--{'gen' if role == 'generator' else 'critic'}-optim adam",
            )
        for group in groups:
            group["first_beta2"] = group["betas"][1]  # saved with the optimizer
        return optimizer

    @hookimpl
    def before_step(self, gan, step):
        share = progress(step, self.start, self.end)
        for player in (gan.generator, gan.critic):
            for group in player.optimizer.param_groups:
                beta2 = between(group["first_beta2"], self.last, share, self.shape)
                group["betas"] = (group["betas"][0], beta2)
