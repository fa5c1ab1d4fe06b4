"""Reads the classes of `gan sample --labels`, e.g. `type=fire,water body=bird`.

Names of label sets and classes may contain commas, spaces, quotes and equals signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gancore.errors import UsageError, did_you_mean
from gancore.train.plan import LabelSet

# a quoted name up to the comma or the end; a doubled quote inside stands for one, as in CSV
QUOTED = re.compile(r"""(["'])((?:(?!\1).|\1\1)*)\1(?=\s*(?:,|$))""", re.DOTALL)
# Any quoted part that begins a word: `type=` inside it does not start a label set. An apostrophe
# within a word, as in `farfetch'd`, opens no quotes.
QUOTED_PART = re.compile(r"""(?<![^\s,=])(["'])(?:(?!\1).)*\1""", re.DOTALL)
# of a class number; int() raises ValueError for a text of thousands of digits
MOST_DIGITS = 9


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
        wanted[number] = []
        for word in _words(classes, labels):
            wanted[number].append(_class_number(word, labels, names, text))
    return wanted


def _by_set(text: str, names: Sequence[str]) -> Iterator[tuple[str | None, str]]:
    """Yield (label set or None, classes), split at each label set's name that `=` follows."""
    starts = _starts_of_sets(text, names)
    if not starts:
        yield None, text.strip()
        return
    before = text[: starts[0].start()].strip()
    if before:
        yield None, before
    ends = [following.start() for following in starts[1:]]
    ends.append(len(text))
    for found, end in zip(starts, ends, strict=True):
        yield found[1], text[found.end() : end].strip()


def _starts_of_sets(text: str, names: Sequence[str]) -> list[re.Match[str]]:
    """Find each `NAME=` outside quotes."""
    quoted: set[int] = set()
    for found in QUOTED_PART.finditer(text):
        quoted.update(range(*found.span()))
    # the longest first: a regular expression takes the first alternative that fits
    longest_first = sorted(names, key=len, reverse=True)
    either = "|".join(map(re.escape, longest_first))
    # only after a space: a class's name may hold `=` too
    named = re.finditer(rf"(?<!\S)({either})=", text)
    return [found for found in named if found.start() not in quoted]


def _words(text: str, labels: LabelSet) -> list[str]:
    """Split at commas, except those within the name of a class or within quotes."""
    known = sorted(filter(None, labels.classes), key=len, reverse=True)  # the longest first
    words = []
    rest = text
    while True:
        rest = rest.lstrip()
        quoted = QUOTED.match(rest)
        # a class may have quotes in its own name
        if quoted and rest[: quoted.end()] not in labels.classes:
            word = quoted[2].replace(quoted[1] * 2, quoted[1])
            rest = rest[quoted.end() :]
        else:
            word = _first_word(rest, known)
            rest = rest[len(word) :]
        # spaces at the end of a class's own name count
        words.append(word if word in labels.classes else word.strip())
        rest = rest.lstrip()
        if not rest:
            return words
        rest = rest[1:]  # the comma


def _first_word(text: str, known: Sequence[str]) -> str:
    """Return the first of the known names that the text begins with, else all up to a comma."""
    for name in known:
        after = text[len(name) :].lstrip()
        if text.startswith(name) and (not after or after.startswith(",")):
            return name
    return text.partition(",")[0]


def _set_that_has(text: str, label_sets: Sequence[LabelSet], numbers: Sequence[int]) -> int:
    """Return the first of these label sets that has every class; the first of all if none has."""
    for number in numbers:
        labels = label_sets[number]
        # the text is split again for each set: which commas belong to a name depends on its classes
        words = _words(text, labels)
        if all(_is_class(word, labels) for word in words):
            return number
    return numbers[0]


def _is_class(word: str, labels: LabelSet) -> bool:
    return word in labels.classes or _is_number(word, labels)


def _is_number(word: str, labels: LabelSet) -> bool:
    # `isdecimal` alone also takes the digits of other scripts
    if not word.isascii() or not word.isdecimal() or len(word) > MOST_DIGITS:
        return False
    return int(word) < len(labels)


def _class_number(word: str, labels: LabelSet, names: Sequence[str], text: str) -> int:
    """Return the number of a class, given by name or number. Raises UsageError."""
    # a class may be called by digits, so names come before numbers
    if word in labels.classes:
        return labels.classes.index(word)
    if _is_number(word, labels):
        return int(word)
    where = f"--labels {text}"
    # `NAME=` is left in a word only where no label set is called so: NAME is what was misspelt
    named = re.search(r"(?:^|\s)([^\s=]+)=", word)
    if named and named[1] not in names:
        fix = did_you_mean(named[1], names) or ", ".join(names)
        raise UsageError(f"no label set is called {named[1]!r}", where=where, fix=fix)
    fix = did_you_mean(word, labels.classes) or f"one of {', '.join(labels.classes)}"
    raise UsageError(f"{labels.name} has no class {word!r}", where=where, fix=fix)
