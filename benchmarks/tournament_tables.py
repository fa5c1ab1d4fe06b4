"""The tables of docs/default.md, made from the stored runs of the tournament."""

import json
import statistics
from pathlib import Path

from benchmarks import tables
from benchmarks.tables import cell, made_with
from benchmarks.tournament_arms import (
    CHANGED,
    CHOSEN_BY,
    FINALISTS,
    FITTED,
    FLAT,
    FULL,
    JUDGES,
    SEARCHED,
    SHORT,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "default.md"
COLOURS = Path(__file__).resolve().parent / "results" / "colours.json"
FOR_MOST = "default of others"  # than images in flat colours
FIGURES = ("ratio", "precision", "recall", "coverage")


def last_figures(rows, data, arm, seconds):
    """List what each seed of an arm scored at its end."""
    wanted = (data, arm, seconds)
    return [row["stages"]["1.0"] for row in rows if kind_of(row) == wanted]


def kind_of(row):
    """Return what the seeds of an arm have in common: data, arm and seconds."""
    return row["data"], row["arm"], row["seconds"]


def figure_cells(found):
    """Write a cell for each figure; a run that diverged has none."""
    finite = [each for each in found if each["ratio"] is not None]
    cells = []
    for name in FIGURES:
        digits = 1 if name == "ratio" else 2
        cells.append(cell([each[name] for each in finite], digits))
    return cells


def final_table(rows):
    """Write a row for each data set and finalist, at the full time, of seeds that all have."""
    lines = [
        "| data | composition | seeds | steps | Fréchet ÷ floor | precision | recall | coverage |",
        "| --- " * 8 + "|",
    ]
    for data in CHOSEN_BY + JUDGES:
        shared = shared_rows(rows, data)
        for arm, name in finalists_of(data).items():
            found = last_figures(shared, data, arm, FULL)
            if found:
                steps = round(statistics.fmean(each["step"] for each in found))
                cells = " | ".join(figure_cells(found))
                lines.append(f"| {data} | {name} | {len(found)} | {steps:,} | {cells} |")
    return lines


def finalists_of(data):
    """Return the arms that stand in the table of a data set, with what each is called there."""
    old, won = FINALISTS
    if data in FLAT:
        return {old: "base", won: FOR_MOST, FITTED: "**default**"}
    return {old: "base", won: "**default**"}


def shared_rows(rows, data):
    """List the rows of the finalists' full runs on a data set, of the seeds that all have."""
    full = {arm: set() for arm in finalists_of(data)}
    for row in rows:
        if row["arm"] in full and (row["data"], row["seconds"]) == (data, FULL):
            full[row["arm"]].add(row["seed"])
    shared = set.intersection(*full.values())
    return [row for row in rows if row["data"] == data and row["seed"] in shared]


def search_table(rows, seconds, names):
    """Write a row for each arm of a search: figures of its first seed on the data sets named."""
    heads = " | ".join(f"{name}: Fréchet ÷ floor | recall" for name in names)
    lines = [f"| arm | words over `base` | {heads} |", "| --- " * (2 + 2 * len(names)) + "|"]
    first = [row for row in rows if row["seed"] == 0]
    for arm, words in SEARCHED.items():
        cells = []
        for name in names:
            figures = figure_cells(last_figures(first, name, arm, seconds))
            cells += [figures[0], figures[2]]
        if set(cells) != {"–"}:
            lines.append(f"| {arm} | `{words or 'none'}` | {' | '.join(cells)} |")
    return lines


def changed_table(rows, name):
    """Write a row for the default, and one for each change to it, on a data set: the first seed.

    The default of the data set is set in bold.
    """
    first = [row for row in rows if row["seed"] == 0]
    heads = "Fréchet ÷ floor | precision | recall | coverage"
    lines = [f"| {name} | steps | {heads} |", "| --- " * 6 + "|"]
    arms = {FINALISTS[1]: FOR_MOST if name in FLAT else "**default**"}
    for change in CHANGED:
        arm = f"default: {change}"
        fitted = arm == FITTED and name in FLAT
        arms[arm] = f"**{change}**" if fitted else change
    for arm, title in arms.items():
        for figures in last_figures(first, name, arm, FULL):
            cells = " | ".join(figure_cells([figures]))
            lines.append(f"| {title} | {figures['step']:,} | {cells} |")
    return lines


def colours_table():
    """Write a row for each data set: what tells images in flat colours from others."""
    lines = [
        "| data | images | colours of an image | pixels like their right neighbour |",
        "| --- " * 4 + "|",
    ]
    for name, found in json.loads(COLOURS.read_text()).items():
        cells = f"{found['images']:,} | {found['colours']:g} | {found['alike']:.2f}"
        lines.append(f"| {name} | {cells} |")
    return lines


def fill(text, rows):
    """Return the page with every table made anew. Raises KeyError for an unknown table."""
    made = {
        "colours": colours_table,
        "final": lambda: final_table(rows),
        "search": lambda: search_table(rows, SHORT, ("pokemon", "mnist")),
        "longer": lambda: search_table(rows, FULL, ("photos", "pokemon", "sprites")),
        "changed-photos": lambda: changed_table(rows, "photos"),
        "changed-emoji": lambda: changed_table(rows, "emoji"),
        "changed-pokemon": lambda: changed_table(rows, "pokemon"),
        "changed-sprites": lambda: changed_table(rows, "sprites"),
        "changed-icons": lambda: changed_table(rows, "icons"),
        "changed-tiles": lambda: changed_table(rows, "tiles"),
        "changed-dungeon": lambda: changed_table(rows, "dungeon"),
        "circumstances": lambda: made_with(rows),
    }
    return tables.fill(text, made)


def write_page(rows):
    """Write the tables into the page, and return its path."""
    PAGE.write_text(fill(PAGE.read_text(), rows))
    return PAGE
