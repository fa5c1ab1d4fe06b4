"""`python -m benchmarks.tournament`: which composition makes the best pictures in a few minutes.

    python -m benchmarks.tournament list                       # arms and data sets
    python -m benchmarks.tournament measure old new --seeds 3  # train what is not stored yet
    python -m benchmarks.tournament colours                    # count the colours of each data set
    python -m benchmarks.tournament table                      # write docs/default.md

Every arm gets the same processor time, counted in its training steps alone, on one thread. Its
samples are then scored as `gan eval` does: Fréchet distance ÷ that of reals against other reals,
precision, recall and coverage, among as many reals. Each arm × data set × seed is stored when it
ends, so a measurement that is interrupted goes on.

Data sets that do not come with gancore lie in the folder that `--images` names; those that are not
there are left out. Some served for judging alone: nothing was chosen by them.
"""

import argparse
import json
import statistics
import time
from functools import cache
from pathlib import Path

import torch

from benchmarks import tournament_tables
from benchmarks.features import REAL_DATA
from benchmarks.sources import circumstances
from benchmarks.stored import append_run, read_runs
from benchmarks.synthetic import choices
from benchmarks.tournament_arms import ARMS, CHOSEN_BY, FULL, JUDGES
from gan_plugin_evaluation.reals import Space, draw, floors_of
from gan_plugin_evaluation.yardstick import measure as figures_of
from gan_plugin_metrics.extractors import open_extractor
from gancore import Progress, Training, compose, open_data
from gancore.run.pictures import grid, save_picture
from gancore.train.data import colour_statistics

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "benchmarks" / "results" / "tournament.jsonl"
SAMPLES = 1000
FEATURES = "randconv"
STAGES = (0.25, 0.5, 1.0)  # shares of the time after which samples are scored

# ── data ──────────────────────────────────────────────────────────────────────────────────────────


def folder(path, size="32"):
    """Open a folder of images, each picture once."""
    options = {
        "image-folder.path": str(path),
        "image-folder.duplicates": "first",
        "image-folder.labels": "none",
    }
    return open_data(compose(data="image-folder", options=options, settings={"size": size}))


@cache
def open_named(name, images):
    """Open a data set by its name in this benchmark, or return None where it is not there."""
    if name == "sprites":
        return open_data(compose(data="sprites", options={"sprites.count": 6000}))
    if name == "letters":  # of the benchmark of conditions
        options = {"letters.count": 6000}
        return open_data(compose(data="letters", options=options, settings={"size": "32"}))
    path = {"pokemon": REAL_DATA / "pokemon64", "mnist": REAL_DATA / "mnist"}.get(name)
    path = path or Path(images) / name
    if not path.exists():
        return None
    return open_data(path) if name == "mnist" else folder(path)


# ── measure ───────────────────────────────────────────────────────────────────────────────────────


class Scores:
    """Reals and their floors, with which the samples of all arms are scored."""

    def __init__(self, data):
        n = min(SAMPLES, len(data) // 2)
        reals, _ = draw(data, 2 * n, seed=0)
        self.n = n
        self.space, found = Space.of(open_extractor(FEATURES, data), reals)
        self.reals = found[:n]
        self.floors = floors_of(found, figures_of, self.space).means

    def of(self, training):
        """Return the figures of n samples of a training."""
        samples = Progress(training.context, training.step, training.epoch).samples(self.n)[0]
        if not bool(samples.isfinite().all()):
            return {"ratio": None}
        found = figures_of(self.reals, self.space.of_samples(samples))
        kept = {name: found[name] for name in ("precision", "recall", "coverage")}
        figures = {"ratio": found["fd"] / self.floors["fd"], **kept}
        return {name: float(f"{value:.4g}") for name, value in figures.items()}


def composed(arm, data, seed):
    """Compose an arm, over what was the default before, for a data set of its own size."""
    slots, options = choices(ARMS[arm])
    batch = int(slots.pop("batch", 64))
    settings = {"seed": seed, "size": "x".join(map(str, data.shape[1:])), "batch": batch}
    slots |= {"data": "sprites", "without": ["doctor"]}
    return compose(recipe="base", options=options, settings=settings, **slots)


def train(composition, data, seconds, scores):
    """Train for so many processor seconds; return figures on the way, and 48 samples."""
    training = Training.of(composition, data)
    spent = 0.0
    stages = {}
    for share in STAGES:
        began = time.process_time()
        while spent + time.process_time() - began < share * seconds:
            training.train_step()
        spent += time.process_time() - began
        stages[str(share)] = {"step": training.step, **scores.of(training)}
    samples = Progress(training.context, training.step, training.epoch).samples(48)[0]
    return {"stages": stages, "seconds": seconds, "batches": training.batches}, samples


def measure(arms, names, seeds, seconds, images, pictures):
    """Train the runs that are not stored, all arms of a data set and seed together.

    A grid of each run's samples is written into the folder `pictures`, where one is given.
    """
    torch.set_num_threads(1)
    known = circumstances("python -m benchmarks.tournament measure")
    done = {key_of(each) for each in read()}
    for seed in seeds:
        for name in names:
            data = open_named(name, images)
            if data is None:
                print(f"{name}: not there, left out", flush=True)
                continue
            wanted = [arm for arm in arms if (name, arm, seed, seconds) not in done]
            scores = Scores(data) if wanted else None
            for arm in wanted:
                began = time.monotonic()
                found, samples = train(composed(arm, data, seed), data, seconds, scores)
                if pictures:
                    place = Path(pictures) / f"{name}-{arm}-{seed}-{seconds}.png"
                    save_picture(grid(samples, columns=12), place)
                entry = {"data": name, "arm": arm, "words": ARMS[arm], "seed": seed, **found}
                append_run(STORED, {**entry, **known})
                last = found["stages"]["1.0"]
                wall = time.monotonic() - began
                print(f"{name} {arm} seed {seed}: {last} ({wall:.0f} s)", flush=True)


def count_colours(images):
    """Store by what a run tells images in flat colours from others, of each colour data set."""
    found = {}
    for name in CHOSEN_BY + JUDGES:
        data = open_named(name, images)
        if data is not None and data.shape[0] >= 3:
            colours, alike = colour_statistics(data)
            found[name] = {"images": len(data), "colours": colours, "alike": round(alike, 4)}
    tournament_tables.COLOURS.write_text(json.dumps(found, indent=1) + "\n")


def key_of(entry):
    return entry["data"], entry["arm"], entry["seed"], entry["seconds"]


def read():
    """Read what is stored, the runs of arms as their words are now."""
    return [row for row in read_runs(STORED) if ARMS.get(row["arm"]) == row["words"]]


def standing(rows, seconds):
    """Print each arm's figures by data set, means over seeds, and its place over all of them."""
    rows = [row for row in rows if row["seconds"] == seconds]
    names = list(dict.fromkeys(row["data"] for row in rows))
    for arm in dict.fromkeys(row["arm"] for row in rows):
        cells = []
        for name in names:
            found = [
                row["stages"]["1.0"] for row in rows if (row["arm"], row["data"]) == (arm, name)
            ]
            if not found or any(each["ratio"] is None for each in found):
                cells.append(f"{name} {'nan' if found else '–'}")
                continue
            ratio = statistics.fmean(each["ratio"] for each in found)
            recall = statistics.fmean(each["recall"] for each in found)
            cells.append(f"{name} {ratio:.1f}/{recall:.2f} (n={len(found)})")
        print(f"{arm:40} {'  '.join(cells)}")


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tournament", description=__doc__.partition("\n\n")[0]
    )
    kinds = parser.add_subparsers(dest="what", required=True)
    measuring = kinds.add_parser("measure", help="train what is not stored yet")
    measuring.add_argument("arms", nargs="+", choices=tuple(ARMS), metavar="ARM")
    measuring.add_argument("--data", action="append", choices=CHOSEN_BY + JUDGES)
    measuring.add_argument("--seeds", type=int, default=3)
    measuring.add_argument("--first", type=int, default=0, help="the first seed")
    measuring.add_argument("--seconds", type=int, default=FULL, help="processor time of a run")
    measuring.add_argument("--images", default="images", help="folder of the judges' images")
    measuring.add_argument("--pictures", help="folder for a grid of each run's samples")
    showing = kinds.add_parser("show", help="print the standing")
    showing.add_argument("--seconds", type=int, default=FULL)
    counting = kinds.add_parser("colours", help="count the colours of each data set")
    counting.add_argument("--images", default="images", help="folder of the judges' images")
    kinds.add_parser("table", help="write docs/default.md")
    kinds.add_parser("list", help="name the arms")
    given = parser.parse_args()
    if given.what == "measure":
        seeds = range(given.first, given.first + given.seeds)
        names = given.data or CHOSEN_BY + JUDGES
        measure(given.arms, names, seeds, given.seconds, given.images, given.pictures)
    elif given.what == "show":
        standing(read(), given.seconds)
    elif given.what == "colours":
        count_colours(given.images)
    elif given.what == "table":
        print(f"written: {tournament_tables.write_page(read())}")
    else:
        print("\n".join(f"{arm}: {words or 'the default itself'}" for arm, words in ARMS.items()))


if __name__ == "__main__":
    main()
