"""TensorBoard: every figure of a run as a scalar, every sample grid as an image."""

from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from gancore import RowReader, UsageError, cached, component, hookimpl, state

AXIS = "step"  # the x axis of every curve, and so no curve itself


@component(
    source="TensorBoard, https://www.tensorflow.org/tensorboard; torch.utils.tensorboard",
    known_as={"tb": "", "tensorboardx": ""},
)
class TensorBoard:
    """Write figures and sample grids for TensorBoard; view them with `tensorboard --logdir RUN`.

    Whenever samples are drawn, all metrics rows since the previous drawing are written to
    RUN/tensorboard: a scalar for each figure under the figure's own name (`critic/total`), and the
    sample grid as the image `samples`, each at its step. A run writes one event file, and one more
    each time it is resumed. Events of an interrupted run after its last checkpoint are purged by
    TensorBoard.

    Raises UsageError if the package tensorboard is not installed.
    """

    written: int = state(0)  # step of the newest row that was written
    reader: RowReader | None = cached()
    writer: Any = cached()  # one per session: each creates an event file

    def __attrs_post_init__(self):
        if find_spec("tensorboard") is None:
            raise UsageError(
                "tensorboard is not installed",
                where="--track tensorboard",
                fix="pip install tensorboard",
            )

    @hookimpl
    def draw(self, progress, folder):
        if progress.step <= self.written:
            # the last picture of a run repeats the one before, when that was of the same step
            return
        try:
            self.write(progress, folder)
        except Exception:
            # The writer accepts nothing more; the next one purges its events after `written`.
            self.reader = None
            self.writer = None
            raise
        self.written = progress.step

    def write(self, progress, folder):
        """Write the rows since the previous drawing, and the grid of this one."""
        from torch.utils.tensorboard import SummaryWriter

        if self.writer is None:
            self.reader = RowReader(folder.parent)
            self.writer = SummaryWriter(folder.parent / "tensorboard", purge_step=self.written + 1)
        for row in self.reader.more():
            for name, value in row.items():
                if name != AXIS and row[AXIS] > self.written:
                    self.writer.add_scalar(name, value, row[AXIS])
        self.writer.add_image("samples", grid(progress, folder), progress.step, dataformats="HWC")
        self.writer.flush()


def grid(progress, folder):
    """Read the sample grid just drawn, uint8 `[H, W, 3]`; the last one may be `final.png`."""
    numbered = folder / f"step-{progress.step:09d}.png"
    with Image.open(numbered if numbered.exists() else folder / "final.png") as picture:
        return np.asarray(picture.convert("RGB"))
