"""`python -m benchmarks.synthetic`: arms of the protocol `quick` on mixtures with known modes.

    python -m benchmarks.synthetic list                      # the arms, by name
    python -m benchmarks.synthetic measure --seeds 5         # train what is not stored yet
    python -m benchmarks.synthetic measure plain --most 4    # arms whose name holds a word
    python -m benchmarks.synthetic table                     # write the page's tables

Each arm × seed is stored when it ends, so a measurement that is interrupted goes on. One run is
scored by the mean of its last five evaluations, 400 steps apart, of the same 2500 latents. Rows of
uniform noise and of the true mixture are computed by the same code. Arms whose components are not
installed are left out.
"""

import argparse
import json
import shlex
import statistics
import time
from functools import cache
from pathlib import Path

from benchmarks import synthetic_tables
from benchmarks.synthetic_arms import ALL, DATA, EVERY, KEPT, LONGER, NULLS, POINTS, REPEATS

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "benchmarks" / "results" / "synthetic.json"
SEVERAL = ("reg", "cond", "metric", "track")


# ── arms ──────────────────────────────────────────────────────────────────────────────────────────


def choices(words):
    """Split the words of an arm into the slots and the options that `compose` takes."""
    slots = {}
    options = {}
    parts = shlex.split(words)
    for flag, value in zip(parts[::2], parts[1::2], strict=True):
        name = flag.removeprefix("--")
        if "." in name:
            options[name] = read_value(value)
        elif name in SEVERAL:
            slots.setdefault(name, []).append(value)
        else:
            slots[name.replace("-", "_")] = value
    return slots, options


def read_value(text):
    """Read a number or a truth value, or keep the text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def composed(data, arm, seed=0):
    """Compose an arm on a data set. Raises UsageError where a component is not installed."""
    from gancore import compose

    slots, options = choices(ALL[arm])
    settings = {"seed": seed}
    if "steps" in slots:
        settings["steps"] = int(slots.pop("steps"))
    return compose(recipe=f"{data}-quick", options=options, settings=settings, **slots)


def resolved(data, arm):
    """Return the options on which a stored entry depends: all but the names of the run's files."""
    recipe = composed(data, arm).recipe()
    settings = {name: recipe["run"][name] for name in ("batch", "steps")}
    kept = {name: value for name, value in recipe.items() if name not in ("run", "doctor", "track")}
    return json.loads(json.dumps({**kept, "run": settings}, default=str))


def stale(stored, present):
    """Return whether a stored option has another value now. New options make nothing stale."""
    if isinstance(stored, dict) and isinstance(present, dict):
        return any(stale(value, present.get(name)) for name, value in stored.items())
    return stored != present


# ── measure ───────────────────────────────────────────────────────────────────────────────────────


def train(data, arm, seed):
    """Train one run and return its figures: the mean of the last evaluations, and some on the way.

    Nothing is written: no checkpoint, no picture.
    """
    from gancore import Training

    composition = composed(data, arm, seed)
    training = Training.of(composition)
    curve = {}
    shown = {"count": 0}
    began = time.process_time()
    while training.step < composition.settings.steps:
        training.train_step()
        if training.step % EVERY == 0:
            curve[training.step] = evaluate(training)
    seconds = time.process_time() - began
    last = [curve[step] for step in sorted(curve)[-KEPT:]]
    shown = {str(step): curve[step] for step in sorted(curve) if step % 2000 == 0}
    return {
        "figures": mean_figures(last),
        "curve": {step: rounded(figures) for step, figures in shown.items()},
        "critic_batches": training.batches,
        "seconds": round(seconds, 1),
    }


def evaluate(training):
    """Return the figures of 2500 samples of the same latents."""
    from gancore import Progress

    progress = Progress(training.context, training.step, training.epoch)
    return figures_of(progress.samples(POINTS)[0], training.context.data)


def figures_of(points, data):
    """Return the figures of `modes` of points `[N, 2]`, and whether all of them are finite."""
    from gan_plugin_metrics.diversity import count_modes

    found = count_modes(points, data.means, data.sigma)
    figures = {name: float(value) for name, value in found.items()}
    return {**figures, "finite": float(points.isfinite().all())}


def mean_figures(evaluations):
    """Average each figure over the evaluations that have it."""
    names = dict.fromkeys(name for each in evaluations for name in each)
    columns = {name: [each[name] for each in evaluations if name in each] for name in names}
    return rounded({name: statistics.fmean(values) for name, values in columns.items()})


def rounded(figures):
    return {name: float(f"{value:.5g}") for name, value in figures.items()}


def draw_null(data, null, seed):
    """Draw what no network made: figures of 2500 points of the mixture, or of noise."""
    import torch

    from gan_plugin_toy_data.mixture import Mixture
    from gancore import DataSpec

    rng = torch.Generator().manual_seed(seed)
    law = Mixture(layout=data).make_data(DataSpec())
    points = law.take(torch.arange(POINTS), rng)[0]
    if null == "uniform box":
        side = float(law.means.abs().max()) + 3 * law.sigma
        points = (2 * torch.rand(POINTS, 2, generator=rng) - 1) * side
    elif null == "normal of the data's moments":
        points = torch.randn(POINTS, 2, generator=rng) * points.std(0) + points.mean(0)
    return figures_of(points, law)


def measure_nulls(stored):
    """Store mean and standard deviation over many draws of each null row."""
    for data in DATA:
        for null in NULLS:
            found = [draw_null(data, null, seed) for seed in range(REPEATS)]
            columns = {name: [each.get(name) for each in found] for name in found[0]}
            usable = {name: values for name, values in columns.items() if None not in values}
            stored["nulls"][f"{data}: {null}"] = {
                "repeats": REPEATS,
                "mean": rounded({name: statistics.fmean(each) for name, each in usable.items()}),
                "sd": rounded({name: statistics.stdev(each) for name, each in usable.items()}),
            }


def wanted_runs(names, seeds, data_sets):
    """List data, arm and seed of the runs that are asked for, all arms of a seed together."""
    arms = [arm for arm in ALL if not names or any(name in arm for name in names)]
    return [
        (data, arm, seed)
        for seed in range(seeds)
        for data in data_sets
        for arm in arms
        if data == "grid25" or arm not in LONGER
    ]


def measure(names, seeds, data_sets, most):
    """Train the runs that are not stored, and store each one when it ends."""
    import torch

    from benchmarks.sources import circumstances
    from gancore import GanError

    torch.set_num_threads(1)
    stored = read()
    measure_nulls(stored)
    write(stored)
    known = circumstances("python -m benchmarks.synthetic measure")
    missing = [run for run in wanted_runs(names, seeds, data_sets) if not has(stored, *run)]
    for number, (data, arm, seed) in enumerate(missing[:most], 1):
        where = f"{number} of {len(missing[:most])}: {data}, {arm}, seed {seed}"
        print(where, end=" … ", flush=True)
        try:
            found = train(data, arm, seed)
        except GanError as error:
            print(f"left out: {error}", flush=True)
            continue
        stored = read()  # another process may have stored its own since
        entry = {"data": data, "arm": arm, "seed": seed, "words": ALL[arm], **found}
        kept = [each for each in stored["runs"] if key_of(each) != key_of(entry)]
        stored["runs"] = sorted([*kept, {**entry, **known}], key=key_of)
        stored["recipes"][f"{data}: {arm}"] = resolved(data, arm)
        write(stored)
        print(f"{shown(found['figures'])}, {found['seconds']} s", flush=True)


def key_of(entry):
    """Order entries as the arms are listed; those of arms that are gone come last."""
    arms = list(ALL)
    arm = entry["arm"]
    place = arms.index(arm) if arm in arms else len(arms)
    return DATA.index(entry["data"]), place, arm, entry["seed"]


def has(stored, data, arm, seed):
    """Return whether a run is stored with the options that its arm has now."""
    runs = [each for each in stored["runs"] if (each["data"], each["arm"]) == (data, arm)]
    recipe = stored["recipes"].get(f"{data}: {arm}")
    if recipe is None or seed not in [each["seed"] for each in runs]:
        return False
    return not stale(recipe, present(data, arm))


@cache
def present(data, arm):
    return resolved(data, arm)


def shown(figures):
    """Write the three figures that are never told apart."""
    high, junk = figures["high-quality"], figures["junk"]
    return f"modes {figures['count']:.1f}, hq {high:.3f}, tv_junk {junk:.3f}"


def read():
    """Read what is stored."""
    if not STORED.exists():
        return {"recipes": {}, "nulls": {}, "runs": []}
    return json.loads(STORED.read_text())


def write(stored):
    """Store everything, one run a line, whole or not at all."""
    parts = {name: json.dumps(stored[name], ensure_ascii=False) for name in ("recipes", "nulls")}
    runs = ",\n".join(json.dumps(each, ensure_ascii=False) for each in stored["runs"])
    text = f'{{"recipes": {parts["recipes"]},\n"nulls": {parts["nulls"]},\n"runs": [\n{runs}\n]}}\n'
    temporary = STORED.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(STORED)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.synthetic", description=__doc__.partition("\n\n")[0]
    )
    kinds = parser.add_subparsers(dest="what", required=True)
    measuring = kinds.add_parser("measure", help="train what is not stored yet")
    measuring.add_argument("names", nargs="*", metavar="NAME", help="part of an arm's name")
    measuring.add_argument("--seeds", type=int, default=5)
    measuring.add_argument("--data", choices=DATA, action="append", help="default: both")
    measuring.add_argument("--most", type=int, help="train so many runs")
    kinds.add_parser("table", help="write the tables of the page")
    kinds.add_parser("list", help="name the arms")
    given = parser.parse_args()
    if given.what == "measure":
        measure(given.names, given.seeds, given.data or DATA, given.most)
    elif given.what == "table":
        print(f"written: {synthetic_tables.write_page(read())}")
    else:
        print("\n".join(f"{arm}: {words or 'the recipe itself'}" for arm, words in ALL.items()))


if __name__ == "__main__":
    main()
