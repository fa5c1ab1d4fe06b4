"""Tables of pages, made from stored runs: cells, what runs were made with, and their places.

A page holds a table between `<!-- table: NAME -->` and `<!-- end of table -->`.
"""

import re
import statistics

BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def fill(text, tables):
    """Return a page with every table replaced by what the function of its name returns.

    Raises KeyError for a table that has none.
    """

    def block(found):
        lines = "\n".join(tables[found[2]]())
        return f"{found[1]}{lines}\n{found[3]}"

    return BLOCK.sub(block, text)


def cell(values, digits):
    """Write mean and standard deviation, or – where no run has the figure."""
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean


def made_with(runs):
    """Say of runs how many there are, how long they took, when, and with what they were made."""
    dates = sorted({run["date"] for run in runs})
    when = " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "never"
    with_what = [
        ", ".join(sorted({run["processor"] for run in runs})),
        f"commit {', '.join(sorted({run['commit'] for run in runs}))}",
        f"torch {', '.join(sorted({run['torch'] for run in runs}))}",
    ]
    hours = sum(run["seconds"] for run in runs) / 3600
    return [
        f"*{len(runs)} runs, {hours:.1f} hours of processor time, one thread, measured {when} "
        f"({'; '.join(with_what)}).*"
    ]
