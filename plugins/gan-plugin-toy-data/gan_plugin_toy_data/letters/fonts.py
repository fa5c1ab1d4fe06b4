"""The fonts that letters are drawn with: Pillow's own, font files, or those of the system."""

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
UNASSIGNED = "\U0010ffff"  # no character: a font draws its box for missing glyphs
Font = ImageFont.FreeTypeFont


def parse_alphabet(text: str) -> tuple[str, ...]:
    """Expand an alphabet: `A-C` and `ABC` are the same letters.

    Raises UsageError for an empty one, and for `C-A`.
    """

    def spell(found: re.Match[str]) -> str:
        first, last = map(ord, found.groups())
        if first > last:
            raise UsageError(
                f"alphabet holds {found[0]}, which runs backwards",
                where="letters.alphabet",
                fix="A-Z",
            )
        return "".join(map(chr, range(first, last + 1)))

    letters = tuple(dict.fromkeys(re.sub("(.)-(.)", spell, text)))
    if not letters:
        raise UsageError("the alphabet is empty", where="letters.alphabet", fix="A-Z")
    return letters


def font_files(place: Path) -> list[Path]:
    """Return a font file, or all font files below a folder, sorted."""
    if place.is_file():
        return [place]
    found = [path for path in place.rglob("*") if path.suffix.lower() in (".ttf", ".otf")]
    # sorted, because the order of a folder's files is the file system's, and letters are drawn by
    # the number of a font
    return sorted(filter(Path.is_file, found))


def load(path: Path | None, size: int, letters: tuple[str, ...]) -> Font:
    """Open a font, or Pillow's own for None.

    Raises DataError for a file that is no font or lacks one of the letters.
    """
    name = path.name if path else "the font of Pillow"
    try:
        if path is None:
            font = ImageFont.load_default(size)
        else:
            # the basic layout is the same whether Pillow was built with libraqm or not
            font = ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
        drawn = {letter: bytes(font.getmask(letter)) for letter in (*letters, UNASSIGNED)}
    except (OSError, ValueError) as error:
        raise DataError(
            f"{name} cannot be used: {error}",
            where=str(path or "letters.alphabet"),
            fix="leave it out",
        ) from error
    # a font draws nothing, or its box, for a letter that it lacks
    missing = drawn[UNASSIGNED]
    lacking = [each for each in letters if not any(drawn[each]) or drawn[each] == missing]
    if lacking:
        what = f"{name} draws no {', '.join(map(repr, lacking[:5]))}"
        where = str(path or "letters.alphabet")
        raise DataError(what, where=where, fix="another font, or --letters.alphabet A-Z")
    return font


def find_fonts(fonts: str, base: Path, size: int, letters: tuple[str, ...]) -> list[Font]:
    """Return the fonts to draw with, at `size` pixels per em.

    Each file that the user names must have all letters; fonts of the system that lack one are
    skipped. Raises UsageError or DataError if no font is left.
    """
    if not features.check("freetype2"):
        raise UsageError(
            "Pillow was built without FreeType, which draws letters",
            where="letters",
            fix="pip install pillow",
        )
    if not fonts:
        return [load(None, size, letters)]
    if fonts != "system":
        place = base / os.path.expanduser(fonts)
        if not (files := font_files(place)):
            raise UsageError(
                f"{place} holds no .ttf or .otf file",
                where="letters.fonts",
                fix="--letters.fonts system",
            )
        return [load(path, size, letters) for path in files]
    folders = FOLDERS.get(sys.platform, ())
    places = [Path(os.path.expandvars(os.path.expanduser(name))) for name in folders]
    found = []
    for place in places:
        for path in font_files(place):
            font = load_or_none(path, size, letters)
            if font is not None:
                found.append(font)
    if not found:
        looked = ", ".join(map(str, places))
        raise UsageError(
            f"the system has no font with all the letters; looked in {looked}",
            where="letters.fonts",
        )
    return found


def load_or_none(path: Path, size: int, letters: tuple[str, ...]) -> Font | None:
    """Open a font, or return None if it cannot be used."""
    try:
        return load(path, size, letters)
    except DataError:
        return None


class Glyphs:
    """Letters fitted into a box of `width` × `height` pixels, each with its halo.

    Each is drawn once and cached.
    """

    def __init__(self, fonts: list[Font], width: int, height: int) -> None:
        self.fonts = fonts
        self.width = width
        self.height = height
        # a cache of this object: one of the method would keep every object alive
        self.draw = lru_cache(512)(self._draw)

    def _draw(self, number: int, letter: str, swell: int) -> tuple[Image.Image, Image.Image]:
        """Draw a letter and its halo in font `number`, as masks of the same size.

        Strokes are thickened by `swell` 60ths of an em.
        """
        font = self.fonts[number]
        stroke = swell * font.size // 60
        ring = font.size // 20
        left, top, right, bottom = font.getbbox(letter, stroke_width=stroke)
        masks = []
        for thickness in (stroke, stroke + ring):
            mask = Image.new("L", (right - left + 4 * ring, bottom - top + 4 * ring))
            ImageDraw.Draw(mask).text(
                (2 * ring - left, 2 * ring - top), letter, 255, font, stroke_width=thickness
            )
            masks.append(mask)
        # bounds of the ink alone: fonts leave space around a glyph
        left, top, right, bottom = masks[0].getbbox()
        box = left - ring, top - ring, right + ring, bottom + ring
        scale = min(self.width / (right - left), self.height / (bottom - top))
        size = max(1, round((box[2] - box[0]) * scale)), max(1, round((box[3] - box[1]) * scale))
        ink, halo = masks
        # both by the box of the ink, so that the halo lies around the letter
        fitted = ink.crop(box).resize(size, Image.Resampling.BOX)
        return fitted, halo.crop(box).resize(size, Image.Resampling.BOX)
