"""Check what a composition is refused for or noted with, over a table of choices."""

from gancore import CompositionError, compose

REFUSED = "refused: "
NOTE = "note: "


def check_rules_table(rows):
    """Check each row `(choices, said)` and name all that differ.

    `choices` are slots and options, `{"reg": ["r1"], "r1.gamma": 1.0}`. `said` is
    `refused: TEXT`, `note: TEXT`, or None where the components may be composed without a note.
    """
    failed = []
    for choices, said in rows:
        found = outcome(choices)
        fits = not found if said is None else any(matches(each, said) for each in found)
        if not fits:
            failed.append(f"{choices}: expected {said!r}, found {found}")
    assert not failed, "\n".join(failed)


def outcome(choices):
    """List what is said about choices: the refusal, or the notes."""
    slots = {}
    options = {}
    for name, value in choices.items():
        if "." in name:
            options[name] = value
        else:
            slots[name.replace("-", "_")] = value
    try:
        notes = compose(options=options, **slots).notes
    except CompositionError as error:
        return [REFUSED + error.what]
    return [NOTE + note for note in notes]


def matches(found, said):
    """Return whether what was said begins with the kind that was expected, and has its text."""
    kind, _, text = said.partition(": ")
    return found.startswith(f"{kind}: ") and text in found
