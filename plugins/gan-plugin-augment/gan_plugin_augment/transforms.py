"""Differentiable transformations of images by one parameter a sample, and their distribution."""

import math
from typing import Any

import torch
from torch import Tensor

from gancore import draw_rows, requires

IMAGES = requires(
    "data.images", "it transforms the pixels of images, but the data are none", fix="leave it out"
)

# ── transformations of images [N, C, H, W] by one parameter a sample [N], all differentiable ──────


def per_sample(values: Tensor, images: Tensor) -> Tensor:
    """Reshape one number a sample `[N]` to broadcast over `[N, C, H, W]`, in the images' dtype."""
    return values.to(images)[:, None, None, None]


def rotate_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate RGB about the grey axis k = (1, 1, 1)/√3: m + cos·(x - m) + sin·k×x.

    m is the mean of the three channels. A third of a turn maps red to green, green to blue and blue
    to red. Images without three channels have no hue.
    """
    if images.shape[1] != 3:
        return images
    angle = 2 * math.pi * turns
    grey = images.mean(1, keepdim=True)
    cos = per_sample(angle.cos(), images)
    sin = per_sample(angle.sin(), images)
    cross = (images.roll(1, 1) - images.roll(-1, 1)) / 3**0.5
    return grey + cos * (images - grey) + sin * cross


def brighten(images: Tensor, by: Tensor) -> Tensor:
    """Add the sample's number to each of its elements."""
    return images + per_sample(by, images)


def saturate(images: Tensor, factor: Tensor) -> Tensor:
    """Scale each pixel's distance from its own grey: 0 gives greys, 1 the images."""
    grey = images.mean(1, keepdim=True)
    return grey + per_sample(factor, images) * (images - grey)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Scale each element's distance from the mean of its sample: 0 gives one grey, 1 the images."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + per_sample(factor, images) * (images - mean)


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen samples, bool `[N]`, left to right."""
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def read(images: Tensor, rows: Tensor, columns: Tensor, fill: float) -> Tensor:
    """Gather the pixels at int64 rows `[N, H, 1 or W]` and columns `[N, 1 or H, W]`.

    Pixels outside the image have the value `fill`.
    """
    height, width = images.shape[2:]
    outside = (rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)
    indices = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)  # [N, H, W]
    indices = indices.flatten(1)[:, None].expand(-1, images.shape[1], -1)  # [N, C, H·W]
    pixels = images.flatten(2).gather(2, indices)
    return pixels.view_as(images).masked_fill(outside[:, None], fill)


def row_and_column_indices(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices of the rows `[H]` and of the columns `[W]`."""
    height, width = images.shape[2:]
    device = images.device
    return torch.arange(height, device=device), torch.arange(width, device=device)


def shift(images: Tensor, down: Tensor, right: Tensor, fill: float) -> Tensor:
    """Shift each sample by whole pixels, int64 `[N]`; negative is up and left."""
    rows, columns = row_and_column_indices(images)
    source_rows = (rows - down[:, None])[:, :, None]
    source_columns = (columns - right[:, None])[:, None]
    return read(images, source_rows, source_columns, fill)


def rotate(images: Tensor, degrees: Tensor, fill: float) -> Tensor:
    """Rotate each sample counterclockwise about its centre, with bilinear interpolation."""
    angle = degrees.deg2rad()
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([cos, sin], 1)
    columns = torch.stack([-sin, cos], 1)
    return warp(images, torch.stack([rows, columns], 1), fill)


def warp(images: Tensor, matrix: Tensor, fill: float, moved: Tensor | None = None) -> Tensor:
    """Read each pixel (y, x) from the place M·(y, x) + moved, relative to the centre, bilinearly.

    M is `[N, 2, 2]`, and `moved` (down, right) in pixels `[N, 2]`. Equal to torch's `grid_sample`,
    but twice differentiable, as a gradient penalty requires.
    """
    centre_row, centre_column = ((side - 1) / 2 for side in images.shape[2:])
    rows, columns = row_and_column_indices(images)
    y = rows[:, None] - centre_row
    x = columns - centre_column
    (of_y, of_x), (for_y, for_x) = matrix[..., None, None].permute(1, 2, 0, 3, 4)
    row = centre_row + of_y * y + of_x * x  # [N, H, W]: source of each pixel
    column = centre_column + for_x * x + for_y * y
    if moved is not None:
        row = row + moved[:, 0, None, None]
        column = column + moved[:, 1, None, None]
    read_off = torch.zeros_like(images)
    # the four neighbours, each weighted by its closeness
    for near_row in (row.floor(), row.floor() + 1):
        for near_column in (column.floor(), column.floor() + 1):
            weight = (1 - (row - near_row).abs()) * (1 - (column - near_column).abs())
            pixels = read(images, near_row.long(), near_column.long(), fill)
            read_off = read_off + weight[:, None].to(images) * pixels
    return read_off


def cut_out(images: Tensor, top: Tensor, left: Tensor, size: list[int], fill: float) -> Tensor:
    """Cover a box of `size` (height, width) with first row `top` and column `left`, int64 `[N]`.

    The box may lie partly outside the image.
    """
    rows, columns = row_and_column_indices(images)
    rows = rows - top[:, None]
    columns = columns - left[:, None]
    in_rows = (rows >= 0) & (rows < size[0])
    in_columns = (columns >= 0) & (columns < size[1])
    covered = in_rows[:, :, None] & in_columns[:, None]
    return images.masked_fill(covered[:, None], fill)


# ── distribution of the parameters, the same for both components ──────────────────────────────────

PARAMETERS = (
    "flip",
    "rotate",
    "down",
    "right",
    "hue",
    "brightness",
    "saturation",
    "contrast",
    "top",
    "left",
)


def draw_parameters(n: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Draw U[0, 1) for n samples and each parameter, `[n]` each."""
    # unused ones too: so no option changes the random numbers of another
    return dict(zip(PARAMETERS, draw_rows(uniform, (n,), rng).T, strict=True))


def uniform(shape: tuple[int], **how: Any) -> Tensor:
    """Draw U[0, 1) for each sample and parameter, `[n, P]`, one parameter after the other."""
    return torch.rand(len(PARAMETERS), *shape, **how).T


def to_symmetric(uniform: Tensor, limit: float) -> Tensor:
    """Map U[0, 1) to U[-limit, limit)."""
    return limit * (2 * uniform - 1)


def to_integers(uniform: Tensor, low: int, high: int) -> Tensor:
    """Map U[0, 1) to the uniform distribution on the integers from low to high, both included."""
    return (uniform * (high - low + 1)).floor().long() + low


def transform(images: Tensor, how: Any, limits: list[int], drawn: dict[str, Tensor]) -> Tensor:
    """Recolour, then move images `[N, C, H, W]` by the options of the component `how`.

    `limits` are the largest shifts (down, right) in pixels. Colours come first, so that uncovered
    pixels are exactly `fill`. Options of value 0 cost nothing.
    """
    if how.hue:
        images = rotate_hue(images, to_symmetric(drawn["hue"], how.hue))
    if how.brightness:
        images = brighten(images, to_symmetric(drawn["brightness"], how.brightness))
    if how.saturation:
        images = saturate(images, 1 + to_symmetric(drawn["saturation"], how.saturation))
    if how.contrast:
        images = adjust_contrast(images, 1 + to_symmetric(drawn["contrast"], how.contrast))
    if how.flip:
        images = flip(images, drawn["flip"] < how.flip)
    if how.rotate:
        images = rotate(images, to_symmetric(drawn["rotate"], how.rotate), how.fill)
    if any(limits):
        down = to_integers(drawn["down"], -limits[0], limits[0])
        right = to_integers(drawn["right"], -limits[1], limits[1])
        images = shift(images, down, right, how.fill)
    return images
