"""The slots of a composition, in one table: which components a run has, and what each serves."""

from __future__ import annotations

import re
from typing import Literal

from attrs import field, frozen

Role = Literal["generator", "critic"]
ROLES: tuple[Role, Role] = ("generator", "critic")
BOTH: frozenset[Role] = frozenset(ROLES)


@frozen
class Slot:
    """A place for components: a flag `--NAME` of the command line and a key of a recipe.

    `kind` is that of the components that fit, which are published as entry points of
    `gancore.KIND`; by default it is the slot's name. `word` is that kind in English. `role` is the
    player that the components serve; without one they serve both. A slot holds one component, or
    `several`.
    """

    name: str
    kind: str = field()
    role: Role | None = field(default=None, kw_only=True)
    help: str = field(kw_only=True)
    word: str = field(kw_only=True)
    several: bool = field(default=False, kw_only=True)
    to_train: bool = field(default=False, kw_only=True)  # a run needs it
    to_sample: bool = field(default=False, kw_only=True)  # the generator cannot be built without it
    # a short form: the slots that it fills
    fills: tuple[str, ...] = field(default=(), kw_only=True)

    @kind.default
    def _kind(self) -> str:
        return self.name

    @word.default
    def _word(self) -> str:
        return self.kind

    @property
    def roles(self) -> frozenset[Role]:
        """The players that the slot's components serve."""
        return BOTH if self.role is None else frozenset({self.role})


WITHOUT = "without"

# In the order of the flags. Components are called in this order too.
_TABLE = (
    Slot("data", help="Data set, by name, or the path of your own files."),
    Slot("gen", word="generator", to_train=True, to_sample=True, help="Generator network."),
    Slot("critic", to_train=True, help="Critic network (the discriminator)."),
    Slot(
        "upsample",
        word="upsampler",
        to_sample=True,
        help="How the generator doubles the size of its feature maps.",
    ),
    Slot(
        "gen-norm",
        "norm",
        role="generator",
        to_sample=True,
        help="Normalization layers of the generator.",
    ),
    Slot("critic-norm", "norm", role="critic", help="Normalization layers of the critic."),
    Slot("loss", to_train=True, help="Loss of both players."),
    Slot(
        "gen-optim",
        "optim",
        role="generator",
        word="optimizer",
        to_train=True,
        help="Optimizer of the generator.",
    ),
    Slot(
        "critic-optim",
        "optim",
        role="critic",
        word="optimizer",
        to_train=True,
        help="Optimizer of the critic.",
    ),
    Slot("schedule", to_train=True, help="When the generator and when the critic is updated."),
    Slot(
        "latent",
        to_train=True,
        to_sample=True,
        help="Distribution of the generator's random inputs.",
    ),
    Slot("init", word="initializer", help="Distribution of the initial weights."),
    Slot("norm", fills=("gen-norm", "critic-norm"), help="Normalization layers of both players."),
    Slot("optim", fills=("gen-optim", "critic-optim"), help="Optimizer of both players."),
    Slot(
        "cond",
        word="conditioning",
        several=True,
        help="Conditioning on labels. Repeatable.",
    ),
    Slot(
        "reg",
        word="regularizer",
        several=True,
        help="Regularizer or training trick, by name or ./file.py. Repeatable.",
    ),
    Slot("metric", several=True, help="Metric to log. Repeatable."),
    Slot("track", word="tracker", several=True, help="Logger or extra picture. Repeatable."),
    Slot(
        WITHOUT,
        several=True,
        help="Leave out a component that a recipe or another component selects. Repeatable.",
    ),
)

SLOTS = {slot.name: slot for slot in _TABLE}
SINGLE: dict[str, Slot] = {}
SEVERAL: dict[str, Slot] = {}
SHORT_FORMS: dict[str, tuple[str, ...]] = {}
for _slot in _TABLE:
    if _slot.fills:
        SHORT_FORMS[_slot.name] = _slot.fills
    elif not _slot.several:
        SINGLE[_slot.name] = _slot
    elif _slot.name != WITHOUT:  # it holds names of components to leave out, which have no kind
        SEVERAL[_slot.name] = _slot

_WORDS = {slot.kind: slot.word for slot in (*SINGLE.values(), *SEVERAL.values())}
KINDS = tuple(_WORDS)

# keys of a recipe that are no component, so no component may have such a name
RESERVED = frozenset(
    {*SLOTS, "run", "format", "extends", "about", "sweep", "study", "small", "compat"}
)


def filled_by(word: str) -> tuple[str, ...]:
    """Return the slots that a flag or key fills: two for a short form, else that of its name."""
    return SHORT_FORMS.get(word, (word,))


def holds_several(word: str) -> bool:
    """Return whether a flag or key takes a list of names."""
    return word in SLOTS and SLOTS[word].several


def kind_in_words(kind: str) -> str:
    """Return the English word for a kind: `optimizer` for `optim`."""
    return _WORDS.get(kind, kind)


# the end of a component file's name, `./file.py` or `again=./file.py:Class`
FILE = re.compile(r"\.py(:\w+)?$")


def hyphened(name: str) -> str:
    """Spell a component, option or setting with `-` for `_`; leave the path of a file as it is."""
    if FILE.search(name):
        return name
    alias, equals, origin = name.rpartition("=")
    # a distribution's name may hold what it likes
    distribution, colon, bare = origin.rpartition(":")
    return f"{alias.replace('_', '-')}{equals}{distribution}{colon}{bare.replace('_', '-')}"
