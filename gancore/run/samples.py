"""The pictures that a run draws of its samples, and the steps at which it draws them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gancore.run.pictures import picture_of, save_picture
from gancore.train.sampling import class_labels, draw_samples, draw_untrained

if TYPE_CHECKING:
    from gancore.recipe.settings import Settings
    from gancore.train.context import TrainingContext

# samples in a grid of images, signals or volumes, and in a scatter of points
SHEET = 64
CLOUD = 1000


def is_due(
    settings: Settings, step: int, epochs: tuple[float, float], shares: tuple[float, float]
) -> bool:
    """Whether a run draws after this step; `epochs` and `shares` are those before and after it."""
    if settings.sample_epochs:
        before, after = epochs
        return after // settings.sample_epochs > before // settings.sample_epochs
    if settings.sample_every:
        return step % settings.sample_every == 0
    before, after = shares
    return int(after * 10) > int(before * 10)


def is_early(settings: Settings, step: int, share: float) -> bool:
    """Whether a step draws a grid alone: 1, 2, 5, 10, 20, 50, … before the first of the ten
    drawings of a run.

    It depends on the step and nothing else, so that a resumed run leaves the pictures of one that
    never stopped.
    """
    if settings.sample_every or settings.sample_epochs or share >= 0.1:
        return False
    digits = str(step)
    return digits[0] in "125" and not digits[1:].strip("0")


def draw_grid(context: TrainingContext, path: Path, *, untrained: bool = False) -> None:
    """Write a picture of the samples of the same latents every time, as by `picture_of`.

    With `untrained` the generator itself draws, whatever network components would take samples
    from.
    """
    plan = context.plan
    count = SHEET if plan.axes else CLOUD
    labels = class_labels(list(map(len, plan.label_sets)), count)
    if untrained:
        made = draw_untrained(context, "grid", labels=labels)
    else:
        made, _ = draw_samples(context, len(labels), "grid", labels=labels)
    reals = None if plan.axes else plan.reals(count)[0]
    save_picture(picture_of(made, reals), path)
