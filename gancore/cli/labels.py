"""Reads the classes of `gan sample --labels`, e.g. `type=fire,water body=bird`.

Names of label sets and classes may contain commas, spaces, quotes and equals signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gancore.errors import UsageError, did_you_mean
from gancore.train.plan import LabelSet

QUOTED = re.compile(r"""(["'])((?:(?!\1).|\1\1)*)\1(?=\s*(?:,|$))""", re.DOTALL)
QUOTED_PART = re.compile(r"""(?<![^\s,=])(["'])(?:(?!\1).)*\1""", re.DOTALL)


def chosen_classes(text: str, label_sets: Sequence[LabelSet]) -> dict[int, list[int]]:
    """Parse `type=fire,water body=bird`, or `fire,water`; return class numbers by label set number.

    A class is given by its name or number. The longest class name that fits wins, so names with
    commas, spaces or equals signs need no quotes; quoted text is always one name. Classes without a
    label set belong to the first set that has all of them. Raises UsageError for an unknown label
    set or class.
    """
    if not label_sets:
        raise UsageError(
            "the run has no labels", where=f"--labels {text}", fix="leave --labels out"
        )
    names = [each.name for each in label_sets]
    wanted: dict[int, list[int]] = {}
    for name, classes in _by_set(text, names):
        numbers = range(len(label_sets)) if name is None else [names.index(name)]
        number = _set_that_has(classes, label_sets, numbers)
        if number in wanted:
            what = f"classes of {names[number]} are given twice"
            raise UsageError(
                what, where=f"--labels {text}", fix=f"--labels '{names[number]}=ONE,OTHER'"
            )
        labels = label_sets[number]
        wanted[number] = [
            _class_number(word, labels, names, text) for word in _words(classes, labels)
        ]
    return wanted


def _by_set(text: str, names: Sequence[str]) -> Iterator[tuple[str | None, str]]:
    """Yield (label set or None, classes), split at each label set's name that `=` follows."""
    quoted = [found.span() for found in QUOTED_PART.finditer(text)]
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))

    def is_quoted(found: re.Match[str]) -> bool:
        return any(begin <= found.start() < end for begin, end in quoted)

    named = re.finditer(rf"(?<!\S)({either})=", text)
    starts = [found for found in named if not is_quoted(found)]
    before = text[: starts[0].start()] if starts else text
    if before.strip() or not starts:
        yield None, before.strip()
    ends = [following.start() for following in starts[1:]] + [len(text)]
    for found, end in zip(starts, ends, strict=False):
        yield found[1], text[found.end() : end].strip()


def _words(text: str, labels: LabelSet) -> list[str]:
    """Split at commas, except those within the name of a class or within quotes."""
    known = sorted(labels.classes, key=len, reverse=True)
    words = []
    rest = text
    while True:
        rest = rest.lstrip()
        quoted = QUOTED.match(rest)
        if quoted and rest[: quoted.end()] not in labels.classes:
            word = quoted[2].replace(quoted[1] * 2, quoted[1])
            rest = rest[quoted.end() :]
        else:
            fitting = [name for name in known if name and _ends_a_word(rest, name)]
            word = fitting[0] if fitting else rest.partition(",")[0]
            rest = rest[len(word) :]
        words.append(word if word in labels.classes else word.strip())
        rest = rest.lstrip()
        if not rest:
            return words
        rest = rest[1:]  # the comma


def _ends_a_word(text: str, name: str) -> bool:
    after = text[len(name) :].lstrip()
    return text.startswith(name) and (not after or after.startswith(","))


def _set_that_has(text: str, label_sets: Sequence[LabelSet], numbers: Sequence[int]) -> int:
    """Return the first of these label sets that has every class; the first of all if none has."""
    for number in numbers:
        labels = label_sets[number]
        if all(word in labels.classes or _is_number(word, labels) for word in _words(text, labels)):
            return number
    return numbers[0]


def _is_number(word: str, labels: LabelSet) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 10 and int(word) < len(labels)


def _class_number(word: str, labels: LabelSet, names: Sequence[str], text: str) -> int:
    """Return the number of a class, given by name or number. Raises UsageError."""
    if word in labels.classes:
        return labels.classes.index(word)
    if _is_number(word, labels):
        return int(word)
    where = f"--labels {text}"
    named = re.search(r"(?:^|\s)([^\s=]+)=", word)
    if named and named[1] not in names:
        fix = did_you_mean(named[1], names) or ", ".join(names)
        raise UsageError(f"no label set is called {named[1]!r}", where=where, fix=fix)
    fix = did_you_mean(word, labels.classes) or f"one of {', '.join(labels.classes)}"
    raise UsageError(f"{labels.name} has no class {word!r}", where=where, fix=fix)
