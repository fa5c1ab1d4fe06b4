"""Consistency: an image and its transformed copy are to have the same score."""

from gan_plugin_augment.transforms import IMAGES, draw_parameters, transform
from gan_plugin_augment.views import share_of_sides
from gancore import component, hookimpl, option, warns_with

RULES = [
    IMAGES,
    warns_with(
        "critic.view-augmented",
        "the critic then sees transformed images alone, so two kinds of transformation are counted",
        cite="Zhao et al. 2021, section 1",
        fix="one of the two",
    ),
    warns_with(
        "glyphs",
        "a mirrored letter or digit may be another one, and is to have the same score",
        when=lambda chosen: chosen.flip > 0,
        fix="leave out the flip: --cr.flip 0, --bcr.flip 0",
    ),
]


class Transformed:
    """The transformation T of one component: flips and shifts by whole pixels."""

    # what `transform` reads beside flip: it leaves colours and angles alone
    rotate = hue = brightness = saturation = contrast = 0
    fill = 0.0  # of uncovered pixels: mid-grey

    def __init__(self, flip, translation):
        self.flip = flip
        self.translation = translation

    def gap(self, side, rng):
        """Return the mean of (s(x) - s(T x))² over one side's view, a scalar."""
        view = side.view
        limits = share_of_sides(view.shape[2:], self.translation)
        drawn = draw_parameters(len(view), rng)
        other = side.batch.critic(transform(view, self, limits, drawn), side.view_labels).score
        return (side.score - other).square().mean()


@component(
    source="Zhang et al., ICLR 2020, arXiv:1910.12027, equation 3",
    provides=["critic.consistency"],
    rules=RULES,
    known_as={"consistency": "", "crgan": "", "consistency-regularization": ""},
)
class CR:
    """Penalise the critic where a real and its transformed copy have different scores.

    The term is weight·E(s(x) - s(T(x)))² over the reals' views, where T flips with probability
    `flip` and shifts by whole pixels, up to the share `translation` of the sides each way. A pass
    of the critic more in each of its updates. With T the identity the term is 0. Gradients pass to
    both scores. The generator never sees T, unlike with augmented views.
    """

    weight: float = option(10.0, ge=0, help="factor λ of the squared difference of scores")
    flip: float = option(0.5, ge=0, le=1, help="probability of a horizontal flip")
    translation: float = option(
        0.125, ge=0, le=1, help="largest shift in each direction, a share of the side, 0 to 1"
    )

    @hookimpl
    def critic_terms(self, batch, rng):
        if batch.real is None:
            return None
        transformed = Transformed(self.flip, self.translation)
        return {"real": self.weight * transformed.gap(batch.real, rng)}


@component(
    source="Zhao et al., AAAI 2021, arXiv:2002.04724, algorithm 1",
    provides=["critic.consistency"],
    rules=RULES,
    known_as={"balanced-consistency": ""},
)
class BCR:
    """Penalise the critic where a sample, real or fake, and its transformed copy differ in score.

    The terms are weight·E(s(x) - s(T(x)))² over reals and fake_weight·E(s(x') - s(T(x')))² over
    fakes, with T as in `cr`: with reals alone (`cr`) the generator may learn to draw the artifacts
    of T. Two passes of the critic more in each of its updates. With T the identity the terms are 0.
    """

    weight: float = option(10.0, ge=0, help="factor λ of the squared difference for reals")
    fake_weight: float = option(10.0, ge=0, help="factor λ of the squared difference for fakes")
    flip: float = option(0.5, ge=0, le=1, help="probability of a horizontal flip")
    translation: float = option(
        0.125, ge=0, le=1, help="largest shift in each direction, a share of the side, 0 to 1"
    )

    @hookimpl
    def critic_terms(self, batch, rng):
        transformed = Transformed(self.flip, self.translation)
        terms = {"fake": self.fake_weight * transformed.gap(batch.fake, rng)}
        if batch.real is not None:
            terms["real"] = self.weight * transformed.gap(batch.real, rng)
        return terms
