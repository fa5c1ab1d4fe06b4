"""Everything that can go wrong, as one small tree. Each error says what, where and how to mend it.

GanError                 the run failed; exit code 1
├── UsageError           refused before anything is built: command line, recipe, option; exit code 2
│   └── CompositionError components that cannot be combined
├── PluginError          a component broke its contract: import, hook, result
├── DataError            images, points or labels that cannot be used
├── CheckpointError      a checkpoint that cannot be written, read or believed
├── NumbersError         a term, gradient or weight that is no longer finite
└── PeerError            processes of one run that cannot go on together: one is gone, or their weights differ
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class GanError(Exception):
    """A run that failed: `what` is wrong, `where` it was given, how to `mend` it, and any `unknown` option."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", mend: str = "", unknown: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.mend, self.unknown = what, where, mend, unknown

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"where: {self.where}")
        if self.mend:
            lines.append(f" mend: {self.mend}")
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
        """Say that no step can be finished, and why."""
        return cls(
            "another process of this run is gone, so no step can be finished",
            where=str(why).partition("\n")[0],
            mend="look at what that process said, then go on with --resume",
        )


def clean(text: object) -> str:
    """Escape control characters and lone surrogates, so that a foreign text cannot steer the terminal."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in str(text))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?` for the nearest of the `known` words, or nothing when none is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else ""
