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
    """One set of labels, such as `type`: every sample has one of its classes.

    `len(label_set)` counts the classes. Its column in `labels` is `plan.column(name)`.

    - `name`: the name of the set, unique among those of the data.
    - `classes`: the names of the classes; the label of a sample is an index into them.
    - `values`: None, or float32 `[K, D]`: D numbers for each of the K classes, for conditions that
      are more than names, such as an angle or the embedding of a caption, where each sample may
      have a class of its own. `gancore.Values` looks them up. They are zeros where networks are
      built only to receive the weights of a checkpoint.

    Raises ValueError for values of another shape or type.
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
        """Count the classes."""
        return len(self.classes)


@frozen
class Tail:
    """A module of the critic's tail, `[N, F] → [N, F + added]`.

    - `module`: called as `module(features [N, F])`.
    - `added`: how many features the module adds; negative where it returns fewer than it is given.
    - `labels`: whether it is called as `module(features, labels [N, L])` instead.
    """

    module: nn.Module
    added: int
    labels: bool = False


@frozen
class Head:
    """A named output of the critic.

    - `name`: the key of the output in `out.heads`, unique in a composition. The output `[N]` of a
      head called `score` is added to the score instead, and several heads may have that name. A
      head called `score/NAME` gives scores `[N]` or `[N, S]` of its own, as further columns of the
      score.
    - `module`: called as `module(features [N, F], labels [N, L])`; F counts the features after the
      tails of the components before this one.
    """

    name: str
    module: nn.Module


@frozen
class Update:
    """One update of a schedule.

    - `role`: the player to update, `"generator"` or `"critic"`; or `"both"` or `"in-turn"`, which
      update both players on the same fakes. `both` computes both gradients before either step;
      `in-turn` updates the critic first.
    - `reals`: False makes the update on fakes alone, so that `batch.real` is None.
    - `fresh`: whether the critic is given the next batch of reals, or once more the batch before.
      A generator update is always given the batch before.
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
    """Everything a component may know when networks are built: shapes, labels, latent, and the
    modules of the chosen norm and upsampler.

    It cannot be changed. In `latent_width` the fields from `latent` to `critic_shape` are empty
    still, in `generator_inputs` the last two of them; in `critic_shape`, `plan.critic_shape` is the
    shape of one sample.

    - `shape`: the shape of one sample, `(C, H, W)` for images, `(C, T)` for signals such as audio,
      `(C, D, H, W)` for volumes, `(d,)` for points.
    - `label_sets`: the label sets of the data, one for each column of `labels`; empty without
      labels.
    - `batch`: samples in one update, over all processes.
    - `latent`: the width Z of the latent `z`.
    - `latent_slices`: the columns of `z` that each component draws, by its name:
      `z[:, plan.latent_slices[gancore.name_of(self)]]`.
    - `inputs`: the width that the generator's first layer is given, `latent` and what components
      append to it (`generator_inputs`).
    - `critic_shape`: the shape of one row of the critic's input, after every `critic_shape` hook.
    - `view_label_sets`: the label sets that critic views append (`view_labels`); in hooks of the
      critic they are part of `label_sets`, and this is empty.
    - `norm(channels, role, style=0)`: build a new normalisation layer
      `[N, channels, …] → [N, channels, …]` of the kind that was chosen for a player, `"generator"`
      or `"critic"`. Call it once for each layer. `style` is the width W of the style `[N, W]` that
      the network passes to it, which `gancore.Layers` does, together with the labels.
    - `upsample(channels_in, channels_out)`: build a new upsampling module of the chosen kind, which
      doubles each of the `axes`: `[N, channels_in, h, w] → [N, channels_out, 2h, 2w]` for images.
      `gancore.Crop` cuts the map where a side is odd. Raises CompositionError for points.
    - `reals(n)`: draw n real samples, float32 `[n, *shape]`, and labels, int64 `[n, L]`, on the
      CPU, for a module that keeps a reference batch. The same at every call; zeros when networks
      are built only to receive the weights of a checkpoint.
    - `latents(n)`: draw n latents, float32 `[n, Z]`, on the CPU, for such a module. The same at
      every call.

    Internal: `for_critic`.
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

    def for_critic(self) -> Plan:
        """Return the plan for hooks of the critic, whose labels have the views' columns too."""
        sets = self.label_sets + self.view_label_sets
        return evolve(self, label_sets=sets, view_label_sets=())

    def column(self, name: str = "") -> int:
        """Return the column of `labels` that holds the label set `name`, or 0, that of the first
        set, for an empty name.

        Raises KeyError where there is no such set, and for data without labels.
        """
        names = [labels.name for labels in self.label_sets]
        if not names or (name and name not in names):
            raise KeyError(
                f"no label set is called {name!r}; the data has {', '.join(names) or 'none'}"
            )
        return names.index(name) if name else 0

    def label_set(self, name: str = "") -> LabelSet:
        """Return the label set `name`, or the first for an empty name.

        Raises KeyError where there is no such set, and for data without labels.
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
