"""The errors of gancore. Each has three parts: what is wrong, where, and how to fix it.

GanError                 the run failed; exit code 1
├── UsageError           refused before anything is built: command line, recipe, option; exit code 2
│   └── CompositionError components that cannot be combined
├── PluginError          a component broke its contract: import, hook, result
├── DataError            images, points or labels that cannot be used
├── CheckpointError      a checkpoint that cannot be written, read or believed
├── NumbersError         a term, gradient or weight that is no longer finite
└── PeerError            processes of one run that cannot go on together
"""

from __future__ import annotations

import math
from collections.abc import Iterable


class GanError(Exception):
    """The base of all errors of gancore.

    `what` is wrong, `where` it was given, how to `fix` it; `unknown` is the option that no
    component has, where that is the error.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "", unknown: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix
        self.unknown = unknown

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"where: {self.where}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


class UsageError(GanError):
    """A command line, recipe or option that was refused before anything was built."""

    exit_code = 2


class CompositionError(UsageError):
    """Components that cannot be combined."""


class PluginError(GanError):
    """A component that could not be imported or broke the contract of a hook."""


class DataError(GanError):
    """Data that cannot be used."""


class CheckpointError(GanError):
    """A checkpoint that could not be written, read or believed."""


class NumbersError(GanError):
    """A term, gradient or weight that is no longer finite."""


class PeerError(GanError):
    """Processes of one run that cannot go on together."""

    @classmethod
    def gone(cls, why: object) -> PeerError:
        """Make the error for a process that ended, with the reason."""
        return cls(
            "another process of this run is gone, so no step can be finished",
            where=str(why).partition("\n")[0],
            fix="look at the messages of that process, then go on with --resume",
        )


def clean(text: object) -> str:
    """Escape control characters and lone surrogates, so that a text cannot control the terminal."""
    letters = []
    for letter in str(text):
        if not letter.isprintable():
            letter = letter.encode("unicode_escape").decode()
        letters.append(letter)
    return "".join(letters)


def spelt(name: str) -> str:
    """Return a name in lower case, with `-` for `_`."""
    return name.lower().replace("_", "-")


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Return at most five of the `known` words that a user may have meant by `word`.

    The first of these rules that finds any decides:

    - the same but for case and hyphens;
    - the fewest typing errors: one, two from 8 letters on, three from 12 on;
    - words that begin with `word`, or have it as a part between hyphens.
    """
    wanted = spelt(word).strip("-")
    joined = wanted.replace("-", "")
    plain = {name: spelt(name).strip("-") for name in known}
    same = [name for name, word in plain.items() if word.replace("-", "") == joined]
    # a single letter is one typing error away from every other
    if same or len(wanted) < 2:
        return same[:5]
    slips = {name: _slips(wanted, word) for name, word in plain.items()}
    fewest = min(slips.values(), default=math.inf)
    allowed = 1 + (len(wanted) >= 8) + (len(wanted) >= 12)
    if fewest <= allowed:
        return [name for name, count in slips.items() if count == fewest][:5]
    if len(wanted) < 3:
        return []
    begun = []
    for name, word in plain.items():
        if word.startswith(wanted) or wanted in word.split("-"):
            begun.append(name)
    # more than five are no hint, and the first five of them would be arbitrary
    return begun if len(begun) <= 5 else []


def _slips(one: str, other: str) -> float:
    """Return the edit distance of two words, in which swapping two neighbours counts as one edit.

    In words of up to 3 letters none may be replaced: too many of them would be near each other.
    """
    # each missing letter is an edit, and `nearest` allows three at most
    if abs(len(one) - len(other)) > 3:
        return math.inf
    replaced = 1 if len(one) > 3 else math.inf
    before: list[float] = []
    row: list[float] = list(range(len(other) + 1))
    for i, a in enumerate(one):
        above, row = row, [i + 1.0]
        for j, b in enumerate(other):
            cost = min(row[j] + 1, above[j + 1] + 1, above[j] + (0 if a == b else replaced))
            if i and j and a == other[j - 1] and b == one[i - 1]:
                cost = min(cost, before[j - 1] + 1)
            row.append(cost)
        before = above
    return row[-1]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?` for the nearest of the `known` words, or an empty text."""
    near = nearest(word, known)
    if not near:
        return ""
    *others, last = near
    choices = f"{', '.join(others)} or {last}" if others else last
    return f"did you mean {choices}?"
