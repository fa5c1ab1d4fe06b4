"""The files of a run that `gan compare` reads. It writes none, so a run may still be training."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from gancore import RowReader, UsageError, read_rows

LARGEST = 1 << 24  # bytes of a file that is read at once: a run may come from a stranger
Row = dict[str, Any]


@frozen
class RunFiles:
    """What a comparison uses of a run: its recipe, rows, facts and records of `gan eval`.

    `data` is the fingerprint of the data, empty where no checkpoint states it; `versions` are those
    of the distributions at the newest checkpoint.
    """

    path: Path
    label: str
    recipe: dict[str, Any] = field(factory=dict)
    rows: list[Row] = field(factory=list)
    about: dict[str, Any] = field(factory=dict)
    versions: dict[str, str] = field(factory=dict)
    data: str = ""
    evaluations: list[dict[str, Any]] = field(factory=list)

    @property
    def step(self) -> int:
        """The step of the last row; 0 for a run without rows."""
        return self.rows[-1]["step"] if self.rows else 0

    def options(self, section: str) -> dict[str, Any]:
        """Return the options of a component, or the settings for `run`."""
        found = self.recipe.get(section, {})
        return found if isinstance(found, dict) else {}

    def setting(self, name: str) -> Any:
        """Return a setting, or None."""
        return self.options("run").get(name)

    def state(self) -> str:
        """Return how the run ended, as far as it says."""
        if failed := self.about.get("failed"):
            return f"failed: {str(failed).splitlines()[0]}"
        if not self.about:
            return "unknown"
        return "ended" if self.about.get("ended") else "not ended"


def read_runs(paths: list[Path], until: int | None = None) -> list[RunFiles]:
    """Read runs, without the rows after step `until`.

    Raises UsageError for a path that is no run, for fewer than two, and for one named twice.
    """
    if len(paths) < 2:
        what = "there is nothing to compare one run with"
        fix = "name two runs or more; `gan curves RUN` plots one"
        raise UsageError(what, where="RUN…", fix=fix)
    places = [path.resolve() for path in paths]
    for number, path in enumerate(paths):
        if places[number] in places[:number]:
            raise UsageError(f"{path} is named twice", where="RUN…", fix="name each run once")
    runs = []
    for path, label in zip(paths, labels(places), strict=True):
        run = read_run(path, label)
        if until is not None:
            run = evolve(run, rows=[row for row in run.rows if row["step"] <= until])
        runs.append(run)
    return runs


def labels(places: list[Path]) -> list[str]:
    """Return the shortest ends of absolute paths that differ: `seed-0`, or `plain/seed-0`."""
    deepest = max(len(place.parts) for place in places)
    for count in range(1, deepest + 1):
        found = ["/".join(place.parts[-count:]) for place in places]
        if len(set(found)) == len(found):
            break
    return found


def read_run(path: Path, label: str) -> RunFiles:
    """Read the files of one run. Raises UsageError for a folder that holds none."""
    if not (path / "recipe.toml").is_file():
        read_rows(path)  # raises, and suggests the runs beside it
    manifest, state = newest_checkpoint(path)
    recipe = read_recipe(path)
    return RunFiles(
        path,
        label,
        recipe,
        RowReader(path).more(),
        read_object(path, "run.json"),
        versions_of(manifest),
        str(state.get("data") or ""),
        read_evaluations(path),
    )


def read_inside(run: Path, name: str) -> str | None:
    """Return the text of a file of a run; None where it is absent, a link to elsewhere or huge."""
    place = run / name
    try:
        inside = place.resolve().is_relative_to(run.resolve())
        if inside and place.is_file() and place.stat().st_size <= LARGEST:
            return place.read_text(encoding="utf-8")
    except (OSError, ValueError):  # it was just removed, or is no text
        pass
    return None


def read_json(run: Path, name: str) -> Any:
    """Return the content of a JSON file of a run, or None where it cannot be read."""
    try:
        return json.loads(read_inside(run, name) or "null")
    except (ValueError, RecursionError):
        return None


def read_object(run: Path, name: str) -> dict[str, Any]:
    """Return the object in a JSON file of a run; empty where there is none."""
    found = read_json(run, name)
    return found if isinstance(found, dict) else {}


def read_recipe(run: Path) -> dict[str, Any]:
    """Return the resolved recipe of a run. Raises UsageError where it cannot be read."""
    try:
        return tomllib.loads(read_inside(run, "recipe.toml") or "")
    except (ValueError, RecursionError) as error:
        path = run / "recipe.toml"
        fix = "put the run's own recipe back, or leave the run out"
        raise UsageError(f"{path} is no recipe: {error}", where=str(path), fix=fix) from None


def newest_checkpoint(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return manifest and state of the newest checkpoint that has both; empty without one."""
    for folder in sorted((run / "checkpoints").glob("step-*"), reverse=True):
        place = f"checkpoints/{folder.name}"
        manifest = read_object(run, f"{place}/manifest.json")
        state = read_object(run, f"{place}/state.json")
        # a live run may prune the folder between the two
        if manifest and state:
            return manifest, state
    return {}, {}


def versions_of(manifest: dict[str, Any]) -> dict[str, str]:
    """Return the versions by distribution that a manifest states."""
    found = {}
    plugins = manifest.get("plugins")
    for each in plugins.values() if isinstance(plugins, dict) else []:
        if isinstance(each, dict) and each.get("distribution"):
            found[str(each["distribution"])] = str(each.get("version"))
    libraries = manifest.get("versions")
    for name, version in libraries.items() if isinstance(libraries, dict) else []:
        found[str(name)] = str(version)
    return found


def read_evaluations(run: Path) -> list[dict[str, Any]]:
    """Return the records that `gan eval` appended to `evaluation.json`, those with a value."""
    found = read_json(run, "evaluation.json")
    if isinstance(found, dict):
        found = found.get("records")
    return list(filter(is_record, found)) if isinstance(found, list) else []


def is_record(value: Any) -> bool:
    """Return whether a value is a record of a metric."""
    # NaN is a value: the reverse KL of samples without a mode
    return isinstance(value, dict) and "metric" in value and is_number(value.get("value"))


def is_number(value: Any) -> bool:
    """Return whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
