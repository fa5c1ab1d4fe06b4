"""The tables of docs/explanation/synthetic-benchmarks.md, made from what was stored."""

import statistics
from pathlib import Path

from benchmarks import tables
from benchmarks.synthetic_arms import ARMS, DATA, LITERATURE, LONGER, NULLS
from benchmarks.tables import cell, made_with
from gancore.tools.claims import Claim, judge_claims

PAGE = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "synthetic-benchmarks.md"
COLUMNS = {  # figure of `modes`: its name in the literature, digits
    "count": ("modes", 1),
    "count20": ("modes20", 1),
    "high-quality": ("hq", 3),
    "reverse-kl": ("reverse KL", 3),
    "tv": ("tv", 3),
    "junk": ("tv_junk", 3),
    "width": ("sigma_ratio", 2),
}
FEWEST = 3  # pairs of seeds with which an arm is judged
VERDICTS = {"agree": "better", "disagree": "worse", "undecided": "undecided"}


def null_row(stored, data, null):
    """Write the row of a null generator."""
    found = stored["nulls"][f"{data}: {null}"]
    cells = []
    for figure, (_, digits) in COLUMNS.items():
        if figure in found["mean"]:
            cells.append(f"{found['mean'][figure]:.{digits}f} ± {found['sd'][figure]:.{digits}f}")
        else:
            cells.append("–")
    return f"| *{null}* | {found['repeats']} draws | {' | '.join(cells)} | – | – |"


def arm_row(runs, arm):
    """Write the row of an arm: mean and standard deviation over its seeds."""
    columns = {name: [] for name in COLUMNS}
    for run in runs:
        for name in COLUMNS:
            if name in run["figures"]:
                columns[name].append(run["figures"][name])
    cells = [cell(columns[name], digits) for name, (_, digits) in COLUMNS.items()]
    seconds = statistics.fmean(run["seconds"] for run in runs)
    batches = runs[0]["critic_batches"]
    return f"| {arm} | {len(runs)} | {' | '.join(cells)} | {batches:,} | {seconds:.0f} |"


def data_table(stored, data, arms=ARMS, title="protocol quick"):
    """Write the table of a data set: what no network made, then an arm a row."""
    heads = " | ".join(name for name, _ in COLUMNS.values())
    lines = [
        f"| {data}, {title} | seeds | {heads} | critic batches | seconds |",
        "| --- " * (len(COLUMNS) + 4) + "|",
        *(null_row(stored, data, null) for null in NULLS),
    ]
    for arm in arms:
        runs = [each for each in stored["runs"] if (each["data"], each["arm"]) == (data, arm)]
        if runs:
            lines.append(arm_row(runs, arm))
    return lines


def verdict_table(stored):
    """Write by how much each arm lowers the plain arm's tv_junk, over pairs of the same seed.

    The tests of a data set are one family: p is corrected for their number.
    """
    plain = next(iter(ARMS))
    lines = ["| data | arm | pairs | plain - arm | 95 % interval | p | it is |", "| --- " * 7 + "|"]
    for data in DATA:
        figures = {}
        for run in stored["runs"]:
            if run["data"] == data and run["arm"] in ARMS:
                figures.setdefault(run["arm"], {})[run["seed"]] = run["figures"]
        tried = [arm for arm in ARMS if arm != plain and len(figures.get(arm, ())) >= FEWEST]
        claims = [Claim(f"{arm} helps", "junk", less=arm, more=plain) for arm in tried]
        for arm, verdict in zip(tried, judge_claims(claims, figures), strict=True):
            told = [data, arm, str(len(verdict.differences)), f"{verdict.mean:+.3f}"]
            told.append(f"{verdict.low:+.3f} to {verdict.high:+.3f}")
            told += [f"{verdict.p_holm:.3f}", VERDICTS[verdict.word]]
            lines.append(f"| {' | '.join(told)} |")
    return lines


def curve_table(stored):
    """Write how the figures of the plain arm change with the steps."""
    plain = next(iter(ARMS))
    lines = [
        "| data | step | seeds | modes | hq | reverse KL | tv_junk |",
        "| --- " * 7 + "|",
    ]
    for data in DATA:
        runs = [each for each in stored["runs"] if (each["data"], each["arm"]) == (data, plain)]
        for step in runs[0]["curve"] if runs else ():
            at = [run["curve"][step] for run in runs]
            cells = []
            for figure in ("count", "high-quality", "reverse-kl", "junk"):
                values = [each[figure] for each in at if figure in each]
                cells.append(cell(values, COLUMNS[figure][1]))
            lines.append(f"| {data} | {int(step):,} | {len(runs)} | {' | '.join(cells)} |")
    return lines


def literature_table():
    """Write what the papers report, with the name of each protocol."""
    heads = "ring8: modes | hq % | reverse KL | grid25: modes | hq % | reverse KL"
    lines = [
        f"| protocol | method | {heads} |",
        "| --- " * 8 + "|",
    ]
    for protocol, methods in LITERATURE.items():
        for method, cells in methods.items():
            lines.append(f"| {protocol} | {method} | {' | '.join(cells)} |")
    return lines


def fill(text, stored):
    """Return the page with every table made anew. Raises KeyError for an unknown table."""
    made = {data: lambda data=data: data_table(stored, data) for data in DATA}
    made["longer"] = lambda: data_table(stored, "grid25", LONGER, "trained for longer")
    made["verdicts"] = lambda: verdict_table(stored)
    made["steps"] = lambda: curve_table(stored)
    made["literature"] = literature_table
    made["circumstances"] = lambda: made_with(stored["runs"])

    return tables.fill(text, made)


def write_page(stored):
    """Write the tables into the page, and return its path."""
    PAGE.write_text(fill(PAGE.read_text(), stored))
    return PAGE
