"""A comparison of runs: everything that the terminal, the page and the JSON show."""

from __future__ import annotations

import math
from typing import Any

import attrs
from attrs import frozen

from gan_plugin_plots.comparison.differences import (
    Difference,
    describe_data,
    differences,
    on_data,
    on_seeds,
)
from gan_plugin_plots.comparison.figures import (
    EVALUATIONS,
    Line,
    Records,
    Summary,
    compare_evaluations,
    compare_figure,
    effort,
    split_metrics,
)
from gan_plugin_plots.comparison.runs import RunFiles, is_number

NOTHING = "–"
MARK = "†"
LOSSES = "losses and scores are measured against each run's own critic: a lower one is not better"
Table = list[tuple[str, list[str]]]


@frozen
class Comparison:
    """Runs side by side.

    `notes` are sentences on how to read the tables. `overview` and the two tables of figures hold
    a title and a text for each run.
    """

    runs: list[RunFiles]
    differences: list[Difference]
    lines: list[Line]
    evaluations: dict[str, dict[str, Records]]

    @property
    def labels(self) -> list[str]:
        return [run.label for run in self.runs]

    def notes(self) -> list[str]:
        """List what a reader must know before looking at the figures."""
        found = [on_seeds(self.runs), on_data(self.runs)]
        steps = [run.step for run in self.runs]
        if len(set(steps)) > 1:
            last = " | ".join(f"{step:,}" for step in steps)
            fix = f"--until {min(steps)} compares them there" if min(steps) else "train on"
            found.append(f"the last rows are of different steps ({last}): {fix}")
        if len({run.setting("batch") for run in self.runs}) > 1:
            found.append("batches differ, so equal steps are not equally many images")
        places = [(run.about.get("device"), run.about.get("threads")) for run in self.runs]
        if len(set(map(str, places))) > 1:
            found.append("seconds and images/s are of different devices or thread counts")
        if split := split_metrics(self.runs):
            what = "data, n, features, split or weights"
            found.append(
                f"evaluated with different {what}, in tables of their own: {', '.join(split)}"
            )
        return [*filter(None, found), LOSSES]

    def overview(self) -> Table:
        """Return how far each run is, and what it took."""
        columns: list[list[str]] = []
        for run in self.runs:
            spent = effort(run.rows)
            texts = [run.state(), f"{run.step:,} of {planned(run)}", *clock_texts(spent)]
            columns.append([*texts, machine(run)])
        titles = ["state", "steps", "images seen, about", "seconds", "images/s", "machine"]
        return [(title, list(row)) for title, *row in zip(titles, *columns, strict=True)]

    def figures(self, names: list[str]) -> Table:
        """Return the values of the figures named: last, mean of the last three, best."""
        table = []
        for line in self.lines:
            if line.name in names:
                for title, pick in PICKS.items():
                    texts = [cell(each, pick) for each in line.summaries]
                    if any(text != NOTHING for text in texts):
                        table.append((f"{line.name}, {title}", texts))
        return table

    def evaluated(self) -> dict[str, Table]:
        """Return what `gan eval` measured, a table for each protocol."""
        tables = {}
        for protocol, metrics in self.evaluations.items():
            found = [(metric, list(map(record_text, each))) for metric, each in metrics.items()]
            tables[protocol] = [("step", steps_of(metrics)), *found]
        return tables

    def marks(self, names: list[str]) -> dict[str, list[str]]:
        """Return the figures that cannot be compared, by the reason."""
        found: dict[str, list[str]] = {}
        for line in self.lines:
            if line.reasons and line.name in names:
                found.setdefault("; ".join(line.reasons), []).append(line.name)
        return found

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON knows it; numbers that are not finite are texts."""
        runs = []
        for run, data in zip(self.runs, describe_data(self.runs), strict=True):
            facts = attrs.asdict(run, filter=lambda field, _: field.name not in ("rows", "path"))
            spent = effort(run.rows)
            seconds, images = spent or (None, None)
            more = {"path": str(run.path), "step": run.step, "state": run.state(), "data": data}
            runs.append(facts | more | {"seconds": seconds, "images": images})
        figures = {}
        for line in self.lines:
            values = [None if each is None else attrs.asdict(each) for each in line.summaries]
            figures[line.name] = {"runs": values, "not-comparable": line.reasons}
        found = {
            "runs": runs,
            "differences": [attrs.asdict(each) for each in self.differences],
            "figures": figures,
            "evaluations": self.evaluations,
            "notes": self.notes(),
        }
        return finite(found)


def compare_runs(runs: list[RunFiles], names: list[str]) -> Comparison:
    """Compare the figures named, and everything else, of runs."""
    lines = [compare_figure(name, runs) for name in names]
    return Comparison(runs, differences(runs), lines, compare_evaluations(runs))


def last_of(summary: Summary) -> str:
    """Return the last value as a text."""
    return number(summary.last)


def mean_of(summary: Summary) -> str:
    """Return the mean of the last values as a text."""
    return NOTHING if summary.mean is None else number(summary.mean)


def best_of(summary: Summary) -> str:
    """Return the best value and its step as a text."""
    return NOTHING if summary.best is None else f"{number(summary.best)} at {summary.best_step:,}"


PICKS = {"last": last_of, f"mean of the last {EVALUATIONS}": mean_of, "best": best_of}


def cell(summary: Summary | None, pick) -> str:
    """Return the text of one value, marked where it cannot be compared."""
    if summary is None:
        return NOTHING
    text = pick(summary)
    return f"{text} {MARK}" if summary.mark and text != NOTHING else text


def number(value: float) -> str:
    """Format a number with four digits."""
    return f"{value:.4g}"


def record_text(record: dict[str, Any] | None) -> str:
    """Format a record of `gan eval`: `4888 (floor 165.6, ratio 29.51)`."""
    if record is None:
        return NOTHING
    beside = []
    for key in ("floor", "ratio"):
        value = record.get(key)
        if is_number(value):
            beside.append(f"{key} {number(value)}")
    more = f" ({', '.join(beside)})" if beside else ""
    return f"{number(record['value'])}{more}"


def steps_of(metrics: dict[str, Records]) -> list[str]:
    """Return the steps of the records of each run; several where they were made at several."""
    columns = zip(*metrics.values(), strict=True)
    texts = []
    for column in columns:
        steps = {str(record.get("step", "?")) for record in column if record is not None}
        texts.append(" | ".join(sorted(steps)) or NOTHING)
    return texts


def planned(run: RunFiles) -> str:
    """Return how long a run was to be."""
    if epochs := run.setting("epochs"):
        return f"{epochs} epochs"
    steps = run.setting("steps")
    return f"{steps:,}" if is_number(steps) else "?"


def clock_texts(spent: tuple[float, float] | None) -> list[str]:
    """Return images, seconds and images a second as texts."""
    if spent is None:
        return [NOTHING] * 3
    seconds, images = spent
    rate = f"{images / seconds:,.0f}" if seconds else NOTHING
    return [f"{images:,.0f}", f"{seconds:,.1f}", rate]


def machine(run: RunFiles) -> str:
    """Return the device of a run with its threads and instructions."""
    words = [run.about.get(key) for key in ("device", "threads", "instructions")]
    device, threads, instructions = words
    found = [device, threads and f"threads {threads}", instructions]
    return ", ".join(str(word) for word in found if word) or NOTHING


def finite(value: Any) -> Any:
    """Replace numbers that JSON has not, and keys that are no texts, by texts."""
    if isinstance(value, dict):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)  # a date in a recipe
