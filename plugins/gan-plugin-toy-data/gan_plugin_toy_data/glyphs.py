"""Stacked glyphs: three small symbols as the channels of an image, a thousand classes."""

import torch
from torch import Tensor

from gancore import (
    DataSpec,
    LabelSet,
    StoredData,
    component,
    expect_memory,
    hookimpl,
    option,
    resize_images,
)

# Ten symbols of 6×6 pixels, a row of bits each; one pixel of margin makes them 8×8. Any two differ
# in five pixels at least, however they are shifted.
GLYPHS = {
    "ring": (0b011110, 0b100001, 0b100001, 0b100001, 0b100001, 0b011110),
    "cross": (0b100001, 0b010010, 0b001100, 0b001100, 0b010010, 0b100001),
    "plus": (0b001100, 0b001100, 0b111111, 0b111111, 0b001100, 0b001100),
    "block": (0b111111, 0b111111, 0b111111, 0b111111, 0b111111, 0b111111),
    "bars": (0b111111, 0b000000, 0b111111, 0b111111, 0b000000, 0b111111),
    "rails": (0b110011, 0b110011, 0b110011, 0b110011, 0b110011, 0b110011),
    "corner": (0b111111, 0b111111, 0b110000, 0b110000, 0b110000, 0b110000),
    "hook": (0b000011, 0b000011, 0b000011, 0b000011, 0b111111, 0b111111),
    "slope": (0b000001, 0b000011, 0b000111, 0b001111, 0b011111, 0b111111),
    "chess": (0b110011, 0b110011, 0b001100, 0b001100, 0b110011, 0b110011),
}
SIDE = 8
CHANNELS = ("red", "green", "blue")


def bitmaps() -> Tensor:
    """Return the symbols, uint8 `[10, 8, 8]`, 0 or 1, in the order of their classes."""
    drawn = torch.zeros(len(GLYPHS), SIDE, SIDE, dtype=torch.uint8)
    for glyph, rows in zip(drawn, GLYPHS.values(), strict=True):
        for y, row in enumerate(rows):
            glyph[y + 1, 1:7] = torch.tensor([int(bit) for bit in f"{row:06b}"])
    return drawn


def draw_glyphs(count: int, noise: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw stacks, uint8 `[count, 3, 8, 8]`, and the symbols of their channels, `[count, 3]`.

    Symbols are independent and equally likely; each is shifted by -1, 0 or 1 pixel along both axes,
    and gets normal noise of the standard deviation `noise`, in units of the range [-1, 1].
    """
    classes = torch.randint(len(GLYPHS), (count, 3), generator=rng)
    shifts = torch.randint(-1, 2, (count, 3, 2), generator=rng)
    # within its margin a symbol is shifted by rolling: what leaves one border is empty
    places = torch.arange(SIDE)
    rows = (places[:, None] - shifts[..., 0, None, None]) % SIDE  # [count, 3, 8, 1]
    columns = (places - shifts[..., 1, None, None]) % SIDE  # [count, 3, 1, 8]
    drawn = bitmaps()[classes[..., None, None], rows, columns].float()
    drawn += noise / 2 * torch.randn(drawn.shape, generator=rng)
    return drawn.mul(255).round().clamp(0, 255).to(torch.uint8), classes


def stack_label_sets(classes: tuple[str, ...]) -> tuple[LabelSet, ...]:
    """Return one label set for each channel: `red`, `green` and `blue`."""
    return tuple(LabelSet(channel, classes) for channel in CHANNELS)


@component(
    source="after the stacked MNIST of Metz et al., ICLR 2017, arXiv:1611.02163, section 3.3; the "
    "symbols are ours",
)
class StackedGlyphs:
    """Draw stacks of three symbols, one in each channel of an 8×8 image: 1000 equal modes.

    Each channel has one of ten symbols, chosen independently, shifted by up to one pixel along each
    axis and under normal noise. Images are uint8 `[count, 3, 8, 8]`, mapped to [-1, 1], or resized
    by `--size`; the label sets `red`, `green` and `blue` name the symbols. The metric `triples`
    counts the modes. A stand-in for stacked MNIST that needs no files.
    """

    count: int = option(20_000, ge=1, help="number of stacks, drawn once")
    noise: float = option(
        0.1, ge=0, le=1, help="standard deviation of the noise, in units of the range [-1, 1]"
    )
    seed: int = option(0, ge=0, help="seed of the stacks; not the seed of the run")

    @hookimpl
    def make_data(self, spec: DataSpec) -> StoredData:
        needed = self.count * 3 * SIDE**2 * 24  # bytes, floats and 64-bit indices of every pixel
        fix = "a smaller --stacked-glyphs.count"
        expect_memory(needed, f"{self.count:,} stacks", where="stacked-glyphs.count", fix=fix)
        rng = torch.Generator().manual_seed(self.seed)
        images, classes = draw_glyphs(self.count, self.noise, rng)
        return StoredData(
            resize_images(images, spec.size), classes, stack_label_sets(tuple(GLYPHS))
        )
