"""`python -m benchmarks.sources`: measure the recipes of docs/sources, write the tables.

    python -m benchmarks.sources measure NAME…    # run recipes (seed 0) and sweeps, all small
    python -m benchmarks.sources tables           # write the tables of docs/sources

`docs/sources/results/NAME.json` holds what was measured with what it took: command, seeds, steps,
versions, date, commit, processor seconds. A table is never written by hand; a test compares the
pages with the stored figures.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import source_tables
from gancore import read_rows
from gancore.recipe import lookup
from gancore.recipe.toml import read_recipe
from gancore.tools.sweep.figures import final_figures

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "sources"
RESULTS = PAGES / "results"


def gan(*words):
    """Run one `gan` command on one thread and return what it prints on stdout."""
    command = [sys.executable, "-m", "gancore", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def processor_name():
    """Return the name of this machine's processor."""
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def circumstances(command):
    """Say with what a measurement is made."""
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, check=False, stdout=subprocess.PIPE, text=True).stdout.strip()
    return {
        "command": command,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit or "unknown",
        "torch": version("torch"),
        "processor": processor_name(),
        "threads": 1,
    }


def measure_recipe(name, folder):
    """Train the small form of a recipe once and return its figures and what the doctor found."""
    found = circumstances(f"gan run --recipe {name} --small")
    gan("run", "--recipe", name, "--small", "--device", "cpu", "--out", folder / "run")
    rows = read_rows(folder / "run")
    findings = json.loads(gan("diagnose", folder / "run", "--json"))["findings"]
    figures = {
        key: value for key, value in final_figures(rows).items() if source_tables.is_shown(key)
    }
    return {
        "kind": "recipe",
        **found,
        "seeds": [0],
        "steps": rows[-1]["step"],
        "doctor": [each["rule"] for each in findings],
        "figures": rounded(figures),
    }


def measure_sweep(name, folder):
    """Train the small variant of a sweep and return the figures of its tables and claims."""
    found = circumstances(f"gan sweep {name} --small")
    gan("sweep", name, "--small", "--device", "cpu", "--out", folder / "sweep")
    content = json.loads((folder / "sweep" / "sweep.json").read_text())
    table = lookup.recipe_chain(name)[-1].sweep
    claims = [dict(each) for each in table.get("claims", [])]
    wanted = dict.fromkeys(
        ["seconds/step", *table.get("figures", []), *(each["figure"] for each in claims)]
    )
    figures = {
        arm: {
            seed: rounded({key: row[key] for key in wanted if key in row})
            for seed, row in seeds.items()
        }
        for arm, seeds in content["figures"].items()
    }
    steps = {
        each.layer.options["run"]["steps"].value
        for each in map(read_recipe, folder.glob("sweep/*/*/recipe.toml"))
    }
    return {
        "kind": "sweep",
        **found,
        "seeds": sorted({int(seed) for seeds in figures.values() for seed in seeds}),
        "steps": sorted(steps),
        "shown": list(dict.fromkeys(["seconds/step", *table.get("figures", [])])),
        "claims": claims,
        "failures": sorted(content["failures"].values()),
        "figures": figures,
    }


def rounded(figures):
    """Keep six digits of each figure: more than any table shows."""
    return {key: float(f"{value:.6g}") for key, value in figures.items()}


def measure(name):
    """Measure a recipe or a sweep and store it. Raises CalledProcessError where a command fails."""
    is_sweep = bool(lookup.recipe_chain(name)[-1].sweep)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        found = (measure_sweep if is_sweep else measure_recipe)(name, Path(folder))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    write(name, {**found, "processor_seconds": round(spent, 1)})


def write(name, content):
    """Store what was measured, whole or not at all."""
    RESULTS.mkdir(exist_ok=True)
    temporary = RESULTS / f".{name}.tmp"
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    temporary.replace(RESULTS / f"{name}.json")


def main():
    """Measure what is named, or write the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sources", description=__doc__.partition("\n\n")[0]
    )
    kinds = parser.add_subparsers(dest="what", required=True)
    kinds.add_parser("measure").add_argument("names", nargs="+", metavar="NAME")
    kinds.add_parser("tables")
    given = parser.parse_args()
    if given.what == "tables":
        for page in source_tables.write_pages(PAGES):
            print(f"written: {page}")
        return
    for name in given.names:
        start = time.monotonic()
        measure(name)
        print(f"{name}: stored after {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
