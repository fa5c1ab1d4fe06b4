"""What construction is given: shapes, labels, latent, and the factories of the chosen norm and
upsampler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from attrs import field, frozen

from gancore.plugins.slots import Role

if TYPE_CHECKING:
    from torch import Tensor, nn


@frozen
class LabelSet:
    """One question that has an answer for every sample, e.g. `type`: the names of its classes, by
    number.
    """

    name: str
    classes: tuple[str, ...]

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

    `shape` is one sample: `(C, H, W)` for images, `(C, T)` for signals such as audio,
    `(C, D, H, W)` for volumes, `(d,)` for points. `latent` is the width Z of `z`, `inputs >=
    latent` the width the generator's first layer receives, `critic_shape` what the critic's body
    sees.

    Four functions build and draw:

    - `norm(channels, role, style=0)` builds the normalisation chosen for one player, for
      `[N, channels, …]`; `style` is the width W of the style `[N, W]` that the network passes to
      it, which `gancore.Layers` does, together with the labels;
    - `upsample(channels_in, channels_out)` builds the chosen upsampler, which doubles each of the
      `axes`: `[N, channels_in, h, w] → [N, channels_out, 2h, 2w]` for images;
    - `reals(n)` draws n real samples `[n, *shape]` and labels `[n, L]` for a module that keeps a
      reference batch: zeros when networks are built only to receive the weights of a checkpoint;
    - `latents(n)` draws n latents `[n, Z]` for such a module.
    """

    shape: tuple[int, ...]
    label_sets: tuple[LabelSet, ...] = ()
    batch: int = 64
    latent: int = 0
    latent_slices: Mapping[str, slice] = field(factory=dict)
    inputs: int = 0
    critic_shape: tuple[int, ...] = ()
    norm: MakeNorm = field(repr=False, eq=False)
    upsample: Callable[[int, int], nn.Module] = field(repr=False, eq=False)
    reals: Callable[[int], tuple[Tensor, Tensor]] = field(repr=False, eq=False)
    latents: Callable[[int], Tensor] = field(repr=False, eq=False)

    @property
    def axes(self) -> int:
        """The number of axes beside the channels: 0 for points, 1 for signals, 2 for images, 3 for
        volumes.

        `getattr(nn, f"Conv{plan.axes}d")` is the convolution that fits.
        """
        return len(self.shape) - 1

    @property
    def images(self) -> bool:
        """Whether samples are images, `(C, H, W)`."""
        return self.axes == 2

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


def pyramid(*size: int, smallest: int = 4) -> list[tuple[int, ...]]:
    """List the sizes of an image pyramid, smallest first: sides are halved, rounding up, while all
    stay >= `smallest`.

    `size` is height and width of an image; any number of sides will do.

    >>> pyramid(28, 28)
    [(7, 7), (14, 14), (28, 28)]
    >>> pyramid(100, 50)
    [(13, 7), (25, 13), (50, 25), (100, 50)]
    >>> pyramid(16)
    [(4,), (8,), (16,)]
    """
    sizes = [size]
    while min(sizes[0]) >= 2 * smallest:
        sizes.insert(0, tuple(-(-side // 2) for side in sizes[0]))
    return sizes
