"""The tables of docs/explanation/six-tricks.md, made from stored studies; nothing is trained here.

The page holds a table between `<!-- study: NAME -->` and `<!-- end of study -->`.
"""

import json
import re
from pathlib import Path

from gancore.tools.study.design import Design
from gancore.tools.study.report import how_it_was_read, sentence_of, table_of
from gancore.tools.study.results import Arm, compare_arms

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "explanation" / "six-tricks.md"
RESULTS = ROOT / "benchmarks" / "results" / "studies"
BLOCK = re.compile(r"(<!-- study: (\S+) -->\n).*?(<!-- end of study -->)", re.DOTALL)
FIXED = ("figure", "better", "scale", "last", "seeds", "secondary")
NOT_YET = "*Not measured yet: `python -m benchmarks.studies measure {}`.*\n"


def read_results():
    """Read the stored studies, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


def design_of(stored):
    """Return the design of a stored study."""
    pairs = tuple(tuple(pair) for pair in stored["design"]["comparisons"])
    return Design(comparisons=pairs, **{key: stored["design"][key] for key in FIXED})


def arms_of(stored):
    """Return the arms of a stored study, whose seeds JSON keeps as text."""
    arms = {}
    for name, each in stored["arms"].items():
        secondary = {figure: by_seed(values) for figure, values in each["secondary"].items()}
        scores = by_seed(each["scores"])
        arms[name] = Arm(scores, by_seed(each["failures"]), secondary, each["seconds"])
    return arms


def by_seed(values):
    """Return a table with whole numbers for seeds."""
    return {int(seed): value for seed, value in values.items()}


def block_of(stored):
    """Write table, sentences and circumstances of one study."""
    design = design_of(stored)
    arms = arms_of(stored)
    comparisons = compare_arms(design, arms)
    settings = stored["settings"]
    lines = [how_it_was_read(design, settings), ""]
    lines += [*table_of(design, arms, comparisons), ""]
    lines += [f"- {sentence_of(design, each, arms, settings)}" for each in comparisons]
    for name, arm in arms.items():
        lines += [f"- failed: {name}, seed {seed}: {why}" for seed, why in arm.failures.items()]
    seconds = sum((arm.seconds or 0) * len(arm.scores) for arm in arms.values())
    where = f"on {stored['date']} (commit {stored['commit']}; torch {stored['torch']}"
    where += f", {stored['processor']}, {stored['threads']} thread)"
    lines += ["", f"*`{stored['command']}`, measured {where}; steps alone took {seconds:,.0f} s.*"]
    return "\n".join(lines) + "\n"


def fill(text, results):
    """Return the page with every table made from the stored results."""

    def block(found):
        opening, name, closing = found.groups()
        made = block_of(results[name]) if name in results else NOT_YET.format(name)
        return f"{opening}{made}{closing}"

    return BLOCK.sub(block, text)


def stored_form(study, circumstances):
    """Return what is kept of a `study.json`: no recipes, which hold the paths of this machine."""
    design = {key: study["design"][key] for key in (*FIXED, "comparisons")}
    return {
        **circumstances,
        "id": study["id"],
        "design": design,
        "settings": study["settings"],
        "arms": rounded(study["results"]["arms"]),
    }


def rounded(value):
    """Keep eight digits of each number: more than any table shows."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return float(f"{value:.8g}") if isinstance(value, float) else value
