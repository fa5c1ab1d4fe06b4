"""Curves of a run: losses, scores and accuracies over the steps, averaged over a window."""

import contextlib
import io
import os
from pathlib import Path

import click
import numpy as np

from gan_plugin_plots.series import Series, moving_mean, outline, window_of
from gancore import RowReader, UsageError, cached, component, hookimpl, option, read_rows

FORMATS = (".png", ".svg")
STYLE = {
    # names of figures may contain a $, which would begin a formula
    "text.parse_math": False,
    # without a salt the ids in an SVG are random, and the same rows would give other bytes
    "svg.hashsalt": "gancore",
    # text as text, which can be searched, rather than as outlines of its letters
    "svg.fonttype": "none",
}


def printable(name):
    """Escape the control characters of a name, which neither fonts nor XML have."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in name
    )


def plot(series, window, title):
    """Plot one panel for each of the names shown: the rows faintly, their moving mean clearly."""
    from matplotlib.figure import Figure

    shown = series.shown()
    columns = min(2, len(shown))
    lines = -(-len(shown) // columns)  # rounded up
    figure = Figure(figsize=(6 * columns, 3.2 * lines + 0.4), layout="constrained")
    figure.suptitle(
        f"{printable(title)}: mean of the last {window} step{'s' if window > 1 else ''}"
    )
    for place, (name, names) in enumerate(shown.items(), 1):
        axes = figure.add_subplot(lines, columns, place)
        axes.set(title=printable(name), xlabel="step")
        for number, each in enumerate(names):
            steps, values = map(np.array, series.points[each])
            colour = f"C{number % 10}"
            axes.plot(*outline(steps, values), color=colour, alpha=0.25, linewidth=0.8)
            mean = outline(steps, moving_mean(steps, values, window))
            axes.plot(*mean, color=colour, label=printable(each))
        axes.legend(fontsize="small", loc="upper right")
        axes.grid(alpha=0.3)
    return figure


def save(paths, series, window, title):
    """Plot to files, `.png` or `.svg`, each written atomically.

    The same rows give the same bytes.
    """
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = plot(series, window, title)
        for path in paths:
            buffer = io.BytesIO()
            kind = path.suffix.lower()[1:]
            # an SVG states the time at which it was made, unless its date is None
            figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
            replace(path, buffer.getvalue())


def replace(path, content):
    """Write a file atomically; on an error, e.g. a full disk, remove the partial file."""
    # beside the file, because a file cannot be renamed into another file system
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@component(source="gancore; averages over many updates are customary for the noisy losses of GANs")
class Curves:
    """Plot the curves of the run to `curves.png` and `curves.svg`, whenever samples are drawn.

    There is one panel each for the totals that the players minimise, the mean scores, the
    accuracies, and the other figures of every component; at most 10 curves in a panel and 12
    panels. Single terms are left to `gan curves RUN --figures NAME,…`. The value at step s is the
    mean of the metrics rows in (s - window, s], plotted over the rows themselves. For a curve of
    more than 2000 rows the minimum and maximum of each interval are plotted.
    """

    window: int = option(
        0,
        ge=0,
        help="window of the moving mean in steps; 0: a tenth of the run, at most 1000; 1: no mean",
    )
    reader: RowReader | None = cached()
    # rows read so far: each row of the log is read once in a session
    series: Series = cached(factory=Series)

    @hookimpl
    def draw(self, folder):
        run = folder.parent
        self.reader = self.reader or RowReader(run)
        self.series.add(self.reader.more())
        if self.series.shown():
            paths = [run / f"curves{suffix}" for suffix in FORMATS]
            save(paths, self.series, self.window or window_of(self.series.step), run.resolve().name)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("curves.png"),
    help="A .png or .svg file.",
)
@click.option(
    "--figures",
    help="Figures to plot, e.g. `critic/total,frechet/ratio`, one panel each. [totals, scores, …]",
)
@click.option(
    "--window",
    type=click.IntRange(0),
    default=0,
    help="Window of the moving mean in steps; 0: a tenth of the run. [0]",
)
def curves(run: Path, out: Path, figures: str | None, window: int) -> None:
    """Plot the curves of the losses, scores and accuracies of RUN."""
    if out.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{str(out)!r} is neither a .png nor a .svg",
            where="-o",
            fix="name a file that ends in .png or .svg",
        )
    rows = read_rows(run)
    series = Series(chosen(figures, rows) if figures else None).add(rows)
    if not series.shown():
        raise UsageError(
            f"{run} has no figure to plot",
            where=str(run),
            fix=f"--figures {','.join(series.names)}",
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        save([out], series, window or window_of(series.step), run.resolve().name)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written: {error.strerror}", where="-o", fix="name another file"
        ) from None
    click.echo(f"{len(series.shown())} panels of {len(rows)} rows in {out}")


def chosen(text, rows):
    """Split `a,b` into names of figures. Raises UsageError for a name that occurs in no row."""
    names = Series([]).add(rows).names
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in names:
            what = f"no row has a figure {name!r}"
            raise UsageError(what, where=f"--figures {text}", fix=f"any of {', '.join(names)}")
    return wanted
