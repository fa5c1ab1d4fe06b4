"""The same samples at several steps of a run, one row per step."""

import torch
from torch import Tensor

from gan_plugin_pictures.sheet import IMAGES, save_sheet
from gancore import component, hookimpl, option, state


def crowded(steps: list[int]) -> int:
    """Return the index of the step, ends excluded, whose neighbours are closest to each other.

    Of several it is the first.

    >>> crowded([0, 40, 50, 60, 100])
    2
    """
    return min(range(1, len(steps) - 1), key=lambda place: steps[place + 1] - steps[place - 1])


@component(
    source="Leguay, GAN_IconClass, github.com/BenoitLeguay/GAN_IconClass: a strip of epochs",
    rules=[IMAGES],
)
class Milestones:
    """Draw the same samples at several steps of the run, one row per step, the newest last.

    Each drawing adds a row; with `at`, the first drawing at or after each of these steps. Above
    `limit` rows the one between the closest two is removed, so that the rows stay distributed over
    the run. All rows have the same latents and labels. Pictures, each with all rows so far, are
    written to `samples/milestones/`. Rows are stored as bytes and restored on resume:
    limit·columns·C·H·W of them, 1.2 MB at 12, 8 and 64×64×3.
    """

    columns: int = option(8, ge=1, help="samples in each row")
    limit: int = option(12, ge=2, help="maximum number of rows")
    at: tuple[int, ...] = option(
        (), ge=0, help="steps that have a row, separated by commas; empty: all drawings"
    )
    steps: list[int] = state(factory=list)  # of the rows
    rows: Tensor | None = state()  # uint8 [R, columns, C, H, W]

    @hookimpl
    def draw(self, progress, folder):
        if self.due(progress.step):
            labels = progress.reals(self.columns)[1]
            images = progress.make(progress.latents(self.columns), labels).images
            self.keep(progress.step, images)
        if self.rows is not None:
            save_sheet(self.rows / 127.5 - 1, progress, folder, "milestones")

    def due(self, step):
        """Return whether a drawing at `step` adds a row; the last step may be drawn twice."""
        last = self.steps[-1] if self.steps else -1
        return any(last < wanted <= step for wanted in self.at) if self.at else last < step

    def keep(self, step, images):
        """Add images `[columns, C, H, W]` in [-1, 1] as a row; remove a row above the limit."""
        row = images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)[None]
        self.rows = row if self.rows is None else torch.cat([self.rows, row])
        self.steps = [*self.steps, step]
        if len(self.steps) > self.limit:
            place = crowded(self.steps)
            del self.steps[place]
            self.rows = torch.cat([self.rows[:place], self.rows[place + 1 :]])
