"""What is wrong with a component, as the checks say it: an AssertionError in three parts."""

from __future__ import annotations

import re

from gancore.errors import GanError
from gancore.plugins.component import SPECS

# how messages name the hook that is at fault: `my-trick.critic_view, …`, `my-trick failed in …`
_NAMED = re.compile(r"(?:\.|failed in )(\w+)")


class Fault(AssertionError):
    """A rule that a component breaks: `what` is wrong, `where`, how to `fix` it, in which `hook`.

    `hook` is the name of the method at fault, or '' where no single one is.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "", hook: str = "") -> None:
        super().__init__(str(GanError(what, where=where, fix=fix)))
        self.what = what
        self.where = where
        self.fix = fix
        self.hook = hook or hook_named_in(what)

    @classmethod
    def of(cls, error: GanError) -> Fault:
        """Make a fault of an error of gancore."""
        return cls(error.what, where=error.where, fix=error.fix)


def hook_named_in(text: str) -> str:
    """Return the first hook that a message names as the place of a fault; '' if it names none."""
    for name in _NAMED.findall(text):
        if name in SPECS:
            return str(name)
    return ""
