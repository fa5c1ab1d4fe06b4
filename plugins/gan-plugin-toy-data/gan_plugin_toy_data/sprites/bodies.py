"""The bodies of creatures: their traits, parts of a face, and one function per body."""

from types import SimpleNamespace as Traits

import numpy as np

from gan_plugin_toy_data.sprites.canvas import (
    ACCENT,
    BELLY,
    BLUSH,
    EYE,
    HORN,
    OUTLINE,
    SKIN,
    TONGUE,
    WHITE,
    Array,
    Canvas,
    Length,
    Shape,
)

CHOICES = {
    "wide": (-1, 0, 1),
    "tall": (-1, 0, 1),
    "limbs": (-1, 0, 1),
    "gear": ("ears", "points", "horns", "antennae", "tuft"),
    "eyes": ("round", "happy", "angry", "sleepy"),
    "mouth": ("open", "smile", "small"),
    "marks": ("spots", "stripes", "none", "none"),
    "blush": (True, False),
}


def gear(art: Canvas, kind: Array, x: Length, top: Length) -> None:
    """Draw ears, points, horns, antennae or a tuft on a head whose crown is at `top`."""
    art.solid(SKIN, art.ellipse(x, top + 0.7, 3.2, 3.4), when=kind == "ears")
    art.flat(ACCENT[1], art.ellipse(x, top + 1, 1.6, 1.8).mask & (kind == "ears"))
    art.solid(
        SKIN,
        art.polygon((x - 3.5, top + 3), (x + 1.5, top - 4.5), (x + 4, top + 5)),
        when=kind == "points",
    )
    inside = art.polygon((x - 1.2, top + 3), (x + 1.2, top - 1.5), (x + 2.4, top + 3))
    art.flat(ACCENT[1], inside.mask & (kind == "points"))
    art.solid(HORN, art.ellipse(x + 0.5, top - 0.3, 1.7, 3.8, 20), when=kind == "horns")
    art.solid(SKIN, art.ellipse(x - 1, top + 0.5, 0.6, 4, 20), when=kind == "antennae")
    art.solid(ACCENT, art.ellipse(x + 0.5, top - 2.5, 2, 2), when=kind == "antennae")
    side = art.polygon((0, top + 3), (5.2, top - 3.5), (6, top + 3))
    art.solid(
        ACCENT,
        side,
        art.polygon((-3.6, top + 3), (0, top - 5), (3.6, top + 3)),
        when=kind == "tuft",
    )


def eyes(art: Canvas, kind: Array, x: Length, y: Length) -> None:
    """Draw one eye: it fits the pixel grid best if x is a half-integer and y an integer."""
    awake = (kind == "round") | (kind == "angry")
    ball = art.ellipse(x, y, 2.6, 3.1).mask & awake
    art.flat(WHITE, ball)
    art.flat(EYE, art.ellipse(x, y, 1.6, 2.1).mask & awake)
    art.flat(WHITE, art.ellipse(x + 1, y - 1, 0.5, 1).mask & awake)
    art.flat(OUTLINE, ball & (art.y < y - 1.1 - 0.55 * (art.x - x)) & (kind == "angry"))
    for shut, bend in (("happy", 1), ("sleepy", -1)):
        # the outline of an eyelid is an ellipse minus a slightly shifted one
        lid = art.ellipse(x, y + 0.8 * bend, 2.7, 2.8).mask
        lid = lid & ~art.ellipse(x, y + 1.8 * bend, 1.7, 2.6).mask
        art.flat(EYE, lid & ((art.y - y) * bend < 1) & (kind == shut))


def face(art: Canvas, look: Traits, x: Length, y: Length, mouth: Length) -> None:
    """Draw the right eye at x and y, a mouth below it and, on some creatures, blushing cheeks."""
    eyes(art, look.eyes, x, y)
    art.flat(BLUSH, art.ellipse(x + 1, mouth - 0.5, 1.6, 1.1).mask & look.blush)
    art.flat(
        EYE, art.ellipse(0, mouth, 2.1, 1.6).mask & (art.y >= mouth - 0.9) & (look.mouth == "open")
    )
    art.flat(TONGUE, art.ellipse(0, mouth + 1, 1.1, 0.6).mask & (look.mouth == "open"))
    smile = art.ellipse(0, mouth - 0.7, 2.6, 1.7).mask & ~art.ellipse(0, mouth - 1.7, 2.6, 1.7).mask
    art.flat(EYE, smile & (look.mouth == "smile"))
    art.flat(EYE, art.ellipse(0, mouth, 1.1, 0.6).mask & (look.mouth == "small"))


def marks(art: Canvas, kind: Array, skin: Array, x: Length, y: Length) -> None:
    """Draw spots or stripes on the flank, only on skin."""
    spots = art.ellipse(x, y, 1.7, 1.7).mask | art.ellipse(x - 2, y - 4, 1.3, 1.3).mask
    art.flat(ACCENT[1], skin & spots & (kind == "spots"))
    stripes = (np.abs(art.y - y) < 0.9) | (np.abs(art.y - y + 3.5) < 0.9)
    art.flat(ACCENT[1], skin & stripes & (art.x > x - 1.5) & (kind == "stripes"))


def blob(art: Canvas, look: Traits) -> None:
    wide = 12 + look.wide
    top = 11 - look.tall
    gear(art, look.gear, 6.5, top + 1)
    dome = art.ellipse(0, 22, wide, 22 - top)
    base = art.ellipse(0, 23, wide + 0.5, 7)
    skin = Shape(dome.mask & (art.y < 22) | base.mask, dome.light)
    art.solid(SKIN, art.ellipse(11, 28, 3, 2), skin)
    marks(art, look.marks, skin.mask, wide - 3, 20)
    art.solid(SKIN, art.ellipse(5 + look.limbs, 28, 3, 2))
    face(art, look, 4.5, 19, 23.5)


def biped(art: Canvas, look: Traits) -> None:
    top = 7 - look.tall
    gear(art, look.gear, 5.5 + look.wide / 2, top + 0.5)
    art.solid(SKIN, art.ellipse(9 + look.wide / 2, 22 - look.limbs, 2.3, 4, -25))
    art.solid(SKIN, art.ellipse(4.5, 28.4, 3.4, 1.6))
    torso = art.ellipse(0, 22.5, 7.5 + look.wide, 6.7)
    head = art.ellipse(0, top + 7, 9 + look.wide / 2, 7)
    art.solid(SKIN, torso, head)
    art.fill(BELLY, art.ellipse(0, 24, 4.5 + look.wide, 4), ~head.mask)
    marks(art, look.marks, torso.mask & ~head.mask, 6, 24)
    face(art, look, 4.5, top + 7, top + 11.5)


def bird(art: Canvas, look: Traits) -> None:
    top = 7 - look.tall
    gear(art, look.gear, 4.5, top + 0.5)
    art.solid(HORN, art.ellipse(3.5, 28.8, 2.5, 1.2))
    skin = art.ellipse(0, (top + 28) / 2, 9 + look.wide, (28 - top) / 2)
    art.solid(SKIN, skin)
    art.fill(BELLY, art.ellipse(0, 22, 5.5 + look.wide, 5.5))
    marks(art, look.marks, skin.mask, 7, 18)
    art.solid(ACCENT, art.ellipse(10.6, 19 - look.limbs, 2.4, 4.4, -45))
    art.solid(SKIN, art.ellipse(9.8, 16.5 - look.limbs, 2.6, 5, -38))
    face(art, look, 3.5, top + 6, top + 11)
    art.solid(HORN, art.polygon((-2.6, top + 9.5), (2.6, top + 9.5), (0, top + 13)))


def beast(art: Canvas, look: Traits) -> None:
    top = 7 - look.tall
    curls = ((8, 1.5), (10.5, 5.5), (10.5, 10), (8, 14))
    art.solid(ACCENT, *(art.ellipse(x + look.limbs / 2, top + y, 3.2, 3.2) for x, y in curls))
    gear(art, look.gear, 6, top + 1)
    art.solid(SKIN, art.ellipse(7, 28, 3, 2), art.ellipse(0, 24, 7.5 + look.wide / 2, 6))
    art.solid(SKIN, art.ellipse(3, 26.5, 2.4, 3.5))
    head = art.ellipse(0, top + 7.5, 9.5 + look.wide / 2, 7)
    art.solid(SKIN, head)
    marks(art, look.marks, head.mask, 8, top + 7)
    art.fill(BELLY, art.ellipse(0, top + 11.5, 4, 2.6))
    face(art, look, 4.5, top + 7, top + 11.5)


def crab(art: Canvas, look: Traits) -> None:
    art.solid(ACCENT, art.ellipse(10, 27.5, 1.4, 3, -35), art.ellipse(6.5, 28, 1.4, 2.1, -15))
    art.solid(SKIN, art.ellipse(11.3, 18, 1.6, 4, 15))
    claw = art.ellipse(11.2, 11.5 - look.limbs, 3, 4)
    gap = art.polygon((10, 4), (12.5, 4), (11.2, 11 - look.limbs))
    art.solid(ACCENT, Shape(claw.mask & ~gap.mask, claw.light))
    art.solid(SKIN, art.ellipse(4.5, 10, 3.6, 4.1))
    skin = art.ellipse(0, 21.5, 11 + look.wide, 7 + look.tall / 2)
    art.solid(SKIN, skin)
    marks(art, look.marks, skin.mask, 8, 22)
    art.fill(BELLY, art.ellipse(0, 26, 6, 2.6), skin.mask)
    face(art, look, 4.5, 10, 20.5)


def fish(art: Canvas, look: Traits) -> None:
    top = 6 - look.tall
    tip = 9 - look.limbs
    art.solid(ACCENT, art.ellipse(1.8, top + 1, 1.6, 4, 30), art.ellipse(0, top + 0.7, 1.6, 4))
    art.solid(ACCENT, art.polygon((0, 22), (5, 23), (12, 30), (3, 30), (0, 28)))
    lower = art.polygon((8, 15), (14, 16), (12, tip + 12), (8, 18))
    art.solid(ACCENT, art.polygon((8, 14), (14, tip), (13, 17), (8, 17)), lower)
    skin = art.ellipse(0, top + 8.5, 9.5 + look.wide, 8.5)
    art.solid(SKIN, art.ellipse(0, 20, 5.5, 8), skin)
    art.fill(BELLY, art.ellipse(0, 21.5, 3.5, 5))
    marks(art, look.marks, skin.mask, 8, 13)
    face(art, look, 4.5, top + 7, top + 11.5)


ARTISTS = {artist.__name__: artist for artist in (blob, biped, bird, beast, crab, fish)}
