"""Where letters come from: the font that Pillow carries, font files, or all that the system has."""

import os
import re
import sys
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

from gancore import DataError, UsageError

FOLDERS = {
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("%WINDIR%/Fonts", "%LOCALAPPDATA%/Microsoft/Windows/Fonts"),
}
NOBODYS = "\U0010ffff"  # belongs to no letter: a font draws its empty box for it
Font = ImageFont.FreeTypeFont


def parse_alphabet(text: str) -> tuple[str, ...]:
    """Spell out an alphabet: `A-C` and `ABC` are the same letters. Raises UsageError for none, and for `C-A`."""

    def spell(found: re.Match[str]) -> str:
        first, last = map(ord, found.groups())
        if first > last:
            raise UsageError(f"alphabet holds {found[0]}, which runs backwards", where="letters.alphabet", fix="A-Z")
        return "".join(map(chr, range(first, last + 1)))

    letters = tuple(dict.fromkeys(re.sub("(.)-(.)", spell, text)))
    if not letters:
        raise UsageError("the alphabet is empty", where="letters.alphabet", fix="A-Z")
    return letters


def font_files(place: Path) -> list[Path]:
    """Return a font file, or the font files at any depth of a folder, by name."""
    if place.is_file():
        return [place]
    return sorted(path for path in place.rglob("*") if path.suffix.lower() in (".ttf", ".otf") and path.is_file())


def load(path: Path | None, size: int, letters: tuple[str, ...]) -> Font:
    """Open a font, or Pillow's own for None. Raises DataError where it is none or lacks one of the letters."""
    name = path.name if path else "the font of Pillow"
    try:
        if path is None:
            font = ImageFont.load_default(size)
        else:
            font = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
        drawn = {letter: bytes(font.getmask(letter)) for letter in (*letters, NOBODYS)}
    except (OSError, ValueError) as error:
        raise DataError(
            f"{name} cannot be used: {error}", where=str(path or "letters.alphabet"), fix="leave it out"
        ) from error
    if lacking := [each for each in letters if not any(drawn[each]) or drawn[each] == drawn[NOBODYS]]:
        what = f"{name} draws no {', '.join(map(repr, lacking[:5]))}"
        raise DataError(what, where=str(path or "letters.alphabet"), fix="another font, or --letters.alphabet A-Z")
    return font


def find_fonts(fonts: str, base: Path, size: int, letters: tuple[str, ...]) -> list[Font]:
    """Return the fonts to draw with, `size` pixels to the em. Raises UsageError or DataError where there are none.

    Every file that the user names must serve; of the system's, those are left out that lack a letter.
    """
    if not features.check("freetype2"):
        raise UsageError(
            "Pillow was built without FreeType, which draws letters", where="letters", fix="pip install pillow"
        )
    if not fonts:
        return [load(None, size, letters)]
    if fonts != "system":
        place = base / os.path.expanduser(fonts)
        if not (files := font_files(place)):
            raise UsageError(f"{place} holds no .ttf or .otf file", where="letters.fonts", fix="--letters.fonts system")
        return [load(path, size, letters) for path in files]
    places = [Path(os.path.expandvars(os.path.expanduser(name))) for name in FOLDERS.get(sys.platform, ())]
    found = [font for place in places for path in font_files(place) if (font := serves(path, size, letters))]
    if not found:
        looked = ", ".join(map(str, places))
        raise UsageError(f"the system has no font with all the letters; looked in {looked}", where="letters.fonts")
    return found


def serves(path: Path, size: int, letters: tuple[str, ...]) -> Font | None:
    """Open a font, or return None where it does not serve."""
    try:
        return load(path, size, letters)
    except DataError:
        return None


class Glyphs:
    """Letters fitted into a box of `width` × `height` pixels: the letter itself and its halo, drawn once each."""

    def __init__(self, fonts: list[Font], width: int, height: int) -> None:
        self.fonts, self.width, self.height = fonts, width, height
        self.draw = lru_cache(512)(self._draw)

    def _draw(self, number: int, letter: str, swell: int) -> tuple[Image.Image, Image.Image]:
        """Draw a letter in font `number`, its strokes thickened by `swell` 60ths of an em; masks of one size."""
        font = self.fonts[number]
        stroke, ring = swell * font.size // 60, font.size // 20
        left, top, right, bottom = font.getbbox(letter, stroke_width=stroke)
        masks = []
        for thickness in (stroke, stroke + ring):
            mask = Image.new("L", (right - left + 4 * ring, bottom - top + 4 * ring))
            ImageDraw.Draw(mask).text((2 * ring - left, 2 * ring - top), letter, 255, font, stroke_width=thickness)
            masks.append(mask)
        left, top, right, bottom = masks[0].getbbox()  # what is inked, without the space that a font leaves beside it
        box = left - ring, top - ring, right + ring, bottom + ring
        scale = min(self.width / (right - left), self.height / (bottom - top))
        size = max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale))
        ink, halo = (mask.crop(box).resize(size, Image.Resampling.BOX) for mask in masks)
        return ink, halo
