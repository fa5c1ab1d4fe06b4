"""Scatter plots of points: where the reals lie, and where the generator puts its own."""

import io
import os

from PIL import Image
from torch.nn.functional import pad

from gancore import component, hookimpl, option, requires, save_picture

MARGIN = 1.2  # of the reals' largest distance from their middle, in any coordinate


def place(points):
    """Take the coordinates that can be shown, of points `[N, d]`: `[N, 2]` or `[N, 3]`; one number lies on a line."""
    return pad(points, (0, 1)) if points.shape[1] == 1 else points[:, :3]


def bounds(reals):
    """Return the ends `[d]`, `[d]` of the axes: a square or cube about the middle of the reals `[N, d]`."""
    middle = (reals.amin(0) + reals.amax(0)) / 2
    reach = MARGIN * (reals - middle).abs().max().clamp_min(1e-6)
    return middle - reach, middle + reach


def plot(fakes, reals, step):
    """Draw reals `[N, d]` as blue crosses under fakes `[N, d]` as red circles, in axes that only the reals decide."""
    from matplotlib.figure import Figure

    fakes, reals = place(fakes), place(reals)
    low, high = bounds(reals)
    inside = fakes[((fakes >= low) & (fakes <= high)).all(1)]
    figure = Figure(figsize=(6, 6), dpi=100)
    axes = figure.add_subplot(projection="3d" if reals.shape[1] == 3 else None)
    axes.scatter(*reals.T.numpy(), marker="x", s=12, c="tab:blue", linewidths=0.8, label="real")
    axes.scatter(*inside.T.numpy(), marker="o", s=12, facecolors="none", edgecolors="tab:red", label="made")
    axes.set(**{f"{axis}lim": ends for axis, *ends in zip("xyz", low.tolist(), high.tolist(), strict=False)})
    axes.set_box_aspect((1,) * 3 if reals.shape[1] == 3 else 1)
    axes.set_title(f"step {step}, {len(fakes) - len(inside)} of {len(fakes)} made outside")
    axes.legend(loc="upper right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def animate(frames, path, seconds):
    """Join pictures into a GIF that repeats, written whole or not at all."""
    pictures = []
    for each in frames:
        with Image.open(each) as picture:
            pictures.append(picture.copy())
    temporary = path.with_name(f".{path.name}.tmp")
    pictures[0].save(
        temporary, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 * seconds), loop=0
    )
    os.replace(temporary, path)


@component(
    source="gancore; 1000 fakes over the reals, as is customary for toy mixtures",
    rules=[
        requires("data.points", "only points can be scattered", fix="the sample grid shows images already"),
    ],
)
class Scatter:
    """Draw reals as blue crosses and fakes as red circles, one frame whenever samples are drawn, and a GIF of all.

    Frames are `samples/scatter/step-000000100.png`, their film is `samples/scatter.gif`. Points `[N, d]` show their
    first three coordinates; a plane has d = 2. Axes are equal and fixed for the whole run: 1.2 times what the reals
    span. Fakes beyond them are counted in the title. Reals and latents are the same in every frame.
    """

    count: int = option(1000, ge=1, help="how many fakes, and how many reals")
    seconds: float = option(0.2, ge=0, help="how long the GIF shows each frame, in seconds; 0 makes no GIF")

    @hookimpl
    def draw(self, progress, folder):
        fakes, _ = progress.samples(self.count)
        reals, _ = progress.reals(self.count)
        frames = folder / "scatter"
        picture = plot(fakes, reals, progress.step).quantize(64)  # colours enough, and what the GIF needs
        save_picture(picture, frames / f"step-{progress.step:09d}.png")
        if self.seconds:
            animate(sorted(frames.glob("step-*.png")), folder / "scatter.gif", self.seconds)
