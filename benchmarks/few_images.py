"""`python -m benchmarks.few_images`: what helps where there are only a hundred images.

    python -m benchmarks.few_images measure [ARM…] --seeds 3   # train what is not stored yet
    python -m benchmarks.few_images table                      # write docs/how-to/few-images.md

Each arm trains on the same 100 of 800 drawings, is otherwise what `gan run` composes when nothing
is said, and gets the same processor time, on one thread. Samples are scored as `gan eval` scores
them, against the 700 drawings that no arm saw: a generator that draws its training images again
has a low recall there, and is told to copy.
"""

import argparse
from pathlib import Path

import torch

from benchmarks import tables
from benchmarks.features import REAL_DATA
from benchmarks.sources import circumstances
from benchmarks.stored import append_run, read_runs
from benchmarks.synthetic import choices
from benchmarks.tables import cell, made_with
from benchmarks.tournament import FEATURES, folder, train
from gan_plugin_evaluation.reals import Pools
from gan_plugin_evaluation.sources import Samples
from gan_plugin_evaluation.yardstick import Yardstick
from gancore import Progress, Subset, compose
from gancore.run.pictures import grid, save_picture

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "benchmarks" / "results" / "few-images.jsonl"
PAGE = ROOT / "docs" / "how-to" / "few-images.md"
PICTURES = ROOT / "docs" / "pictures"
IMAGES = 100
SAMPLES = 350  # half of the drawings that no arm saw
SECONDS = 240
ARMS = {
    "none": "",
    "augment-views": "--reg augment-views",
    "diffaugment": "--reg diffaugment",
    # so fast that the strength may rise to its limit within these few thousand steps
    "ada": "--reg ada --ada.speed 10",
    "lecam": "--reg lecam",
}
FIGURES = {
    "fd-ratio": ("Fréchet ÷ floor", 1),
    "precision": ("precision", 2),
    "recall": ("recall", 2),
    "coverage": ("coverage", 2),
    "memorised": ("nearer to a training image", 2),
    "copied": ("copies", 2),
}


def pools():
    """Split the drawings into the hundred that are trained on, and the others."""
    drawings = folder(REAL_DATA / "pokemon64")
    order = torch.randperm(len(drawings), generator=torch.Generator().manual_seed(0))
    return Pools(Subset(drawings, order[:IMAGES]), Subset(drawings, order[IMAGES:]))


class FewScores:
    """Scores samples among the drawings that were not trained on."""

    def __init__(self, pools):
        self.yardstick = Yardstick.of(pools, SAMPLES, FEATURES, 0, None)

    def of(self, training):
        """Return the figures of a training's samples."""
        samples = Progress(training.context, training.step, training.epoch).samples(SAMPLES)[0]
        return kept(self.yardstick.figures(Samples(samples)))

    def of_reals(self):
        """Return the figures of drawings that were not trained on, among others."""
        return kept(self.yardstick.real_figures())


def kept(found):
    """Keep the figures of the table, in four digits."""
    return {name: float(f"{found[name]:.4g}") for name in FIGURES}


def composed(arm, data, seed):
    """Compose an arm over the default for data of their own size."""
    slots, options = choices(ARMS[arm])
    settings = {"seed": seed, "size": "x".join(map(str, data.shape[1:]))}
    return compose(data="sprites", without=["doctor"], options=options, settings=settings, **slots)


def measure(arms, seeds, seconds):
    """Train the runs that are not stored, all arms of a seed together."""
    torch.set_num_threads(1)
    known = circumstances("python -m benchmarks.few_images measure")
    done = {key_of(row) for row in read()}
    split = pools()
    scores = FewScores(split)
    reals = scores.of_reals()
    for seed in range(seeds):
        for arm in arms:
            if (arm, seed, seconds) in done:
                continue
            found, samples = train(composed(arm, split.train, seed), split.train, seconds, scores)
            entry = {"arm": arm, "words": ARMS[arm], "seed": seed, **found}
            append_run(STORED, {**entry, "reals": reals, **known})
            if seed == 0 and seconds == SECONDS:
                save_picture(grid(samples[:24], columns=12), PICTURES / f"few-{arm}.png")
            print(f"{arm} seed {seed}: {found['stages']}", flush=True)


def key_of(row):
    return row["arm"], row["seed"], row["seconds"]


def read():
    """Read what is stored, the runs of arms as their words are now."""
    return [row for row in read_runs(STORED) if ARMS.get(row["arm"]) == row["words"]]


# ── the table ─────────────────────────────────────────────────────────────────────────────────────


def table(rows):
    """Write a row for each arm at each stage, and one of reals: means over seeds ± deviations."""
    heads = " | ".join(name for name, _ in FIGURES.values())
    lines = [f"| arm | steps | seeds | {heads} |", "| --- " * (3 + len(FIGURES)) + "|"]
    for arm in ARMS:
        runs = [row for row in rows if row["arm"] == arm]
        named = arm if arm == "none" else f"`{arm}`"
        for stage in runs[0]["stages"] if runs else ():
            found = [row["stages"][stage] for row in runs]
            steps = round(sum(each["step"] for each in found) / len(found), -2)
            told = [f"{steps:,.0f}", str(len(found))]
            for name, (_, digits) in FIGURES.items():
                told.append(cell([each[name] for each in found], digits))
            lines.append(f"| {named} | {' | '.join(told)} |")
    if rows:
        reals = [f"{rows[0]['reals'][name]:.{digits}f}" for name, (_, digits) in FIGURES.items()]
        lines.append(f"| *reals* | – | – | {' | '.join(reals)} |")
    return lines


def fill(text, rows):
    """Return the page with its tables made anew. Raises KeyError for an unknown table."""
    made = {"few-images": lambda: table(rows), "circumstances": lambda: made_with(rows)}
    return tables.fill(text, made)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.few_images", description=__doc__.partition("\n\n")[0]
    )
    kinds = parser.add_subparsers(dest="what", required=True)
    measuring = kinds.add_parser("measure", help="train what is not stored yet")
    measuring.add_argument("arms", nargs="*", metavar="ARM")
    measuring.add_argument("--seeds", type=int, default=3)
    measuring.add_argument("--seconds", type=int, default=SECONDS, help="processor time of a run")
    kinds.add_parser("table", help="write docs/how-to/few-images.md")
    given = parser.parse_args()
    if given.what == "measure":
        measure(given.arms or list(ARMS), given.seeds, given.seconds)
    else:
        PAGE.write_text(fill(PAGE.read_text(), read()))
        print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
