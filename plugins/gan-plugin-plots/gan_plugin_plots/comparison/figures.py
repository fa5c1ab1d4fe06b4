"""The figures of runs: their last, mean and best values, and whether they can be compared."""

from __future__ import annotations

import math
from typing import Any

from attrs import frozen

from gan_plugin_plots.comparison.differences import describe_data, show
from gan_plugin_plots.comparison.runs import Row, RunFiles, is_number
from gan_plugin_plots.series import panel_of

CLOCK = ("step", "epoch", "seconds", "images_per_second", "attempt")
BESIDE = ("floor", "floor-deviation", "images")  # figures that say how another was measured
ROLES = ("critic", "generator")
EVALUATIONS = 3  # the last values that are averaged
# Figures that have a best value. Losses have none: each is measured against its own opponent.
LOWEST = (
    "frechet/distance", "frechet/ratio", "mmd/squared", "mmd/z", "sliced-wasserstein/distance",
    "sliced-wasserstein/ratio", "modes/junk", "modes/reverse-kl", "recognition/histogram-tv",
)  # fmt: skip
HIGHEST = ("recognition/accuracy", "class-accuracy/fake")


@frozen
class Summary:
    """A figure of one run: its last value, the mean of the last three, the best where it has one.

    `mean` is None for fewer than three values. `mark` says that it was measured otherwise than
    that of the first run which has it.
    """

    step: int
    last: float
    count: int
    mean: float | None = None
    best: float | None = None
    best_step: int | None = None
    mark: bool = False


@frozen
class Line:
    """One figure of all runs, None where a run has no value, and why they cannot be compared."""

    name: str
    summaries: list[Summary | None]
    reasons: list[str]


def names_of(runs: list[RunFiles]) -> list[str]:
    """List the figures that any run logged: those of metrics first, then those of the players."""
    found: dict[str, None] = {}
    for run in runs:
        for row in run.rows:
            found |= dict.fromkeys(row)
    names = [name for name in found if name not in CLOCK and not says_how(name)]
    # sorted is stable: within both groups they keep the order of the log
    return sorted(names, key=lambda name: name.partition("/")[0] in ROLES)


def says_how(name: str) -> bool:
    """Return whether a figure says how another of the same component was measured."""
    return name.count("/") == 1 and name.rpartition("/")[2] in BESIDE


def shown_first(names: list[str]) -> list[str]:
    """Return the figures that a terminal has room for: all but single terms."""
    return [name for name in names if panel_of(name)]


def summarise(rows: list[Row], name: str, mark: bool = False) -> Summary | None:
    """Summarise a figure over the rows that have it; None where none has."""
    values = [(row["step"], row[name]) for row in rows if name in row]
    if not values:
        return None
    step, last = values[-1]
    recent = [value for _, value in values[-EVALUATIONS:]]
    mean = math.fsum(recent) / EVALUATIONS if len(values) >= EVALUATIONS else None
    best = best_step = None
    if name in LOWEST or name in HIGHEST:
        sign = 1 if name in LOWEST else -1
        # of equal values the first
        best_step, best = min(values, key=lambda pair: sign * pair[1])
    return Summary(step, last, len(values), mean, best, best_step, mark)


def compare_figure(name: str, runs: list[RunFiles]) -> Line:
    """Summarise a figure for all runs, and mark those that were measured otherwise."""
    data = describe_data(runs)
    ways: list[dict[str, str] | None] = []
    for run, text in zip(runs, data, strict=True):
        has = any(name in row for row in run.rows)
        ways.append(way_of(run, name) | {"data": text} if has else None)
    first = next((way for way in ways if way is not None), {})
    found = []
    for run, way in zip(runs, ways, strict=True):
        found.append(summarise(run.rows, name, mark=way is not None and way != first))
    return Line(name, found, reasons_of(ways))


def reasons_of(ways: list[dict[str, str] | None]) -> list[str]:
    """List what differs in how runs measured a figure, as `key A | B`."""
    known = [way for way in ways if way is not None]
    keys: dict[str, None] = {}
    for way in known:
        keys |= dict.fromkeys(way)
    found = []
    for key in keys:
        values = [way.get(key, "–") for way in known]
        if len(set(values)) > 1:
            found.append(f"{key} {' | '.join(values)}")
    return found


def way_of(run: RunFiles, name: str) -> dict[str, str]:
    """Return what a figure of a run depends on by its definition, besides the networks."""
    owner, _, rest = name.partition("/")
    if owner not in ROLES:
        way = options_of(run, owner)
        way.pop(f"{owner}.every", None)  # when it was measured, not how
        images = summarise(run.rows, f"{owner}/images")
        return way | ({"images": f"{images.last:g}"} if images else {})
    component, slash, _ = rest.partition("/")
    if slash:
        return options_of(run, component)
    # totals, their gradients and scores: sums of the terms, or trained by them
    way = {"terms": ", ".join(terms_of(run, owner)) or "unknown"}
    for each in terms_of(run, owner):
        way |= options_of(run, each)
    return way


def options_of(run: RunFiles, component: str) -> dict[str, str]:
    """Return the options of a component as texts, by `component.option`."""
    return {f"{component}.{key}": show(value) for key, value in run.options(component).items()}


def terms_of(run: RunFiles, role: str) -> list[str]:
    """List the components that log terms of a player."""
    found = set()
    for row in run.rows[-1:]:
        for name in row:
            owner, _, rest = name.partition("/")
            if owner == role and "/" in rest:
                found.add(rest.partition("/")[0])
    return sorted(found)


# ── records of `gan eval` ─────────────────────────────────────────────────────────────────────────


def protocol_of(record: dict[str, Any]) -> tuple[str, ...]:
    """Return what must be equal for two records of a metric to be compared."""
    features = record.get("features")
    features = features if isinstance(features, dict) else {}
    numbers = [str(record.get(key, "?")) for key in ("n_real", "n_fake")]
    words = [str(record.get(key) or "") for key in ("split", "weights", "protocol", "data")]
    return (str(features.get("id") or ""), str(features.get("sha256") or ""), *numbers, *words)


def title_of(protocol: tuple[str, ...]) -> str:
    """Return a protocol in words: `features randconv fbb29c94, n 99/99, test`."""
    features, digest, n_real, n_fake, *words, data = protocol
    named = features and f"features {features} {digest[:8]}".rstrip()
    words = [named, f"n {n_real}/{n_fake}", *words, data and f"data {data[:8]}"]
    return ", ".join(filter(None, words))


Records = list[dict[str, Any] | None]


def compare_evaluations(runs: list[RunFiles]) -> dict[str, dict[str, Records]]:
    """Return for each protocol and each metric the newest record of each run.

    Records of two protocols are never in one line, since their values cannot be compared.
    """
    tables = [newest_records(run.evaluations) for run in runs]
    found: dict[str, dict[str, Records]] = {}
    for protocol, metric in sorted(set().union(*tables)):
        records = [table.get((protocol, metric)) for table in tables]
        found.setdefault(title_of(protocol), {})[metric] = records
    return found


def newest_records(
    records: list[dict[str, Any]],
) -> dict[tuple[tuple[str, ...], str], dict[str, Any]]:
    """Return the newest record by protocol and metric: the last, as they are appended."""
    return {(protocol_of(record), str(record["metric"])): record for record in records}


def split_metrics(runs: list[RunFiles]) -> list[str]:
    """List the metrics that runs evaluated by different protocols."""
    protocols: dict[str, set[frozenset[tuple[str, ...]]]] = {}
    for run in runs:
        own: dict[str, set[tuple[str, ...]]] = {}
        for protocol, metric in newest_records(run.evaluations):
            own.setdefault(metric, set()).add(protocol)
        for metric, found in own.items():
            protocols.setdefault(metric, set()).add(frozenset(found))
    return sorted(metric for metric, found in protocols.items() if len(found) > 1)


# ── the clock ─────────────────────────────────────────────────────────────────────────────────────


def effort(rows: list[Row]) -> tuple[float, float] | None:
    """Return seconds and images of a run over all its sessions; None where rows do not say.

    The clock of the rows begins anew when a run is resumed. What a session did after its last row
    is not counted.
    """
    if not rows:
        return None
    seconds = images = 0.0
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        clock, rate = row.get("seconds"), row.get("images_per_second")
        if not is_number(clock) or not is_number(rate):
            return None
        if following is None or following.get("seconds", 0) < clock:
            seconds += clock
            images += clock * rate
    return seconds, images
