"""The figures of a run as curves: their panels, moving means and downsampling."""

from array import array

import numpy as np

FIRST = ("totals", "scores", "accuracies")  # panels, before those of the components
CURVES = 10  # most in a panel: there are ten colours
PANELS = 12  # most in a picture
POINTS = 2000  # most in a curve
WIDEST = 1000  # steps: largest window chosen by the length of the run


def panel_of(name):
    """Return the panel of a figure; empty for single terms (two slashes) and the clock."""
    owner, _, figure = name.partition("/")
    if "accuracy" in name:
        return "accuracies"
    if figure == "total":
        return "totals"
    if figure in ("score_real", "score_fake"):
        return "scores"
    return owner if name.count("/") == 1 else ""


def panels(names):
    """Group the names of figures by panel, `{title: names}`."""
    found = {title: [] for title in FIRST}
    for name in names:
        if title := panel_of(name):
            found.setdefault(title, []).append(name)
    return {title: names for title, names in found.items() if names}


def window_of(steps):
    """Return the default window of a run: a tenth of its steps, at most 1000."""
    return max(1, min(WIDEST, steps // 10))


class Series:
    """The figures of a run as curves: `points[name]` holds steps and values as arrays of float64.

    Without `wanted` it keeps the figures that have a panel, and of each panel the first ten.
    """

    def __init__(self, wanted=None):
        self.wanted = wanted
        self.points = {}
        self.names = {}  # names in order of appearance, as keys
        self.rows = 0
        self.step = 0

    def add(self, rows):
        """Append rows; return self."""
        for row in rows:
            for name, value in row.items():
                if name not in self.names and name != "step":
                    self.names[name] = None
                    if self.keeps(name):
                        self.points[name] = array("d"), array("d")
                if name in self.points:
                    steps, values = self.points[name]
                    steps.append(row["step"])
                    values.append(value)
            self.rows += 1
            self.step = row["step"]
        return self

    def keeps(self, name):
        """Return whether the values of a figure are plotted."""
        if self.wanted is not None:
            return name in self.wanted
        title = panel_of(name)
        return title != "" and sum(panel_of(each) == title for each in self.points) < CURVES

    def shown(self):
        """Return the panels to plot, `{title: names}`.

        At most the first panels, and the first names of each, whose title then says so. Each of the
        `wanted` figures has a panel.
        """
        if self.wanted is not None:
            return {name: [name] for name in self.wanted}
        found = panels(self.names)
        kept = {}
        for title, names in list(found.items())[:PANELS]:
            there = [name for name in names if name in self.points]
            if len(there) < len(names):
                title = f"{title}: {len(there)} of {len(names)} figures"
            kept[title] = there
        return kept


def moving_mean(steps, values, window):
    """Return the moving mean of values `[n]` at ascending steps `[n]`.

    Each is the mean over the rows of the `window` steps that end with its own; the first have fewer
    rows.
    """
    starts = np.searchsorted(steps, steps - window, side="right")
    bounds = np.stack([starts, np.arange(1, len(steps) + 1)], 1)
    # reduceat also sums the stretches between two windows, at the odd places
    sums = np.add.reduceat(np.append(values, 0.0), bounds.flatten())[::2]
    return sums / (bounds[:, 1] - bounds[:, 0])


def outline(steps, values, most=POINTS):
    """Downsample a curve `[n]` of more than `most` points: minimum and maximum of each interval."""
    if len(steps) <= most:
        return steps, values
    starts = np.arange(0, len(steps), -(-2 * len(steps) // most))
    ends = np.append(starts[1:], len(steps)) - 1
    around = np.stack([np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)], 1)
    return np.stack([steps[starts], steps[ends]], 1).flatten(), around.flatten()
