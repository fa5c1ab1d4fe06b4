"""The transformations, each a differentiable function of images and one parameter a sample, and the law of these."""

import math
from typing import Any

import torch
from torch import Tensor

from gancore import draw_rows, requires

IMAGES = requires(
    "data.images", "it moves and colours the pixels of images, but the data are points", fix="leave it out"
)

# ── one transformation a function: images [N, C, H, W] and one parameter a sample [N], all differentiable ─────────


def per_sample(values: Tensor, images: Tensor) -> Tensor:
    """Shape one number a sample `[N]` so that it broadcasts over `[N, C, H, W]`, in the type of the images."""
    return values.to(images)[:, None, None, None]


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate RGB about the grey axis k = (1, 1, 1)/√3: m + cos·(x - m) + sin·k×x, m the mean of the three channels.

    A third of a turn makes red green, green blue and blue red. Images without three channels have no hue.
    """
    if images.shape[1] != 3:
        return images
    angle, grey = 2 * math.pi * turns, images.mean(1, keepdim=True)
    cross = (images.roll(1, 1) - images.roll(-1, 1)) / 3**0.5
    return grey + per_sample(angle.cos(), images) * (images - grey) + per_sample(angle.sin(), images) * cross


def brighten(images: Tensor, by: Tensor) -> Tensor:
    """Add one number to every element of a sample."""
    return images + per_sample(by, images)


def saturate(images: Tensor, factor: Tensor) -> Tensor:
    """Scale each pixel's distance from its own grey: 0 leaves greys, 1 the images."""
    grey = images.mean(1, keepdim=True)
    return grey + per_sample(factor, images) * (images - grey)


def sharpen_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Scale each element's distance from the mean of its sample: 0 leaves one grey, 1 the images."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + per_sample(factor, images) * (images - mean)


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror left and right in the samples that are chosen, bool `[N]`."""
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def read(images: Tensor, rows: Tensor, columns: Tensor, fill: float) -> Tensor:
    """Read the pixels at rows `[N, H, 1 or W]` and columns `[N, 1 or H, W]`, int64; beyond the edge lies `fill`."""
    height, width = images.shape[2:]
    outside = (rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)
    places = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)  # [N, H, W]
    found = images.flatten(2).gather(2, places.flatten(1)[:, None].expand(-1, images.shape[1], -1))
    return found.view_as(images).masked_fill(outside[:, None], fill)


def shift(images: Tensor, down: Tensor, right: Tensor, fill: float) -> Tensor:
    """Move each sample by whole pixels, int64 `[N]`; negative is up and left."""
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
    return read(images, (rows - down[:, None])[:, :, None], (columns - right[:, None])[:, None], fill)


def rotate(images: Tensor, degrees: Tensor, fill: float) -> Tensor:
    """Turn each sample counterclockwise about its middle, bilinear between pixels.

    Equal to torch's `grid_sample`, but it can be differentiated twice, as a penalty on the critic's slope asks.
    """
    angle = degrees.deg2rad()[:, None, None]
    middle = [(side - 1) / 2 for side in images.shape[2:]]
    y, x = (torch.arange(n, device=images.device) - half for n, half in zip(images.shape[2:], middle, strict=True))
    row = middle[0] + angle.cos() * y[:, None] + angle.sin() * x  # [N, H, W]: where each pixel comes from
    column = middle[1] + angle.cos() * x - angle.sin() * y[:, None]
    found = torch.zeros_like(images)
    for near_row in (row.floor(), row.floor() + 1):
        for near_column in (column.floor(), column.floor() + 1):
            weight = (1 - (row - near_row).abs()) * (1 - (column - near_column).abs())
            found = found + weight[:, None].to(images) * read(images, near_row.long(), near_column.long(), fill)
    return found


def cut_out(images: Tensor, top: Tensor, left: Tensor, size: list[int], fill: float) -> Tensor:
    """Cover the box of `size` (height, width) whose first row and column are given, int64 `[N]`, as far as it shows."""
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
    rows, columns = rows - top[:, None], columns - left[:, None]
    covered = ((rows >= 0) & (rows < size[0]))[:, :, None] & ((columns >= 0) & (columns < size[1]))[:, None]
    return images.masked_fill(covered[:, None], fill)


# ── the law of their parameters, the same for both components ─────────────────────────────────────────────────────

DRAWN = ("flip", "rotate", "down", "right", "hue", "brightness", "saturation", "contrast", "top", "left")


def draw(n: int, rng: torch.Generator) -> dict[str, Tensor]:
    """Draw U[0, 1) for n samples and every parameter, used or not: so no option moves the numbers of another."""
    return dict(zip(DRAWN, draw_rows(uniform, (n,), rng).T, strict=True))


def uniform(shape: tuple[int], **how: Any) -> Tensor:
    """Draw U[0, 1) for every sample and parameter `[n, P]`, one parameter after the other."""
    return torch.rand(len(DRAWN), *shape, **how).T


def spread(uniform: Tensor, most: float) -> Tensor:
    """Stretch U[0, 1) to U[-most, most)."""
    return most * (2 * uniform - 1)


def whole(uniform: Tensor, low: int, high: int) -> Tensor:
    """Turn U[0, 1) into the whole numbers from low to high, both possible, all equally often."""
    return (uniform * (high - low + 1)).floor().long() + low


def transform(images: Tensor, how: Any, most: list[int], drawn: dict[str, Tensor]) -> Tensor:
    """Recolour, then move images `[N, C, H, W]` as the options of the component `how` say, by up to `most` pixels.

    `most` is (down, right). Colours come first, so that what is uncovered is `fill` exactly. What is off is not done.
    """
    if how.hue:
        images = turn_hue(images, spread(drawn["hue"], how.hue))
    if how.brightness:
        images = brighten(images, spread(drawn["brightness"], how.brightness))
    if how.saturation:
        images = saturate(images, 1 + spread(drawn["saturation"], how.saturation))
    if how.contrast:
        images = sharpen_contrast(images, 1 + spread(drawn["contrast"], how.contrast))
    if how.flip:
        images = flip(images, drawn["flip"] < how.flip)
    if how.rotate:
        images = rotate(images, spread(drawn["rotate"], how.rotate), how.fill)
    if any(most):
        down, right = (whole(drawn[way], -m, m) for way, m in zip(("down", "right"), most, strict=True))
        images = shift(images, down, right, how.fill)
    return images
