"""Relativistic losses: scores of reals compared with scores of fakes."""

from torch.nn.functional import softplus

from gancore import (
    CompositionError,
    average,
    component,
    hookimpl,
    option,
    preset,
    warns_without,
)

# what a difference of scores costs the player that wants it to be large
BASES = {
    "nonsat": lambda difference: softplus(-difference),
    "hinge": lambda difference: (1 - difference).relu(),
    "lsgan": lambda difference: (1 - difference).square(),
}


@component(
    source="Jolicoeur-Martineau, ICLR 2019, arXiv:1807.00734, sections 4.1 (paired) and 4.2 "
    "(average); landscape of the paired form: Sun, Fang and Schwing, NeurIPS 2020, "
    "arXiv:2011.04926",
    provides=["loss.relative-scores"],
    rules=[
        warns_without(
            "critic.zero-centred",
            "pairs of scores alone do not bound the critic's gradient, and the paired form was "
            "found to diverge without penalties on both sides",
            cite="Huang et al., NeurIPS 2024, arXiv:2501.05441, section 2.2",
            fix="--reg r1 --reg r2",
            when=lambda chosen: chosen.form == "paired",
        ),
    ],
    known_as={"rpgan": "", "ragan": "Choose --relativistic.form average.", "rsgan": ""},
)
class Relativistic:
    """Ask reals for larger scores than fakes, in pairs or against the other side's average.

    With f(x) = sp(-x) = ln(1 + e⁻ˣ) for the base nonsat, max(0, 1 - x) for hinge and (1 - x)² for
    lsgan, and raw scores s `[N]` without targets:

    - paired: the critic minimises mean f(s_r - s_f), the generator mean f(s_f - s_r), over pairs
      in the order of the batch, which so must have as many reals as fakes;
    - average: the critic minimises ½ mean f(s_r - E s_f) + ½ mean f(E s_r - s_f), the generator
      the same with the sides exchanged, with means E over the batch of all processes. The halves
      are those of the author's program; the paper's equations have none.

    A constant added to all scores changes nothing. Equal scores cost ln 2 with nonsat. The
    generator's update scores the reals too, a forward pass without a graph. Raises CompositionError
    in a critic's update on fakes alone, which leaves nothing to compare.
    """

    form: str = option(
        "paired", choices=("paired", "average"), help="what the score of a sample is compared with"
    )
    base: str = option("nonsat", choices=tuple(BASES), help="cost of a difference of scores")

    @hookimpl
    def critic_terms(self, batch):
        if batch.real is None:
            raise CompositionError(
                "an update without reals leaves fakes nothing to be compared with",
                where="loss relativistic",
                fix="a schedule whose critic updates have reals",
            )
        return self.costs(high=batch.real, low=batch.fake)

    @hookimpl
    def generator_terms(self, batch):
        return self.costs(high=batch.fake, low=batch.real)

    def costs(self, high, low):
        """Return the terms of the player that wants `high` to have larger scores than `low`."""
        cost = BASES[self.base]
        if self.form == "paired":
            # weights, where there are any, are those of the fakes
            side = low if high.real else high
            return {"pairs": side.mean(cost(high.score - low.score))}
        names = {True: "real", False: "fake"}
        above = cost(high.score - average(low.score.mean(0)))
        below = cost(average(high.score.mean(0)) - low.score)
        return {
            names[high.real]: 0.5 * high.mean(above),
            names[low.real]: 0.5 * low.mean(below),
        }


@preset(
    source="Jolicoeur-Martineau, ICLR 2019, arXiv:1807.00734, section 4.2 and appendix D",
    defaults={"ralsgan": {"form": "average", "base": "lsgan"}},
)
class RaLSGAN(Relativistic):
    """Ask each score to be 1 above the other side's average: relativistic average least squares."""


@preset(
    source="Huang et al., NeurIPS 2024, arXiv:2501.05441, section 2; γ and rate are gancore's",
    defaults={
        "reg": ["r1", "r2"],
        "r1": {"gamma": 1.0},
        "r2": {"gamma": 1.0},
        "critic-norm": "none",
        "adam": {"lr": 2e-4},
    },
)
class RpGANZeroGP(Relativistic):
    """Compare reals and fakes in pairs, with R1 and R2: gradients penalised on both sides."""
