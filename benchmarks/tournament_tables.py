"""The tables of docs/default.md, made from the stored runs of the tournament."""

import re
import statistics
from pathlib import Path

from benchmarks.synthetic_tables import cell
from benchmarks.tournament_arms import ARMS, CHOSEN_BY, FINALISTS, FULL, JUDGES, SHORT

PAGE = Path(__file__).resolve().parent.parent / "docs" / "default.md"
BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
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
    """Write a row for each data set and finalist, at the full time."""
    lines = [
        "| data | composition | seeds | steps | Fréchet ÷ floor | precision | recall | coverage |",
        "| --- " * 8 + "|",
    ]
    for data in CHOSEN_BY + JUDGES:
        for arm, name in zip(FINALISTS, ("base", "**default**"), strict=True):
            found = last_figures(rows, data, arm, FULL)
            if found:
                steps = round(statistics.fmean(each["step"] for each in found))
                cells = " | ".join(figure_cells(found))
                lines.append(f"| {data} | {name} | {len(found)} | {steps:,} | {cells} |")
    return lines


def search_table(rows, seconds, names):
    """Write a row for each arm of a search: figures of its first seed on the data sets named."""
    heads = " | ".join(f"{name}: Fréchet ÷ floor | recall" for name in names)
    lines = [f"| arm | words over `base` | {heads} |", "| --- " * (2 + 2 * len(names)) + "|"]
    first = [row for row in rows if row["seed"] == 0]
    for arm, words in ARMS.items():
        cells = []
        for name in names:
            figures = figure_cells(last_figures(first, name, arm, seconds))
            cells += [figures[0], figures[2]]
        if set(cells) != {"–"}:
            lines.append(f"| {arm} | `{words or 'none'}` | {' | '.join(cells)} |")
    return lines


def measured_with(rows):
    """Say with what the runs were made."""
    dates = sorted({row["date"] for row in rows})
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    torches = ", ".join(sorted({row["torch"] for row in rows}))
    processors = ", ".join(sorted({row["processor"] for row in rows}))
    hours = sum(row["seconds"] for row in rows) / 3600
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return [
        f"*{len(rows)} runs, {hours:.1f} hours of processor time, one thread, measured {when} "
        f"({processors}; commit {commits}; torch {torches}).*"
    ]


def fill(text, rows):
    """Return the page with every table made anew. Raises KeyError for an unknown table."""
    made = {
        "final": final_table,
        "search": lambda rows: search_table(rows, SHORT, ("pokemon", "mnist")),
        "longer": lambda rows: search_table(rows, FULL, ("photos", "pokemon")),
        "circumstances": measured_with,
    }

    def block(found):
        lines = "\n".join(made[found[2]](rows))
        return f"{found[1]}{lines}\n{found[3]}"

    return BLOCK.sub(block, text)


def write_page(rows):
    """Write the tables into the page, and return its path."""
    PAGE.write_text(fill(PAGE.read_text(), rows))
    return PAGE
