"""`python -m benchmarks.papers`: what the recipes of single papers reach in their small forms.

    python -m benchmarks.papers measure [RECIPE…] --seeds 3   # train what is not stored yet
    python -m benchmarks.papers table                         # write docs/sources/papers.md

Each is trained as `gan run --recipe NAME --small` trains it, on one thread. Images are scored as
those of the tournament, against 2000 more images of the same kind, and points by the modes they
show. A run says how long it took; what the figures are worth is said beside them on the page.
"""

import argparse
import time
from pathlib import Path

import torch

from benchmarks import tables
from benchmarks.sources import circumstances
from benchmarks.stored import append_run, read_runs
from benchmarks.synthetic import POINTS, figures_of, rounded
from benchmarks.tables import cell, made_with
from benchmarks.tournament import Scores
from gancore import Progress, Training, compose, open_data
from gancore.run.pictures import grid, save_picture, scatter

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "benchmarks" / "results" / "papers.jsonl"
PAGE = ROOT / "docs" / "sources" / "papers.md"
PICTURES = ROOT / "docs" / "pictures"
IMAGES = (
    "sngan",
    "sagan",
    "cgan-pd",
    "r3gan",
    "fastgan",
    "stylegan2-lite-ada",
    "bigan",
    "infogan",
    "ssgan",
    "r1-gan",
    "dragan",
    "ralsgan",
    "diffaugment-few",
    "ada-few",
)
PLANE = ("r3gan-mlp", "pacgan", "unrolled", "wgan-lp")
JUDGED_BY = 2000  # images that samples are scored against
SHOWN = 24  # samples of a picture


def composed(recipe, seed=0):
    """Compose the small form of a recipe as `gan run` does, without its doctor."""
    return compose(recipe=recipe, variants=["small"], settings={"seed": seed}, without=["doctor"])


def judging(recipe):
    """Open the data that samples are scored against: many more images than a recipe trains on."""
    data = composed(recipe).recipe()["data"]
    options = {f"{data}.count": 2 * JUDGED_BY}
    return open_data(compose(recipe=recipe, variants=["small"], options=options))


def measure(recipes, seeds):
    """Train the runs that are not stored, all recipes of a seed together."""
    torch.set_num_threads(1)
    known = circumstances("python -m benchmarks.papers measure")
    done = {key_of(row) for row in read()}
    for seed in range(seeds):
        for recipe in recipes:
            if (recipe, seed) in done:
                continue
            training, seconds = train(composed(recipe, seed))
            found = points_of(training) if recipe in PLANE else Scores(judging(recipe)).of(training)
            entry = {"recipe": recipe, "seed": seed, "steps": training.step, "seconds": seconds}
            append_run(STORED, {**entry, "figures": found, **known})
            if seed == 0:
                draw(training, PICTURES / f"paper-{recipe}.png")
            print(f"{recipe} seed {seed}: {found}, {seconds} s", flush=True)


def train(composition):
    """Train a composition to its end; return it, and the seconds of the processor it took."""
    training = Training.of(composition)
    began = time.process_time()
    while training.step < composition.settings.steps:
        training.train_step()
    return training, round(time.process_time() - began, 1)


def points_of(training):
    """Count the modes that samples of a training in the plane show."""
    progress = Progress(training.context, training.step, training.epoch)
    return rounded(figures_of(progress.samples(POINTS)[0], training.context.data))


def draw(training, path):
    """Save a picture of samples: a grid of images, or points over the reals."""
    progress = Progress(training.context, training.step, training.epoch)
    data = training.context.data
    if len(data.shape) == 1:
        reals = data.take(torch.arange(1000), torch.Generator().manual_seed(0))[0]
        save_picture(scatter(progress.samples(1000)[0], reals, side=300), path)
    else:
        save_picture(grid(progress.samples(SHOWN)[0], columns=SHOWN // 2, pad=1), path)


def key_of(row):
    return row["recipe"], row["seed"]


def read():
    """Read what is stored."""
    return read_runs(STORED)


# ── tables ────────────────────────────────────────────────────────────────────────────────────────

OF_IMAGES = {
    "ratio": ("Fréchet ÷ floor", 1),
    "precision": ("precision", 2),
    "recall": ("recall", 2),
}
OF_POINTS = {
    "count": ("modes", 1),
    "high-quality": ("hq", 3),
    "reverse-kl": ("reverse KL", 3),
    "junk": ("tv_junk", 3),
}


def table(rows, recipes, columns):
    """Write a row for each recipe that was measured: means over its seeds, with deviations."""
    heads = " | ".join(name for name, _ in columns.values())
    lines = [
        f"| recipe | data | steps | seconds | seeds | {heads} |",
        "| --- " * (5 + len(columns)) + "|",
    ]
    for recipe in recipes:
        found = [row for row in rows if row["recipe"] == recipe]
        if found:
            seconds = sum(row["seconds"] for row in found) / len(found)
            told = [data_of(recipe), f"{found[0]['steps']:,}", f"{seconds:.0f}", str(len(found))]
            for name, (_, digits) in columns.items():
                values = [row["figures"].get(name) for row in found]
                told.append(cell([each for each in values if each is not None], digits))
            lines.append(f"| `{recipe}` | {' | '.join(told)} |")
    return lines


def data_of(recipe):
    """Say what a small form trains on, e.g. `1,024 sprites, 16 pixels`."""
    found = composed(recipe).recipe()
    name = found["data"]
    if recipe in PLANE:
        return found[name]["layout"]
    return f"{found[name]['count']:,} {name}, {found['run']['size']} pixels"


def fill(text, rows):
    """Return the page with every table made anew. Raises KeyError for an unknown table."""
    made = {
        "images": lambda: table(rows, IMAGES, OF_IMAGES),
        "plane": lambda: table(rows, PLANE, OF_POINTS),
        "circumstances": lambda: made_with(rows),
    }
    return tables.fill(text, made)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.papers", description=__doc__.partition("\n\n")[0]
    )
    kinds = parser.add_subparsers(dest="what", required=True)
    measuring = kinds.add_parser("measure", help="train what is not stored yet")
    measuring.add_argument("recipes", nargs="*", metavar="RECIPE")
    measuring.add_argument("--seeds", type=int, default=3)
    kinds.add_parser("table", help="write docs/sources/papers.md")
    given = parser.parse_args()
    if given.what == "measure":
        measure(given.recipes or IMAGES + PLANE, given.seeds)
    else:
        PAGE.write_text(fill(PAGE.read_text(), read()))
        print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
