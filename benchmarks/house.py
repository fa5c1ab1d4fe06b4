"""Measures how easily this checkout can be read: frames, names, density, circles, packaging, tests.

python -m benchmarks.house                         one table
python -m benchmarks.house --json > before.json    the same as JSON, with the details
python -m benchmarks.house --before before.json    beside the figures of another checkout
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.house_code import ROOT, circles, density, groups, names_in_two_modules

COLLECTED = re.compile(r"(?:(\d+)/)?(\d+) tests collected.* in ([\d.]+)s")


def measure(*, tests):
    """Return all measures of the checkout that this file lies in."""
    kinds_of_imports = {
        "when a module is imported": {"typing": False, "deferred": False},
        "type imports too": {"typing": True, "deferred": False},
        "imports in functions too": {"typing": True, "deferred": True},
    }
    return {
        "frames": frames(),
        "names defined in two modules": names_in_two_modules(),
        "density": {name: density(paths) for name, paths in groups().items()},
        "circles": {name: circles(**which) for name, which in kinds_of_imports.items()},
        "packaging": packaging(),
        "tests": collected() if tests else None,
    }


def frames():
    """Run `benchmarks.house_frames` in a process of its own: the run changes torch's classes."""
    command = [sys.executable, "-m", "benchmarks.house_frames"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the frames cannot be counted: {done.stderr}")
    return json.loads(done.stdout)


def packaging():
    """Count the distributions, and the lines of their pyproject.toml and README.md."""
    projects = sorted((ROOT / "plugins").glob("*/pyproject.toml"))
    readmes = sorted((ROOT / "plugins").glob("*/README.md"))
    lines = sum(len(path.read_text().splitlines()) for path in [*projects, *readmes])
    return {"distributions": len(projects), "lines": lines}


def collected():
    """Collect the tests with pytest; return how many there are and how long that took."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = COLLECTED.search(done.stdout)
    if done.returncode or not found:
        sys.exit(f"the tests cannot be collected: {done.stdout[-2000:]}{done.stderr}")
    ordinary, whole, seconds = found.groups()
    return {
        "ids": int(ordinary or whole),
        "ids_with_slow": int(whole),
        "seconds_to_collect": float(seconds),
    }


def rows_of(found):
    """Return (figure, value) pairs for the table."""
    rows = []
    for place, each in found["frames"].items():
        rows.append((f"frames {place}", f"{each['frames']} in {each['files']} files"))
    names = len(found["names defined in two modules"])
    rows.append(("names defined in two modules", str(names)))
    for kind, each in found["circles"].items():
        sizes = ", ".join(f"of {len(circle)}" for circle in each)
        rows.append((f"circles of files, {kind}", f"{len(each)} ({sizes})" if each else "none"))
    for name, each in found["density"].items():
        rows.append((f"{name}: code lines", f"{each['code']:,} in {each['files']} files"))
        rows.append(
            (f"{name}: lines over 100 columns", f"{each['long']} ({each['long_percent']} %)")
        )
        rows.append((f"{name}: comment lines", f"{each['comment_percent']} %"))
        dense = f"{each['dense']} dense, {each['nested']} nested"
        per_100 = f"{each['comprehensions_per_100']} ({dense})"
        rows.append((f"{name}: comprehensions per 100 code lines", per_100))
    packages = found["packaging"]
    lines = f"{packages['lines']:,} for {packages['distributions']} distributions"
    rows.append(("packaging lines", lines))
    if tests := found["tests"]:
        rows.append(("test ids", f"{tests['ids']:,}, {tests['ids_with_slow']:,} with the slow"))
        rows.append(("seconds to collect", f"{tests['seconds_to_collect']:.1f}"))
    return rows


def show(found, before):
    """Print the table, beside the figures of another checkout where they are given."""
    table = Table("figure", *(["before"] if before else []), "now", box=None, pad_edge=False)
    earlier = dict(rows_of(before)) if before else {}
    for figure, value in rows_of(found):
        table.add_row(figure, *([earlier.get(figure, "")] if before else []), value)
    Console(width=120).print(table)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.house", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON with the names, circles and frames"
    )
    parser.add_argument(
        "--before", type=Path, metavar="FILE", help="show these figures beside those of now"
    )
    parser.add_argument(
        "--no-tests", action="store_true", help="do not collect the tests, which takes longest"
    )
    given = parser.parse_args()
    found = measure(tests=not given.no_tests)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        show(found, json.loads(given.before.read_text()) if given.before else None)


if __name__ == "__main__":
    main()
