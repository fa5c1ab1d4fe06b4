"""`python -m benchmarks.doctor`: how often the doctor finds real and false faults.

    python -m benchmarks.doctor collect --logs FOLDER   # train the runs that FOLDER lacks
    python -m benchmarks.doctor judge --logs FOLDER     # pass their logs to the doctor
    python -m benchmarks.doctor table                   # write docs/how-to/diagnose.md
    python -m benchmarks.doctor recipes                 # write the recipes with a fault put in

A run of the first list counts as healthy where it came out well by `came_out_well`, whatever the
doctor says; one that did not counts as neither. Thresholds were chosen while looking at some of the
runs (`tune`); those that are listed as FRESH in doctor_runs.py were not looked at (`report`).
"""

import argparse
import json
import shutil
import time
import zlib
from pathlib import Path
from statistics import median

from scipy.stats import binomtest

from benchmarks import doctor_recipes
from benchmarks.doctor_runs import BAD, COMMAND, FRESH, HEALTHY
from gan_plugin_doctor.command import recipe_of
from gan_plugin_doctor.component import LIMIT
from gan_plugin_doctor.rules import MODULES, RULES
from gan_plugin_doctor.series import Log

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "benchmarks" / "results" / "doctor.json"
PAGE = ROOT / "docs" / "how-to" / "diagnose.md"
BEGIN = "<!-- rates: python -m benchmarks.doctor table -->\n"
END = "<!-- end of rates -->"
MANY = ("reg", "cond", "metric", "track")  # words that add up
NEWEST = 3  # evaluations whose mean is the quality of a run

# Runs without any extra, by their data: what comes out of them is what a run of that data and
# length can have.
USUAL = {
    "sprites": "sprites",
    "sprites, seed 1": "sprites",
    "sprites, seed 2": "sprites",
    "letters": "letters",
    "letters, seed 1": "letters",
    "mixture": "mixture",
    "mixture, seed 1": "mixture",
    "gaussian": "gaussian",
    "gaussian, seed 1": "gaussian",
}
WORSE = 1.25  # times the usual Fréchet distance over its floor, at most
LEAST = 0.5  # times the usual mean distance between samples, at least
MOST = 1.6  # times the mean distance between reals, at most


MAIN = "the main command"
MAIN_STEPS = 320


def all_runs():
    """Return all runs: the reference runs first, the others shuffled, so any part is fair."""
    runs = [(name, "healthy", "", words) for name, words in HEALTHY.items()]
    runs += [(name, "provoked", rules, words) for name, (rules, words) in BAD.items()]
    runs.sort(key=lambda run: (run[0] not in USUAL, checksum(run[0])))
    # the main command's 800 steps would take as long as all others together
    return [*runs, (MAIN, "main", "", f"{COMMAND} --steps {MAIN_STEPS}")]


def checksum(name):
    return zlib.crc32(name.encode())


def folder_of(name):
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def as_arguments(words):
    """Split a line into arguments; the last value of a repeated flag wins, except for lists.

    A line that names no recipe is composed over `base`, as when its run was stored.
    """
    flags = {"recipe": "base"}
    for each in words.split("--")[1:]:
        name, _, value = each.strip().partition(" ")
        flags[f"{name} {value}" if name in MANY else name] = value
    return [word for name, value in flags.items() for word in (f"--{name.split()[0]}", value)]


# ── collect ───────────────────────────────────────────────────────────────────────────────────────


def collect(logs, kind, most):
    """Train the runs that are not in the folder yet, in this process."""
    import torch

    from gancore.cli import main

    torch.set_num_threads(1)
    wanted = [run for run in all_runs() if kind in (None, run[1])]
    missing = [run for run in wanted if not (logs / folder_of(run[0]) / "facts.json").exists()]
    for name, _, _, words in missing[:most]:
        began = time.process_time()
        out = logs / folder_of(name)
        shutil.rmtree(out, ignore_errors=True)  # what a lost collection began
        try:
            main(["run", *as_arguments(words), "--out", str(out)])
        except SystemExit as ended:
            code = ended.code
        out.mkdir(parents=True, exist_ok=True)
        facts = {"words": words, "exit": code, "seconds": round(time.process_time() - began, 1)}
        (out / "facts.json").write_text(json.dumps(facts))
        print(f"{name}: exit {code}, {facts['seconds']} s of processor time", flush=True)


# ── judge ─────────────────────────────────────────────────────────────────────────────────────────


def judge(logs):
    """Pass every log to the doctor row by row; store its findings and how the run ended."""
    runs = []
    for name, kind, meant, words in all_runs():
        folder = logs / folder_of(name)
        if (folder / "facts.json").exists():
            facts = json.loads((folder / "facts.json").read_text())
            rows = rows_of(folder)
            runs.append(
                {
                    "name": name,
                    "kind": kind,
                    "meant": meant.split(),
                    "words": words,
                    "half": "report" if name in FRESH else "tune",
                    "exit": facts["exit"],
                    "seconds": facts["seconds"],
                    "rows": len(rows),
                    "steps": rows[-1]["step"] if rows else 0,
                    **quality(rows),
                    **told(rows, recipe_of(folder)),
                }
            )
    STORED.write_text(json.dumps({"thresholds": thresholds(), "runs": runs}, indent=1) + "\n")
    print(f"{len(runs)} runs: {STORED}")


def rows_of(folder):
    log = folder / "metrics.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def quality(rows):
    """Return the quality of the last and first samples, by metrics that no rule reads."""
    found = {}
    for name, key in (("frechet", "frechet/ratio"), ("variety", "collapse/ratio")):
        values = [row[key] for row in rows if key in row]
        newest = values[-NEWEST:]
        found[name] = round(sum(newest) / len(newest), 3) if newest else None
        found[f"{name}-at-first"] = round(values[0], 3) if values else None
    return found


def told(rows, recipe):
    """Return the first step at which each rule was checked, and at which it found its fault."""
    log = Log(limit=LIMIT)
    checked = {}
    found = {}
    for row in rows:
        log.add(row)
        for rule in RULES:
            if rule.name in found or rule.waits(log, recipe):
                continue
            checked.setdefault(rule.name, row["step"])
            if rule.find(log, recipe):
                found[rule.name] = row["step"]
    return {"checked": checked, "found": found}


def thresholds():
    """Return the thresholds of the rules, to recognise results stored with other ones."""
    found = {}
    for module in MODULES:
        for name, value in vars(module).items():
            numbers = value if isinstance(value, tuple) else (value,)
            if name.isupper() and all(isinstance(each, int | float) for each in numbers):
                found[f"{module.__name__.rpartition('.')[2]}.{name}"] = value
    starts = {f"start of {rule.name}": rule.start for rule in RULES}
    return json.loads(
        json.dumps({**found, **starts, **{f"least of {rule.name}": rule.least for rule in RULES}})
    )


# ── tell ──────────────────────────────────────────────────────────────────────────────────────────


def usual(runs):
    """Return the median quality of the plain runs per data set: (Fréchet ratio, variety)."""
    found = {}
    for data in set(USUAL.values()):
        plain = [run for run in runs if USUAL.get(run["name"]) == data and run["exit"] == 0]
        if plain:
            found[data] = tuple(
                median(run[name] for run in plain) for name in ("frechet", "variety")
            )
    return found


def came_out_well(run, known):
    """Return whether a run ended by itself with samples nearly as good as usual for its data."""
    data = next(name for name in known if f"--data {name}" in run["words"])
    if run["exit"] != 0 or run["frechet"] is None or run["variety"] is None:
        return False
    distance, variety = known[data]
    return run["frechet"] <= WORSE * distance and LEAST * variety <= run["variety"] <= MOST


def healthy(runs, known):
    return [run for run in runs if run["kind"] == "healthy" and came_out_well(run, known)]


def rates(runs, known):
    """Return for each rule and for all ((found, injected), (false findings, healthy runs))."""
    sound = healthy(runs, known)
    provoked = [run for run in runs if run["kind"] == "provoked"]
    found = {}
    for rule in RULES:
        meant = [run for run in provoked if rule.name in run["meant"]]
        checked = [run for run in sound if rule.name in run["checked"]]
        found[rule.name] = count(meant, {rule.name}), count(checked, {rule.name})
    every = {rule.name for rule in RULES}
    found["any rule"] = count(provoked, every), count(sound, every)
    return found


def count(runs, rules):
    """Return how many runs have a finding by one of the rules, and how many runs there are."""
    return sum(bool(rules & set(run["found"])) for run in runs), len(runs)


def table(stored):
    """Return the table of rates: runs that thresholds were chosen on, and others."""
    known = usual(stored["runs"])
    halves = [[run for run in stored["runs"] if run["half"] == half] for half in ("tune", "report")]
    columns = [rates(runs, known) for runs in halves]
    lines = [
        "| rule | found | false | found, fresh runs | false, fresh runs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in columns[0]:  # in the order of the rules
        cells = [shown(*pair) for column in columns for pair in column[name]]
        lines.append(f"| {' | '.join([name, *cells])} |")
    parts = [*explained(stored, known), "", *lines, "", *recipe_lines(stored)]
    return "\n".join(parts) + "\n"


def recipe_lines(stored):
    """Return the table of the recipes with a fault, and what was found in them since when."""
    runs = {run["name"]: run for run in stored["runs"]}
    lines = ["| `gan run --recipe` | fault put in | findings, and the step of each |"]
    lines.append("| --- | --- | --- |")
    for name, fault in doctor_recipes.RECIPES.items():
        found = runs[fault]["found"] if fault in runs else {}
        steps = ", ".join(f"{rule} ({step})" for rule, step in found.items())
        lines.append(f"| `{name}` | {fault} | {steps or '–'} |")
    return lines


def explained(stored, known):
    """Say how many runs the table is made of, and what became of the main command."""
    runs = stored["runs"]
    numbers = {kind: sum(run["kind"] == kind for run in runs) for kind in ("healthy", "provoked")}
    well = len(healthy(runs, known))
    fresh = {
        kind: sum(run["half"] == "report" and run["kind"] == kind for run in runs)
        for kind in ("healthy", "provoked")
    }
    lines = [
        (
            f"Of {numbers['healthy']} small runs without a fault, of "
            f"as many compositions and seeds, {well} came out well,"
        ),
        (
            f"and {numbers['provoked']} had a fault put in. Fresh (not looked at for thresholds): "
            f"{fresh['healthy']} and {fresh['provoked']}."
        ),
    ]
    sound = [run for run in healthy(runs, known) if run["half"] == "report"]
    false, whole = count(sound, {rule.name for rule in RULES})
    if whole:
        lines.append(f"Of the fresh runs that came out well {false} of {whole} had a finding")
        lines.append(f"({interval(false, whole)} with a confidence of 95 %).")
    main = [run for run in runs if run["kind"] == "main"]
    for run in main:
        found = ", ".join(run["found"]) or "no finding"
        lines.append(f"The main command, `gan run {COMMAND}`,")
        lines.append(f"has {found} in the first {run['steps']} of its 800 steps.")
    return lines


def interval(part, whole):
    """Return the exact 95 % confidence interval of a share, in words."""
    low, high = binomtest(part, whole).proportion_ci()
    return f"{low:.0%} to {high:.0%}"


def shown(part, whole):
    return f"{part} of {whole}" if whole else "–"


def write_page(stored):
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{table(stored)}{END}{after}")


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.doctor", description=__doc__.partition("\n\n")[0]
    )
    parser.add_argument("what", choices=("collect", "judge", "table", "recipes"))
    parser.add_argument("--logs", type=Path, help="folder of the runs")
    parser.add_argument(
        "--kind", choices=("healthy", "provoked", "main"), help="collect: runs of one kind alone"
    )
    parser.add_argument("--most", type=int, help="collect: train so many runs")
    given = parser.parse_args()
    if given.what in ("collect", "judge") and given.logs is None:
        parser.error(f"{given.what} needs --logs FOLDER")
    if given.what == "collect":
        collect(given.logs, given.kind, given.most)
    elif given.what == "judge":
        judge(given.logs)
    elif given.what == "recipes":
        doctor_recipes.write()
    else:
        write_page(json.loads(STORED.read_text()))


if __name__ == "__main__":
    main()
