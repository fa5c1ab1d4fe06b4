"""`python -m benchmarks.features`: which features order samples that get worse step by step.

    python -m benchmarks.features measure [--work FOLDER]   # the cells that are not stored yet
    python -m benchmarks.features tables                    # write docs/how-to/evaluate.md

A cell is one data set in one space of features: the floors of reals against reals, and all figures
of every step of every series. It is stored when it is finished, so an interrupted measurement goes
on where it was. What orders a series, and from which step on it is seen, is computed from what is
stored. `measure --quick --out FILE` tries everything on few samples.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter

from gan_plugin_evaluation.yardstick import measure as figures_of
from gan_plugin_metrics.extractors import extract_all, open_extractor
from gancore import Progress, Training, compose, open_data

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "benchmarks" / "results" / "features.json"
PAGE = ROOT / "docs" / "how-to" / "evaluate.md"
REAL_DATA = ROOT.parent / "shared" / "data"
BEGIN = "<!-- features: python -m benchmarks.features tables -->\n"
END = "<!-- end of features -->"

SIZES = {  # of each data set; the last is measured only where it is asked for, with one seed
    "mnist": (500, 2000),
    "sprites": (500, 2000),
    "letters": (500,),
    "pokemon": (250,),
    "sprites-large": (10_000,),
}
QUICK = (100,)
SPLITS = 8  # of reals, for the floors
SEEN = 3  # deviations of the floor from its mean
RANDOM = ("randconv", "randconv-grid", "randconv-covariance")
FIXED = ("pixels8", "palette", "scattering", "classifier")
SEEDS = (0, 1, 2)
METRICS = ("fd", "kd", "sw", "precision", "recall", "density", "coverage")
SHARES = ("precision", "recall", "density", "coverage")
STAGES = (400, 200, 80, 0)  # steps of a short run, the best first
REPEATED = 50

# ── data ──────────────────────────────────────────────────────────────────────────────────────────


def mnist():
    return open_data(REAL_DATA / "mnist")


def pokemon():
    """Every picture once: those of two types lie in the folders of both."""
    folder = REAL_DATA / "pokemon64"
    options = {"image-folder.path": str(folder), "image-folder.duplicates": "first"}
    return open_data(compose(data="image-folder", options=options, settings={"size": "32"}))


def sprites():
    return open_data(compose(data="sprites", options={"sprites.count": 6000}))


def many_sprites():
    return open_data(compose(data="sprites", options={"sprites.count": 30_000}))


def letters():
    options = {"letters.count": 6000}
    return open_data(compose(data="letters", options=options, settings={"size": "32"}))


DATA = {
    "mnist": mnist,
    "sprites": sprites,
    "letters": letters,
    "pokemon": pokemon,
    "sprites-large": many_sprites,
}


class Material:
    """Images of one data set: 2n reals, and n others that the series are made of."""

    def __init__(self, name, most, work, quick):
        self.name = name
        self.data = DATA[name]()
        self.n = min(most, len(self.data) // 3)
        rng = torch.Generator().manual_seed(0)
        order = torch.randperm(len(self.data), generator=rng)[: 3 * self.n]
        images, labels = self.data.take(order, rng)
        self.reals = images[: 2 * self.n]
        self.fresh = images[2 * self.n :]
        self.labels = labels[2 * self.n :, 0]
        self.stages = stages(name, self.data, self.n, work, quick)


def stages(name, data, n, work, quick):
    """Train a small GAN; return its samples after each of STAGES, kept in a folder."""
    path = work / f"{name}-{n}-stages.safetensors"
    if path.exists():
        kept = load_file(path)
        return [kept[str(stage)] for stage in STAGES]
    options = {"dcgan.width": 16, "dcgan-critic.width": 16}
    side = max(16, data.shape[1] // 4 * 4)
    settings = {"size": str(side), "batch": 32}
    composed = compose(recipe="base", data="sprites", options=options, settings=settings)
    training = Training.of(composed, data)
    found = {}  # stage: samples
    for stage in reversed(STAGES):
        while training.step < (stage // 20 if quick else stage):
            training.train_step()
        progress = Progress(training.context, training.step, training.epoch)
        found[str(stage)] = progress.samples(n)[0].contiguous()
    work.mkdir(parents=True, exist_ok=True)
    save_file(found, path)
    return [found[str(stage)] for stage in STAGES]


# ── series: samples that get worse ────────────────────────────────────────────────────────────────


def blurred(material, sigma):
    blur = gaussian_filter(material.fresh.numpy(), (0, 0, sigma, sigma), mode="nearest")
    return torch.from_numpy(blur)


def noisy(material, deviation):
    rng = torch.Generator().manual_seed(3)
    noise = torch.randn(material.fresh.shape, generator=rng) * deviation
    return (material.fresh + noise).clamp(-1, 1)


def pale(material, factor):
    mean = material.fresh.mean((2, 3), keepdim=True)
    return mean + (material.fresh - mean) * factor


def recoloured(material, share):
    """Exchange channels in a share of the images; turn grey ones into their negatives."""
    images = material.fresh.clone()
    count = round(share * len(images))
    images[:count] = images[:count].roll(1, 1) if images.shape[1] == 3 else -images[:count]
    return images


def of_few_classes(material, share):
    """Keep a share of the classes, and repeat their images so that there are as many."""
    classes = material.labels.unique()
    kept = classes[: max(1, round(share * len(classes)))]
    return refilled(material, torch.isin(material.labels, kept))


def without_mode(material, share):
    """Drop a share of the images of the first class."""
    there = (material.labels == material.labels.mode().values).nonzero().squeeze(1)
    kept = torch.ones(len(material.labels), dtype=torch.bool)
    kept[there[: round(share * len(there))]] = False
    return refilled(material, kept)


def refilled(material, kept):
    chosen = kept.nonzero().squeeze(1)
    return material.fresh[chosen[torch.arange(len(kept)) % len(chosen)]]


def copied(material, share):
    """Replace a share of the images by copies of fifty reals."""
    images = material.fresh.clone()
    count = round(share * len(images))
    images[:count] = material.reals[torch.arange(count) % REPEATED]
    return images


def stage(material, place):
    return material.stages[place]


SERIES = {  # name: how a step is made, and the steps, the mildest first
    "blur": (blurred, (0.4, 0.6, 1.0, 1.6)),
    "noise": (noisy, (0.05, 0.1, 0.2, 0.4)),
    "contrast": (pale, (0.95, 0.85, 0.7, 0.5)),
    "colours": (recoloured, (0.05, 0.2, 0.5, 1.0)),
    "classes": (of_few_classes, (0.8, 0.5, 0.2)),
    "one class": (without_mode, (0.5, 1.0)),
    "copies of 50": (copied, (0.1, 0.25, 0.5, 1.0)),
    "training": (stage, (0, 1, 2, 3)),
}

# ── measure ───────────────────────────────────────────────────────────────────────────────────────


def cells(data, quick):
    """List the features to measure on some data: name, seed, and the numbers of samples."""
    sizes = QUICK if quick else SIZES[data]
    yield from ((name, 0, sizes) for name in FIXED)
    for seed in SEEDS:
        if seed and (quick or data == "sprites-large"):
            continue
        # how much seeds matter can be seen with few samples, which take a quarter of the time
        kept = sizes[:1] if seed else sizes
        yield from ((name, seed, kept) for name in RANDOM)


def measure(given):
    """Measure the cells that a file lacks, and store each when it is finished."""
    torch.set_num_threads(1)
    stored = read(given.out)
    for data in given.data:
        missing = []
        for name, seed, sizes in cells(data, given.quick):
            key = f"{data} {name}:{seed}"
            if key not in stored["cells"] and (not given.features or name in given.features):
                missing.append((key, name, seed, sizes))
        if not missing:
            continue
        most = max(sizes[-1] for *_, sizes in missing)
        material = Material(data, most, given.work, given.quick)
        for key, name, seed, sizes in missing:
            began = time.process_time()
            cell = measure_cell(material, name, seed, sizes)
            cell["seconds"] = round(time.process_time() - began, 1)
            stored["cells"][key] = cell
            write(given.out, stored)
            print(f"{key}: {cell['seconds']} s", flush=True)


def measure_cell(material, name, seed, sizes):
    """Return floors and figures of one space of features, by n."""
    extractor = open_extractor(name, material.data, seed=seed)
    most = sizes[-1]
    reals = extract_all(extractor, material.reals[: 2 * most])
    mean = reals.mean(0)
    deviation = reals.std(0)
    if not extractor.standardise:
        mean = torch.zeros_like(mean)
        deviation = torch.ones_like(mean)
    deviation = deviation.where(deviation > 1e-6, 1)
    reals = (reals - mean) / deviation
    floors = {}
    for n in sizes:
        floors[n] = floors_of(reals, n)
    series = {}
    for title, (make, steps) in SERIES.items():
        rows = []
        for step in steps:
            samples = make(material, step)
            # in another order: a step may change only the first of them
            rng = torch.Generator().manual_seed(2)
            samples = samples[torch.randperm(len(samples), generator=rng)[:most]]
            found = (extract_all(extractor, samples) - mean) / deviation
            rows.append({n: row(figures_of(reals[:n], found[:n])) for n in floors})
        series[title] = {n: [each[n] for each in rows] for n in floors}
    return {"width": reals.shape[1], "id": extractor.id, "floors": floors, "series": series}


def row(figures):
    """Return the figures in the order of METRICS, with five digits."""
    return [float(f"{figures[name]:.5g}") for name in METRICS]


def floors_of(reals, n):
    """Return mean and deviation of each figure between disjoint sets of n reals."""
    rng = torch.Generator().manual_seed(1)
    rows = []
    for _ in range(SPLITS):
        order = torch.randperm(len(reals), generator=rng)
        rows.append(row(figures_of(reals[order[:n]], reals[order[n : 2 * n]])))
    table = torch.tensor(rows, dtype=torch.float64)
    return [row_of(table.mean(0)), row_of(table.std(0))]


def row_of(values):
    return [float(f"{value:.5g}") for value in values.tolist()]


def read(path):
    """Read what is stored; nothing is stored at first."""
    if path.exists():
        return json.loads(path.read_text())
    return {"torch": torch.__version__, "cells": {}}


def write(path, stored):
    """Replace the file, a cell a line."""
    lines = [f" {json.dumps(key)}: {json.dumps(cell)}" for key, cell in stored["cells"].items()]
    head = f'{{"torch": {json.dumps(stored["torch"])}, "cells": {{\n'
    left = path.with_suffix(".tmp")
    left.write_text(head + ",\n".join(lines) + "\n}}\n")
    left.replace(path)


# ── tell ──────────────────────────────────────────────────────────────────────────────────────────


def badness(metric, value, floor):
    """Return how bad a figure is: its distance from that of reals, on the side that is worse."""
    if metric in ("precision", "recall", "coverage"):
        return floor - value
    return abs(value - floor) if metric == "density" else value - floor


def verdicts(cell, n):
    """Yield for each series and metric the share of ordered steps, and of steps that are seen."""
    means, deviations = cell["floors"][n]
    for title, by_size in cell["series"].items():
        for place, metric in enumerate(METRICS):
            values = [badness(metric, each[place], means[place]) for each in by_size[n]]
            pairs = list(zip([0.0, *values], values, strict=False))
            ordered = sum(after > before for before, after in pairs) / len(pairs)
            # a share that is 1 for all reals has no deviation; a change of 1/n is then seen
            least = max(SEEN * deviations[place], 1e-9)
            seen = sum(value > least for value in values) / len(values)
            yield title, metric, ordered, seen


def collected(stored, n):
    """List all verdicts of one n: features, seed, data, series, metric, ordered, seen."""
    found = []
    for key, cell in stored["cells"].items():
        data, _, rest = key.partition(" ")
        name, _, seed = rest.partition(":")
        if n in cell["floors"]:
            found += [(name, int(seed), data, *each) for each in verdicts(cell, n)]
    return found


def mean_over_seeds(rows, place):
    """Return the mean over series and data for each seed, then mean and spread over seeds."""
    by_seed = {}
    for each in rows:
        by_seed.setdefault(each[1], []).append(each[place])
    means = [statistics.fmean(values) for values in by_seed.values()]
    text = f"{statistics.fmean(means):.2f}"
    return f"{text} ±{statistics.stdev(means):.2f}" if len(means) > 1 else text


def grid(rows, names, column, place, columns):
    """Return the lines of a table: features down, the values of a column across."""
    lines = [
        "| features | " + " | ".join(columns) + " | all |",
        "| --- " * (len(columns) + 2) + "|",
    ]
    for name in names:
        own = [each for each in rows if each[0] == name]
        cells = []
        for value in columns:
            some = [each for each in own if each[column] == value]
            cells.append(mean_over_seeds(some, place) if some else "–")
        lines.append(f"| {name} | {' | '.join(cells)} | {mean_over_seeds(own, place)} |")
    return lines


def tables(stored):
    """Return the tables of the page; a sentence where nothing is stored yet."""
    if not stored["cells"]:
        return "Not measured yet.\n"
    lines = []
    sizes = {int(n) for cell in stored["cells"].values() for n in cell["floors"]}
    for n in sorted(sizes):
        rows = collected(stored, str(n))
        names = [name for name in (*FIXED, *RANDOM) if any(each[0] == name for each in rows)]
        data = list(dict.fromkeys(each[2] for each in rows))
        lines += [f"Share of steps in the right order, n = {n:,} ({', '.join(data)}):", ""]
        lines += [*grid(rows, names, 4, 5, METRICS), ""]
        lines += [f"Share of steps seen by fd, kd or coverage each, n = {n:,}:", ""]
        told = [each for each in rows if each[4] in ("fd", "kd", "coverage")]
        lines += [*grid(told, names, 3, 6, tuple(SERIES)), ""]
    return "\n".join(lines)


def write_page(stored):
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{tables(stored)}{END}{after}")


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.features", description=__doc__.partition("\n\n")[0]
    )
    parser.add_argument("what", choices=("measure", "tables"))
    parser.add_argument("--out", type=Path, default=STORED, help="file of the results")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(tempfile.gettempdir()) / "gancore-features",
        help="folder of trained samples",
    )
    parser.add_argument("--quick", action="store_true", help="few samples, one seed")
    usual = [name for name in DATA if name != "sprites-large"]
    parser.add_argument("--data", nargs="+", choices=tuple(DATA), default=usual)
    parser.add_argument("--features", nargs="+", choices=(*FIXED, *RANDOM), help="these alone")
    given = parser.parse_args()
    if given.what == "tables":
        write_page(read(given.out))
    elif given.quick and given.out == STORED:
        parser.error("--quick needs --out FILE, for its results are none")
    else:
        measure(given)


if __name__ == "__main__":
    main()
