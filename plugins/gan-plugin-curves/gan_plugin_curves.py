"""Curves of a run: its losses, scores and accuracies over the steps, averaged over a stated window."""

import io
import os
from pathlib import Path

import click
import numpy as np

from gancore import UsageError, component, hookimpl, option, read_rows

FORMATS = (".png", ".svg")
STYLE = {"text.parse_math": False, "svg.hashsalt": "gancore", "svg.fonttype": "none"}  # names may hold a $


def printable(name):
    """Write a name with control characters escaped: neither fonts nor XML have them."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def panels(names):
    """Sort the names of figures into panels `{title: names}`; single terms (two slashes) and the clock have none."""
    found = {"totals": [], "scores": [], "accuracies": []}
    for name in names:
        owner, _, figure = name.partition("/")
        if "accuracy" in name:
            found["accuracies"].append(name)
        elif figure == "total":
            found["totals"].append(name)
        elif figure in ("score_real", "score_fake"):
            found["scores"].append(name)
        elif name.count("/") == 1:
            found.setdefault(owner, []).append(name)
    return {title: names for title, names in found.items() if names}


def figure_names(rows):
    """List the figures that occur in any row, in order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in row if name != "step"))


def moving_mean(steps, values, window):
    """Average the values `[n]` at rising steps `[n]`: each over the rows of the `window` steps that end with its own.

    The first values average what rows there are.
    """
    starts = np.searchsorted(steps, steps - window, side="right")
    bounds = np.stack([starts, np.arange(1, len(steps) + 1)], 1)
    sums = np.add.reduceat(np.append(values, 0.0), bounds.flatten())[::2]  # every other sum runs between two windows
    return sums / (bounds[:, 1] - bounds[:, 0])


def plot(rows, shown, window, title):
    """Draw one panel for each of `shown`, `{title: names}`: rows faintly, their mean over the window clearly."""
    from matplotlib.figure import Figure

    columns = min(2, len(shown))
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(6 * columns, 3.2 * lines + 0.4), layout="constrained")
    figure.suptitle(f"{printable(title)}: mean of the last {window} steps")
    for place, (name, names) in enumerate(shown.items(), 1):
        axes = figure.add_subplot(lines, columns, place)
        axes.set(title=printable(name), xlabel="step")
        for number, each in enumerate(names):
            steps, values = np.array([(row["step"], row[each]) for row in rows if each in row], dtype=float).T
            colour = f"C{number % 10}"
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(steps, moving_mean(steps, values, window), color=colour, label=printable(each))
        axes.legend(fontsize="small", loc="upper right")
        axes.grid(alpha=0.3)
    return figure


def save(paths, rows, shown, window, title):
    """Plot into a `.png`, a `.svg`, or both, each written whole or not at all; the same rows give the same bytes."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = plot(rows, shown, window, title)
        for path in paths:
            buffer, kind = io.BytesIO(), path.suffix.lower()[1:]
            figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_bytes(buffer.getvalue())
            os.replace(temporary, path)


@component(source="gancore; the window of 1000 updates is customary for the noisy losses of GANs")
class Curves:
    """Draw the curves of the run into its folder, `curves.png` and `curves.svg`, whenever samples are drawn.

    One panel each for the totals the players minimise, the mean scores, the accuracies, and the other figures of every
    component; single terms are left to `gan curves RUN --figures NAME,…`. The value at step s is the mean of the
    metrics rows in (s - window, s], drawn over the faint rows themselves.
    """

    window: int = option(1000, ge=1, help="steps over which figures are averaged; 1 shows the rows as they are")

    @hookimpl
    def draw(self, folder):
        run = folder.parent
        rows = read_rows(run)
        paths = [run / f"curves{suffix}" for suffix in FORMATS]
        save(paths, rows, panels(figure_names(rows)), self.window, run.resolve().name)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("curves.png"), help="A .png or a .svg.")
@click.option("--figures", help="Which figures, e.g. `critic/total,fid/fid`; each has a panel. [totals, scores, …]")
@click.option("--window", type=click.IntRange(1), default=1000, help="Steps over which figures are averaged. [1000]")
def curves(run: Path, out: Path, figures: str | None, window: int) -> None:
    """Draw the curves of RUN's losses, scores and accuracies."""
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"{out} is neither a .png nor a .svg", where="-o", mend=f"-o {out.with_suffix('.png')}")
    rows = read_rows(run)
    names = figure_names(rows)
    shown = {name: [name] for name in chosen(figures, names)} if figures else panels(names)
    if not shown:
        raise UsageError(f"{run} has no figure to draw", where=str(run), mend=f"--figures {','.join(names)}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        save([out], rows, shown, window, run.resolve().name)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}", where="-o", mend="name another file") from None
    click.echo(f"{len(shown)} panels of {len(rows)} rows in {out}")


def chosen(text, names):
    """Split `a,b` into names of figures. Raises UsageError for one that no row holds."""
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    for name in wanted:
        if name not in names:
            what = f"no row holds a figure {name!r}"
            raise UsageError(what, where=f"--figures {text}", mend=f"any of {', '.join(names)}")
    return wanted
