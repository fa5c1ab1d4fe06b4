"""What construction is given: shapes, labels, latent, and the factories of the chosen norm and
upsampler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from attrs import evolve, field, frozen

from gancore.plugins.slots import Role

if TYPE_CHECKING:
    from torch import Tensor, nn


@frozen
class LabelSet:
    """One question that has an answer for every sample, e.g. `type`: the names of its classes, by
    number.

    `values` float32 `[K, D]` are D numbers for each of the K classes, for conditions that are more
    than names: an angle, or the embedding of a caption, where each sample may have a class of its
    own. `gancore.Values` looks them up. They are zeros where networks are built only to receive the
    weights of a checkpoint. Raises ValueError for another shape or type.
    """

    name: str
    classes: tuple[str, ...]
    values: Tensor | None = field(default=None, eq=False, repr=False)

    @values.validator
    def _check_values(self, attribute: object, values: Tensor | None) -> None:
        if values is None:
            return
        fits = values.dim() == 2 and len(values) == len(self.classes)
        if not fits or not values.is_floating_point():
            raise ValueError(
                f"the values of label set {self.name!r} are {values.dtype} {list(values.shape)}, "
                f"but float32 [{len(self.classes)}, D] is wanted"
            )

    def __len__(self) -> int:
        return len(self.classes)


@frozen
class Tail:
    """A module of the critic's tail, `[N, F] → [N, F + added]`.

    With `labels` it is called with labels `[N, L]` too.
    """

    module: nn.Module
    added: int
    labels: bool = False


@frozen
class Head:
    """A named output of the critic: `module(features [N, F], labels [N, L])`.

    The name `score` adds to the score.
    """

    name: str
    module: nn.Module


@frozen
class Update:
    """One update of a schedule. `reals=False` shows fakes alone.

    `both` and `in-turn` move both players on the same fakes: `both` takes both gradients before
    either step, `in-turn` moves the critic first. Reals are `fresh` unless the update is to meet
    once more the batch that was shown last.
    """

    role: Literal["generator", "critic", "both", "in-turn"]
    reals: bool = True
    fresh: bool = True


class MakeNorm(Protocol):
    """The type of `plan.norm`."""

    def __call__(self, channels: int, role: Role, style: int = 0) -> nn.Module:
        """Build the normalisation chosen for a player."""
        ...


@frozen(kw_only=True)
class Plan:
    """Everything a component may know when networks are built.

    Frozen; the core fills it in before it asks.

    `shape` is one sample: `(C, H, W)` for images, `(d,)` for points. `latent` is the width Z of
    `z`, `inputs >= latent` the width the generator's first layer receives, `critic_shape` what the
    critic's body sees. `view_label_sets` are the label sets that critic views append; for hooks of
    the critic they are part of `label_sets`.

    Four functions build and draw:

    - `norm(channels, role, style=0)` builds the normalisation chosen for one player, for
      `[N, channels, …]`; `style` is the width W of the style `[N, W]` that the network passes to
      it, which `gancore.Layers` does, together with the labels;
    - `upsample(channels_in, channels_out)` builds the chosen upsampler,
      `[N, channels_in, h, w] → [N, channels_out, 2h, 2w]`;
    - `reals(n)` draws n real samples `[n, *shape]` and labels `[n, L]` for a module that keeps a
      reference batch: zeros when networks are built only to receive the weights of a checkpoint;
    - `latents(n)` draws n latents `[n, Z]` for such a module.
    """

    shape: tuple[int, ...]
    label_sets: tuple[LabelSet, ...] = ()
    batch: int = 64
    latent: int = 0
    latent_slices: Mapping[str, slice] = field(factory=dict)
    view_label_sets: tuple[LabelSet, ...] = ()
    inputs: int = 0
    critic_shape: tuple[int, ...] = ()
    norm: MakeNorm = field(repr=False, eq=False)
    upsample: Callable[[int, int], nn.Module] = field(repr=False, eq=False)
    reals: Callable[[int], tuple[Tensor, Tensor]] = field(repr=False, eq=False)
    latents: Callable[[int], Tensor] = field(repr=False, eq=False)

    @property
    def images(self) -> bool:
        """Whether samples are images rather than points."""
        return len(self.shape) == 3

    def for_critic(self) -> Plan:
        """Return the plan for hooks of the critic, whose labels have the views' columns too."""
        sets = self.label_sets + self.view_label_sets
        return evolve(self, label_sets=sets, view_label_sets=())

    def column(self, name: str = "") -> int:
        """Return the column of `labels` that holds the label set `name` (the first set for an empty
        name).

        Raises KeyError where there is no such set.
        """
        names = [labels.name for labels in self.label_sets]
        if not names or (name and name not in names):
            raise KeyError(
                f"no label set is called {name!r}; the data has {', '.join(names) or 'none'}"
            )
        return names.index(name) if name else 0

    def label_set(self, name: str = "") -> LabelSet:
        """Return the label set `name`, or the first for an empty name.

        Raises KeyError where there is no such set.
        """
        return self.label_sets[self.column(name)]


def pyramid(height: int, width: int, smallest: int = 4) -> list[tuple[int, int]]:
    """List the sizes of an image pyramid, smallest first: sides are halved, rounding up, while both
    stay >= `smallest`.

    >>> pyramid(28, 28)
    [(7, 7), (14, 14), (28, 28)]
    >>> pyramid(100, 50)
    [(13, 7), (25, 13), (50, 25), (100, 50)]
    """
    sizes = [(height, width)]
    while min(sizes[0]) >= 2 * smallest:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return sizes
