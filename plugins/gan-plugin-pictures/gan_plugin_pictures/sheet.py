"""Sheets of images: how rows are generated, and where a sheet is written."""

from pathlib import Path

from torch import Tensor

from gancore import Progress, grid, requires, save_picture

IMAGES = requires(
    "data.images",
    "a sheet shows images, but the data are none",
    fix="leave it out; samples/ shows other samples already",
)


def make_rows(progress: Progress, z: Tensor, labels: Tensor) -> Tensor:
    """Generate rows of images `[R, K, C, H, W]` from latents `[R, K, Z]` and labels `[R, K, L]`."""
    return progress.make(z.flatten(0, 1), labels.flatten(0, 1)).images.unflatten(0, z.shape[:2])


def save_sheet(rows: Tensor, progress: Progress, folder: Path, name: str) -> None:
    """Write rows of images `[R, K, C, H, W]` in [-1, 1] as one picture.

    It is R·(H + 2) + 2 pixels high, times an integer factor for small images.
    """
    save_picture(
        grid(rows.flatten(0, 1), rows.shape[1]), folder / name / f"step-{progress.step:09d}.png"
    )
