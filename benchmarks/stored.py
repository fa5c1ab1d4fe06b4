"""Runs of a measurement, stored one a line as JSON."""

import json


def read_runs(path):
    """Read the stored runs; none where the file is not there."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def append_run(path, run):
    """Add a run to the file."""
    with path.open("a") as file:
        file.write(json.dumps(run, ensure_ascii=False) + "\n")
