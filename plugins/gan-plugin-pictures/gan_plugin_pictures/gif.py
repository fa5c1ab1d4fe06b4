"""`gan gif`: an animation of the samples that a run drew."""

import math
import os
import re
from pathlib import Path

import click
from PIL import Image

from gancore import UsageError, read_rows

FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}  # the last as an animated PNG
SURVEY = 1 << 18  # pixels, over all frames, that the palette of a GIF is computed from


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("samples.gif"),
    help="A .gif, .webp or animated .png.",
)
@click.option(
    "--frames",
    type=click.Choice(["all", "sqrt"]),
    default="all",
    help="All, or fewer and fewer of the later ones. [all]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.02, 60),
    default=0.2,
    help="Duration of each frame. [0.2]",
)
@click.option(
    "--last",
    type=click.FloatRange(0.02, 60),
    default=1.0,
    help="Duration of the last frame. [1.0]",
)
@click.option(
    "--from", "name", help="Animate the pictures in RUN/samples/NAME instead of the sample grids."
)
def gif(run: Path, out: Path, frames: str, seconds: float, last: float, name: str | None) -> None:
    """Animate the samples that RUN drew.

    `--frames sqrt` keeps frame i if 10·√i rounds to a new integer: the first 26, then fewer and
    fewer, so that early changes show. A GIF has one palette of 256 colours for all frames; WebP and
    animated PNG keep every colour.
    """
    if out.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{str(out)!r} names no animation format",
            where="-o",
            fix=f"name a file that ends in {', '.join(FORMATS)}",
        )
    read_rows(run)  # raises for a folder that holds no run
    paths = find_frames(run / "samples" / (name or ""))
    kept = [paths[i] for i in thin(len(paths))] if frames == "sqrt" else paths
    pictures = load(kept)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write(pictures, out, [round(1000 * seconds)] * (len(pictures) - 1) + [round(1000 * last)])
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror}", where="-o", fix="name another file"
        ) from None
    click.echo(f"{len(pictures)} frames of {len(paths)} in {out}")


def find_frames(folder):
    """List the pictures of a folder, sorted by the last number in their names.

    Pictures without a number are listed only if no picture has one. Raises UsageError if there is
    none.
    """
    inside = folder.resolve()  # a run of a stranger may hold links to files outside of it
    found = []
    numbers = {}
    for path in sorted(folder.glob("*.png")):
        if path.resolve().parent != inside or not path.is_file():
            continue
        found.append(path)
        if digits := re.findall(r"\d+", path.stem):
            numbers[path] = int(digits[-1])
    if not found:
        raise UsageError(
            f"{folder} holds no pictures", where=str(folder), fix=suggest_source(folder)
        )
    return sorted(numbers, key=numbers.__getitem__) or found


def suggest_source(folder):
    """Return the option that selects pictures which the run has."""
    samples = next((each for each in (folder, *folder.parents) if each.name == "samples"), folder)
    names = sorted({path.parent.name for path in samples.glob("*/*.png")})
    found = [f"--from {' or '.join(names)}"] if names else []
    if folder != samples and any(samples.glob("*.png")):
        found.append("no --from, for the sample grids")
    return "; or ".join(found) or "train on, or with a smaller --sample-every"


def thin(n):
    """Return those i of 0 … n - 1 at which round(10·√i) is a new integer.

    All up to 26, then round(10·√(n - 1)) - 24 of them: 76 of 101, 292 of 1000.
    """
    rounded = [round(10 * i**0.5) for i in range(n)]
    return [i for i in range(n) if not i or rounded[i] != rounded[i - 1]]


def load(paths):
    """Read frames: as greyscale if all are, else as RGB on white.

    Raises UsageError for a picture that cannot be read and for sizes that differ.
    """
    pictures = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                pictures.append(picture.copy() if picture.mode == "L" else flatten(picture))
        # Pillow raises many classes for a damaged file, some of them no OSError
        except Exception as error:
            raise UsageError(
                f"{path.name} is no picture: {error}", where=str(path), fix="remove the file"
            ) from None
        if pictures[-1].size != pictures[0].size:
            sizes = ["×".join(map(str, each.size)) for each in (pictures[0], pictures[-1])]
            what = (
                "frames differ in size: "
                f"{paths[0].name} has {sizes[0]} pixels, {path.name} {sizes[1]}"
            )
            raise UsageError(what, where=str(path.parent), fix="remove those of one size")
    grey = all(picture.mode == "L" for picture in pictures)
    return pictures if grey else [picture.convert("RGB") for picture in pictures]


def flatten(picture):
    """Composite a picture on white, since not every format has transparency."""
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def write(pictures, path, milliseconds):
    """Write an endless animation atomically."""
    kind = FORMATS[path.suffix.lower()]
    first, *rest = share_colours(pictures) if kind == "GIF" else pictures
    more = {"lossless": True} if kind == "WEBP" else {}
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        first.save(
            temporary,
            kind,
            save_all=True,
            append_images=rest,
            duration=milliseconds,
            loop=0,
            **more,
        )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def share_colours(pictures):
    """Reduce all frames to one palette of 256 colours.

    The palette is computed from small copies of all frames, and applied without dithering, so that
    no colour flickers.
    """
    if pictures[0].mode == "L":
        return pictures  # a palette of 256 greys loses nothing
    longest = math.isqrt(SURVEY // len(pictures)) or 1
    width, height = (min(side, longest) for side in pictures[0].size)
    sheet = Image.new("RGB", (width, height * len(pictures)))
    for place, picture in enumerate(pictures):
        sheet.paste(picture.resize((width, height), Image.Resampling.NEAREST), (0, place * height))
    palette = sheet.quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)
    return [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
