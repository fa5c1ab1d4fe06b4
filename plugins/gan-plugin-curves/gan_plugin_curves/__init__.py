"""Curves of a run: its losses, scores and accuracies over the steps, averaged over a stated window."""

import contextlib
import io
import os
from pathlib import Path

import click
import numpy as np

from gan_plugin_curves.series import Series, moving_mean, outline, window_of
from gancore import RowReader, UsageError, cached, component, hookimpl, option, read_rows

FORMATS = (".png", ".svg")
STYLE = {"text.parse_math": False, "svg.hashsalt": "gancore", "svg.fonttype": "none"}  # names may hold a $


def printable(name):
    """Write a name with control characters escaped: neither fonts nor XML have them."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def plot(series, window, title):
    """Draw one panel for each of the names shown: rows faintly, their mean over the window clearly."""
    from matplotlib.figure import Figure

    shown = series.shown()
    columns = min(2, len(shown))
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(6 * columns, 3.2 * lines + 0.4), layout="constrained")
    figure.suptitle(f"{printable(title)}: mean of the last {window} step{'s' if window > 1 else ''}")
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
    """Plot into a `.png`, a `.svg`, or both, each written whole or not at all; the same rows give the same bytes."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = plot(series, window, title)
        for path in paths:
            buffer, kind = io.BytesIO(), path.suffix.lower()[1:]
            figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
            replace(path, buffer.getvalue())


def replace(path, content):
    """Replace a file, or create it, and leave no part of one behind where the disk is full."""
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
    """Draw the curves of the run into its folder, `curves.png` and `curves.svg`, whenever samples are drawn.

    One panel each for the totals the players minimise, the mean scores, the accuracies, and the other figures of every
    component, 10 curves in a panel and 12 panels at most; single terms are left to `gan curves RUN --figures NAME,…`.
    The value at step s is the mean of the metrics rows in (s - window, s], drawn over the faint rows themselves. Of a
    curve of more than 2000 rows the smallest and largest values of each stretch are drawn.
    """

    window: int = option(
        0, ge=0, help="steps over which figures are averaged; 0 takes a tenth of those made, 1000 at most; 1 none"
    )
    reader: RowReader | None = cached()
    series: Series = cached(factory=Series)  # of the rows read so far: the log is read once in a session

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
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("curves.png"), help="A .png or a .svg.")
@click.option("--figures", help="Which figures, e.g. `critic/total,fid/fid`; each has a panel. [totals, scores, …]")
@click.option(
    "--window", type=click.IntRange(0), default=0, help="Steps over which figures are averaged; 0: a tenth. [0]"
)
def curves(run: Path, out: Path, figures: str | None, window: int) -> None:
    """Draw the curves of RUN's losses, scores and accuracies."""
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"{out} is neither a .png nor a .svg", where="-o", fix=f"-o {out.with_suffix('.png')}")
    rows = read_rows(run)
    series = Series(chosen(figures, rows) if figures else None).add(rows)
    if not series.shown():
        raise UsageError(f"{run} has no figure to draw", where=str(run), fix=f"--figures {','.join(series.names)}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        save([out], series, window or window_of(series.step), run.resolve().name)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}", where="-o", fix="name another file") from None
    click.echo(f"{len(series.shown())} panels of {len(rows)} rows in {out}")


def chosen(text, rows):
    """Split `a,b` into names of figures. Raises UsageError for one that no row holds."""
    names = Series([]).add(rows).names
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in names:
            what = f"no row holds a figure {name!r}"
            raise UsageError(what, where=f"--figures {text}", fix=f"any of {', '.join(names)}")
    return wanted
