"""Resolves the words of a command line to the composition that they describe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gancore.cli.choices import refuse_downloads
from gancore.errors import UsageError
from gancore.run import directory

if TYPE_CHECKING:
    from gancore.recipe.compose import Composition
    from gancore.recipe.toml import Layer


def split_argument(
    argument: str | None, extra: tuple[str, ...]
) -> tuple[str | None, tuple[str, ...]]:
    """Return (argument, extra) of a command whose argument may be omitted.

    click takes the first `--component.option` for the argument if there is none.
    """
    if argument is not None and argument.startswith("--"):
        return None, (argument, *extra)
    return argument, extra


def compose_words(words: Layer, recipe: str | None, variants: Sequence[str] = ()) -> Composition:
    """Resolve the command line over a recipe and its variants.

    Raises UsageError for a variant without a recipe.
    """
    from gancore.recipe.compose import may_run, recipe_layers, resolve

    if recipe is None and variants:
        raise _variant_error(variants[0], fix="--recipe NAME")
    layers = recipe_layers(recipe, variants) if recipe is not None else []
    composition = resolve([*layers, words], may_run(words))
    refuse_downloads(composition.recipe(), words)
    for layer in layers:
        for chosen in layer.when.values():  # before the data are open, which may be what it is for
            refuse_downloads(chosen.option_values(), words)
    return composition


def compose_run_or_recipe(
    words: Layer, run_or_recipe: str | None, variants: Sequence[str]
) -> Composition:
    """Resolve the command line over the folder of a run, or over a recipe.

    Component files of a run are executed only if the command line names them, as for
    `gan run --resume`.
    """
    if run_or_recipe is None or not Path(run_or_recipe).is_dir():
        return compose_words(words, run_or_recipe, variants)
    folder = Path(run_or_recipe)
    directory.expect(folder)
    from gancore.recipe.compose import may_run
    from gancore.run.session import reopen

    if variants:
        raise _variant_error(variants[0], fix="leave it out")
    return reopen(folder, [words], may_run(words))


def _variant_error(name: str, fix: str) -> UsageError:
    return UsageError(f"--{name} is a variant of a recipe", where=f"--{name}", fix=fix)
