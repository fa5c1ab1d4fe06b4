"""TensorBoard: every figure of a run as a curve, every sample grid as a picture."""

from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from gancore import RowReader, UsageError, cached, component, hookimpl, state

AXIS = "step"  # of every curve, so no curve itself


@component(
    source="TensorBoard, https://www.tensorflow.org/tensorboard; torch.utils.tensorboard",
    known_as={"tb": "", "tensorboardx": ""},
)
class TensorBoard:
    """Write figures and sample grids for TensorBoard; see them by `tensorboard --logdir RUN`.

    Whenever samples are drawn, all metrics rows since the last time go into RUN/tensorboard, a scalar for each figure
    under the figure's own name (`critic/total`), and the sample grid as the image `samples`, each at its step. A run
    writes one event file, and one more each time it is resumed: it goes on from its checkpoint then, and what a lost
    run wrote after it is marked to be forgotten.

    Raises UsageError where the package tensorboard is not installed.
    """

    written: int = state(0)  # step of the newest row that was written
    reader: RowReader | None = cached()
    writer: Any = cached()  # one for all drawings of a session: each makes a file of its own

    def __attrs_post_init__(self):
        if find_spec("tensorboard") is None:
            raise UsageError("tensorboard is not installed", where="--track tensorboard", fix="pip install tensorboard")

    @hookimpl
    def draw(self, progress, folder):
        if progress.step <= self.written:
            return  # the last picture of a run repeats the one before, when that was of the same step
        try:
            self.write(progress, folder)
        except Exception:
            self.reader = self.writer = None  # it takes nothing more; the next marks what it wrote to be forgotten
            raise
        self.written = progress.step

    def write(self, progress, folder):
        """Write the rows since the last drawing, and the grid of this one."""
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
    """Read the picture that the run just drew, bytes `[H, W, 3]`; at its end it may have no number."""
    numbered = folder / f"step-{progress.step:09d}.png"
    with Image.open(numbered if numbered.exists() else folder / "final.png") as picture:
        return np.asarray(picture.convert("RGB"))
