"""The slots that components fill: their names, kinds and roles."""

from __future__ import annotations

import re
from typing import Literal

# one component each: slot → (kind, players it serves)
BOTH = frozenset({"generator", "critic"})
ONE_OF: dict[str, tuple[str, frozenset[str]]] = {
    "data": ("data", BOTH),
    "gen": ("gen", BOTH),
    "critic": ("critic", BOTH),
    "upsample": ("upsample", BOTH),
    "gen-norm": ("norm", frozenset({"generator"})),
    "critic-norm": ("norm", frozenset({"critic"})),
    "loss": ("loss", BOTH),
    "gen-optim": ("optim", frozenset({"generator"})),
    "critic-optim": ("optim", frozenset({"critic"})),
    "schedule": ("schedule", BOTH),
    "latent": ("latent", BOTH),
    "init": ("init", BOTH),
}
ANY = ("cond", "reg", "metric", "track")
WITHOUT = "without"  # names that a recipe or another component asked for and that are left out
LISTS = (*ANY, WITHOUT)
SHORTHANDS = {"norm": ("gen-norm", "critic-norm"), "optim": ("gen-optim", "critic-optim")}
KINDS = tuple(dict.fromkeys([kind for kind, _ in ONE_OF.values()] + list(ANY)))
IN_WORDS = {
    "gen": "generator",
    "upsample": "upsampler",
    "optim": "optimizer",
    "init": "initializer",
    "cond": "conditioning",
    "reg": "regularizer",
    "track": "tracker",
}
FILE = re.compile(r"\.py(:\w+)?$")  # the end of a component file's name, `./file.py` or `again=./file.py:Class`


def hyphened(name: str) -> str:
    """Spell a component's name, option or setting with `-` where a user wrote `_`; a component file as it is."""
    if FILE.search(name):
        return name
    alias, equals, origin = name.rpartition("=")
    distribution, colon, bare = origin.rpartition(":")  # a distribution's name may hold what it likes
    return f"{alias.replace('_', '-')}{equals}{distribution}{colon}{bare.replace('_', '-')}"


Role = Literal["generator", "critic"]
ROLES: tuple[Role, Role] = ("generator", "critic")
