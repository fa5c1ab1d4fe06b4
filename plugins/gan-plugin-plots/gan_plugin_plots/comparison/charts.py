"""Charts of a page: one SVG for each figure, with a curve for each run."""

from __future__ import annotations

import html
import io
import re

import numpy as np

from gan_plugin_plots.comparison.figures import Line
from gan_plugin_plots.comparison.runs import RunFiles
from gan_plugin_plots.curves import STYLE, printable
from gan_plugin_plots.series import moving_mean, outline, window_of

COLOURS = (
    "#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#17becf",
    "#bcbd22", "#7f7f7f",
)  # fmt: skip
DASHES = ("-", "--", ":", "-.")
FEW = 40  # values of a curve that are shown as they are, with their points, rather than averaged
POINTS = (40, 400)  # least and most in a curve
ALL_POINTS = 60_000  # of a page: about 1.5 MB
WIDE = 20  # largest over smallest value from which an axis is logarithmic
# The style of the user must not change the page, as it may change one's own plots.
PLAIN = {**STYLE, "font.family": ["sans-serif"], "font.size": 8, "figure.dpi": 72}


def look(number: int) -> tuple[str, str]:
    """Return colour and dashes of a run by its place, different for the first forty."""
    return COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]


def draw_chart(line: Line, runs: list[RunFiles], number: int, points: int) -> str:
    """Plot one figure of all runs over the steps; return the SVG.

    `number` is that of the chart on its page: ids in it are made different from those of the
    others. All charts of a page have the same steps. Where a component logs a floor, that of the
    distance is a dotted line, and that of the ratio is 1.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(PLAIN)
        figure = Figure(figsize=(5.2, 2.9), layout="constrained")
        axes = figure.add_subplot()
        axes.set(title=printable(line.name), xlabel="step")
        everything = []
        for place, run in enumerate(runs):
            everything += draw_run(axes, run, line.name, look(place), points)
        axes.set_xlim(0, max(1, *(run.step for run in runs)))
        if suits_logarithm(line.name, everything):
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
        buffer = io.BytesIO()
        # without these, which name the time, matplotlib and a web address
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    return inline(buffer.getvalue().decode(), number, line.name, describe(line, runs))


def draw_run(axes, run: RunFiles, name: str, appearance: tuple[str, str], points: int):
    """Plot the curve of a run and its floor; return the values."""
    colour, dashes = appearance
    found = [(row["step"], float(row[name])) for row in run.rows if name in row]
    if not found:
        return []
    steps, values = np.array(found).T
    if len(found) <= FEW:
        axes.plot(steps, values, dashes, color=colour, marker="o", markersize=3)
    else:
        axes.plot(*outline(steps, values, points), color=colour, alpha=0.2, linewidth=0.7)
        mean = moving_mean(steps, values, window_of(run.step))
        axes.plot(*outline(steps, mean, points), dashes, color=colour)
    floor = floor_of(run, name)
    if floor is not None:
        axes.axhline(floor, color=colour, linestyle=":", linewidth=1)
    return values.tolist()


def floor_of(run: RunFiles, name: str) -> float | None:
    """Return what reals score instead of samples, by the floor that the component logged last."""
    owner, _, figure = name.partition("/")
    floors = [row[f"{owner}/floor"] for row in run.rows if f"{owner}/floor" in row]
    if not floors or figure not in ("distance", "ratio"):
        return None
    return 1.0 if figure == "ratio" else float(floors[-1])


def suits_logarithm(name: str, values: list[float]) -> bool:
    """Return whether a figure is a distance or a ratio of a wide range."""
    ending = name.rpartition("/")[2]
    if ending not in ("distance", "ratio") or not values or min(values) <= 0:
        return False
    return max(values) > WIDE * min(values)


def points_for(curves: int) -> int:
    """Return the number of points of a curve, so that a page with so many is small enough."""
    least, most = POINTS
    return max(least, min(most, ALL_POINTS // max(1, curves)))


def describe(line: Line, runs: list[RunFiles]) -> str:
    """Return in words what a chart shows, for readers who do not see it."""
    texts = []
    for run, summary in zip(runs, line.summaries, strict=True):
        last = "no value" if summary is None else f"{summary.last:.4g} at step {summary.step}"
        texts.append(f"{run.label}: {last}")
    return "; ".join(texts)


def inline(text: str, number: int, title: str, description: str) -> str:
    """Turn an SVG file into an element of a page: no prologue, own ids, title and description."""
    head, _, rest = text[text.index("<svg") :].partition(">")
    rest = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>c{number}-", rest)
    title, description = (html.escape(printable(each)) for each in (title, description))
    about = f"<title>{title}</title>\n <desc>{description}</desc>"
    return f'{head} role="img">\n {about}{rest}'
