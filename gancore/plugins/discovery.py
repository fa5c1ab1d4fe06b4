"""List what is installed from metadata alone: nothing is imported before it is chosen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata

from attrs import evolve, frozen

from gancore.errors import UsageError, did_you_mean, nearest, spelt
from gancore.plugins import inspection
from gancore.plugins.slots import KINDS, RESERVED, hyphened, kind_in_words

NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
GROUP_PREFIX = "gancore."  # of the groups of entry points; a kind follows
REPLACES = "gancore.replaces"
# the line of a distribution's metadata that limits the versions of gancore it works with
LIMITS_GANCORE = re.compile(r"gancore\s*(\[[^]]*\]\s*)?\(?\s*[<>=!~]", re.IGNORECASE)


@frozen
class Row:
    """One published component, as `gan plugins` shows it.

    `status` is `ok` or the reason why it cannot be used. `known_as` are other words by which users
    may look for it, each with what they should know then. `needs` are the versions of gancore that
    its distribution requires, where the one that is installed is none of them.
    """

    name: str
    kind: str
    distribution: str
    version: str
    summary: str
    status: str
    object: str
    known_as: tuple[tuple[str, str], ...] = ()
    needs: str = ""

    @property
    def origin(self) -> str:
        """Where its code comes from, for messages: distribution, version, module and name."""
        return f"{self.distribution} {self.version}, {self.object}"


@cache
def installed() -> tuple[Row, ...]:
    """List every component that installed distributions publish, by kind and name."""
    found = []
    for entry, distribution in entries():
        kind = entry.group.removeprefix(GROUP_PREFIX)
        if kind in KINDS:
            found.append(row_of(entry, kind, distribution))
    counts = Counter(row.name for row in found)
    rows = []
    for row in found:
        if counts[row.name] > 1:
            row = evolve(row, status="the name is published twice")
        rows.append(row)
    return tuple(sorted(rows, key=lambda row: (KINDS.index(row.kind), row.name, row.distribution)))


@cache
def named(name: str) -> tuple[Row, ...]:
    """List the components of one name.

    The sources of all others stay unread: to read them takes a third of a second.
    """
    rows = []
    for entry, distribution in entries():
        kind = entry.group.removeprefix(GROUP_PREFIX)
        if entry.name == name and kind in KINDS:
            rows.append(row_of(entry, kind, distribution))
    return tuple(sorted(rows, key=lambda row: (KINDS.index(row.kind), row.distribution)))


@cache
def entries() -> tuple[tuple[metadata.EntryPoint, metadata.Distribution], ...]:
    """List the entry points of gancore in every installed distribution.

    Of a distribution that is installed twice the first on `sys.path` counts, as for imports.
    """
    seen: set[str] = set()
    ours: list[tuple[metadata.EntryPoint, metadata.Distribution]] = []
    for distribution in metadata.distributions():
        try:
            name = normalized(distribution.name or "")
            found = distribution.entry_points
        except Exception:  # broken metadata publish nothing
            continue
        if name in seen:
            continue
        seen.add(name)
        for entry in found:
            if not entry.group.startswith(GROUP_PREFIX):
                continue
            ours.append((entry, distribution))
    return tuple(ours)


def normalized(distribution: str) -> str:
    """Spell a distribution's name as package indexes compare it: `Gan_Plugin` is `gan-plugin`."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def replaces(distribution: str, former: str) -> bool:
    """Return whether a distribution declares that it replaces a former one.

    The declaration is an entry point of group `gancore.replaces`: the name of the former
    distribution, and the module that now holds its components.
    """
    for entry, publisher in entries():
        if entry.group != REPLACES or normalized(entry.name) != normalized(former):
            continue
        if normalized(publisher.name or "") == normalized(distribution):
            return True
    return False


def row_of(entry: metadata.EntryPoint, kind: str, distribution: metadata.Distribution) -> Row:
    """Describe one entry point, without running what it names."""
    inspected = inspection.inspect_entry(entry)
    # a dict, because the backport of importlib.metadata raises for a field that is not there
    metadata_fields = distribution.metadata
    about = {key: metadata_fields[key] for key in metadata_fields}
    name = about.get("Name") or "?"
    version = about.get("Version") or "?"
    needs = unmet_versions(metadata_fields.get_all("Requires-Dist") or ())
    unmet = f"needs gancore{needs}, but {installed_version()} is installed" if needs else ""
    return Row(
        name=entry.name,
        kind=kind,
        distribution=name,
        version=version,
        summary=inspected.summary or about.get("Summary") or "",
        status=refusal(entry.name, kind) or unmet or inspected.status,
        object=entry.value,
        known_as=inspected.known_as,
        needs=needs,
    )


def unmet_versions(requirements: Iterable[str]) -> str:
    """Return the versions of gancore that requirements allow, where the installed one is none.

    `requirements` are lines of a distribution's metadata, e.g. `gancore>=0.1,<0.2`. Empty where
    they allow it, or name no versions.
    """
    for line in requirements:
        if not LIMITS_GANCORE.match(line):
            continue
        # not at the top: most distributions limit no versions, and this takes its time
        from packaging.requirements import InvalidRequirement, Requirement

        try:
            required = Requirement(line)
        except InvalidRequirement:
            continue  # an installer would have refused it
        applies = required.marker is None or required.marker.evaluate({"extra": ""})
        allowed = required.specifier.contains(installed_version(), prereleases=True)
        if applies and not allowed:
            return str(required.specifier)
    return ""


def installed_version() -> str:
    """Return the version of gancore that is installed."""
    return metadata.version("gancore")


def refuse_other_gancore(row: Row) -> None:
    """Raise UsageError for a component that is made for other versions of gancore."""
    if row.needs:
        raise UsageError(
            f"{row.name} is made for gancore{row.needs}, but {installed_version()} is installed",
            where=row.origin,
            fix=f"pip install --upgrade gancore {row.distribution}",
        )


def refusal(name: str, kind: str = "") -> str:
    """Return why a component or a command cannot have this name, or an empty text."""
    if not NAME_PATTERN.fullmatch(name) or len(name) > 64:
        return f"the name {name!r} is not lower-case words joined by hyphens, 64 letters at most"
    taken = kind != "command" and name in RESERVED
    return f"the name {name!r} is a word of gancore's own" if taken else ""


def find(name: str, kind: str) -> Row:
    """Find an installed component by name, or by `distribution:name`.

    The name of a replaced distribution finds the components of the one that replaces it.

    Raises UsageError where there is none, or where it cannot be used.
    """
    where = f"{kind} {name}"
    distribution, _, bare = name.rpartition(":")
    rows = _called(bare)
    if distribution:
        rows = _of_distribution(rows, distribution)
    if not rows:
        of_kind = [row.name for row in installed() if row.kind == kind]
        known = f"one of {', '.join(of_kind)}" if of_kind else "none is installed"
        fix = meant(bare, kind) or known
        raise UsageError(
            f"no {kind_in_words(kind)} is called {name!r}",
            where=where,
            fix=f"{fix}    (`gan plugins {kind}` lists {len(of_kind)})",
        )
    row = rows[0]
    if len(rows) > 1:
        names = dict.fromkeys(f"{row.distribution}:{row.name}" for row in rows)
        # one distribution may publish a name twice, and then no longer name tells which is meant
        uninstall = f"uninstall {row.distribution}, which publishes them all"
        fix = " or ".join(names) if len(names) > 1 else uninstall
        raise UsageError(f"{len(rows)} components are called {name!r}", where=where, fix=fix)
    if refused := refusal(row.name):
        raise UsageError(refused, where=f"{where}, {row.origin}", fix="its author must rename it")
    if row.kind != kind:
        fix = next(meant_by_word(bare, kind), f"--{row.kind} {name}")
        what = f"{name!r} is of kind {kind_in_words(row.kind)}, not {kind_in_words(kind)}"
        raise UsageError(what, where=where, fix=fix)
    return row


def _called(name: str) -> list[Row]:
    """List the components of one name, however it spells its hyphens."""
    rows = named(name)
    if not rows:
        # a plugin may be published under a name with `_`, to be refused with the reason
        rows = tuple(row for row in installed() if hyphened(row.name) == name)
    return list(rows)


def _of_distribution(rows: list[Row], distribution: str) -> list[Row]:
    """Pick the rows that a distribution publishes, or the one that replaces it."""
    wanted = normalized(distribution)
    own = [row for row in rows if normalized(row.distribution) == wanted]
    return own or [row for row in rows if replaces(row.distribution, distribution)]


def meant(word: str, kind: str = "", *, guess: bool = True) -> str:
    """Return `did you mean X?` for a word, or an empty text.

    Components of this `kind` come first; one of another kind is named with its flag. A component is
    known by the words of `known_as`, by its name, by name and kind joined, and, with `guess`, by a
    similar name.
    """
    by_word = next(meant_by_word(word, kind), "")
    if by_word:
        return by_word
    usable = [row for row in installed() if row.status == "ok"]
    usable.sort(key=lambda row: row.kind != kind)
    for row in usable:
        if spelt(word) in _spellings(row):
            return f"did you mean {_chosen(row, kind)}?"
    for other in KINDS:
        by_word = next(meant_by_word(word, other, kind), "")
        if by_word:
            return by_word
    return _similar(word, kind, usable) if guess else ""


def _spellings(row: Row) -> set[str]:
    """Return the component's name, alone and joined with its kind, with hyphens and without."""
    names = {row.name, f"{row.name}-{row.kind}", f"{row.name}-{kind_in_words(row.kind)}"}
    return names | {name.replace("-", "") for name in names}


def _similar(word: str, kind: str, rows: list[Row]) -> str:
    """Return `did you mean X?` for components of similar names, or an empty text."""
    if kind:
        of_kind = did_you_mean(word, [row.name for row in rows if row.kind == kind])
        if of_kind:
            return of_kind
    choices: dict[str, None] = {}  # in order, each once
    for name in nearest(word, [row.name for row in rows]):
        for row in rows:
            if row.name == name:
                choices[_chosen(row, kind)] = None
    return f"did you mean {' or '.join(choices)}?" if choices else ""


def meant_by_word(word: str, kind: str, wanted: str | None = None) -> Iterator[str]:
    """Yield `did you mean NAME?`, with the remark, for components of a kind known by a word.

    NAME is given with its flag where another kind, or none, was `wanted`.
    """
    wanted = kind if wanted is None else wanted
    for row in installed():
        if row.kind != kind or row.status != "ok":
            continue
        for other, remark in row.known_as:
            if spelt(word) == other:
                yield f"did you mean {_chosen(row, wanted)}? {remark}".rstrip()


def _chosen(row: Row, kind: str) -> str:
    return row.name if row.kind == kind else f"--{row.kind} {row.name}"
