"""Suggest the option or command that a user meant, also by the names other programs use."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from gancore.errors import did_you_mean, nearest, spelt
from gancore.plugins import discovery, loading
from gancore.plugins.component import options_of
from gancore.plugins.slots import KINDS, SLOTS, hyphened, kind_in_words
from gancore.recipe import lookup
from gancore.recipe.settings import Settings
from gancore.run import directory

THEIR_OPTIONS = {  # option of gancore → its names in other programs
    "--batch": "batch-size bs batchsize minibatch minibatch-size",
    "--data": "dataset dataroot data-dir data-path data-root input input-dir images",
    "--device cpu": "cpu no-cuda no-gpu",
    "--device cuda": "gpu cuda use-gpu use-cuda",
    "--epochs": "n-epochs num-epochs max-epochs nb-epochs",
    "--gen": "netg generator-network",
    "--critic": "discriminator disc netd",
    "--log-every": "log-interval print-freq print-every log-freq",
    "--norm": "normalization normalisation normalizer",
    "--nproc": "gpus n-gpus num-gpus ngpu world-size processes num-processes nproc-per-node",
    "--optim": "optimiser opt",
    "--out": "output out-dir outdir output-dir outf log-dir logdir save-dir save-path name",
    "--precision": "amp fp16 bf16 fp32 tf32 half mixed-precision dtype",
    "--recipe": "config cfg preset",
    "--reg": "regulariser regularization regularisation trick",
    "--resume": "continue checkpoint ckpt restart load load-checkpoint resume-from",
    "--sample-every": "sample-interval sample-freq",
    "--save-every": (
        "save-interval save-freq checkpoint-every checkpoint-interval snapshot-every snap"
    ),
    "--schedule": "scheduler",
    "--seed": "random-seed manual-seed",
    "--size": "image-size img-size imsize imgsize resolution res",
    "--steps": (
        "iterations iters n-iters niter n-iter num-steps "
        "max-steps total-steps num-iterations max-iters"
    ),
    "--track": "logger log callback",
}
OUR_OPTIONS: dict[str, str] = {}  # name in other programs → option of gancore
for _ours, _theirs in THEIR_OPTIONS.items():
    OUR_OPTIONS |= dict.fromkeys(_theirs.split(), _ours)
# a slot's kind in English is understood as its flag too: `--generator` for `--gen`
for _kind in KINDS:
    if kind_in_words(_kind) != _kind:
        OUR_OPTIONS[kind_in_words(_kind)] = f"--{_kind}"
OUR_COMMANDS = {
    "train": "gan run", "fit": "gan run", "start": "gan run", "resume": "gan run --resume RUN",
    "continue": "gan run --resume RUN", "generate": "gan sample RUN", "draw": "gan sample RUN",
    "list": "gan plugins", "components": "gan plugins", "presets": "gan recipes",
    "benchmark": "gan bench",
    "grid-search": "gan sweep", "compare": "gan sweep",
    "ablate": "gan study --ablate", "ablation": "gan study --ablate",
    "verify": "gan verify-resume", "help": "gan --help", "version": "gan --version",
}  # fmt: skip


def meant_option(
    word: str, flags: Sequence[str], declared: Mapping[str, Sequence[discovery.Row]]
) -> str:
    """Return `did you mean X?` for an option that a command with these `flags` does not have.

    `word` has no leading hyphens. `declared` are the components that have an option of a name. The
    text is empty where no word is near.
    """
    wanted = spelt(word)
    known = set(map(hyphened, flags))
    # From what is certain to what is guessed: a word of another program, then the exact name of a
    # component or of an option of one, then a similar flag, then a similar component.
    if ours := OUR_OPTIONS.get(wanted, ""):
        own = ours.removeprefix("--").partition(" ")[0]
        if own in known:
            return f"did you mean {ours}?"
    chooses = known >= {"gen", "critic"}  # a command that takes components
    if chooses:
        found = discovery.meant(wanted, guess=False) or _slot_option(wanted, declared)
        if found:
            return found
    if near := did_you_mean(word, [f"--{flag}" for flag in sorted(known)]):
        return near
    return discovery.meant(wanted) if chooses else ""


def _slot_option(word: str, declared: Mapping[str, Sequence[discovery.Row]]) -> str:
    """Read `critic-width` as `--critic.width`, where a component for the slot has that option."""
    for slot in SLOTS.values():
        if slot.several:  # `--reg.weight` would not say which of its components is meant
            continue
        name = word.removeprefix(f"{slot.name}-")
        kinds = [row.kind for row in declared.get(name, ())]
        if name != word and slot.kind in kinds:
            return f"did you mean --{slot.name}.{name}?"
    return ""


def meant_argument(word: str) -> str:
    """Return `did you mean X?` for an argument of `gan run`, which takes flags alone."""
    # `batch=32`, as programs with key=value arguments take it
    name, equals, value = word.partition("=")
    if equals and (spelt(name) in options_of(Settings) or spelt(name) in SLOTS):
        return f"did you mean --{spelt(name)} {value}?"
    if Path(word).suffix == ".toml":
        return f"did you mean --recipe {word}?"
    if loading.is_file(word):
        return f"did you mean --reg {word}? (--SLOT FILE.py, whichever slot it fills)"
    if found := discovery.meant(word, guess=False):
        return found
    recipe = lookup.recipe_name(word)
    if recipe in lookup.recipe_files():
        return f"did you mean {_run_recipe(recipe)}?"
    if (Path(word) / directory.RECIPE).is_file():
        return f"did you mean --resume {word}?"
    if os.path.exists(word):
        return f"did you mean --data {word}?"
    if found := discovery.meant(word):
        return found
    near = nearest(word, lookup.recipe_files())
    return f"did you mean {_run_recipe(near[0])}?" if near else ""


def _run_recipe(name: str) -> str:
    return f"gan sweep {name}" if lookup.recipe_chain(name)[-1].sweep else f"--recipe {name}"


def meant_command(word: str, known: Sequence[str]) -> str:
    """Return which command was meant by a word, or the list of commands."""
    if ours := OUR_COMMANDS.get(spelt(word), ""):
        return f"did you mean `{ours}`?"
    if near := did_you_mean(word, known):
        return near
    if found := discovery.meant(word, guess=False):
        return found.replace("did you mean --", "did you mean gan run --", 1)
    recipe = lookup.recipe_name(word)
    if recipe in lookup.recipe_files():
        command = _run_recipe(recipe).replace("--recipe", "run --recipe").removeprefix("gan ")
        return f"did you mean gan {command}?"
    return f"one of {', '.join(known)}"
