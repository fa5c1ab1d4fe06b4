"""The newest pictures of runs, small enough for a page."""

from __future__ import annotations

import base64
import io
import re
import warnings
from pathlib import Path

from attrs import frozen
from PIL import Image

BUDGET = 2 << 20  # bytes of all pictures of a page; as base64 they are a third more
SIDE = 640  # pixels of the longer side at most, to begin with
LARGEST = 1 << 26  # pixels of a picture that is read
FOLDERS = 8  # of trackers that are shown
FINAL = "final.png"


@frozen
class Picture:
    """A picture of a run as a data URI, or a text that says why there is none."""

    caption: str
    uri: str = ""
    width: int = 0


def gather_pictures(runs: list[Path]) -> dict[str, list[Picture]]:
    """Return for each folder of pictures, that of the samples first, the newest of each run.

    They are scaled down until all together fit the budget of a page.
    """
    folders: dict[str, None] = {"": None}
    for run in runs:
        found = sorted(path.name for path in (run / "samples").glob("*") if path.is_dir())
        folders |= dict.fromkeys(found)
    kept = list(folders)[: 1 + FOLDERS]
    paths = {folder: [newest(run, folder) for run in runs] for folder in kept}
    side = SIDE
    while True:
        pictures = {}
        for folder, found in paths.items():
            pictures[folder] = [
                load(path, run, side) for run, path in zip(runs, found, strict=True)
            ]
        size = sum(len(each.uri) for row in pictures.values() for each in row)
        if size * 3 // 4 <= BUDGET or side <= 64:
            return pictures
        side //= 2


def newest(run: Path, folder: str) -> Path | None:
    """Return the last picture in a folder of samples: `final.png`, else the one of most steps."""
    inside = run.resolve() / "samples"
    # a run of a stranger may hold links to files outside of it
    found = [
        path
        for path in (run / "samples" / folder).glob("*.png")
        if path.is_file() and path.resolve().is_relative_to(inside)
    ]
    return max(found, key=order, default=None)


def order(path: Path) -> tuple[bool, int, str]:
    """Return the key by which pictures follow each other: the last number in their names."""
    numbers = re.findall(r"\d+", path.stem)
    return path.name == FINAL, int(numbers[-1]) if numbers else -1, path.name


def load(path: Path | None, run: Path, side: int) -> Picture:
    """Read a picture and scale its longer side to at most `side` pixels, as PNG."""
    if path is None:
        return Picture("no picture")
    name = path.relative_to(run).as_posix()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below
            file = Image.open(path)
        with file:
            if file.width * file.height > LARGEST:
                return Picture(f"{name}: {file.width}×{file.height} pixels, too many to show")
            picture = file.convert("RGB")
    # Pillow raises many classes for a damaged file, some of them no OSError
    except Exception as error:
        return Picture(f"{name} cannot be read: {type(error).__name__}")
    scale = side / max(picture.size)
    if scale < 1:
        width, height = (max(1, round(length * scale)) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BOX)
        name = f"{name}, scaled to {width}×{height} pixels"
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    code = base64.b64encode(buffer.getvalue()).decode()
    return Picture(name, f"data:image/png;base64,{code}", picture.width)
