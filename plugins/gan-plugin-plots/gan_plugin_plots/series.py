"""The figures of a run as curves: which panel each belongs to, their means over a window, and fewer points of them."""

from array import array

import numpy as np

FIRST = ("totals", "scores", "accuracies")  # panels, before those of the components
CURVES, PANELS, POINTS = 10, 12, 2000  # most in a panel (there are ten colours), in a picture, and in a curve
WIDEST = 1000  # steps of a window that is chosen by the run's length


def panel_of(name):
    """Return the panel that a figure belongs to; single terms (two slashes) and the clock have none."""
    owner, _, figure = name.partition("/")
    if "accuracy" in name:
        return "accuracies"
    if figure == "total":
        return "totals"
    if figure in ("score_real", "score_fake"):
        return "scores"
    return owner if name.count("/") == 1 else ""


def panels(names):
    """Sort the names of figures into panels `{title: names}`."""
    found = {title: [] for title in FIRST}
    for name in names:
        if title := panel_of(name):
            found.setdefault(title, []).append(name)
    return {title: names for title, names in found.items() if names}


def window_of(steps):
    """Return the window for a run of so many steps: a tenth of it, 1000 at most, so that the last values show."""
    return max(1, min(WIDEST, steps // 10))


class Series:
    """The figures of a run as curves: `points[name]` holds its steps and its values, numbers of 8 bytes.

    Without `wanted` names it keeps those that have a panel, and of each panel the first ten.
    """

    def __init__(self, wanted=None):
        self.wanted, self.points = wanted, {}
        self.names, self.rows, self.step = {}, 0, 0  # names in order of appearance, as keys

    def add(self, rows):
        """Take the rows that follow; return self."""
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
            self.rows, self.step = self.rows + 1, row["step"]
        return self

    def keeps(self, name):
        """Whether the values of a figure are to be drawn."""
        if self.wanted is not None:
            return name in self.wanted
        title = panel_of(name)
        return title != "" and sum(panel_of(each) == title for each in self.points) < CURVES

    def shown(self):
        """Return the panels to draw, `{title: names}`: of too many names, or panels, the first, and the title says so.

        Figures that were wanted have a panel each.
        """
        if self.wanted is not None:
            return {name: [name] for name in self.wanted}
        found = panels(self.names)
        kept = {}
        for title, names in list(found.items())[:PANELS]:
            there = [name for name in names if name in self.points]
            kept[title if len(there) == len(names) else f"{title}: {len(there)} of {len(names)} figures"] = there
        return kept


def moving_mean(steps, values, window):
    """Average the values `[n]` at rising steps `[n]`: each over the rows of the `window` steps that end with its own.

    The first values average what rows there are.
    """
    starts = np.searchsorted(steps, steps - window, side="right")
    bounds = np.stack([starts, np.arange(1, len(steps) + 1)], 1)
    sums = np.add.reduceat(np.append(values, 0.0), bounds.flatten())[::2]  # every other sum runs between two windows
    return sums / (bounds[:, 1] - bounds[:, 0])


def outline(steps, values, most=POINTS):
    """Thin a curve `[n]` of more than `most` points: of each stretch of it the smallest and the largest value."""
    if len(steps) <= most:
        return steps, values
    starts = np.arange(0, len(steps), -(-2 * len(steps) // most))
    ends = np.append(starts[1:], len(steps)) - 1
    around = np.stack([np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)], 1)
    return np.stack([steps[starts], steps[ends]], 1).flatten(), around.flatten()
