"""Turn samples into pictures, grids of images and scatter plots, and save them."""

from __future__ import annotations

import io
import math
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from gancore.run import atomic


def to_pixels(images: Tensor) -> Tensor:
    """Map images in [-1, 1] to bytes `[N, C, H, W]`."""
    return images.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_picture(pixels: Tensor) -> Image.Image:
    """Turn bytes `[C, H, W]` of 1, 3 or 4 channels into a picture.

    Of other counts the first channel is shown.
    """
    channels = pixels if len(pixels) in (1, 3, 4) else pixels[:1]
    array = channels.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[..., 0] if len(channels) == 1 else array)


def grid(images: Tensor, columns: int = 0, pad: int = 2) -> Image.Image:
    """Arrange images `[N, C, H, W]` in [-1, 1] in a grid.

    It has `rows·(H + pad) + pad` rows of pixels, or a multiple of that where it is small.
    """
    n, channels, height, width = images.shape
    columns = min(columns or math.isqrt(n - 1) + 1, n)
    rows = -(-n // columns)
    size = (channels, rows * (height + pad) + pad, columns * (width + pad) + pad)
    sheet = torch.full(size, 255, dtype=torch.uint8)
    for place, pixels in enumerate(to_pixels(images)):
        row, column = divmod(place, columns)
        top = pad + row * (height + pad)
        left = pad + column * (width + pad)
        sheet[:, top : top + height, left : left + width] = pixels
    picture = to_picture(sheet)
    factor = max(1, 1024 // max(picture.size))
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )


def scatter(fakes: Tensor, reals: Tensor | None, side: int = 512) -> Image.Image:
    """Plot the first two coordinates of points `[N, d]`.

    Reals are blue dots, under fakes as smaller red ones.
    """
    shown = [(fakes, "#c8402f", 1)]
    if reals is not None:
        shown.insert(0, (reals, "#3b6fb6", 2))  # drawn first, so that fakes lie on top
    everything = _plane(torch.cat([points for points, _, _ in shown]))
    mean = everything.mean(0)
    reach = (everything - mean).abs().max().clamp_min(1e-6) * 1.05
    picture = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(picture)
    for points, colour, size in shown:
        places = ((_plane(points) - mean) / reach + 1).mul(side / 2)
        for x, y in places.tolist():
            # y grows upwards in a plot, and downwards in a picture
            pen.ellipse((x - size, side - y - size, x + size, side - y + size), fill=colour)
    return picture


def _plane(points: Tensor) -> Tensor:
    """Return the first two coordinates of points `[N, d]`; the second is 0 where there is one."""
    if points.shape[1] < 2:
        points = torch.nn.functional.pad(points, (0, 1))
    return points[:, :2]


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.replace(path, buffer.getvalue())
