"""Schedules of other numbers than learning rates: factors of terms, and Adam's β₂."""

from math import cos, pi

from gan_plugin_optimizers.learning_rates import progress
from gancore import CompositionError, cached, component, hookimpl, option


def value_at(component, step):
    """Return initial + (final - initial)·w(p), w linear or half a cosine from 0 to 1."""
    share = progress(step, component.start, component.end)
    if component.shape == "cosine":
        share = (1 - cos(pi * share)) / 2
    return component.initial + (component.final - component.initial) * share


@component(
    source="γ of R1 and R2 along half a cosine: Huang et al., NeurIPS 2024, arXiv:2501.05441, "
    "appendix",
    known_as={"gamma-schedule": "", "weight-schedule": ""},
)
class TermSchedule:
    """Multiply one term by a factor that changes with the step: a scheduled γ, λ or weight.

    The factor goes from `initial` to `final` between the steps `start` and `end`, along a line or
    half a cosine, and is constant before and after. It is a function of the step alone. `term` is
    COMPONENT/TERM as in the log, e.g. r1/penalty; a term of that name is multiplied for either
    player. The factor is measured, and rows note once where there is no such term.
    """

    term: str = option("", help="term that is multiplied, COMPONENT/TERM, e.g. r1/penalty")
    initial: float = option(1.0, help="factor until `start`")
    final: float = option(0.1, help="factor from `end` on")
    start: int = option(0, ge=0, help="last step of the initial factor")
    end: int | None = option(
        10_000,
        ge=1,
        run_length=True,
        help="first step of the final factor; none: the number of steps of the run",
    )
    shape: str = option("cosine", choices=("cosine", "linear"), help="way between the two")

    terms: tuple = cached(())  # names of all terms that there were
    noted: bool = cached(False)

    @hookimpl
    def adapt_terms(self, terms, step):
        self.terms = tuple(sorted({*self.terms, *terms}))
        if self.term not in terms:
            return None
        return {**terms, self.term: value_at(self, step) * terms[self.term]}

    @hookimpl
    def measure(self, progress):
        return {"factor": value_at(self, progress.step)}

    @hookimpl
    def record(self):
        if self.noted or not self.terms or self.term in self.terms:
            return None
        self.noted = True
        return f"no term is called {self.term!r} so far; there are {', '.join(self.terms)}"


@component(source="Huang et al., NeurIPS 2024, arXiv:2501.05441, appendix: β₂ from 0.9 to 0.99")
class Beta2Schedule:
    """Change Adam's β₂ of both players with the step.

    β₂ goes from `initial` to `final` between the steps `start` and `end`, along half a cosine or a
    line: a function of the step alone, which replaces the optimiser's own β₂. Raises
    CompositionError for an optimiser without a pair of betas.
    """

    initial: float = option(0.9, ge=0, lt=1, help="β₂ until `start`")
    final: float = option(0.99, ge=0, lt=1, help="β₂ from `end` on")
    start: int = option(0, ge=0, help="last step of the initial value")
    end: int | None = option(
        10_000,
        ge=1,
        run_length=True,
        help="first step of the final value; none: the number of steps of the run",
    )
    shape: str = option("cosine", choices=("cosine", "linear"), help="way between the two")

    @hookimpl
    def before_step(self, gan, step):
        for player in (gan.generator, gan.critic):
            for group in player.optimizer.param_groups:
                if "betas" not in group:
                    raise CompositionError(
                        f"the optimiser of the {player.role} has no β₂",
                        where="reg beta2-schedule",
                        fix="--optim adam",
                    )
                group["betas"] = (group["betas"][0], value_at(self, step))
