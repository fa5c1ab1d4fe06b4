"""Scatter plots of real and generated points."""

import io
import os

from PIL import Image
from torch.nn.functional import pad

from gancore import component, hookimpl, option, requires, save_picture

MARGIN = 1.2  # times the largest distance of a real from the centre, in any coordinate


def place(points):
    """Return the coordinates to plot, of points `[N, d]`: `[N, 2]` or `[N, 3]`; d = 1 is a line."""
    return pad(points, (0, 1)) if points.shape[1] == 1 else points[:, :3]


def bounds(reals):
    """Return the ends `[d]`, `[d]` of the axes: a square or cube around the reals `[N, d]`."""
    centre = (reals.amin(0) + reals.amax(0)) / 2
    reach = MARGIN * (reals - centre).abs().max().clamp_min(1e-6)
    return centre - reach, centre + reach


def plot(fakes, reals, step):
    """Plot reals `[N, d]` and fakes `[N, d]`, in axes that depend on the reals alone."""
    from matplotlib.figure import Figure

    fakes = place(fakes)
    reals = place(reals)
    low, high = bounds(reals)
    inside = fakes[((fakes >= low) & (fakes <= high)).all(1)]
    figure = Figure(figsize=(6, 6), dpi=100)
    axes = figure.add_subplot(projection="3d" if reals.shape[1] == 3 else None)
    axes.scatter(*reals.T.numpy(), marker="x", s=12, c="tab:blue", linewidths=0.8, label="real")
    axes.scatter(
        *inside.T.numpy(), marker="o", s=12, facecolors="none", edgecolors="tab:red", label="made"
    )
    for axis, *ends in zip("xyz", low.tolist(), high.tolist(), strict=False):
        axes.set(**{f"{axis}lim": ends})
    axes.set_box_aspect((1,) * 3 if reals.shape[1] == 3 else 1)
    axes.set_title(f"step {step}, {len(fakes) - len(inside)} of {len(fakes)} made outside")
    axes.legend(loc="upper right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def animate(frames, path, seconds):
    """Write pictures as an endless GIF, atomically."""
    pictures = []
    for each in frames:
        with Image.open(each) as picture:
            pictures.append(picture.copy())
    temporary = path.with_name(f".{path.name}.tmp")
    pictures[0].save(
        temporary,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000 * seconds),
        loop=0,
    )
    os.replace(temporary, path)


@component(
    source="gancore; 1000 fakes over the reals, as is customary for toy mixtures",
    rules=[
        requires(
            "data.points",
            "a scatter plot shows points, but the data are none",
            fix="leave it out; samples/ shows other samples already",
        ),
    ],
)
class Scatter:
    """Plot real and generated points, one frame per drawing of samples, and animate the frames.

    Reals are blue crosses, fakes red circles. Frames are `samples/scatter/step-000000100.png`,
    their animation is `samples/scatter.gif`. Of points `[N, d]` the first three coordinates are
    plotted, in the plane for d = 2. Axes are equal and the same throughout the run: 1.2 times the
    extent of the reals. The title gives the number of fakes outside of them. Reals and latents are
    the same in every frame.
    """

    count: int = option(1000, ge=1, help="number of fakes, and of reals")
    seconds: float = option(0.2, ge=0, help="duration of a frame of the GIF, in seconds; 0: no GIF")

    @hookimpl
    def draw(self, progress, folder):
        fakes, _ = progress.samples(self.count)
        reals, _ = progress.reals(self.count)
        frames = folder / "scatter"
        # 64 colours suffice, and a GIF needs a palette
        picture = plot(fakes, reals, progress.step).quantize(64)
        save_picture(picture, frames / f"step-{progress.step:09d}.png")
        if self.seconds:
            animate(sorted(frames.glob("step-*.png")), folder / "scatter.gif", self.seconds)
