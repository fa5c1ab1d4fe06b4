"""The design of a study, fixed before its first run: arms, pairs, one figure and how it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, field, frozen

from gancore.errors import GanError, UsageError, did_you_mean
from gancore.recipe.toml import Layer
from gancore.tools.statistics import ALPHA
from gancore.tools.sweep import Trial, layers_of_arms
from gancore.tools.sweep.arms import MOST_SEEDS

BASELINE = "baseline"
AGAIN = "again"  # the arm of an A/A study
STUDY = "study.json"
FEWEST_SEEDS = 6  # with fewer, no p is printed: that of the sign-flip test cannot reach 5 %
SEEDS = 8
LAST = 5  # evaluations that are averaged, because a single one is too noisy
BETTER = ("less", "more")
SCALES = ("log", "linear")
ON_LOG = ("ratio", "distance")  # last words of figures that are positive and vary by factors
KEYS = {
    "figure": str, "better": str, "scale": str, "last": int, "seeds": int,
    "secondary": list, "arms": dict,
}  # fmt: skip


@frozen
class Design:
    """What a study fixes beforehand.

    - `figure`: the one figure that is tested; the score of a run is the mean of its last `last`
      evaluations.
    - `better`: whether `less` or `more` of it is better, which decides the worst value.
    - `scale`: differences are those of logarithms (`log`), or of the figure itself (`linear`).
    - `seeds`: pairs, one for each seed from 0.
    - `comparisons`: (arm, arm it is compared with).
    - `secondary`: figures that the report shows but does not test.
    """

    figure: str
    better: str
    scale: str
    last: int
    seeds: int
    comparisons: tuple[tuple[str, str], ...]
    secondary: tuple[str, ...] = field(default=(), converter=tuple)


def read_arms(
    study: Mapping[str, Any], base: Sequence[Layer], variants: Sequence[str]
) -> tuple[dict[str, list[Layer]], dict[str, str]]:
    """Return the layers of each arm of a `[study]` table, and what arms are compared with.

    The first arm is `baseline`, which is `base` unless the table changes it. Raises UsageError for
    a table that is malformed.
    """
    _check_table(study)
    contents: dict[str, dict[str, Any]] = {BASELINE: {}}
    against: dict[str, str] = {}
    for name, content in study.get("arms", {}).items():
        own = dict(content)
        if "against" in own:
            against[name] = own.pop("against")
        contents[name] = own
    return layers_of_arms(contents, base, variants, "study"), against


def _check_table(study: Mapping[str, Any]) -> None:
    """Raise UsageError for a `[study]` table with unknown keys or wrong types."""
    for key, value in study.items():
        if key not in KEYS:
            fix = did_you_mean(key, list(KEYS)) or f"one of {', '.join(KEYS)}"
            raise UsageError(f"a study has no key {key!r}", where="[study]", fix=fix)
        # a bool is an int for Python
        if not isinstance(value, KEYS[key]) or isinstance(value, bool):
            what = f"study.{key} = {value!r} is not valid"
            raise UsageError(what, where="[study]", fix=f"{key} = {KEYS[key].__name__}")
    for name, arm in study.get("arms", {}).items():
        if not isinstance(arm, dict) or not isinstance(arm.get("against", ""), str):
            what = f"arm {name} of the study cannot be read"
            raise UsageError(what, where=f"[study.arms.{name}]", fix='against = "ARM"')
    if not all(isinstance(name, str) for name in study.get("secondary", [])):
        raise UsageError("study.secondary is no list of names", where="[study]")


def make_design(
    given: Mapping[str, Any], arms: Sequence[str], against: Mapping[str, str]
) -> Design:
    """Make the design from the table or flags of a study, and the names of its arms.

    Raises UsageError where the figure is missing, or a value is not one of those that there are.
    """
    figure = given.get("figure", "")
    if not figure:
        raise UsageError(
            "a study tests one figure, which is chosen before its first run",
            fix="--figure METRIC/NAME, or figure in [study]: a name in the log of a run",
        )
    scale = given.get("scale") or ("log" if figure.rpartition("/")[2] in ON_LOG else "linear")
    better = given.get("better") or "less"
    for key, value, known in (("scale", scale, SCALES), ("better", better, BETTER)):
        if value not in known:
            what = f"study.{key} is {value!r}"
            raise UsageError(what, where=f"--{key}", fix=f"one of {', '.join(known)}")
    seeds = given.get("seeds", SEEDS)
    last = given.get("last", LAST)
    for key, number in (("seeds", seeds), ("last", last)):
        if not 1 <= number <= MOST_SEEDS:
            what = f"study.{key} is {number}"
            raise UsageError(what, where=f"--{key}", fix=f"1 to {MOST_SEEDS}")
    return Design(
        figure=figure,
        better=better,
        scale=scale,
        last=last,
        seeds=seeds,
        comparisons=pair_arms(arms, against),
        secondary=tuple(given.get("secondary", ())),
    )


def pair_arms(arms: Sequence[str], against: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return (arm, the arm it is compared with) for all comparisons of a study.

    An arm that others are compared with is a reference, and has no comparison of its own unless it
    names one. Raises UsageError for an unknown arm, and where nothing is compared.
    """
    references = {BASELINE, *against.values()}
    pairs = []
    for arm in arms:
        other = against.get(arm, "" if arm in references else BASELINE)
        if not other:
            continue
        if other not in arms or other == arm:
            fix = did_you_mean(other, list(arms)) or f"one of {', '.join(arms)}"
            what = f"arm {arm} cannot be compared with {other!r}"
            raise UsageError(what, where=f"study.arms.{arm}", fix=fix)
        pairs.append((arm, other))
    if not pairs:
        raise UsageError(
            "the study has only its baseline", fix='--arm NAME="FLAGS", --ablate, or a study file'
        )
    return tuple(pairs)


def contents_of(design: Design, trials: Sequence[Trial]) -> dict[str, Any]:
    """Return all that a study fixes, JSON-serialisable: the design, and each arm's recipe."""
    arms = {}
    for trial in trials:
        if trial.seed == 0:
            arms[trial.arm] = dict(trial.recipe)
    content = {"alpha": ALPHA, **asdict(design), "arms": arms}
    # as it will be read back: tuples are lists, and a date in a recipe is a string
    read: dict[str, Any] = json.loads(json.dumps(content, default=str))
    return read


def study_id(content: Mapping[str, Any]) -> str:
    """Return the id of a study, which changes with anything that was fixed beforehand."""
    canonical = json.dumps(content, sort_keys=True).encode()
    return hashlib.sha256(canonical).hexdigest()[:12]


def refuse_another(folder: Path, content: Mapping[str, Any]) -> None:
    """Raise UsageError where a folder holds another study."""
    if not (folder / STUDY).exists():
        return
    there = read_study(folder)
    ours = study_id(content)
    if there["id"] == ours:
        return
    raise UsageError(
        f"{folder} holds study {there['id']}, and this one is {ours}: "
        f"{_difference(there['design'], content)}",
        where="--out",
        fix="what a study fixed cannot change later; another --out makes a new study",
    )


def read_study(folder: Path) -> dict[str, Any]:
    """Read `study.json`. Raises GanError where it cannot be read."""
    try:
        content: dict[str, Any] = json.loads((folder / STUDY).read_text())
        _ = content["id"], content["design"]["arms"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{folder / STUDY} cannot be read: {error}"
        raise GanError(what, fix="another --out, or restore the file") from None
    return content


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    for key in here:
        if there.get(key) != here[key] and key not in ("arms", "comparisons"):
            return f"{key} is {there.get(key)!r} there and {here[key]!r} here"
    for arm in {**there["arms"], **here["arms"]}:
        if there["arms"].get(arm) != here["arms"].get(arm):
            return f"arm {arm} differs"
    return "other arms are compared"
