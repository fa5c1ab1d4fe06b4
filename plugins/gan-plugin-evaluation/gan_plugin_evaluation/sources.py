"""What is scored: samples of a run, of a folder or of files; and the data it was trained on."""

import csv
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy
import torch
from attrs import field, frozen
from PIL import Image
from torch import Tensor

from gancore import (
    Composition,
    Data,
    DataError,
    Progress,
    Run,
    UsageError,
    open_data,
    resize_images,
)

RECIPE = "recipe.toml"  # by which a folder is a run
ARRAYS = (".npy", ".csv")


@frozen(eq=False)
class Samples:
    """Samples `[N, *shape]`, images in [-1, 1], and the labels `[N]` that they were made for."""

    images: Tensor
    labels: Tensor | None = None


@frozen(eq=False)
class Subject:
    """Something to score.

    - `name`: how tables name it.
    - `draw`: returns n samples, or as many as there are, for (n, seed).
    - `shape`: of one sample of a run.
    - `composition`: of a run, whose data it was trained on; None of stored samples.
    - `step`: of a run, at which its checkpoint was written.
    - `weights`: `raw`, or the components that change what is sampled, with their options.
    - `folder`: of a run, where records are kept.
    """

    name: str
    draw: Callable[[int, int], Samples]
    shape: tuple[int, ...] = ()
    composition: Composition | None = None
    step: int | None = None
    weights: str = "raw"
    folder: Path | None = None
    notes: tuple[str, ...] = field(default=())


def open_runs(sources: Sequence[object], *, device: str, files: Sequence[str]) -> list[Subject]:
    """Open those of the sources that are runs, of which component `files` may be executed."""
    found = []
    for source in sources:
        if isinstance(source, Run):
            found.append(subject_of(source))
        elif isinstance(source, str | Path) and is_run(Path(source)):
            run = Run.load(source, device=device, files=partial(is_allowed, files))
            found.append(subject_of(run))
    return found


def open_stored(sources: Sequence[object], like: Data) -> list[Subject]:
    """Open those of the sources that are samples: in memory, in a folder, or in files.

    Images are given the size of the data. Image files count as one set of samples. Raises
    UsageError for a path where nothing is.
    """
    subjects = []
    pictures = []
    for source in sources:
        if isinstance(source, Run):
            continue
        if isinstance(source, Tensor):
            images = fitted(source.float(), like, Path("samples"))
            subjects.append(Subject("samples", partial(first, Samples(images))))
            continue
        path = Path(str(source))
        if path.is_dir() or path.suffix in ARRAYS:
            if not is_run(path):
                subjects.append(Subject(str(path), partial(first, stored(path, like))))
        elif path.is_file():
            pictures.append(path)
        else:
            fix = "a run, a folder of images, image files, a .npy or a .csv"
            raise UsageError(f"there is no run, folder or file {path}", where="gan eval", fix=fix)
    if pictures:
        found = Samples(read_pictures(pictures, like))
        subjects.append(Subject(f"{len(pictures)} files", partial(first, found)))
    return subjects


def is_run(path: Path) -> bool:
    """Return whether a folder is a run."""
    return (path / RECIPE).is_file()


def is_allowed(files: Sequence[str], name: str) -> bool:
    """Return whether a component file of a run may be executed: it is one of those named."""
    stem, _, wanted = name.rpartition("=")[2].partition(".py:")
    location = Path(f"{stem}.py" if wanted else stem).resolve()
    return any(Path(each).resolve() == location for each in files)


def first(samples: Samples, n: int, seed: int) -> Samples:
    """Return n stored samples in an order of their own, the same for every seed below."""
    order = torch.randperm(len(samples.images), generator=torch.Generator().manual_seed(seed))[:n]
    labels = None if samples.labels is None else samples.labels[order]
    return Samples(samples.images[order], labels)


# ── a run ─────────────────────────────────────────────────────────────────────────────────────────


def subject_of(run: Run) -> Subject:
    """Return the generator of a run as something to score."""
    conditional = is_conditional(run)

    def draw(n: int, seed: int) -> Samples:
        images, labels = run.sample(n, seed=seed)
        return Samples(images, labels[:, 0] if conditional else None)

    return Subject(
        run.folder.name,
        draw,
        tuple(run.training.context.plan.shape),
        run.composition,
        run.training.step,
        averaged(run.composition),
        run.folder,
        tuple(run.notes),
    )


def averaged(composition: Composition) -> str:
    """Return the components that change what is sampled, `raw` for the generator itself."""
    return " + ".join(composition.sampled_by()) or "raw"


def is_conditional(run: Run) -> bool:
    """Return whether another class of the first label set gives other samples."""
    training = run.training
    sets = training.context.plan.label_sets
    if not sets:
        return False
    progress = Progress(training.context, training.step, training.epoch)
    z = progress.latents(8)
    asked = torch.zeros(len(z), len(sets), dtype=torch.int64)
    other = asked.clone()
    other[:, 0] = 1 % len(sets[0])
    return not torch.equal(progress.make(z, asked).images, progress.make(z, other).images)


# ── stored samples ────────────────────────────────────────────────────────────────────────────────


def stored(path: Path, data: Data) -> Samples:
    """Read a folder of images, an array file or a table of points, with the shape of the data."""
    if path.suffix in ARRAYS:
        return Samples(fitted(read_array(path), data, path))
    if len(data.shape) == 1:
        return Samples(fitted(read_array(path / "points.csv"), data, path))
    if len(data.shape) != 3:
        arrays = [read_array(each)[None] for each in sorted(path.glob("*.npy"))]
        if not arrays:
            raise UsageError(f"{path} holds no .npy files", where="gan eval", fix="another folder")
        return Samples(fitted(torch.cat(arrays), data, path))
    opened = open_data(path, size=(data.shape[1], data.shape[2]))
    images, labels = opened.take(torch.arange(len(opened)), torch.Generator())
    same = [each.classes for each in opened.label_sets] == [
        each.classes for each in data.label_sets
    ]
    named = labels[:, 0] if opened.label_sets and same else None
    return Samples(fitted(images, data, path), named)


def read_array(path: Path) -> Tensor:
    """Read samples from `.npy`, or points from `.csv` with a point a line.

    Images of uint8 are taken as 2·x/255 - 1.
    """
    try:
        if path.suffix == ".csv":
            with path.open(newline="") as file:
                rows = [list(map(float, row)) for row in csv.reader(file) if row]
            return torch.tensor(rows)
        found = numpy.load(path, allow_pickle=False)
        tensor = torch.from_numpy(found)
    except (OSError, ValueError, TypeError) as error:
        fix = "a .npy of samples [N, …], or a .csv with a point a line"
        raise DataError(f"{path} cannot be read: {error}", where="gan eval", fix=fix) from None
    return tensor.float() / 127.5 - 1 if tensor.dtype == torch.uint8 else tensor.float()


def read_pictures(paths: Sequence[Path], data: Data) -> Tensor:
    """Decode image files to the shape of the data."""
    found = []
    size = (data.shape[1], data.shape[2]) if len(data.shape) == 3 else None
    mode = "L" if data.shape[0] == 1 else "RGB"
    for path in paths:
        try:
            with Image.open(path) as picture:
                pixels = numpy.array(picture.convert(mode))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            fix = "image files, or a folder of them"
            raise DataError(f"{path} is no image: {error}", where="gan eval", fix=fix) from None
        image = torch.from_numpy(pixels).view(*pixels.shape[:2], -1).permute(2, 0, 1)
        found.append(resize_images(image[None], size))
    return fitted(torch.cat(found).float() / 127.5 - 1, data, Path(paths[0]))


def fitted(samples: Tensor, data: Data, path: Path) -> Tensor:
    """Return samples with the shape of the data; grey images for coloured data are repeated."""
    wanted = tuple(data.shape)
    found = tuple(samples.shape[1:])
    if len(wanted) == 3 and found[1:] == wanted[1:] and found[0] == 1:
        return samples.expand(-1, *wanted)
    if found != wanted:
        raise DataError(
            f"a sample has shape {found}, but one of the data {wanted}",
            where=str(path),
            fix="--size N gives the data that size; --against names other data",
        )
    return samples
