"""Feature matching: the mean features of fakes are to be those of reals."""

from gan_plugin_consistency.wide import in_float32
from gancore import average, component, hookimpl, name_of, option

ADVERSARIAL = ("/fake", "/real", "/pairs")  # ends of the names of the generator's terms of losses


@component(
    source="Salimans et al., NeurIPS 2016, arXiv:1606.03498, section 3.1; "
    "l1: Kavalerov et al., WACV 2021, arXiv:1912.04216",
    known_as={"fm": ""},
)
class FeatureMatching:
    """Train the generator to draw samples with the mean features of reals in the critic.

    The term is weight·‖E φ(x) - E φ(x')‖² over features φ `[N, F]` of the batch's reals x, without
    a gradient, and fakes x'; `norm l1` is the mean of the absolute differences instead. With equal
    batches it is 0. Means are those of all processes, in float32. `replace` drops the adversarial
    term from what the generator minimises, as the paper does: the terms called `fake`, `real` or
    `pairs` of every other component, which are those of losses; those of class heads have other
    names. A pass of the critic more, over the reals, in each generator update.
    """

    weight: float = option(1.0, ge=0, help="factor of the distance")
    norm: str = option(
        "l2", choices=("l2", "l1"), help="sum of squares, or mean of absolute differences"
    )
    replace: bool = option(False, help="true drops the loss's own term of the generator")

    @hookimpl
    def generator_terms(self, batch):
        if batch.real is None:
            return None
        real = average(in_float32(batch.real.features).mean(0))
        fake = average(in_float32(batch.fake.features).mean(0))
        gap = real.detach() - fake
        distance = gap.square().sum() if self.norm == "l2" else gap.abs().mean()
        return {"features": self.weight * distance}

    @hookimpl
    def adapt_terms(self, terms, role):
        own = f"{name_of(self)}/features"
        if role == "critic" or not self.replace or own not in terms:
            return None
        return {name: term for name, term in terms.items() if not name.endswith(ADVERSARIAL)}
