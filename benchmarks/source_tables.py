"""The tables of docs/sources, made from what `benchmarks.sources` stored; nothing here is measured.

A page holds a table between `<!-- results: NAME -->` and `<!-- end of results -->`; NAME is a
sweep, or `recipes` or `sweeps` for the table of all.
"""

import json
import re
import statistics
from pathlib import Path

from gancore.tools.claims import Claim, claim_as_line, judge_differences, paired_differences

NAMES = {  # figure: what the table of recipes calls it
    "frechet/ratio": "Fréchet/floor",
    "collapse/ratio": "collapse",
    "class-accuracy/fake": "class accuracy on fakes",
    "class-accuracy/real": "on reals",
    "recognition/accuracy": "recognised as asked",
    "nearest/error": "nearest error",
    "nearest/label-error": "with its label",
    "colorpicker/palette-usage": "colours used",
    "modes/count": "modes",
    "modes/high-quality": "high quality",
    "modes/junk": "junk",
    "triples/modes": "triples",
    "triples/kl": "KL",
    "triples/junk": "junk channels",
    "collapse/across": "thickness across",
    "collapse/minor": "minor axis",
    "collapse/major": "major axis",
    "monitored/skipped": "skipped",
    "boosted/critic": "critic boosted",
    "boosted/generator": "generator boosted",
    "weight-clipping/at-bound": "at the bound",
}
ESTIMATE = re.compile(r"critic/.*/wasserstein")
FAMILIES = {  # beginning of a recipe's name: its source
    "pokegan-": "Lazarou",
    "journey-": "S0",
    "mnist-acgan": "code of S0",
    "gaussian": "S1",
    "initials-": "S1",
    "pokgan-": "S2",
    "mnist-keras-": "S3",
    "guide-": "S4",
    "ring8-": "benchmarks",
    "grid25-": "benchmarks",
    "grid100-": "benchmarks",
    "stacked-": "benchmarks",
}
BLOCK = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end of results -->)", re.DOTALL)


def is_shown(figure):
    """Whether the table of recipes shows a figure."""
    return figure in NAMES or bool(ESTIMATE.fullmatch(figure))


def read_results(pages):
    """Read what is stored beside the pages, by name."""
    return {
        path.stem: json.loads(path.read_text())
        for path in sorted((pages / "results").glob("*.json"))
    }


# ── one sweep ─────────────────────────────────────────────────────────────────────────────────────


def claims_of(result):
    """Return the claims of a stored sweep and their verdicts."""
    claims = [
        Claim(**{key: value for key, value in each.items() if key != "differences"})
        for each in result["claims"]
    ]
    if "figures" in result:
        found = [paired_differences(claim, result["figures"]) for claim in claims]
    else:
        found = [each["differences"] for each in result["claims"]]
    return list(zip(claims, judge_differences(claims, found), strict=True))


def cell(values):
    """Write the mean of figures and their standard deviation."""
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):.4g}"
    return f"{mean} ± {statistics.stdev(values):.2g}" if len(values) > 1 else mean


def table_of(result):
    """List the lines of a sweep's table: an arm a row."""
    if "table" in result:  # of before figures were stored
        return result["table"]
    shown = result["shown"]
    lines = ["| arm | seeds | " + " | ".join(shown) + " |", "| --- | --- |" + " --- |" * len(shown)]
    for arm, seeds in result["figures"].items():
        cells = [cell([row[figure] for row in seeds.values() if figure in row]) for figure in shown]
        lines.append(f"| {arm} | {len(seeds)} | " + " | ".join(cells) + " |")
    return lines


def steps_of(result):
    """Write how many steps the runs of a result made."""
    steps = result["steps"]
    return f"{steps:,}" if isinstance(steps, int) else " or ".join(f"{each:,}" for each in steps)


def told(result):
    """Write with what a result was measured, as a line below its table."""
    if "figures" not in result:
        return f"*Measured on {result['date']} (commit {result['commit']}); {result['note']}.*"
    seeds = ", ".join(map(str, result["seeds"]))
    seconds = f"{result['processor_seconds']:,.0f} s of processor time"
    versions = f"torch {result['torch']}, {result['processor']}, {result['threads']} thread"
    where = f"on {result['date']} (commit {result['commit']}; {versions})"
    return f"*Measured {where}: seeds {seeds}, {steps_of(result)} steps, {seconds} in all.*"


def sweep_block(result):
    """Write table, verdicts and circumstances of one sweep."""
    lines = [*table_of(result), ""]
    verdicts = [claim_as_line(claim, verdict) for claim, verdict in claims_of(result)]
    if verdicts:
        lines += [*verdicts, ""]
    return "\n".join([*lines, told(result)]) + "\n"


# ── the tables of all ─────────────────────────────────────────────────────────────────────────────


def source_of(name):
    """Return the source whose recipe this is."""
    return next(source for start, source in FAMILIES.items() if name.startswith(start))


def figures_of(result):
    """Write the figures of one run."""
    if "figures" not in result:
        return result["measured"]
    figures = result["figures"]
    found = [f"{name} {figures[figure]:.3g}" for figure, name in NAMES.items() if figure in figures]
    found += [
        f"estimate {value:.3g}" for figure, value in figures.items() if ESTIMATE.fullmatch(figure)
    ]
    return "; ".join(found)


def recipes_block(results):
    """Write the table of recipes: a recipe a row."""
    lines = [
        "| source | recipe | measured | the doctor | steps | seconds | on (commit) |",
        "| --- " * 7 + "|",
    ]
    rows = {name: each for name, each in results.items() if each["kind"] == "recipe"}
    order = list(dict.fromkeys(FAMILIES.values()))
    for name in sorted(rows, key=lambda name: (order.index(source_of(name)), name)):
        each = rows[name]
        doctor = ", ".join(each["doctor"]) or "nothing"
        steps = steps_of(each) if "steps" in each else "–"
        where = f"{each['date']} ({each['commit']})"
        cells = [
            source_of(name),
            f"`{name}`",
            figures_of(each),
            doctor,
            steps,
            f"{each['processor_seconds']:.0f}",
            where,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def sweeps_block(results):
    """Write the table of sweeps: a sweep a row, with the word for each claim."""
    lines = ["| sweep | command | verdicts | on (commit) |", "| --- " * 4 + "|"]
    for name, each in results.items():
        if each["kind"] == "sweep":
            words = "; ".join(
                f"**{verdict.word}**: {claim.says}" for claim, verdict in claims_of(each)
            )
            where = f"{each['date']} ({each['commit']})"
            lines.append(f"| `{name}` | `{each['command']}` | {words or 'no claim'} | {where} |")
    return "\n".join(lines) + "\n"


# ── pages ─────────────────────────────────────────────────────────────────────────────────────────


def fill(text, results):
    """Return a page with every table made from the results.

    Raises KeyError for a table without a result.
    """

    def block(found):
        opening, name, closing = found.groups()
        if name in ("recipes", "sweeps"):
            made = recipes_block(results) if name == "recipes" else sweeps_block(results)
        else:
            made = sweep_block(results[name])
        return f"{opening}{made}{closing}"

    return BLOCK.sub(block, text)


def write_pages(pages: Path):
    """Write every table of the pages and return the pages that changed."""
    results = read_results(pages)
    changed = []
    for page in sorted(pages.glob("*.md")):
        text = page.read_text()
        filled = fill(text, results)
        if filled != text:
            page.write_text(filled)
            changed.append(page)
    return changed
