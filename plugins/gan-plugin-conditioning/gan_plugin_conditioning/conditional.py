"""What all critics with a view on the class have in common: a label set, and a generator that is
given the class.
"""

import attrs

from gan_plugin_conditioning.inputs import LABELS, Concatenated, find_set
from gancore import CompositionError, conflicts, hookimpl, name_of, option

CLASS_HEAD = "critic.class-head"  # the tag of critics that compare a sample with its own label

RULES = [
    LABELS,
    conflicts(
        "critic.packed",
        "a pack of several samples has no label of its own",
        cite="Lin et al., NeurIPS 2018, arXiv:1712.04086",
        fix="leave out the packing, or the condition",
    ),
]


@attrs.define(eq=False, kw_only=True)
class Conditional:
    """Give fakes the labels of the reals in their update, and the generator its label.

    A base of components, none itself. `choose(plan)` returns the column and the number of classes.
    """

    labels: str = option("", help="label set to condition on; empty takes the first")
    condition: str = option(
        "concat",
        choices=("concat", "none"),
        help="how the generator receives the label; none leaves it to other components",
    )

    def choose(self, plan) -> tuple[int, int]:
        """Return the label set's column in `labels [N, L]` and its number K of classes.

        Raises CompositionError for a set that does not exist or has one class.
        """
        column, classes = find_set(plan, self.labels, name_of(self))
        if classes < 2:
            chosen = plan.label_sets[column]
            raise CompositionError(
                f"every sample's {chosen.name} is {', '.join(chosen.classes)}, "
                "so there is nothing to condition on",
                where=f"{name_of(self)}.labels",
                fix=f"leave {name_of(self)} out, or name another label set",
            )
        return column, classes

    # so that samples interpolated between reals and fakes have one class
    @hookimpl
    def draw_labels(self, real_labels):
        return real_labels

    @hookimpl
    def generator_inputs(self, plan):
        return self.choose(plan)[1] if self.condition == "concat" else None

    @hookimpl
    def adapt_generator(self, net, plan):
        return Concatenated(net, *self.choose(plan)) if self.condition == "concat" else None
