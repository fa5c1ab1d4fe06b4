"""TensorBoard: every figure of a run as a curve, every sample grid as a picture."""

from importlib.util import find_spec

import numpy as np
from PIL import Image

from gancore import UsageError, component, hookimpl, memory, read_rows

AXIS = "step"  # of every curve, so no curve itself


@component(
    source="TensorBoard, https://www.tensorflow.org/tensorboard; torch.utils.tensorboard",
    known_as={"tb": "", "tensorboardx": ""},
)
class TensorBoard:
    """Write figures and sample grids for TensorBoard; see them by `tensorboard --logdir RUN`.

    Whenever samples are drawn, all metrics rows since the last time go into RUN/tensorboard, a scalar for each figure
    under the figure's own name (`critic/total`), and the sample grid as the image `samples`, each at its step. A run
    that is resumed goes on from its checkpoint: what a lost run wrote after it is marked to be forgotten.

    Raises UsageError where the package tensorboard is not installed.
    """

    written: int = memory(0)  # step of the newest row that was written

    def __attrs_post_init__(self):
        if find_spec("tensorboard") is None:
            raise UsageError(
                "tensorboard is not installed", where="--track tensorboard", mend="pip install tensorboard"
            )

    @hookimpl
    def draw(self, progress, folder):
        from torch.utils.tensorboard import SummaryWriter

        if progress.step <= self.written:
            return  # the last picture of a run repeats the one before, when that was of the same step
        rows = [row for row in read_rows(folder.parent) if row[AXIS] > self.written]
        with SummaryWriter(folder.parent / "tensorboard", purge_step=self.written + 1) as writer:
            for row in rows:
                for name, value in row.items():
                    if name != AXIS:
                        writer.add_scalar(name, value, row[AXIS])
            writer.add_image("samples", grid(progress, folder), progress.step, dataformats="HWC")
        self.written = progress.step

    def state(self):
        return {"written": self.written}

    def load_state(self, state):
        self.written = state["written"]


def grid(progress, folder):
    """Read the picture that the run just drew, bytes `[H, W, 3]`; at its end it may have no number."""
    numbered = folder / f"step-{progress.step:09d}.png"
    with Image.open(numbered if numbered.exists() else folder / "final.png") as picture:
        return np.asarray(picture.convert("RGB"))
