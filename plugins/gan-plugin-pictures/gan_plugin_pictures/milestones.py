"""The same samples through the run, one row a moment."""

import torch
from torch import Tensor

from gan_plugin_pictures.sheet import IMAGES, save_sheet
from gancore import component, hookimpl, option, state


def crowded(steps: list[int]) -> int:
    """Return the place, ends excepted, whose neighbours are closest to each other; the first of several.

    >>> crowded([0, 40, 50, 60, 100])
    2
    """
    return min(range(1, len(steps) - 1), key=lambda place: steps[place + 1] - steps[place - 1])


@component(source="Leguay, GAN_IconClass, github.com/BenoitLeguay/GAN_IconClass: a strip of epochs", rules=[IMAGES])
class Milestones:
    """Draw the same samples through the run, one row a moment, the newest last.

    Every drawing adds a row, or with `at` the first drawing at or after each of those steps. When there would be more
    than `limit` rows, the one between the closest two is left out, so that they stay spread over the run. Latents and
    labels are the same in all rows. Pictures, each with all rows so far, go to `samples/milestones/`. Rows are kept
    as bytes, also across a resume: limit·columns·C·H·W of them, 1.2 MB at 12, 8 and 64×64×3.
    """

    columns: int = option(8, ge=1, help="samples in each row")
    limit: int = option(12, ge=2, help="most rows")
    at: tuple[int, ...] = option((), ge=0, help="steps whose rows are kept, separated by commas; empty: all drawings")
    steps: list[int] = state(factory=list)  # of the rows
    rows: Tensor | None = state()  # uint8 [R, columns, C, H, W]

    @hookimpl
    def draw(self, progress, folder):
        if self.due(progress.step):
            images = progress.make(progress.latents(self.columns), progress.reals(self.columns)[1]).images
            self.keep(progress.step, images)
        if self.rows is not None:
            save_sheet(self.rows / 127.5 - 1, progress, folder, "milestones")

    def due(self, step):
        """Whether a drawing at `step` adds a row; the end of a run may draw a step twice."""
        last = self.steps[-1] if self.steps else -1
        return any(last < wanted <= step for wanted in self.at) if self.at else last < step

    def keep(self, step, images):
        """Add images `[columns, C, H, W]` in [-1, 1] as the row of `step`; drop a row where there are too many."""
        row = images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)[None]
        self.rows = row if self.rows is None else torch.cat([self.rows, row])
        self.steps = [*self.steps, step]
        if len(self.steps) > self.limit:
            place = crowded(self.steps)
            del self.steps[place]
            self.rows = torch.cat([self.rows[:place], self.rows[place + 1 :]])
