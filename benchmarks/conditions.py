"""`python -m benchmarks.conditions`: which conditioning draws the class that was asked for.

    python -m benchmarks.conditions measure [ARM…] --seeds 3   # train what is not stored yet
    python -m benchmarks.conditions table                      # write docs/how-to/classes.md

The arms differ in `--cond` alone; everything else is what `gan run` composes when nothing is said.
Each gets the same processor time, on one thread. A classifier of the reals counts how many of 1000
samples show the class of their label; beside it stand the scores of the tournament, which are those
of all classes together, and the classifier's accuracy on reals that it was not trained on.
"""

import argparse
from pathlib import Path

import torch

from benchmarks import tables
from benchmarks.sources import circumstances
from benchmarks.stored import append_run, read_runs
from benchmarks.tables import cell, made_with
from benchmarks.tournament import Scores, open_named, train
from gan_plugin_metrics.classifier import classifier_of
from gan_plugin_metrics.labelled import class_figures
from gancore import Progress, compose
from gancore.recipe.for_data import fit_to_data
from gancore.train.data import fitting_tags

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "benchmarks" / "results" / "conditions.jsonl"
PAGE = ROOT / "docs" / "how-to" / "classes.md"
DATA = ("mnist", "letters", "sprites")
LOSSES = {"mnist": "bce", "letters": "bce", "sprites": "rpgan-zero-gp"}  # those of `gan run`
SECONDS = 300
ARMS = {
    "none": [],
    "concat-label": ["concat-label"],
    "projection": ["projection"],
    "acgan": ["acgan"],
    "projection and acgan": ["projection", "acgan"],
    "tac": ["tac"],
    "adc": ["adc"],
    "reacgan": ["reacgan"],
}


class LabelledScores(Scores):
    """The scores of the tournament, and how many samples show the class that was asked for."""

    def __init__(self, data):
        super().__init__(data)
        self.classifier = classifier_of(data)

    def of(self, training):
        """Return the figures of n samples of a training."""
        progress = Progress(training.context, training.step, training.epoch)
        samples, labels = progress.samples(self.n)
        probabilities = self.classifier.probabilities(samples)
        found = class_figures(probabilities, self.classifier.shares, labels[:, 0])
        return {"recognised": round(found["class-accuracy"], 4), **super().of(training)}


def composed(arm, data, seed):
    """Compose an arm for a data set of its own size, with what `gan run` chooses for such data."""
    settings = {"seed": seed, "size": "x".join(map(str, data.shape[1:]))}
    made = compose(data="sprites", cond=ARMS[arm], without=["doctor"], settings=settings)
    return fit_to_data(made, fitting_tags(data))


def measure(arms, names, seeds, seconds):
    """Train the runs that are not stored, all arms of a data set and seed together."""
    torch.set_num_threads(1)
    known = circumstances("python -m benchmarks.conditions measure")
    done = {key_of(row) for row in read()}
    for seed in range(seeds):
        for name in names:
            data = open_named(name, "")
            wanted = [arm for arm in arms if (name, arm, seed, seconds) not in done]
            scores = LabelledScores(data) if wanted else None
            for arm in wanted:
                composition = composed(arm, data, seed)
                found, _ = train(composition, data, seconds, scores)
                entry = {"data": name, "arm": arm, "cond": ARMS[arm], "seed": seed, **found}
                (entry["loss"],) = composition.slots["loss"]
                entry["reals"] = round(scores.classifier.accuracy, 4)
                append_run(STORED, {**entry, **known})
                print(f"{name} {arm} seed {seed}: {found['stages']['1.0']}", flush=True)


def key_of(row):
    return row["data"], row["arm"], row["seed"], row["seconds"]


def read():
    """Read what is stored, the runs of arms as they are now."""
    rows = [row for row in read_runs(STORED) if ARMS.get(row["arm"]) == row["cond"]]
    # the first runs have no loss, because all of them had the same
    return [row for row in rows if row.get("loss", "bce") == LOSSES[row["data"]]]


def table(rows):
    """Write a row for each arm: recognised as asked, and Fréchet ÷ floor, on each data set."""
    heads = " | ".join(f"{name}: recognised | Fréchet ÷ floor | recall" for name in DATA)
    lines = [f"| condition | {heads} |", "| --- " * (1 + 3 * len(DATA)) + "|"]
    for arm in ARMS:
        cells = []
        for name in DATA:
            found = [row for row in rows if (row["data"], row["arm"]) == (name, arm)]
            stages = [row["stages"]["1.0"] for row in found]
            for figure, digits in (("recognised", 2), ("ratio", 1), ("recall", 2)):
                cells.append(cell([stage[figure] for stage in stages], digits))
        if set(cells) != {"–"}:
            named = " and ".join(f"`{name}`" for name in ARMS[arm]) or "none"
            lines.append(f"| {named} | {' | '.join(cells)} |")
    reals = []
    for name in DATA:
        found = [row["reals"] for row in rows if row["data"] == name]
        reals += [f"{found[0]:.2f}" if found else "–", "1", "–"]
    lines.append(f"| *reals* | {' | '.join(reals)} |")
    return lines


def fill(text, rows):
    """Return the page with its tables made anew. Raises KeyError for an unknown table."""
    made = {"conditions": lambda: table(rows), "circumstances": lambda: made_with(rows)}
    return tables.fill(text, made)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conditions", description=__doc__.partition("\n\n")[0]
    )
    kinds = parser.add_subparsers(dest="what", required=True)
    measuring = kinds.add_parser("measure", help="train what is not stored yet")
    measuring.add_argument("arms", nargs="*", metavar="ARM")
    measuring.add_argument("--data", action="append", choices=DATA)
    measuring.add_argument("--seeds", type=int, default=3)
    measuring.add_argument("--seconds", type=int, default=SECONDS, help="processor time of a run")
    kinds.add_parser("table", help="write docs/how-to/classes.md")
    given = parser.parse_args()
    if given.what == "measure":
        measure(given.arms or list(ARMS), given.data or DATA, given.seeds, given.seconds)
    else:
        PAGE.write_text(fill(PAGE.read_text(), read()))
        print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
