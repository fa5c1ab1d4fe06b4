"""The settings of a run: the `[run]` table of a recipe, the plain flags of `gan run`."""

from __future__ import annotations

import re

import attrs

from gancore.errors import UsageError
from gancore.plugins.component import option, options_of

LEAST_SIDE = 8  # pixels of an image that --size asks for
LARGEST_SIDE = 1024  # pixels of any image; more would be a mistake, as steps would take minutes


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of a run: the plain flags of `gan run` and the table `[run]` of a recipe.

    Fields marked resumable may change when a run is resumed.
    """

    steps: int = option(
        1000,
        resumable=True,
        ge=0,
        help="iterations of the schedule, usually one generator update each",
    )
    epochs: int = option(
        0,
        resumable=True,
        ge=0,
        help="passes over the data; above 0, this replaces --steps",
    )
    batch: int = option(64, ge=1, help="real samples, and as many fakes, in one update")
    size: str | None = option(
        None, help="image size in pixels, N or HxW; none keeps the data's own"
    )
    seed: int = option(0, ge=0, help="seed of all random numbers of the run")
    device: str = option("auto", resumable=True, help="auto, cpu, cuda or cuda:N")
    precision: str = option(
        "fp32",
        choices=("fp32", "tf32", "bf16", "fp16"),
        help="arithmetic of the networks; weights are always fp32",
    )
    compile: str = option(
        "none",
        choices=("none", "default", "reduce-overhead", "max-autotune"),
        help="mode of torch.compile; compiling takes minutes, and helps on a GPU if at all",
    )
    channels_last: str = option(
        "auto",
        choices=("auto", "true", "false"),
        help="channels-last memory format; auto uses it where it was measured to be faster",
    )
    log_every: int = option(10, resumable=True, ge=1, help="steps between rows of the metrics log")
    sample_every: int = option(
        0,
        resumable=True,
        ge=0,
        help="steps between sample grids; 0 draws ten in a run, more at first",
    )
    sample_epochs: int = option(
        0,
        resumable=True,
        ge=0,
        help="epochs between sample grids; above 0, this replaces --sample-every",
    )
    save_every: int = option(200, resumable=True, ge=1, help="steps between checkpoints")
    force: bool = option(
        False, help="run a composition even if the rules of its components forbid it"
    )
    rollbacks: int = option(
        0,
        resumable=True,
        ge=0,
        help=(
            "times to return to the last checkpoint, "
            "with other random numbers, after a nan or infinity"
        ),
    )
    keep: int = option(3, resumable=True, ge=1, help="how many of the newest checkpoints to keep")
    keep_every: int = option(
        0,
        resumable=True,
        ge=0,
        help="keep one checkpoint every N steps for good; 0 keeps none",
    )

    @property
    def image_size(self) -> tuple[int, int] | None:
        """The wanted (height, width) in pixels, from `size`; None for the data's own.

        Raises UsageError for anything but N or HxW of 8 to 1024 pixels.
        """
        if self.size is None:
            return None
        found = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", self.size)
        sides = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not all(LEAST_SIDE <= side <= LARGEST_SIDE for side in sides):
            raise UsageError(
                f"size is {self.size!r}, but must be N or HxW with sides of 8 to 1024 pixels",
                where="--size",
                fix="--size 64 or --size 48x32",
            )
        return sides


RESUMABLE = frozenset(name for name, each in options_of(Settings).items() if each.resumable)
