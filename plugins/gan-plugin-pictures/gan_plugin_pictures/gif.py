"""`gan gif`: an animation of the samples a run drew on its way."""

import math
import os
import re
from pathlib import Path

import click
from PIL import Image

from gancore import UsageError, read_rows

FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}  # the last as an animated PNG
SURVEY = 1 << 18  # pixels, in all, from which the colours of a GIF are chosen


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default=Path("samples.gif"), help="A .gif, .webp or animated .png."
)
@click.option(
    "--frames", type=click.Choice(["all", "sqrt"]), default="all", help="All, or ever fewer of the later ones. [all]"
)
@click.option("--seconds", type=click.FloatRange(0.02, 60), default=0.2, help="How long each frame stays. [0.2]")
@click.option("--last", type=click.FloatRange(0.02, 60), default=1.0, help="How long the last one stays. [1.0]")
@click.option("--from", "name", help="The pictures in RUN/samples/NAME, instead of the sample grids.")
def gif(run: Path, out: Path, frames: str, seconds: float, last: float, name: str | None) -> None:
    """Animate the samples that RUN drew.

    `--frames sqrt` keeps frame i when 10·√i rounds to a whole number for the first time: the first 26, then ever fewer,
    so that early change shows. A GIF has 256 colours, the same in every frame; the others keep all.
    """
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"{out} is no animation", where="-o", fix=f"-o {out.with_suffix('.gif')}")
    read_rows(run)  # refuses a folder that holds no run
    paths = find_frames(run / "samples" / (name or ""))
    kept = [paths[i] for i in thin(len(paths))] if frames == "sqrt" else paths
    pictures = load(kept)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write(pictures, out, [round(1000 * seconds)] * (len(pictures) - 1) + [round(1000 * last)])
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}", where="-o", fix="name another file") from None
    click.echo(f"{len(pictures)} frames of {len(paths)} in {out}")


def find_frames(folder):
    """List the pictures of a folder by the numbers in their names; those without a number only if there are no others.

    Raises UsageError where there is none.
    """
    inside = folder.resolve()  # a run from a stranger may hold links to what is not in it
    found = sorted(path for path in folder.glob("*.png") if path.resolve().parent == inside and path.is_file())
    numbers = {path: int(digits[-1]) for path in found if (digits := re.findall(r"\d+", path.stem))}
    if not found:
        raise UsageError(f"{folder} holds no pictures", where=str(folder), fix=what_there_is(folder))
    return sorted(numbers, key=numbers.__getitem__) or found


def what_there_is(folder):
    """Say which pictures a run has, where a folder of its samples has none."""
    samples = next((each for each in (folder, *folder.parents) if each.name == "samples"), folder)
    names = sorted({path.parent.name for path in samples.glob("*/*.png")})
    found = [f"--from {' or '.join(names)}"] if names else []
    if folder != samples and any(samples.glob("*.png")):
        found.append("no --from, for the sample grids")
    return "; or ".join(found) or "train on, or with a smaller --sample-every"


def thin(n):
    """Return those i of 0 … n - 1 at which round(10·√i) is a new whole number.

    All up to 26, then round(10·√(n - 1)) - 24 of them: 76 of 101, 292 of 1000.
    """
    rounded = [round(10 * i**0.5) for i in range(n)]
    return [i for i in range(n) if not i or rounded[i] != rounded[i - 1]]


def load(paths):
    """Read frames, as greys where all are grey and as colours on white otherwise.

    Raises UsageError for a picture that cannot be read and for sizes that differ.
    """
    pictures = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                pictures.append(picture.copy() if picture.mode == "L" else flatten(picture))
        except Exception as error:  # Pillow has many kinds for a rotten file, some of them no OSError
            raise UsageError(f"{path.name} is no picture: {error}", where=str(path), fix="remove the file") from None
        if pictures[-1].size != pictures[0].size:
            sizes = ["×".join(map(str, each.size)) for each in (pictures[0], pictures[-1])]
            what = f"frames differ in size: {paths[0].name} has {sizes[0]} pixels, {path.name} {sizes[1]}"
            raise UsageError(what, where=str(path.parent), fix="remove those of one size")
    grey = all(picture.mode == "L" for picture in pictures)
    return pictures if grey else [picture.convert("RGB") for picture in pictures]


def flatten(picture):
    """Put a picture on white, for not every format has transparency."""
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def write(pictures, path, milliseconds):
    """Write an animation that repeats, whole or not at all."""
    kind = FORMATS[path.suffix.lower()]
    first, *rest = share_colours(pictures) if kind == "GIF" else pictures
    more = {"lossless": True} if kind == "WEBP" else {}
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        first.save(temporary, kind, save_all=True, append_images=rest, duration=milliseconds, loop=0, **more)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def share_colours(pictures):
    """Give all frames the same 256 colours, chosen from small copies of all, without dithering, so none flickers."""
    if pictures[0].mode == "L":
        return pictures  # 256 greys are all there are
    width, height = (min(side, math.isqrt(SURVEY // len(pictures)) or 1) for side in pictures[0].size)
    sheet = Image.new("RGB", (width, height * len(pictures)))
    for place, picture in enumerate(pictures):
        sheet.paste(picture.resize((width, height), Image.Resampling.NEAREST), (0, place * height))
    palette = sheet.quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)
    return [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
