"""`python -m benchmarks.studies`: run the studies of this folder, store them, write the tables.

    python -m benchmarks.studies measure NAME [FLAG…]    # run it, and store it
    python -m benchmarks.studies store NAME FOLDER       # store what `gan study` finished
    python -m benchmarks.studies table                   # write docs/explanation/six-tricks.md

What is stored in `benchmarks/results/studies/NAME.json` has the score of every run by arm and seed,
with command, versions, date and commit. A table is never written by hand; a test compares the page
with the stored results.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.sources import circumstances
from benchmarks.studies import tables

FOLDER = Path(__file__).resolve().parent


def measure(name, flags):
    """Run a study, or continue it, and store it. Raises CalledProcessError where it fails."""
    out = Path("runs") / f"study-{name}"
    file = FOLDER / f"{name}.toml"
    command = [sys.executable, "-m", "gancore", "study", str(file), "--out", str(out), *flags]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    subprocess.run(command, env=environment, check=True)
    store(name, out)


def store(name, folder):
    """Store a finished study, whole or not at all."""
    study = json.loads((folder / "study.json").read_text())
    if "results" not in study:
        sys.exit(f"{folder} holds a study that has not ended")
    found = tables.stored_form(study, circumstances(f"gan study benchmarks/studies/{name}.toml"))
    tables.RESULTS.mkdir(parents=True, exist_ok=True)
    temporary = tables.RESULTS / f".{name}.tmp"
    temporary.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    temporary.replace(tables.RESULTS / f"{name}.json")
    print(f"stored: {tables.RESULTS / f'{name}.json'}")


def write_page():
    """Write the tables of the page."""
    text = tables.PAGE.read_text()
    filled = tables.fill(text, tables.read_results())
    if filled != text:
        tables.PAGE.write_text(filled)
        print(f"written: {tables.PAGE}")


def main():
    """Measure or store a study, or write the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies", description=__doc__.partition("\n\n")[0]
    )
    kinds = parser.add_subparsers(dest="what", required=True)
    kinds.add_parser("measure").add_argument("name", metavar="NAME")
    storing = kinds.add_parser("store")
    storing.add_argument("name", metavar="NAME")
    storing.add_argument("folder", metavar="FOLDER", type=Path)
    kinds.add_parser("table")
    given, flags = parser.parse_known_args()
    if given.what == "measure":
        measure(given.name, flags)
    elif given.what == "store":
        store(given.name, given.folder)
    else:
        write_page()


if __name__ == "__main__":
    main()
